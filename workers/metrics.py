"""What a stage says about itself with each heartbeat; the broker hands it on to ``hera status`` and the metrics."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

RSS_EVERY_S = 1.0
_STATM = Path("/proc/self/statm")


@dataclass
class Counters:
    """Counts since the start of one process. ``busy_seconds`` is time spent on messages."""

    stage: str
    done: int = 0
    faults: int = 0
    again: int = 0
    busy_seconds: float = 0.0
    block: int = 0  # being worked on
    since: float = 0.0  # Unix time at which that began; 0 while idle
    _began: float = field(default=0.0, repr=False)
    _rss: int = field(default=0, repr=False)
    _rss_at: float = field(default=0.0, repr=False)

    def begin(self, block: int) -> dict[str, int | float | str]:
        """Note that work on a block begins."""
        self.block, self.since = block, time.time()
        self._began = time.monotonic()
        return self.values()

    def end(self) -> dict[str, int | float | str]:
        """Note that it ended."""
        self.busy_seconds += time.monotonic() - self._began
        self.since = 0.0
        return self.values()

    def values(self) -> dict[str, int | float | str]:
        """Return all of it as a status."""
        now = time.monotonic()
        if now - self._rss_at > RSS_EVERY_S or not self._rss:
            self._rss, self._rss_at = rss_bytes(), now
        return {
            "stage": self.stage,
            "done": self.done,
            "faults": self.faults,
            "again": self.again,
            "busy_seconds": round(self.busy_seconds, 3),
            "block": self.block,
            "since": self.since,
            "rss_bytes": self._rss,
        }


def rss_bytes() -> int:
    """Return the resident memory of this process; 0 where the system does not say."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
