"""What a process says about itself with each heartbeat; the broker hands it on to ``hera status`` and the exporter."""

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.series import ALL, BUCKETS_S, Kind

SETS_MAX = 64  # sets of label values that one process keeps of one series
OTHER = "other"  # what the rest is counted under
JOIN = "\x1f"  # between the values of labels
_STATM = Path("/proc/self/statm")

Value = float | list[float]
"""A number, or a histogram: the count of each bucket, then the sum of seconds."""


class Figures:
    """The series of one process, by name and label values; only those of ``workers.series``. Any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[str, dict[str, Value]] = {}
        self._started = time.time()

    def __reduce__(self) -> tuple[type["Figures"], tuple[()]]:
        """Settings go to other processes, what was counted in this one does not."""
        return Figures, ()

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter; 0 makes it known before there is something to count."""
        with self._lock:
            sets, key = self._place(name, Kind.COUNTER, labels)
            before = sets.get(key, 0)
            assert not isinstance(before, list)
            sets[key] = before + by

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            sets, key = self._place(name, Kind.GAUGE, labels)
            sets[key] = value

    def unset(self, name: str, **labels: str) -> None:
        """Say nothing of a gauge any more."""
        with self._lock:
            sets, key = self._place(name, Kind.GAUGE, labels)
            sets.pop(key, None)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add one duration to a histogram."""
        with self._lock:
            sets, key = self._place(name, Kind.HISTOGRAM, labels)
            counts = sets.setdefault(key, [0] * (len(BUCKETS_S) + 2))
            assert isinstance(counts, list)
            counts[bisect_left(BUCKETS_S, seconds)] += 1
            counts[-1] += seconds

    @contextmanager
    def timed(self, name: str, **labels: str) -> Iterator[None]:
        """Add how long the block takes to a histogram, however it ends."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.observe(name, time.monotonic() - began, **labels)

    def report(self) -> dict[str, Any]:
        """Return what a heartbeat carries: vital signs of the process, and its series."""
        times = os.times()
        with self._lock:
            series = {
                name: {key: list(v) if isinstance(v, list) else v for key, v in sets.items()}
                for name, sets in self._series.items()
            }
        return {
            "started": self._started,
            "cpu_seconds": round(times.user + times.system, 2),
            "rss_bytes": rss_bytes(),
            "series": series,
        }

    def _place(self, name: str, kind: Kind, labels: dict[str, str]) -> tuple[dict[str, Value], str]:
        declared = ALL[name]
        assert declared.kind is kind
        assert len(labels) == len(declared.labels), f"{name} has labels {declared.labels}"
        sets = self._series.setdefault(name, {})
        key = JOIN.join([labels[label] for label in declared.labels])
        if key not in sets and len(sets) >= SETS_MAX:
            key = JOIN.join(OTHER for _ in declared.labels)
        return sets, key


@dataclass
class Counters:
    """Counts since the start of one process. ``busy_seconds`` is time spent on messages."""

    stage: str
    figures: Figures = field(default_factory=Figures)
    done: int = 0
    faults: int = 0
    again: int = 0
    busy_seconds: float = 0.0
    block: int = 0  # being worked on
    since: float = 0.0  # Unix time at which that began; 0 while idle
    _began: float = field(default=0.0, repr=False)

    def begin(self, block: int) -> dict[str, int | float | str]:
        """Note that work on a block begins."""
        self.block, self.since = block, time.time()
        self._began = time.monotonic()
        return self.values()

    def end(self) -> dict[str, int | float | str]:
        """Note that it ended."""
        seconds = time.monotonic() - self._began
        self.busy_seconds += seconds
        self.figures.observe("hera_stage_duration_seconds", seconds, stage=self.stage)
        self.since = 0.0
        return self.values()

    def values(self) -> dict[str, int | float | str]:
        """Return all of it as a status."""
        return {
            "stage": self.stage,
            "done": self.done,
            "faults": self.faults,
            "again": self.again,
            "busy_seconds": round(self.busy_seconds, 3),
            "block": self.block,
            "since": self.since,
        }


def rss_bytes() -> int:
    """Return the resident memory of this process; 0 where the system does not say."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
