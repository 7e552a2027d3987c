"""A whole node in one thread: real stages, broker queues, links, plan and store under a seeded schedule and one clock.

A run draws everything from one ``random.Random(seed)``: which connection moves next, who works next, what each peer
answers and when, and the mishaps: processes killed between any two of their messages, inside or beside a write of
the store, a broker killed with all it held, workers taken for dead while they live, workers that hang, messages lost
and messages that come once more. Simulated are time, connections (``network``) and peers (``peers``); a crash of
commit closes and opens the store again.

Checked at every step: no queue beyond its bound; at every write: the next block, once, and exactly the undisturbed
one's bytes; at every blame: the peer has lied (or its message killed three workers); that the head moves on in bounded time; and
that the plan never has to mend a loss inside the node where none was made. At the end the dump of the store equals the undisturbed one's.
"""

import logging
import math
import random
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from broker.link import BrokerLost
from broker.protocol import BEAT_S
from broker.topic import Topic
from node import pipeline, poison
from tests.flow import chains
from tests.flow.network import Killed, Network
from tests.flow.peers import PATIENCE_S, Answer, Chain, Peer, crowd
from workers import runtime, verify
from workers.commit.commit import Commit
from workers.component import Component
from workers.errors import PeerFault
from workers.messages import BlockAssembled, BlockVerified
from workers.metrics import Counters
from workers.p2p.heads import find_head
from workers.p2p.peers import Peers
from workers.p2p.plan import Planner, Received, Request
from workers.p2p.verdicts import Verdicts
from workers.settings import Settings
from workers.stage import Keeper, Stage, pure
from workers.store.schema import CHAIN_KEY, SCHEMA_KEY, Family
from workers.store.writer import Writer

LENGTH = 8
WINDOW_BLOCKS = 6
STEPS_MAX = 60_000
HEAD_SECONDS_MAX = 1_000.0  # virtual
EVENTS_SHOWN = 40
STEP_S = 0.002
QUIET_S = 12.0  # longer than any process hangs
TICK_S, TICK_S_MAX = 0.25, 8.0
LOOK_S = 1.0
VERIFY_WORKERS = 2
VERIFIED_EVERY = (
    8  # seeds; the others remember what verification, which is pure, said of the same bytes
)
REMEMBERED_MAX = 4096
# of a block; classes come in any order, so what is stored of them only shows in the dump
STORED = (
    "block_hash",
    "parent_hash",
    "state_root",
    "header",
    "state_diff",
    "transactions",
    "events",
    "transaction_hashes",
)
DOWN, UP, WORK = "down", "up", "work"


class Broken(AssertionError):
    """An invariant does not hold; the text names the seed and its last events."""


class WatchedWriter(Writer):
    """The real writer, with the run told before and after each write."""

    run: "Simulation | None" = None

    def store(self, block: BlockVerified) -> None:
        if self.run is None:
            super().store(block)
            return
        self.run.before_write(block)
        super().store(block)
        self.run.after_write(block)

    def clear(self) -> None:
        """Delete every block and all that came with it."""
        batch = self._rocks.batch()
        for family in Family:
            for key, _ in self._rocks.items(family):
                if key not in (SCHEMA_KEY, CHAIN_KEY):
                    batch.delete(family, key)
        self._rocks.write(batch, sync=False)
        self._head = None

    def dump(self) -> bytes:
        """Return one hash of all that is stored (a reader would have to be opened anew after every crash)."""
        hasher = sha256()
        for family in Family:
            for key, value in self._rocks.items(family):
                for part in (family.encode(), key, value):
                    hasher.update(len(part).to_bytes(4, "big") + part)
        return hasher.digest()


class World:
    """What runs of one process share: the chain, the undisturbed store's dump, and one store, emptied between runs."""

    def __init__(self, folder: Path) -> None:
        generated, blocks = chains.devnet(LENGTH)
        self.chain = Chain(blocks)
        self.other = Chain(chains.another_devnet(LENGTH))
        self.settings = chains.settings(generated.network(), folder / "store")
        self.expected = [next(verify.verify(self.settings, block)) for block in blocks]
        self._remembered: dict[object, BlockVerified | PeerFault] = {}
        self.writer = self._open()
        for block in self.expected:
            self.writer.store(block)
        self.undisturbed = self.writer.dump()

    def _open(self) -> WatchedWriter:
        return WatchedWriter(self.settings.db_path, self.settings.network.chain_id)

    def reopen(self) -> WatchedWriter:
        """Open the store as its last batch left it."""
        self.writer.close()
        self.writer = self._open()
        return self.writer

    def renew(self) -> None:
        """Begin with a new store, after a run that may have left anything in it."""
        self.writer.close()
        shutil.rmtree(self.settings.db_path)
        self.writer = self._open()

    def remembered(self, settings: Settings, block: BlockAssembled) -> Iterator[BlockVerified]:
        """Verify, unless the same bytes were verified before: then what was found of them is said again."""
        key = (
            block.number,
            block.header,
            block.state_diff,
            block.classes,
            block.transactions,
            block.events,
        )
        if key not in self._remembered:
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[key] = _verdict(settings, block)
        found = self._remembered[key]
        if isinstance(found, PeerFault):
            raise found.with_traceback(None)
        yield replace(found, attempt=block.attempt, peers=block.peers)

    def close(self) -> None:
        """Close the store."""
        self.writer.close()


def _verdict(settings: Settings, block: BlockAssembled) -> BlockVerified | PeerFault:
    try:
        return next(verify.verify(settings, block))
    except PeerFault as broken:
        return broken


@contextmanager
def opened(folder: Path) -> Iterator[World]:
    """A world in ``folder``; nothing of ours is logged meanwhile, lies and deaths are what a run is made of."""
    log = logging.getLogger("hera")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    world = World(folder)
    try:
        yield world
    finally:
        world.close()
        log.setLevel(level)


# ---- the page, made small ------------------------------------------------------------------------------------------

ITEMS_MAX = {
    "headers.received": 3,
    "state_diffs.received": 4,
    "classes.received": 4,
    "transactions.received": 4,
    "events.received": 4,
}
GIVEN = frozenset(ITEMS_MAX)


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

    def __init__(self, run: "Simulation", name: str, row: Any) -> None:
        self.run = run
        self.name = name
        self.link, self.wire = run.network.connect(
            name, takes=_of(row.taken), gives=_of(row.gives), credit=row.credit
        )
        self.has_mail = True
        self.hangs_until = 0.0
        self.due_at = math.inf

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
        if answer.rule:
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

        async def has(number: int) -> bool:
            return number <= claims

        stored = self.planner.base - 1
        known = self.peers.known_head(peer.name)
        return drive(find_head(has, stored if known is None else max(known, stored)))

    def _ask(self, now: float) -> bool:
        plan = self.planner.plan(self.peers.askable(now), now)
        for request in plan.requests:
            assert request.count <= self.run.range_blocks
            answer = self.run.answer(request)
            heappush(self.answers, (now + answer.seconds, self.run.count(), request, answer))
        return bool(plan.requests)


class WatchedVerdicts(Verdicts):
    """The real verdicts; nobody honest may be blamed."""

    def __init__(self, run: "Simulation", peers: Peers, planner: Planner) -> None:
        super().__init__(peers, planner)
        self._run = run

    def blame(
        self, peer: str, component: Component, block: int, rule: str, detail: str, now: float
    ) -> None:
        sim = self._run.peer(peer)
        if rule != poison.RULE and (sim is None or not sim.has_lied):
            self._run.broken(
                f"{peer} is blamed for {rule} of block {block} ({detail}) and was honest"
            )
        super().blame(peer, component, block, rule, detail, now)


def drive(coroutine: Any) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


# ---- one run -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How a run went. ``trace`` is a hash of every event: equal for equal runs."""

    seed: int
    steps: int
    seconds: float
    mishaps: int
    trace: str
    failure: str = ""


@dataclass
class Simulation:
    """One run of one seed."""

    world: World
    seed: int
    steps: int = 0
    events: deque[str] = field(default_factory=lambda: deque(maxlen=EVENTS_SHOWN))
    seen: deque[Any] = field(default_factory=lambda: deque(maxlen=32))

    def __post_init__(self) -> None:
        self.rng = rng = random.Random(self.seed)
        self._trace = sha256()
        self._counted = 0
        self.network = Network(
            tuple(TOPICS.values()), poison.record_of(tuple(TOPICS.values())), "faults"
        )
        self.range_blocks = rng.choice((2, 3, 4))
        self.memory_bytes = rng.choice((1, 20_000, 1 << 30))
        self.peers = crowd(rng, LENGTH)
        self._stored = -1
        self._stored_at = 0.0
        self._write_dies = ""
        self._fresh_store = True
        self._mishaps = self._draw_mishaps()
        self._had = 0
        self._may_miss = False
        rows = (*pipeline.FETCH, pipeline.ASSEMBLE, pipeline.COMMIT)
        self._starts: dict[str, Callable[[], Process]] = {
            row.name: lambda row=row: StageProcess(self, row.name, row)
            for row in rows  # type: ignore[misc]
        }
        for index in range(VERIFY_WORKERS):
            name = f"verify-{index}"
            self._starts[name] = lambda name=name: StageProcess(self, name, pipeline.VERIFY)  # type: ignore[misc]
        self._starts["p2p"] = lambda: P2PProcess(self, "p2p")
        self.alive: dict[str, Process] = {}
        self.dead: dict[str, float] = dict.fromkeys(self._starts, 0.0)
        self._speed = {name: rng.choice((1.0, 1.0, 4.0, 16.0)) for name in self._starts}

    # ---- what the parts ask ------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The one clock, in seconds."""
        return self.network.broker.now()

    def count(self) -> int:
        """Return the next number, to order what is due at the same time."""
        self._counted += 1
        return self._counted

    def peer(self, name: str) -> Peer | None:
        """Return the peer of this name."""
        return next((peer for peer in self.peers if peer.name == name), None)

    def note(self, who: str, does: str, what: object = "") -> None:
        """Write one event down."""
        line = f"{self.steps} {self.now:.3f} {who} {does} {_short(what)}"
        self.events.append(line)
        self._trace.update(line.encode())

    def broken(self, what: str) -> None:
        """End the run: an invariant does not hold."""
        shown = "\n  ".join(self.events)
        peers = ", ".join(peer.name for peer in self.peers)
        raise Broken(
            f"seed {self.seed}, step {self.steps}: {what}\n"
            f"  peers: {peers}; ranges of {self.range_blocks}; memory {self.memory_bytes}\n  {shown}\n"
            f"replay: HERA_SIM_SEED={self.seed} python -m pytest tests/flow/test_simulator.py"
        )

    def start(self, stage: Stage[Any]) -> Keeper[Any]:
        """Start a stage; commit on the world's store, opened anew unless this run has only just begun."""
        if stage.name == pipeline.VERIFY.name and self.seed % VERIFIED_EVERY:
            return pure(self.world.remembered)(self.world.settings)
        if stage.name != pipeline.COMMIT.name:
            return stage.start(self.world.settings)
        writer = self.world.writer if self._fresh_store else self.world.reopen()
        self._fresh_store = False
        writer.run = self
        return KeptOpen(writer)

    def answer(self, request: Request) -> Answer:
        """Ask a peer."""
        if request.is_empty:
            return Answer(0.0, b"")
        peer = self.peer(request.peer)
        assert peer is not None
        if not peer.connected:
            return Answer(0.1)
        if self.rng.random() < peer.leaves:
            self.disconnect(peer.name)
            return Answer(0.1)
        asked = (request.component, request.start, request.count)
        return peer.answer(self.rng, self.world.chain, self.world.other, asked, self.now)

    def disconnect(self, name: str) -> None:
        """End the connection of a peer; it comes back after a while."""
        peer = self.peer(name)
        if peer is not None:
            peer.connected = False
            peer.back_at = self.now + self.rng.uniform(0.5, 20.0)

    def mended(self, action: str, quiet_s: float) -> None:
        """Let the plan's own mending through only where this run has taken a message away.

        Where something came just now, the plan only was out of patience with slow peers at an unlucky moment.
        """
        self.note("p2p", "mends:", action)
        if (
            quiet_s > QUIET_S
            and not self._may_miss
            and not self.network.broker.figures()["poisoned"]
        ):
            self.broken(f"a message was lost inside the node: {action}")

    # ---- the store ---------------------------------------------------------------------------------------------------

    def before_write(self, block: BlockVerified) -> None:
        """Let through only what the undisturbed node would write; or die before the write."""
        if block.number == self._stored + 1:
            expected = self.world.expected[block.number]
            differs = [name for name in STORED if getattr(block, name) != getattr(expected, name)]
            if differs:
                self.broken(f"block {block.number} is stored with other {', '.join(differs)}")
        if self._write_dies == "before":
            self._write_dies = ""
            raise Killed

    def after_write(self, block: BlockVerified) -> None:
        """See that the head moved on by this one block; or die before anyone is told."""
        self.note("commit", "writes", block)
        head = self.world.writer.head
        if head is None or head.number != block.number or head.number != self._stored + 1:
            self.broken(f"block {block.number} is written after block {self._stored}")
        self._stored += 1
        self._stored_at = self.now
        if self._write_dies == "after":
            self._write_dies = ""
            raise Killed

    # ---- the schedule ------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Run until the whole chain is stored and whatever is left has been handled; raise ``Broken``."""
        self.world.writer.run = None
        self.world.writer.clear()
        left = 150  # steps after the last block, for what comes late
        while left:
            if self.steps > STEPS_MAX:
                self.broken(f"the head is {self._stored} after {self.steps} steps")
            if self.now - self._stored_at > HEAD_SECONDS_MAX:
                self.broken(f"the head stays at {self._stored} for {HEAD_SECONDS_MAX:.0f} s")
            self.steps += 1
            self._step()
            left -= self._stored == LENGTH - 1
        if self.world.writer.dump() != self.world.undisturbed:
            self.broken("the store differs from the undisturbed one")
        trace = self._trace.hexdigest()
        return Outcome(self.seed, self.steps, self.now, self._had, trace)

    def _step(self) -> None:
        while self._mishaps and self._mishaps[0][0] <= self.steps:
            self._mishap(self._mishaps.pop(0)[1])
        self._wake()
        moves = self._moves()
        if not moves:
            self._pass_time(self._next_due() - self.now)
            return
        weights = [self._speed[name] for name, _ in moves]
        ((name, move),) = self.rng.choices(moves, weights)
        process = self.alive[name]
        wire = process.wire
        if move == UP:
            wire.send_up(self.rng.randrange(1, len(wire.up) + 1))
            self._check_bounds()
        elif move == DOWN:
            wire.bring_down(self.rng.randrange(1, len(wire.down) + 1))
            process.has_mail = True
        else:
            self._work(process)
        self._pass_time(STEP_S)

    def _moves(self) -> list[tuple[str, str]]:
        moves = []
        now = self.now
        for name, process in self.alive.items():
            if process.wire.up:
                moves.append((name, UP))
            if process.wire.down:
                moves.append((name, DOWN))
            if process.ready_at <= now:
                moves.append((name, WORK))
        return moves

    def _pass_time(self, seconds: float) -> None:
        self.network.broker.advance(max(0.0, seconds))

    def _next_due(self) -> float:
        due = [*self.dead.values()]
        due += [process.ready_at for process in self.alive.values()]
        due += [peer.back_at for peer in self.peers if not peer.connected]
        later = self.network.broker.due_s(TICK_S_MAX)
        return min((at for at in (*due, self.now + later) if at > self.now), default=self.now + 1.0)

    def _wake(self) -> None:
        now = self.now
        for name in [name for name, at in self.dead.items() if at <= now]:
            del self.dead[name]
            self.note(name, "starts")
            self.alive[name] = self._starts[name]()
        for peer in self.peers:
            if not peer.connected and peer.back_at <= now:
                peer.connected = True

    def _work(self, process: Process) -> None:
        try:
            process.work()
        except Killed:
            self._kill(process)
        except BrokerLost as lost:
            self.note(process.name, "gives up:", str(lost))
            process.end()
            process.link.close()
            self._bury(process)

    def _check_bounds(self) -> None:
        for name, figures in self.network.broker.figures()["topics"].items():
            if figures["items"] > figures["items_max"] or (
                figures["bytes"] > figures["bytes_max"] and figures["items"] > 1
            ):
                self.broken(f"{name} holds {figures['items']} messages, {figures['bytes']} bytes")

    # ---- mishaps -----------------------------------------------------------------------------------------------------

    def _draw_mishaps(self) -> list[tuple[int, str]]:
        rng = self.rng
        count = rng.choice((0, 1, 2, 4, 8, 16))
        kinds = (
            "kill",
            "kill",
            "kill",
            "write",
            "write",
            "broker",
            "cut",
            "hang",
            "lose",
            "repeat",
            "repeat",
        )
        return sorted((rng.randrange(1200), rng.choice(kinds)) for _ in range(count))

    def _mishap(self, kind: str) -> None:
        self._had += 1
        rng = self.rng
        if kind == "broker":
            self.note("broker", "is killed")
            self.network.restart_broker()
            for process in self.alive.values():
                process.beat()
            return
        if kind == "lose":
            self._lose(rng.choice(list(TOPICS)))
            return
        if kind == "repeat":
            self._repeat()
            return
        if kind == "write":
            self._write_dies = rng.choice(("before", "after"))
            return
        if not self.alive:
            return
        process = self.alive[rng.choice(list(self.alive))]
        if kind == "kill":
            process.wire.dies_in = rng.randrange(4)
            if rng.random() < 0.3:
                self._kill(process)
        elif kind == "cut":
            self.note(process.name, "is taken for dead")
            process.wire.cut()
            process.beat()
        else:
            process.hangs_until = self.now + rng.uniform(0.1, 10.0)

    def _kill(self, process: Process) -> None:
        self.note(process.name, "is killed")
        process.wire.kill(self.rng.randrange(len(process.wire.up) + 1))
        process.link.abandon()
        self._bury(process)

    def _bury(self, process: Process) -> None:
        self.network.forget(process.wire)
        del self.alive[process.name]
        self.dead[process.name] = self.now + self.rng.uniform(0.05, 2.0)

    def _lose(self, topic: str) -> None:
        """Take one message away: leased to somebody who says it is done and gives nothing."""
        link, wire = self.network.connect("thief", takes=(TOPICS[topic],))
        wire.wait(0.0)
        stolen = link.take_nowait()
        if stolen is not None:
            self.note("thief", "takes", stolen.message)
            self._may_miss = True
            link.done((stolen.ticket,))
        link.close()
        self.network.forget(wire)

    def _repeat(self) -> None:
        """Give once more what somebody has taken before."""
        if not self.seen:
            return
        message = self.rng.choice(self.seen)
        topic = next(topic for topic in TOPICS.values() if topic.carries is type(message))
        self.note("echo", "repeats", message)
        link, wire = self.network.connect("echo", gives=(topic,))
        link.give(message)
        link.close()
        self.network.forget(wire)


class KeptOpen(Commit):
    """The real stage; the world keeps the store open between runs, where nothing has crashed."""

    def close(self) -> None:
        self._held.clear()


def _short(what: object) -> str:
    if isinstance(what, str):
        return what
    names = ("attempt", "component", "number", "start", "count", "peer", "peers", "rule")
    values = [f"{name}={getattr(what, name)}" for name in names if hasattr(what, name)]
    return f"{type(what).__name__}({', '.join(values)})"


def run_seed(world: World, seed: int) -> Outcome:
    """Run one seed; a failure is told in the outcome, and the next run begins with a new store."""
    simulation = Simulation(world, seed)
    try:
        return simulation.run()
    except AssertionError as broken:
        world.renew()
        return Outcome(seed, simulation.steps, 0.0, 0, "", failure=str(broken))
