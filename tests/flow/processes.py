"""The processes of a simulated node: real keepers, links, plan, peers and verdicts, moved a piece of work at a time."""

import math
import random
from collections import deque
from collections.abc import Coroutine
from dataclasses import replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, TypeVar

from broker.protocol import BEAT_S
from broker.topic import Topic
from node import pipeline
from tests.flow.peers import PATIENCE_S, Answer, Peer
from tests.flow.world import LENGTH
from workers import runtime
from workers.component import Component
from workers.metrics import Counters
from workers.p2p.heads import find_head
from workers.p2p.peers import Peers
from workers.p2p.plan import Planner, Received, Request
from workers.p2p.protocols import Range
from workers.p2p.score import WEAKNESS_POINTS
from workers.p2p.verdicts import Verdicts
from workers.stage import Source, Stage

if TYPE_CHECKING:
    from tests.flow.simulator import Simulation

Result = TypeVar("Result")

WINDOW_BLOCKS = 5
TICK_S, TICK_S_MAX = 0.25, 8.0
LOOK_S = 1.0

# ---- the page, made small: the bounds are as many windows as there ------------------------------------------------

ITEMS_MAX = {
    "headers.received": 3,
    "state_diffs.received": 4,
    "classes.received": 4,
    "transactions.received": 4,
    "events.received": 4,
    "block.parts": 2 * 5 * WINDOW_BLOCKS,
    "blocks.assembled": 2 * WINDOW_BLOCKS,
    "blocks.verified": 2 * WINDOW_BLOCKS,
    "blocks.stored": 2 * WINDOW_BLOCKS,
}


def _small(topic: Topic[Any]) -> Topic[Any]:
    return replace(topic, items_max=ITEMS_MAX.get(topic.name, topic.items_max))


TOPICS: dict[str, Topic[Any]] = {
    topic.name: _small(topic)
    for row in (pipeline.P2P, *pipeline.PIPELINE)
    for topic in (*row.taken, *row.gives)
}


def _of(topics: tuple[Topic[Any], ...]) -> tuple[Topic[Any], ...]:
    return tuple(TOPICS[topic.name] for topic in topics)


# ---- processes -----------------------------------------------------------------------------------------------------


class Process:
    """What every simulated process has: a connection, and whether it has something to do."""

    def __init__(self, run: "Simulation", name: str, row: Source | Stage[Any]) -> None:
        self.run = run
        self.name = name
        self.link, self.wire = run.network.connect(
            name, takes=_of(row.taken), gives=_of(row.gives), credit=row.credit
        )
        self.has_mail = True
        self.hangs_until = 0.0
        self.due_at = math.inf

    def is_ready(self, now: float) -> bool:
        """Whether there is something to do."""
        return self.hangs_until <= now and (self.has_mail or self.due_at <= now)

    @property
    def ready_at(self) -> float:
        """When there is something to do."""
        return max(self.hangs_until, 0.0 if self.has_mail else self.due_at)

    def beat(self) -> None:
        """Have the link look whether the broker still knows it. Only who is not known needs to beat its heart."""
        self.due_at = min(self.due_at, self.run.now + 1.1 * BEAT_S)

    def work(self) -> None:
        """Do one piece of it. May raise ``BrokerLost`` and ``Killed``."""
        raise NotImplementedError

    def end(self) -> None:
        """Let go of what the process holds beside its connection."""


class StageProcess(Process):
    """One stage; its loop is ``runtime.work``."""

    def __init__(self, run: "Simulation", name: str, stage: Stage[Any]) -> None:
        self._counters = Counters(stage.name)
        self._keeper = run.start(stage)
        super().__init__(run, name, stage)

    def work(self) -> None:
        self.due_at = math.inf if self.due_at <= self.run.now else self.due_at
        delivery = self.link.take_nowait()
        self.has_mail = delivery is not None
        if delivery is None:
            return
        self.run.note(self.name, "takes", delivery.message)
        self.run.seen.append(delivery.message)
        runtime.work(self._keeper, self.link, delivery, self._counters)

    def end(self) -> None:
        self._keeper.close()


class P2PProcess(Process):
    """The p2p process without libp2p: its real plan, peers and verdicts; what it asks is answered by the run."""

    def __init__(self, run: "Simulation", name: str) -> None:
        now = run.now
        head = run.world.writer.head
        self.peers = Peers("me")
        self.planner = Planner(
            None if head is None else (head.number, head.block_hash),
            int((1.0 + now) * 1e9),
            run.memory_bytes,
            random.Random(run.rng.getrandbits(32)),
            now,
            range_blocks=run.range_blocks,
            window_blocks=WINDOW_BLOCKS,
        )
        self.verdicts = WatchedVerdicts(run, self.peers, self.planner)
        self.answers: list[tuple[float, int, Request, Answer]] = []
        self.checks: list[tuple[float, int, Peer]] = []
        self.gifts: deque[tuple[Request, Received, int]] = deque()
        self.looked_at = self.moved_at = now
        self.tick_s = TICK_S
        super().__init__(run, name, pipeline.P2P)
        self.due_at = now

    def work(self) -> None:
        now = self.run.now
        busy = self._hear(now)
        busy |= self._collect(now)
        busy |= self._give()
        self._look(now)
        stuck = self.planner.watch(now)
        if stuck is not None and stuck.action != "none":
            self.run.mended(stuck.action, now - self.moved_at)
        for peer in self.verdicts.leaving():
            self.run.disconnect(peer)
        if not self.gifts:
            busy |= self._ask(now)
        self.tick_s = TICK_S if busy else min(2 * self.tick_s, TICK_S_MAX)
        due = [
            now + self.tick_s,
            *(at for at, *_ in self.answers[:1]),
            *(at for at, *_ in self.checks[:1]),
        ]
        self.due_at = min(due)

    def _hear(self, now: float) -> bool:
        tickets = []
        for _ in range(self.run.rng.randrange(1, 16)):
            delivery = self.link.take_nowait()
            self.has_mail = delivery is not None
            if delivery is None:
                break
            self.run.note(self.name, "hears", delivery.message)
            self.run.seen.append(delivery.message)
            self.verdicts.heard(delivery.message, now)
            tickets.append(delivery.ticket)
        if tickets:
            self.link.done(tickets)
            self.moved_at = now
        return bool(tickets)

    def _collect(self, now: float) -> bool:
        busy = False
        while self.answers and self.answers[0][0] <= now:
            _, _, request, answer = heappop(self.answers)
            self._answered(request, answer, now)
            self.moved_at = now
            busy = True
        while self.checks and self.checks[0][0] <= now:
            peer = heappop(self.checks)[2]
            self.peers.checked(peer.name, self._head_of(peer), now)
            busy = True
        return busy

    def _answered(self, request: Request, answer: Answer, now: float) -> None:
        self.run.note(request.peer, answer.lie or "answers", request)
        if not (request.is_empty or self.run.is_connected(request.peer)):
            self.planner.failed(request, now)
        elif answer.rule:
            self.verdicts.bad(request, answer.rule, "", now)
        elif answer.too_big:
            self.planner.too_big(request, now)
        elif answer.body is None:
            self.planner.failed(request, now)
        elif self.verdicts.is_usable(request, answer.body, now) and self.planner.is_current(
            request
        ):
            message = self.planner.message(request, answer.body)
            self.gifts.append((request, message, len(answer.body)))

    def _give(self) -> bool:
        busy = False
        while self.gifts and self.link.give(self.gifts[0][1]):
            request, _, size = self.gifts.popleft()
            self.planner.given(request, size)
            busy = True
        return busy

    def _look(self, now: float) -> None:
        self.peers.update(peer.name for peer in self.run.peers if peer.connected)
        for name in self.peers.to_check(now, 8):
            peer = self.run.peer(name)
            assert peer is not None
            seconds = PATIENCE_S if self.run.rng.random() < peer.silent else peer.seconds
            heappush(self.checks, (now + seconds, self.run.count(), peer))
        head = self.run.world.writer.head
        if head is not None and now - self.looked_at >= LOOK_S:
            self.looked_at = now
            self.planner.stored(head.number, head.block_hash, now)

    def _head_of(self, peer: Peer) -> int | None:
        if not peer.connected or (peer.silent and self.run.rng.random() < peer.silent):
            return None
        claims = peer.claims(self.run.now, LENGTH)

        async def headers_in(wanted: Range) -> int:
            assert isinstance(wanted.start, int)
            return len(range(wanted.start, claims + 1, wanted.step)[: wanted.limit])

        stored = self.planner.base - 1
        known = self.peers.known_head(peer.name)
        return drive(find_head(headers_in, stored if known is None else max(known, stored)))

    def _ask(self, now: float) -> bool:
        plan = self.planner.plan(self.peers.askable(now), now)
        for request in plan.requests:
            assert request.count <= self.run.range_blocks
            answer = self.run.answer(request)
            heappush(self.answers, (now + answer.seconds, self.run.count(), request, answer))
        return bool(plan.requests)


class WatchedVerdicts(Verdicts):
    """The real verdicts; nobody honest may be called a liar."""

    def __init__(self, run: "Simulation", peers: Peers, planner: Planner) -> None:
        super().__init__(peers, planner)
        self._run = run

    def blame(
        self,
        peer: str,
        component: Component,
        block: int,
        rule: str,
        detail: str,
        now: float,
        *,
        suspects: int = 1,
    ) -> None:
        sim = self._run.peer(peer)
        if rule not in WEAKNESS_POINTS and (sim is None or not sim.has_lied):
            self._run.broken(
                f"{peer} is blamed for {rule} of block {block} ({detail}) and was honest"
            )
        super().blame(peer, component, block, rule, detail, now, suspects=suspects)


def drive(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    raise AssertionError("it waits")
