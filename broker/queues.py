"""What the broker knows: queues, workers, leases. No socket and no clock in here, so that it can be tested by itself.

A message waits in the queue of its topic, is leased to one worker, and leaves when that worker says ``DONE``; its
outputs enter their queues in the same step. A worker that dies loses its leases back to the queues. Lowest block
first, then first come. Each step costs O(log n) in the length of one queue.
"""

import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from broker.protocol import (
    CREDIT_MAX,
    FRAMES_MAX,
    MESSAGE_VERSION,
    SILENCE_S,
    Command,
    OtherVersion,
    ProtocolError,
    head,
    names,
    pack_map,
    parse,
)
from broker.topic import Topic

log = logging.getLogger("hera")

Frames = Sequence[Any]  # bytes or zmq.Frame; only their length is looked at
Send = Callable[[bytes, bytes, Frames], None]
PoisonHandler = Callable[[str, bytes, int], "list[bytes] | None"]
"""``(topic, head frame, deliveries) -> frames`` of the record for the poison topic, or None. Must not raise."""

DEATHS_MAX = 3  # workers a message may kill before it is set aside
AGAIN_MAX = 240  # two minutes at the usual half second
ASIDE_MAX = 64  # heads of poison kept to look at
KEPT_ITEMS = (
    8  # gifts of one giver after which it is told that they are kept; half of a link's window
)
KEPT_BYTES = 1 << 20
KEPT_S = 0.005  # ... or so long after the first of them: each word wakes a process
WAITS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds of the buckets in which waits are counted, in seconds; behind them what waited longer, and the sum."""
SUSPENDED_S = (
    SILENCE_S / 2
)  # no tick for so long: it was this process that slept, so nobody is blamed for silence


@dataclass(slots=True, eq=False)
class Item:
    """One message in a queue, leased, or waiting for its next try."""

    queue: "Queue"
    priority: int
    sequence: int
    frames: Frames
    size: int
    added: float
    deliveries: int = 0
    deaths: int = 0
    agains: int = 0


@dataclass(slots=True, eq=False)
class Queue:
    """One topic. ``items`` and ``size`` count what waits, is leased, or is to be tried again."""

    topic: Topic[Any]
    waiting: list[tuple[int, int, Item]] = field(default_factory=list)
    items: int = 0
    size: int = 0
    leased: int = 0
    added: int = 0  # since the broker began, as the next two
    added_bytes: int = 0
    waits: list[float] = field(default_factory=lambda: [0] * (len(WAITS_S) + 2))
    idle: dict[bytes, None] = field(default_factory=dict)  # workers with credit, longest idle first
    blocked: dict[bytes, int] = field(
        default_factory=dict
    )  # givers that were refused, and how much they hold

    def fits(self, size: int) -> bool:
        """Whether a source may add so many bytes. One message always fits into an empty queue."""
        return self.items < self.topic.items_max and (
            self.items == 0 or self.size + size <= self.topic.bytes_max
        )

    def roomy(self, size: int) -> bool:
        """Whether to call a refused giver back: a quarter is free, so that it is not refused at once again."""
        return (
            self.fits(size)
            and self.items * 4 <= self.topic.items_max * 3
            and self.size * 4 <= self.topic.bytes_max * 3
        )


@dataclass(slots=True, eq=False)
class Giving:
    """How far one worker's gifts to one topic were kept. ``expected`` is the next sequence number."""

    queue: Queue
    expected: int = 1
    refused: bool = False
    untold: int = 0  # gifts kept since the giver was last told so
    untold_bytes: int = 0


@dataclass(slots=True, eq=False)
class Worker:
    """One worker that said HELLO and has not gone."""

    identity: bytes
    name: str
    takes: tuple[Queue, ...]
    gives: dict[str, Giving]
    credit: int
    seen: float
    leases: dict[int, Item] = field(default_factory=dict)
    begun: int | None = None  # ticket being worked on (0: none); None: so far always the oldest
    turn: int = 0  # which of its topics is served next
    status: bytes = b""


class Queues:
    """The broker's whole state. ``send(identity, head, frames)`` must neither raise nor call back."""

    def __init__(
        self,
        topics: Sequence[Topic[Any]],
        send: Send,
        *,
        instance: bytes,
        now: float,
        poison: PoisonHandler | None = None,
        poison_topic: str | None = None,
        vitals: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self._vitals = vitals
        self._queues = {topic.name: Queue(topic) for topic in topics}
        assert len(self._queues) == len(topics)
        self._poison_queue = None if poison_topic is None else self._queues[poison_topic]
        self._poison = poison
        self._send = send
        self._instance = instance
        self._now = self._ticked = now
        self._workers: dict[bytes, Worker] = {}
        self._identities: dict[str, bytes] = {}
        self._later: list[tuple[float, int, Item]] = []
        self._kept: dict[tuple[bytes, str], Giving] = {}
        self._kept_due = 0.0
        self._aside: deque[tuple[str, bytes, int]] = deque(maxlen=ASIDE_MAX)
        self._aside_total = 0
        self._sequence = 0
        self._ticket = 0
        self._commands: dict[Command, Callable[[Worker, list[Any], Frames], None]] = {
            Command.BEAT: self._beat,
            Command.GIVE: self._give,
            Command.DONE: self._done,
            Command.AGAIN: self._again,
            Command.BEGIN: self._begin,
            Command.STATS: self._stats,
            Command.BYE: self._bye,
        }

    def handle(self, identity: bytes, frames: Frames, now: float) -> None:
        """Take one message of one connection. Whatever it holds, this does not raise."""
        self._now = now
        try:
            command, fields = parse(frames[0])
            worker = self._workers.get(identity)
            if command is Command.HELLO:
                self._hello(identity, fields, now)
            elif worker is not None:
                worker.seen = now
                self._commands[command](worker, fields, frames[1:])
            elif command is not Command.BYE:
                self._send(identity, head(Command.STRANGER), ())
        except OtherVersion as error:
            self._send(identity, head(Command.REFUSED, str(error)), ())
        except (ProtocolError, KeyError, IndexError) as error:
            log.warning("Worker broke the protocol", extra={"fields": {"error": repr(error)}})
            self.lost(identity, "broke the protocol")
            self._send(identity, head(Command.STRANGER), ())

    def flush(self, now: float | None = None) -> None:
        """Tell givers how far their gifts were kept, if it is ``now`` time for that: not once a message."""
        if now is not None and now < self._kept_due:
            return
        for (identity, topic), giving in self._kept.items():
            self._send(identity, head(Command.KEPT, topic, giving.expected), ())
            giving.untold = giving.untold_bytes = 0
        self._kept.clear()

    def tick(self, now: float, *, all_read: bool = True) -> None:
        """Let time pass: messages to try again become due; who was silent, though all was read, is dead."""
        slept = now - self._ticked > SUSPENDED_S
        self._now = self._ticked = now
        while self._later and self._later[0][0] <= now:
            self._push(heappop(self._later)[2])
        for worker in list(self._workers.values()) if all_read else ():
            if slept:
                worker.seen = now
            elif now - worker.seen > SILENCE_S:
                self.lost(worker.identity, f"silent for {SILENCE_S:.0f} s")

    def due_s(self, now: float, most_s: float) -> float:
        """Return for how many seconds nothing becomes due, at most ``most_s``."""
        due = [self._kept_due] if self._kept else []
        if self._later:
            due.append(self._later[0][0])
        return max(0.0, min([most_s, *(at - now for at in due)]))

    def lost(self, identity: bytes, cause: str) -> None:
        """Take a worker for dead: its leases go back, and the one it worked on is one death closer to poison."""
        worker = self._workers.get(identity)
        if worker is None:
            return
        log.warning(
            "Worker is lost",
            extra={"fields": {"worker": worker.name, "cause": cause, "leases": len(worker.leases)}},
        )
        begun = next(iter(worker.leases), 0) if worker.begun is None else worker.begun
        blamed = worker.leases.get(begun)
        if blamed is not None:
            blamed.deaths += 1
        self._remove(worker)

    def figures(self, now: float) -> dict[str, Any]:
        """Return the state of every topic and worker, for metrics and people."""
        return {
            "topics": {
                name: {
                    "items": queue.items,
                    "bytes": queue.size,
                    "leased": queue.leased,
                    "items_max": queue.topic.items_max,
                    "bytes_max": queue.topic.bytes_max,
                }
                for name, queue in self._queues.items()
            },
            "workers": {
                worker.name: {
                    "status": worker.status,
                    "last_seen_s": round(now - worker.seen, 3),
                    "leased": len(worker.leases),
                }
                for worker in self._workers.values()
            },
            "poisoned": self._aside_total,
            "flows": {
                name: {"added": queue.added, "added_bytes": queue.added_bytes, "waits": queue.waits}
                for name, queue in self._queues.items()
            },
            "broker": dict(self._vitals()) if self._vitals else {},
        }

    # ---- commands -------------------------------------------------------------------------------------------

    def _hello(self, identity: bytes, fields: list[Any], now: float) -> None:
        name, version, takes, gives, credit = fields
        names([name])
        refusal = self._refusal(version, (*names(takes), *names(gives)), credit)
        if refusal:
            log.warning("Worker refused", extra={"fields": {"worker": name, "cause": refusal}})
            self._send(identity, head(Command.REFUSED, refusal), ())
            return
        self.lost(identity, "said hello twice")
        if name in self._identities:
            self.lost(self._identities[name], "came back under the same name")
        worker = Worker(
            identity=identity,
            name=name,
            takes=tuple(self._queues[topic] for topic in takes),
            gives={topic: Giving(self._queues[topic]) for topic in gives},
            credit=credit,
            seen=now,
        )
        self._workers[identity] = worker
        self._identities[name] = identity
        self._send(identity, head(Command.WELCOME, self._instance), ())
        self._feed(worker)

    def _refusal(self, version: int, topics: Sequence[str], credit: int) -> str:
        if version != MESSAGE_VERSION:
            return f"message version {version} instead of {MESSAGE_VERSION}: run one version of the node everywhere"
        unknown = [topic for topic in topics if topic not in self._queues]
        if unknown:
            return f"no topic {', '.join(unknown)}"
        return "" if 0 < credit <= CREDIT_MAX else f"credit {credit} is not in 1..{CREDIT_MAX}"

    def _beat(self, worker: Worker, fields: list[Any], _: Frames) -> None:
        worker.status = fields[0]
        self._send(worker.identity, head(Command.PULSE, self._instance), ())

    def _give(self, worker: Worker, fields: list[Any], frames: Frames) -> None:
        topic, sequence, priority = fields
        giving = worker.gives[topic]
        if sequence > giving.expected and giving.refused:
            return  # sent before its giver knew that an earlier one was refused; it comes again
        if sequence < giving.expected:
            return  # came twice, and is kept
        if sequence != giving.expected or not frames:
            raise ProtocolError(f"gift {sequence} of {topic} instead of {giving.expected}")
        size = sum(map(len, frames))
        queue = giving.queue
        giving.refused = not queue.fits(size)
        if giving.refused:
            queue.blocked[worker.identity] = size
            self._send(worker.identity, head(Command.FULL, topic, sequence), ())
            return
        giving.expected += 1
        self._keep(worker, giving, size)
        self._add(queue, priority, frames, size)

    def _keep(self, worker: Worker, giving: Giving, size: int) -> None:
        """Note that the giver is to be told, at once if much of its window is used up."""
        if not self._kept:
            self._kept_due = self._now + KEPT_S
        self._kept[worker.identity, giving.queue.topic.name] = giving
        giving.untold += 1
        giving.untold_bytes += size
        if giving.untold >= KEPT_ITEMS or giving.untold_bytes >= KEPT_BYTES:
            self._kept_due = self._now

    def _done(self, worker: Worker, fields: list[Any], frames: Frames) -> None:
        """Everything is checked before anything is changed: all of it happens, or nothing."""
        tickets, outputs = fields
        items = [worker.leases[_int(ticket)] for ticket in tickets]
        added: list[tuple[Queue, int, Frames]] = []
        at = 0
        for output in outputs:
            queue, priority, count = self._output(worker, output)
            added.append((queue, priority, frames[at : at + count]))
            at += count
        if at != len(frames) or len(set(tickets)) != len(tickets):
            raise ProtocolError("DONE names other frames or tickets than it holds")
        for queue, priority, message in added:
            self._add(queue, priority, message, sum(map(len, message)))
        for ticket, item in zip(tickets, items, strict=True):
            del worker.leases[ticket]
            item.queue.leased -= 1
            self._forget(item)
        self._credit(worker, len(tickets))

    def _output(self, worker: Worker, output: Any) -> tuple[Queue, int, int]:
        if type(output) is not list or [type(value) for value in output] != [str, int, int]:
            raise ProtocolError("an output is not [topic, priority, frames]")
        topic, priority, count = output
        if not 0 < count <= FRAMES_MAX:
            raise ProtocolError(f"an output of {count} frames")
        return worker.gives[topic].queue, priority, count

    def _again(self, worker: Worker, fields: list[Any], _: Frames) -> None:
        ticket, delay_ms = fields
        item = worker.leases.pop(ticket)
        item.queue.leased -= 1
        item.agains += 1
        if item.agains > AGAIN_MAX:
            self._set_aside(item, f"asked for again {AGAIN_MAX} times")
        else:
            heappush(self._later, (self._now + max(0, delay_ms) / 1000, item.sequence, item))
        self._credit(worker, 1)

    def _begin(self, worker: Worker, fields: list[Any], _: Frames) -> None:
        worker.begun = fields[0]

    def _stats(self, worker: Worker, fields: list[Any], _: Frames) -> None:
        blob = pack_map(self.figures(max(self._now, worker.seen)))
        self._send(worker.identity, head(Command.FIGURES, fields[0], blob), ())

    def _bye(self, worker: Worker, _: list[Any], __: Frames) -> None:
        self._remove(worker)

    # ---- queues ---------------------------------------------------------------------------------------------

    def _add(self, queue: Queue, priority: int, frames: Frames, size: int) -> None:
        self._sequence += 1
        queue.items += 1
        queue.size += size
        queue.added += 1
        queue.added_bytes += size
        self._push(Item(queue, priority, self._sequence, frames, size, self._now))

    def _push(self, item: Item) -> None:
        queue = item.queue
        heappush(queue.waiting, (item.priority, item.sequence, item))
        if queue.idle:
            worker = self._workers[next(iter(queue.idle))]
            del queue.idle[worker.identity]
            self._lease(worker, queue)
            if worker.credit:
                queue.idle[worker.identity] = None
            else:
                self._busy(worker)

    def _credit(self, worker: Worker, count: int) -> None:
        idle = worker.credit > 0
        worker.credit += count
        if not idle:
            self._feed(worker)

    def _feed(self, worker: Worker) -> None:
        """Hand out to a worker that was busy, topic after topic in turn; with credit left it is idle."""
        takes = worker.takes
        empty = 0
        while worker.credit and empty < len(takes):
            queue = takes[worker.turn % len(takes)]
            worker.turn += 1
            if queue.waiting:
                empty = 0
                self._lease(worker, queue)
            else:
                empty += 1
        if worker.credit:
            for queue in takes:
                queue.idle[worker.identity] = None

    def _busy(self, worker: Worker) -> None:
        for queue in worker.takes:
            queue.idle.pop(worker.identity, None)

    def _lease(self, worker: Worker, queue: Queue) -> None:
        item = heappop(queue.waiting)[2]
        queue.leased += 1
        if not item.deliveries:
            wait_s = self._now - item.added
            queue.waits[bisect_left(WAITS_S, wait_s)] += 1
            queue.waits[-1] += wait_s
        item.deliveries += 1
        self._ticket += 1
        worker.credit -= 1
        worker.leases[self._ticket] = item
        work = head(Command.WORK, self._ticket, queue.topic.name, item.deliveries)
        self._send(worker.identity, work, item.frames)

    def _forget(self, item: Item) -> None:
        queue = item.queue
        queue.items -= 1
        queue.size -= item.size
        if queue.blocked:
            self._call_back(queue)

    def _call_back(self, queue: Queue) -> None:
        for identity, size in list(queue.blocked.items()):
            if not queue.roomy(size):
                return
            del queue.blocked[identity]
            expected = self._workers[identity].gives[queue.topic.name].expected
            self._send(identity, head(Command.ROOM, queue.topic.name, expected), ())

    def _remove(self, worker: Worker) -> None:
        """Forget a worker first and hand out its leases after, so that none of them comes back to it."""
        del self._workers[worker.identity]
        del self._identities[worker.name]
        self._busy(worker)
        for giving in worker.gives.values():
            giving.queue.blocked.pop(worker.identity, None)
            self._kept.pop((worker.identity, giving.queue.topic.name), None)
        for item in worker.leases.values():
            item.queue.leased -= 1
            if item.deaths >= DEATHS_MAX:
                self._set_aside(item, f"{item.deaths} workers died of it")
            else:
                self._push(item)

    def _set_aside(self, item: Item, cause: str) -> None:
        topic = item.queue.topic.name
        self._forget(item)
        first = bytes(item.frames[0])
        self._aside.append((topic, first, item.deliveries))
        self._aside_total += 1
        record = self._poison(topic, first, item.deliveries) if self._poison else None
        told = record is not None and self._poison_queue is not None
        then = "its source is told, to make it anew" if told else "it is dropped"
        log.error(
            "Message set aside",
            extra={
                "fields": {"topic": topic, "block": item.priority, "cause": cause, "then": then}
            },
        )
        if record is not None and self._poison_queue is not None:
            self._add(self._poison_queue, item.priority, record, sum(map(len, record)))


def _int(value: Any) -> int:
    if type(value) is not int:
        raise ProtocolError("a ticket is not a number")
    return value
