"""The broker's state under random schedules: nothing is lost, doubled, over its bound, or left while one idles."""

import random
from collections import Counter

import pytest

from broker import protocol
from broker.protocol import Command, head, parse
from broker.queues import Frames, Queues
from tests.broker.samples import PARTS, WIDE

SEEDS = 150
STEPS = 200


class Simulation:
    """Workers that take PARTS and give WIDE, a source of PARTS, and an account of every message."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.queues = Queues(
            (PARTS, WIDE), self.hear, instance=b"i", now=0.0, poison=lambda *_: None
        )
        self.leases: dict[bytes, dict[int, bytes]] = {}  # worker -> ticket -> message
        self.credit: dict[bytes, int] = {}
        self.kept = 0  # sequence numbers below are in the queue
        self.finished: Counter[bytes] = Counter()
        self.refused = False
        self.names = 0
        self.tell(
            b"source", head(Command.HELLO, "source", protocol.MESSAGE_VERSION, [], ["parts"], 1)
        )

    def tell(self, identity: bytes, *frames: bytes) -> None:
        self.queues.handle(identity, frames, self.now)
        self.queues.flush()

    def hear(self, identity: bytes, head_: bytes, frames: Frames) -> None:
        command, fields = parse(head_)
        assert command not in (Command.STRANGER, Command.REFUSED)
        if command is Command.WORK:
            assert fields[0] not in self.leases[identity]
            self.leases[identity][fields[0]] = frames[0]
        elif command is Command.KEPT:
            self.kept = fields[1] - 1
        elif command is Command.FULL:
            self.refused = True
        elif command is Command.ROOM:
            self.refused = False

    def step(self) -> None:
        self.now += self.random.random() / 10
        often = (self.give, self.give, self.give, self.done, self.done)
        rarely = (self.hello, self.again, self.begin, self.die, self.leave, self.tick)
        self.random.choice((*often, *rarely))()

    def hello(self) -> None:
        if len(self.leases) == 5:
            return
        self.names += 1
        identity = str(self.names).encode()
        self.leases[identity] = {}
        self.credit[identity] = self.random.randint(1, 3)
        hello = head(
            Command.HELLO,
            f"worker-{self.names}",
            protocol.MESSAGE_VERSION,
            ["parts"],
            ["wide"],
            self.credit[identity],
        )
        self.tell(identity, hello)

    def give(self) -> None:
        """One gift in flight at a time."""
        if self.refused:
            return
        sequence = self.kept + 1
        message = str(sequence).encode().rjust(self.random.choice((5, 300)))
        priority = self.random.randint(0, 9)
        for _ in range(self.random.choice((1, 1, 2))):  # now and then it comes twice
            self.tell(b"source", head(Command.GIVE, "parts", sequence, priority), message)

    def done(self) -> None:
        for identity, leases in self.leases.items():
            tickets = [ticket for ticket in leases if self.random.random() < 0.5]
            messages = [leases.pop(ticket) for ticket in tickets]
            self.finished.update(message.strip() for message in messages)
            outputs = [["wide", 1, 1] for _ in messages]
            self.tell(identity, head(Command.DONE, tickets, outputs), *messages)

    def again(self) -> None:
        for identity, leases in self.leases.items():
            if leases:
                ticket = self.random.choice(list(leases))
                del leases[ticket]
                self.tell(identity, head(Command.AGAIN, ticket, self.random.randint(0, 300)))

    def begin(self) -> None:
        for identity, leases in self.leases.items():
            if leases:
                self.tell(identity, head(Command.BEGIN, self.random.choice(list(leases))))

    def die(self) -> None:
        if self.leases and self.random.random() < 0.3:
            identity = self.random.choice(list(self.leases))
            del self.leases[identity]
            self.queues.lost(identity, "chosen")

    def leave(self) -> None:
        if self.leases and self.random.random() < 0.3:
            identity = self.random.choice(list(self.leases))
            del self.leases[identity]
            self.tell(identity, head(Command.BYE))

    def tick(self) -> None:
        self.queues.tick(self.now, all_read=False)

    def check(self) -> None:
        figures = self.queues.figures(self.now)
        parts = figures["topics"]["parts"]
        leased = [message for leases in self.leases.values() for message in leases.values()]
        assert parts["items"] <= PARTS.items_max
        assert parts["bytes"] <= PARTS.bytes_max
        assert parts["leased"] == len(leased) == len(set(leased))
        assert self.kept == parts["items"] + sum(self.finished.values()) + figures["poisoned"]
        assert all(count == 1 for count in self.finished.values())
        assert figures["topics"]["wide"]["items"] == sum(self.finished.values())
        for identity, leases in self.leases.items():
            assert len(leases) <= self.credit[identity]
            if len(leases) < self.credit[identity]:
                assert parts["items"] == len(leased) + len(self.queues._later)

    def drain(self) -> None:
        """Let everything that is left be finished by one worker that neither dies nor waits."""
        self.hello() if not self.leases else None
        for _ in range(100):
            self.now += 1
            self.tick()
            self.done()
        self.check()


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_no_schedule_loses_or_doubles_a_message(first: int) -> None:
    for seed in range(first, first + 50):
        simulation = Simulation(seed)
        for _ in range(STEPS):
            simulation.step()
            simulation.check()
        simulation.drain()
        figures = simulation.queues.figures(simulation.now)
        assert figures["topics"]["parts"]["items"] == 0, f"seed {seed}"
        assert figures["topics"]["parts"]["bytes"] == 0, f"seed {seed}"
        assert not simulation.refused, f"seed {seed}"


def test_a_broker_that_slept_blames_nobody_for_its_own_silence() -> None:
    simulation = Simulation(0)
    simulation.queues.tick(1000.0)
    assert "source" in simulation.queues.figures(1000.0)["workers"]
    for second in range(7):
        simulation.queues.tick(1001.0 + second)
    assert "source" not in simulation.queues.figures(1007.0)["workers"]
