"""How far the node is: two looks at the broker's figures, turned into one value that log, status and page show.

Pure: no clock, no socket. Whoever asks the broker makes a ``Sample`` of each answer, and ``progress`` of two of them.
What processes say of themselves is only believed where it has the form that is expected.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

BUSY_MIN = 0.5  # below it no stage is what blocks wait for: they wait for those that send them
PEERS, GATEWAY = "peers", "gateway"
FEEDER = "feeder"  # the row of a node whose blocks come from a gateway
STANDS_SECONDS = 5.0  # until it is asked why the head stands still: at its start a node has nothing
OBSERVER = "status-"  # how the name of who only looks begins: it is no process of the node
AT_HEAD = "at the head"
UNKNOWN = "?"

Stages = Sequence[tuple[str, str]]
"""Name of each row and the topic that it takes ("" for a source), in the order in which a block meets them."""


@dataclass(frozen=True)
class Queue:
    """What waits in a topic or is worked on, and its bounds."""

    items: int = 0
    items_max: int = 0
    bytes: int = 0
    bytes_max: int = 0


@dataclass(frozen=True)
class Work:
    """What one process has done since it began: messages, and seconds at work and on the processor."""

    stage: str  # "" for a source
    done: float
    busy_seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Sample:
    """One look at the node. ``at`` is in seconds of any clock that runs evenly."""

    at: float
    head: int | None
    target: int | None
    peers: int
    stuck: str
    queues: Mapping[str, Queue]
    work: Mapping[str, Work]  # by process


@dataclass(frozen=True)
class StageProgress:
    """One stage: all of its processes, and the queue before it. ``rate`` is in messages a second, ``busy`` 0..1."""

    name: str
    topic: str  # "" for a source, which takes nothing that blocks wait in
    processes: int
    items: int
    items_max: int
    bytes: int
    bytes_max: int
    rate: float
    busy: float


STAGE_FIELDS = {field.name for field in fields(StageProgress)}


@dataclass(frozen=True)
class Progress:
    """``slowest`` names the stage that others wait for; "peers" or "gateway" if they wait for none."""

    head: int | None  # last stored block
    target: int | None  # highest block that a source knows of, never below the head
    percent: float | None
    blocks_per_second: float
    eta_seconds: float | None
    source: str  # "peers" or "gateway": where the blocks come from
    peers: int
    stages: tuple[StageProgress, ...]
    slowest: str | None
    stuck: str | None  # one line, why the head does not move

    @property
    def is_syncing(self) -> bool:
        """Whether there are blocks to come, as far as is known."""
        return self.target is not None and self.target > (-1 if self.head is None else self.head)

    def as_json(self) -> dict[str, Any]:
        """Return it as what JSON knows."""
        return asdict(self) | {
            "syncing": self.is_syncing,
            "stages": [asdict(stage) for stage in self.stages],
        }

    def line(self) -> str:
        """Return one line for a person, such as ``61.3 % | block 412 345/672 900 | 38 blk/s | …``."""
        parts = [UNKNOWN if self.percent is None else f"{self.percent:.1f} %", self._blocks()]
        if self.is_syncing:
            parts += [f"{_rate(self.blocks_per_second)} blk/s", f"ETA {_time(self.eta_seconds)}"]
        elif self.target is not None and not self.stuck:
            parts.append(AT_HEAD)
        if self.peers or self.source == PEERS:
            parts.append(f"{self.peers} peer{'' if self.peers == 1 else 's'}")
        if self.stuck:
            parts.append(f"stuck: {self.stuck}")
        elif self.is_syncing and self.slowest:
            busy = {stage.name: stage.busy for stage in self.stages}.get(self.slowest)
            share = "" if busy is None else f" {busy:.0%}".replace("%", " %")
            parts.append(f"slowest: {self.slowest}{share}")
        return " | ".join(parts)

    def _blocks(self) -> str:
        head = "none" if self.head is None else f"{self.head:,}".replace(",", " ")
        target = UNKNOWN if self.target is None else f"{self.target:,}".replace(",", " ")
        return f"block {head}/{target}"


def sample(
    stats: Mapping[str, Any], at: float, *, head: int | None = None, target: int | None = None
) -> Sample:
    """Read what ``Link.stats`` returned; ``head`` and ``target`` are of one who knows better, as the store does."""
    statuses = {name: _map(record.get("status")) for name, record in _records(stats, "workers")}
    heads = [head, *_said(statuses, "hera_chain_head_block")]
    targets = [target, *_said(statuses, "hera_sync_best_known_block")]
    targets += [_count(status.get("target")) for status in statuses.values()]
    found = head if head is not None else _highest(heads)
    return Sample(
        at=at,
        head=found,
        target=_highest([found, *targets]),
        peers=max((_count(status.get("peers")) or 0 for status in statuses.values()), default=0),
        stuck=next((s for status in statuses.values() if (s := _text(status.get("stuck")))), ""),
        queues={name: _queue(record) for name, record in _records(stats, "topics")},
        work={name: _work(name, status) for name, status in statuses.items()},
    )


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Join what the broker knows of a worker with what the worker said of itself, without the series of its metrics."""
    known = {name: value for name, value in record.items() if name != "status"}
    said = _map(record.get("status"))
    return known | {name: value for name, value in said.items() if name != "series"}


def progress(before: Sample, now: Sample, stages: Stages) -> Progress:
    """Return how far the node is ``now``, and how fast it was since ``before``."""
    seconds = now.at - before.at
    height, was = _height(now.head), _height(before.head)
    speed = max(0, height - was) / seconds if seconds > 0 else 0.0
    left = None if now.target is None else now.target + 1 - height
    source = GATEWAY if FEEDER in (name for name, _ in stages) else PEERS
    shown = tuple(_stage(name, topic, before, now) for name, topic in stages)
    return Progress(
        head=now.head,
        target=now.target,
        percent=_percent(height, now.target),
        blocks_per_second=round(speed, 2),
        eta_seconds=_eta(left, speed),
        source=source,
        peers=now.peers,
        stages=shown,
        slowest=_slowest(shown, source) if left else None,
        stuck=_stuck(before, now, source, stages),
    )


def progress_of(status: Mapping[str, Any]) -> Progress:
    """Return what a node's status says of its progress, as far as it says so; it may be of another version."""
    said = _map(status.get("progress"))
    listed = said.get("stages")
    stages = list(map(_map, listed)) if isinstance(listed, list) else []
    head = _count(_map(status.get("head")).get("number"))
    target = _count(status.get("target"))
    return Progress(
        head=head,
        target=target,
        percent=_percent(_height(head), target),
        blocks_per_second=_seconds(status.get("blocks_per_second")),
        eta_seconds=_seconds(said["eta_seconds"]) if said.get("eta_seconds") else None,
        source=_text(said.get("source")) or PEERS,
        peers=_count(status.get("peers")) or 0,
        stages=tuple(StageProgress(**stage) for stage in stages if set(stage) == STAGE_FIELDS),
        slowest=_text(said.get("slowest")) or None,
        stuck=_text(status.get("stuck")) or None,
    )


def _stage(name: str, topic: str, before: Sample, now: Sample) -> StageProgress:
    queue = now.queues.get(topic, Queue())
    seconds = now.at - before.at
    done = busy = 0.0
    processes = 0
    for process, work in now.work.items():
        if _row(process, work, name):
            processes += 1
            done += _grown(before.work.get(process), work, "done")
            busy += max(
                _grown(before.work.get(process), work, what)
                for what in ("busy_seconds", "cpu_seconds")
            )
    measured = seconds > 0 and processes > 0
    return StageProgress(
        name=name,
        topic=topic,
        processes=processes,
        items=queue.items,
        items_max=queue.items_max,
        bytes=queue.bytes,
        bytes_max=queue.bytes_max,
        rate=round(done / seconds, 2) if measured else 0.0,
        busy=round(min(1.0, busy / seconds / processes), 3) if measured else 0.0,
    )


def _runs(name: str, look: Sample) -> bool:
    return any(_row(process, work, name) for process, work in look.work.items())


def _row(process: str, work: Work, name: str) -> bool:
    """Whether a process is of row ``name``: a stage says so, a source is called so."""
    if work.stage:
        return work.stage == name
    return process == name or process.startswith(f"{name}-")


def _grown(before: Work | None, now: Work, what: str) -> float:
    """How much a count has grown; one that is smaller than before began anew, one that is new is not known yet."""
    if before is None:
        return 0.0
    value: float = getattr(now, what)
    grown = value - float(getattr(before, what))
    return grown if grown >= 0 else value


def _slowest(stages: Sequence[StageProgress], source: str) -> str:
    busiest = max(stages, key=lambda stage: stage.busy, default=None)
    if busiest is not None and busiest.busy >= BUSY_MIN:
        return busiest.name
    return source


def _stuck(before: Sample, now: Sample, source: str, stages: Stages) -> str | None:
    """Say why the head stands still: in its source's words, or by what is seen from here."""
    stands = now.head == before.head and now.at - before.at >= STANDS_SECONDS
    missing = [name for name, _ in stages if not any(_runs(name, look) for look in (before, now))]
    if missing and stands:
        return f"no process runs for {', '.join(missing)}: the log says why"
    if now.stuck or not stands:
        return now.stuck or None
    if source == PEERS and now.peers == 0:
        return "no peers: is --p2p-peers right, and can they be reached?"
    full = [name for name, queue in now.queues.items() if _is_full(queue)]
    return f"queue full: {', '.join(full)}" if full else None


def _is_full(queue: Queue) -> bool:
    bounds = ((queue.items, queue.items_max), (queue.bytes, queue.bytes_max))
    return any(bound and value >= bound for value, bound in bounds)


def _height(head: int | None) -> int:
    """How many blocks are stored."""
    return 0 if head is None else head + 1


def _percent(height: int, target: int | None) -> float | None:
    """Rounded down, so that only the whole chain is 100."""
    return None if target is None else int(1000 * height / (target + 1)) / 10


def _eta(left: int | None, speed: float) -> float | None:
    if left is None or (left > 0 and speed <= 0):
        return None
    return round(left / speed, 1) if left > 0 else 0.0


# ---- reading what processes say ---------------------------------------------------------------------------------


def _records(stats: Mapping[str, Any], what: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, _map(record)) for name, record in _map(stats.get(what)).items())


def _said(statuses: Mapping[str, Mapping[str, Any]], series: str) -> Iterator[int | None]:
    """The values of a gauge without labels, of each process that has it."""
    for status in statuses.values():
        yield _count(_map(_map(status.get("series")).get(series)).get(""))


def _queue(record: Mapping[str, Any]) -> Queue:
    names = ("items", "items_max", "bytes", "bytes_max")
    return Queue(*(_count(record.get(name)) or 0 for name in names))


def _work(name: str, status: Mapping[str, Any]) -> Work:
    """A stage adds up its work after each message; its processor time tells of one that takes long, or of a source."""
    return Work(
        stage=_text(status.get("stage")),
        done=_count(status.get("done")) or 0,
        busy_seconds=_seconds(status.get("busy_seconds")),
        cpu_seconds=_seconds(status.get("cpu_seconds")),
    )


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count else None  # type: ignore[return-value]


def _seconds(value: object) -> float:
    return max(0.0, value) if isinstance(value, int | float) else 0.0


def _highest(values: Sequence[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


# ---- words ------------------------------------------------------------------------------------------------------


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours:02d} h"
    if hours:
        return f"{hours} h {minutes:02d} m"
    return f"{minutes} m {rest:02d} s" if minutes else f"{rest} s"
