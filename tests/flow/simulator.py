"""A whole node in one thread: real stages, broker queues, links, plan and store under a seeded schedule and one clock.

A run draws everything from one ``random.Random(seed)``: which connection moves next, who works next, what each peer
answers and when, and the mishaps: processes killed between any two of their messages, inside or beside a write of
the store, a broker killed with all it held, workers taken for dead while they live, workers that hang, messages lost
and messages that come once more. Simulated are time, connections (``network``) and peers (``peers``); after a
crash of commit every third seed closes the store and opens it again.

Checked at every step: no queue beyond its bound; at every write: the next block, once, and exactly the undisturbed
one's bytes; at every blame: the peer has lied (or its message killed three workers); that the head moves on in
bounded time; that the plan never mends a loss inside the node where none was made. At the end the dump of the store
equals the undisturbed one's.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from broker.link import BrokerLost
from node import pipeline, poison
from tests.flow.network import Killed, Network
from tests.flow.peers import Answer, Peer, crowd
from tests.flow.processes import TICK_S_MAX, TOPICS, P2PProcess, Process, StageProcess
from tests.flow.world import LENGTH, World
from workers.commit.commit import Commit
from workers.messages import BlockVerified
from workers.p2p.plan import Request
from workers.stage import Keeper, Stage, pure

STEPS_MAX = 60_000
HEAD_SECONDS_MAX = 600.0  # virtual
EVENTS_SHOWN = 40
STEP_S = 0.002
QUIET_S = 12.0  # longer than any process hangs
VERIFY_WORKERS = 2
# seeds: in the others commit's successor reads the head of the store that is open, and what verification, which is
# pure, said of the same bytes before is said again
REOPENED_EVERY = 3
VERIFIED_EVERY = 8
SEEN_MAX = 32
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


@dataclass(frozen=True)
class Outcome:
    """How a run went. ``trace`` is a hash of every event: equal for equal runs."""

    seed: int
    steps: int
    seconds: float
    mishaps: int
    trace: str
    failure: str = ""


class Simulation:
    """One run of one seed."""

    def __init__(self, world: World, seed: int) -> None:
        rng = random.Random(seed)
        topics = tuple(TOPICS.values())
        self.world = world
        self.seed = seed
        self.rng = rng
        self.steps = 0
        self.events: deque[str] = deque(maxlen=EVENTS_SHOWN)
        self.seen: deque[Any] = deque(maxlen=SEEN_MAX)  # what may come once more
        self.network = Network(topics, poison.record_of(topics), pipeline.FAULTS.name)
        self.range_blocks = rng.choice((2, 3, 4))
        self.memory_bytes = rng.choice((1, 20_000, 1 << 30))
        self.peers = crowd(rng, LENGTH)
        self._trace = sha256()
        self._counted = 0
        self._stored = -1
        self._stored_at = 0.0
        self._write_dies = ""
        self._fresh_store = True
        self._had = 0
        self._may_miss = False
        self._starts = self._processes()
        self.alive: dict[str, Process] = {}
        self.dead: dict[str, float] = dict.fromkeys(self._starts, 0.0)  # and when they start
        self._mishaps = self._draw_mishaps()
        self._victim = rng.choice(("", *self._starts))  # whom most mishaps of this run befall
        self._speed = {name: rng.choice((1.0, 1.0, 4.0, 16.0)) for name in self._starts}

    def _processes(self) -> dict[str, Callable[[], Process]]:
        rows = (*pipeline.FETCH, pipeline.ASSEMBLE, pipeline.COMMIT)
        named: list[tuple[str, Stage[Any]]] = [(row.name, row) for row in rows]
        named += [(f"{pipeline.VERIFY.name}-{n}", pipeline.VERIFY) for n in range(VERIFY_WORKERS)]
        found: dict[str, Callable[[], Process]] = {
            name: partial(StageProcess, self, name, row) for name, row in named
        }
        found[pipeline.P2P.name] = partial(P2PProcess, self, pipeline.P2P.name)
        return found

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

    def is_connected(self, name: str) -> bool:
        """Whether the peer of this name is there."""
        peer = self.peer(name)
        return peer is not None and peer.connected

    def note(self, who: str, does: str, what: object = "") -> None:
        """Write one event down."""
        line = f"{self.steps} {self.now:.3f} {who} {does} {_short(what)}"
        self.events.append(line)
        self._trace.update(line.encode())

    def broken(self, what: str) -> None:
        """End the run: an invariant does not hold."""
        shown = "\n  ".join(self.events)
        names = ", ".join(peer.name for peer in self.peers)
        raise Broken(
            f"seed {self.seed}, step {self.steps}: {what}\n"
            f"  peers: {names}; ranges of {self.range_blocks}; memory {self.memory_bytes}\n  {shown}\n"
            f"replay: HERA_SIM_SEED={self.seed} python -m pytest tests/flow/test_simulator.py"
        )

    def start(self, stage: Stage[Any]) -> Keeper[Any]:
        """Start a stage; commit on the world's store, of which it knows what is stored and no more."""
        if stage.name == pipeline.VERIFY.name and self.seed % VERIFIED_EVERY:
            return pure(self.world.remembered)(self.world.settings)
        if stage.name != pipeline.COMMIT.name:
            return stage.start(self.world.settings)
        if self.seed % REOPENED_EVERY == 0 and not self._fresh_store:
            self.world.reopen()
        self._fresh_store = False
        writer = self.world.writer
        writer.begin_anew()
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

    def end(self) -> None:
        """Let go of every connection."""
        for process in self.alive.values():
            process.wire.dies_in = None
            process.link.abandon()

    def _step(self) -> None:
        while self._mishaps and self._mishaps[0][0] <= self.steps:
            self._mishap(self._mishaps.pop(0)[1])
        now = self.now
        self._wake(now)
        moves, weights = self._moves(now)
        if not moves:
            self._pass_time(self._next_due() - now)
            return
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

    def _moves(self, now: float) -> tuple[list[tuple[str, str]], list[float]]:
        moves: list[tuple[str, str]] = []
        weights: list[float] = []
        for name, process in self.alive.items():
            count = len(moves)
            if process.wire.up:
                moves.append((name, UP))
            if process.wire.down:
                moves.append((name, DOWN))
            if process.is_ready(now):
                moves.append((name, WORK))
            weights += [self._speed[name]] * (len(moves) - count)
        return moves, weights

    def _pass_time(self, seconds: float) -> None:
        self.network.broker.advance(max(0.0, seconds))

    def _next_due(self) -> float:
        due = [*self.dead.values()]
        due += [process.ready_at for process in self.alive.values()]
        due += [peer.back_at for peer in self.peers if not peer.connected]
        later = self.network.broker.due_s(TICK_S_MAX)
        return min((at for at in (*due, self.now + later) if at > self.now), default=self.now + 1.0)

    def _wake(self, now: float) -> None:
        for name in [name for name, at in self.dead.items() if at <= now] if self.dead else ():
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
        except Broken:
            raise
        except Exception as bug:  # noqa: BLE001 (whatever it is, the seed must be told with it)
            self.broken(f"{process.name} fails: {bug!r}")

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
        return sorted((rng.randrange(700), rng.choice(kinds)) for _ in range(count))

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
        name = self._victim if rng.random() < 0.7 else ""
        process = self.alive.get(name) or self.alive[rng.choice(list(self.alive))]
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
    finally:
        simulation.end()
