"""Turns the broker's figures into series. What a process says is checked: names, labels and forms as declared."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from workers import restarts
from workers.exporter.lives import Key, Lives
from workers.metrics import JOIN, SETS_MAX, Value
from workers.progress import OBSERVER
from workers.series import ALL, BUCKETS_S, Kind, Series
from workers.settings import Settings

BROKER = "broker"
STATS_SECONDS_MAX = 3.0
LABEL_CHARS_MAX = 64
_OUTCOMES = (("done", "done"), ("faults", "fault"), ("again", "again"))  # a status says / a label
_ALIASES = {  # of the highest value of a series
    "hera_chain_head_block": "sync_blockchain_height",
    "hera_sync_best_known_block": "sync_best_known_block_number",
}

Found = dict[Key, Value]


class Collector:
    """What prometheus-client asks at each scrape; ``ask`` asks the broker, and what it raises passes."""

    def __init__(
        self,
        settings: Settings,
        ask: Callable[[float], Mapping[str, Any]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._ask = ask
        self._clock = clock
        self._lives = Lives()

    def collect(self) -> Iterator[Metric]:
        """Yield every declared series that there is something to say of."""
        found = self.found()
        for series in ALL.values():
            sets = {labels: value for (name, labels), value in found.items() if name == series.name}
            if sets:
                yield _family(series, sets)

    def found(self) -> Found:
        """Return the value of each series, by its name and the values of its labels (``worker`` first)."""
        figures = self._ask(STATS_SECONDS_MAX)
        settings = self._settings
        found: Found = {("hera_build_info", (settings.version, settings.network.name)): 1}
        found |= _disk(settings.db_path)
        found |= self._of_broker(figures)
        restarted = restarts.read(settings.restarts)
        for name, count in restarted.items():
            found["hera_worker_restarts_total", (name,)] = count
            found["hera_worker_up", (name,)] = 0
        found["hera_worker_up", (BROKER,)] = 1
        for name, record in figures["workers"].items():
            if name.startswith(OBSERVER):
                continue
            found |= self._of_worker(name, record)
        return found | _aliases(found)

    def _of_broker(self, figures: Mapping[str, Any]) -> Found:
        vitals = figures["broker"]
        found = _vitals(BROKER, vitals)
        for topic, queue in figures["topics"].items():
            label = (topic,)
            found["hera_queue_items", label] = queue["items"]
            found["hera_queue_bytes", label] = queue["bytes"]
            found["hera_queue_leased_items", label] = queue["leased"]
            found["hera_queue_capacity_items", label] = queue["items_max"]
            found["hera_queue_capacity_bytes", label] = queue["bytes_max"]
        for topic, flow in figures["flows"].items():
            found["hera_queue_added_items_total", (topic,)] = flow["added"]
            found["hera_queue_added_bytes_total", (topic,)] = flow["added_bytes"]
            found["hera_queue_wait_seconds", (topic,)] = flow["waits"]
        found["hera_queue_poisoned_items_total", ()] = figures["poisoned"]
        return self._continued(BROKER, vitals, found)

    def _of_worker(self, name: str, record: Mapping[str, Any]) -> Found:
        status = record["status"]
        label = (name,)
        found = _vitals(name, status)
        found["hera_worker_up", label] = 1
        found["hera_worker_leased_items", label] = record["leased"]
        heard = self._clock() - record["last_seen_s"]
        found["hera_worker_last_heartbeat_timestamp_seconds", label] = heard
        if isinstance(stage := status.get("stage"), str):
            found |= _of_stage(name, stage[:LABEL_CHARS_MAX], status)
        found |= _own(name, status.get("series"))
        return self._continued(name, status, found)

    def _continued(self, name: str, vitals: Mapping[str, Any], found: Found) -> Found:
        """Add to counters what this process counted in its earlier lives."""
        growing = {k: v for k, v in found.items() if ALL[k[0]].kind is not Kind.GAUGE}
        started = _number(vitals.get("started")) or 0.0
        return found | self._lives.through(name, started, growing)


def _aliases(found: Found) -> Found:
    """Say again what Juno's operators look for by other names."""
    said: dict[Key, float] = {}
    for (name, _), value in found.items():
        if name in _ALIASES and not isinstance(value, list):
            alias = (_ALIASES[name], ())
            said[alias] = max(said.get(alias, value), value)
    return dict(said)


def _vitals(name: str, said: Mapping[str, Any]) -> Found:
    """Read what ``Figures.report`` says of a process; one that has not beaten yet says nothing."""
    found: Found = {}
    for series, key in (
        ("hera_worker_start_time_seconds", "started"),
        ("hera_worker_cpu_seconds_total", "cpu_seconds"),
        ("hera_worker_rss_bytes", "rss_bytes"),
    ):
        value = _number(said.get(key))
        if value is not None:
            found[series, (name,)] = value
    return found


def _of_stage(name: str, stage: str, status: Mapping[str, Any]) -> Found:
    found: Found = {}
    for key, outcome in _OUTCOMES:
        found["hera_stage_messages_total", (name, stage, outcome)] = _number(status.get(key)) or 0
    busy = _number(status.get("busy_seconds")) or 0
    found["hera_stage_busy_seconds_total", (name, stage)] = busy
    return found


def _own(name: str, said: object) -> Found:
    """Read the series that a process counts itself; what is not declared so is left out."""
    found: Found = {}
    for series, sets in said.items() if isinstance(said, dict) else ():
        declared = ALL.get(series)
        if declared is None or not declared.of_worker or not isinstance(sets, dict):
            continue
        for key, value in list(sets.items())[: SETS_MAX + 1]:
            if not isinstance(key, str):
                continue
            labels = tuple(part[:LABEL_CHARS_MAX] for part in key.split(JOIN)) if key else ()
            if len(labels) == len(declared.labels) and _fits(declared, value):
                found[series, (name, *labels)] = value
    return found


def _fits(series: Series, value: object) -> bool:
    if series.kind is not Kind.HISTOGRAM:
        return _number(value) is not None
    is_list = isinstance(value, list) and len(value) == len(BUCKETS_S) + 2
    return is_list and all(_number(each) is not None for each in value)  # type: ignore[attr-defined]


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _disk(db_path: Path) -> Found:
    """Sizes of the database's files and of the space beside them; nothing where this process does not see them."""
    found: Found = {}
    with suppress(OSError):
        found["hera_store_disk_free_bytes", ()] = shutil.disk_usage(db_path).free
        sizes = []
        for path in (db_path / "chain").iterdir():
            with suppress(FileNotFoundError):  # the writer deletes files while we look
                sizes.append(path.stat().st_size)
        found["hera_store_disk_bytes", ()] = sum(sizes)
    return found


def _family(series: Series, sets: Mapping[tuple[str, ...], Value]) -> Metric:
    labels = (*(("worker",) if series.of_worker else ()), *series.labels)
    if series.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(series.name, series.help, labels=labels)
        for values, counted in sets.items():
            assert isinstance(counted, list)
            histogram.add_metric(values, _buckets(counted), counted[-1])
        return histogram
    family: CounterMetricFamily | GaugeMetricFamily
    if series.kind is Kind.COUNTER:
        family = CounterMetricFamily(series.name, series.help, labels=labels)
    else:
        family = GaugeMetricFamily(series.name, series.help, labels=labels)
    for values, value in sets.items():
        assert not isinstance(value, list)
        family.add_metric(values, value)
    return family


def _buckets(counted: list[float]) -> list[tuple[str, float]]:
    """Return Prometheus' buckets: each with all that were not slower."""
    found: list[tuple[str, float]] = []
    total = 0.0
    for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), counted, strict=False):
        total += count
        found.append((bound, total))
    return found
