"""Simulated peers at the level of ``workers.p2p.ask``: what comes back, when, and whether it was a lie.

Honest ones answer from a generated chain, whole or cut short at a block. Liars change a field, drop, repeat, swap or
borrow messages, answer from another chain or with noise, go on after ``Fin``, or claim a head that they do not have.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from starknet.wire.delimited import join, split
from starknet.wire.sync_pb2 import (
    BlockHeadersResponse,
    ClassesResponse,
    EventsResponse,
    StateDiffsResponse,
    TransactionsResponse,
)
from tests.flow.tampering import tamperings
from workers.component import Component
from workers.messages import BlockAssembled

KINDS: dict[Component, Any] = {
    Component.HEADERS: BlockHeadersResponse,
    Component.STATE_DIFFS: StateDiffsResponse,
    Component.CLASSES: ClassesResponse,
    Component.TRANSACTIONS: TransactionsResponse,
    Component.EVENTS: EventsResponse,
}
PATIENCE_S = 20.0  # as long a silent peer is waited for


@dataclass(frozen=True)
class Answer:
    """What asking ends with: ``body``, or ``rule`` of a ``BadAnswer``, or ``TooBig``, or none of them: ``NoAnswer``."""

    seconds: float
    body: bytes | None = None
    rule: str = ""
    too_big: bool = False
    lie: str = ""


class Chain:
    """The bodies of a chain, cut into the messages that peers send."""

    def __init__(self, blocks: Sequence[BlockAssembled]) -> None:
        self._parts = {
            Component.HEADERS: [block.header for block in blocks],
            Component.STATE_DIFFS: [block.state_diff for block in blocks],
            Component.CLASSES: [block.classes for block in blocks],
            Component.TRANSACTIONS: [block.transactions for block in blocks],
            Component.EVENTS: [block.events for block in blocks],
        }
        self.length = len(blocks)

    def body(self, component: Component, start: int, count: int) -> bytes:
        """Return what an honest peer answers."""
        return b"".join(self._parts[component][start : start + count])

    def messages(self, component: Component, start: int, count: int) -> list[bytes]:
        """Return the same as single messages, each with its length."""
        body = self.body(component, start, count)
        return [join([payload]) for payload in split(body, len(body))]

    @cached_property
    def tampered(self) -> dict[bytes, list[bytes]]:
        """For every message, copies with one field changed. Receipts are left out: not all of them is bound."""
        found: dict[bytes, list[bytes]] = {}
        for component, kind in KINDS.items():
            for message in self.messages(component, 0, self.length):
                (payload,) = split(message, len(message))
                changed = tamperings(kind.FromString(bytes(payload)))
                found[message] = [join([copy]) for path, copy in changed if ".receipt" not in path]
        return found


Lie = Callable[[random.Random, Chain, Chain, Component, int, int], bytes]


def _changed(
    rng: random.Random, chain: Chain, other: Chain, component: Component, start: int, count: int
) -> bytes:
    messages = chain.messages(component, start, count)
    if messages:
        at = rng.randrange(len(messages))
        messages[at] = rng.choice(chain.tampered[messages[at]] or [messages[at]])
    return b"".join(messages)


def _dropped(
    rng: random.Random, chain: Chain, other: Chain, component: Component, start: int, count: int
) -> bytes:
    messages = chain.messages(component, start, count)
    if messages:
        del messages[rng.randrange(len(messages))]
    return b"".join(messages)


def _repeated(
    rng: random.Random, chain: Chain, other: Chain, component: Component, start: int, count: int
) -> bytes:
    messages = chain.messages(component, start, count)
    if messages:
        messages.insert(rng.randrange(len(messages) + 1), rng.choice(messages))
    return b"".join(messages)


def _swapped(
    rng: random.Random, chain: Chain, other: Chain, component: Component, start: int, count: int
) -> bytes:
    if component is Component.STATE_DIFFS:  # no hash binds their order: another one is no lie
        return _borrowed(rng, chain, other, component, start, count)
    messages = chain.messages(component, start, count)
    rng.shuffle(messages)
    return b"".join(messages)


def _borrowed(
    rng: random.Random, chain: Chain, other: Chain, component: Component, start: int, count: int
) -> bytes:
    """Answer for other blocks of the same chain."""
    return chain.body(component, rng.randrange(chain.length), count)


def _forked(
    rng: random.Random, chain: Chain, other: Chain, component: Component, start: int, count: int
) -> bytes:
    """Answer from a chain that the pinned key has not signed."""
    return other.body(component, start, count)


def _noise(
    rng: random.Random, chain: Chain, other: Chain, component: Component, start: int, count: int
) -> bytes:
    noise = rng.randbytes(rng.randrange(1, 100))
    return bytes([len(noise)]) + noise


def _torn(
    rng: random.Random, chain: Chain, other: Chain, component: Component, start: int, count: int
) -> bytes:
    body = chain.body(component, start, count)
    return body[: rng.randrange(len(body) + 1)]


def _empty(
    rng: random.Random, chain: Chain, other: Chain, component: Component, start: int, count: int
) -> bytes:
    return b""


LIES: dict[str, Lie] = {
    "changed": _changed,
    "dropped": _dropped,
    "repeated": _repeated,
    "swapped": _swapped,
    "borrowed": _borrowed,
    "forked": _forked,
    "noise": _noise,
    "torn": _torn,
    "empty": _empty,
}


@dataclass
class Peer:
    """One peer. Of its answers a share is lies, silence or leaving; the rest is honest, slow or short as it comes."""

    name: str
    head: int
    grown_at: float = 0.0  # from then on it has the whole chain
    seconds: float = 0.1
    lies: float = 0.0
    lies_about: tuple[Component, ...] = ()
    silent: float = 0.0
    leaves: float = 0.0
    short: float = 0.0
    boast: int = 0
    connected: bool = True
    back_at: float = 0.0
    has_lied: bool = field(default=False)

    def claims(self, now: float, length: int) -> int:
        """Return the head that it would be found to have."""
        head = length - 1 if self.grown_at <= now else self.head
        return head + self.boast

    def answer(
        self,
        rng: random.Random,
        chain: Chain,
        other: Chain,
        asked: tuple[Component, int, int],
        now: float,
    ) -> Answer:
        """Answer one request."""
        component, start, count = asked
        seconds = self.seconds * rng.uniform(0.2, 2.0)
        if rng.random() < self.silent:
            return Answer(PATIENCE_S)
        if self.boast and start + count > chain.length:
            return self._lie(seconds, "boasted", rng.choice((b"", b"\3\1\2\3")))
        if component in self.lies_about and rng.random() < self.lies:
            return self._lied(rng, chain, other, asked, seconds)
        if count > 1 and rng.random() < self.short:
            if rng.random() < 0.3:
                return Answer(seconds, too_big=True)
            count = rng.randrange(count)
        has = self.claims(now, chain.length) - self.boast
        return Answer(seconds, chain.body(component, start, min(count, max(0, has + 1 - start))))

    def _lied(
        self,
        rng: random.Random,
        chain: Chain,
        other: Chain,
        asked: tuple[Component, int, int],
        seconds: float,
    ) -> Answer:
        component, start, count = asked
        if rng.random() < 0.1:
            self.has_lied = True
            return Answer(seconds, rule="fin.after", lie="fin.after")
        name = rng.choice(list(LIES))
        return self._lie(seconds, name, LIES[name](rng, chain, other, component, start, count))

    def _lie(self, seconds: float, name: str, body: bytes) -> Answer:
        self.has_lied = True
        return Answer(seconds, body, lie=name)


def crowd(rng: random.Random, length: int) -> list[Peer]:
    """Return the peers of one run; the first is honest and has, in the end, the whole chain."""
    honest = Peer("honest-0", length - 1, seconds=rng.choice((0.01, 0.1, 3.0)))
    if rng.random() < 0.2:
        honest.head, honest.grown_at = rng.randrange(length), rng.uniform(1.0, 30.0)
    peers = [honest]
    for index in range(1, rng.randrange(1, 7)):
        peers.append(_one(rng, rng.choice(CHARACTERS), index, length))
    return peers


CHARACTERS = ("honest", "short", "slow", "silent", "leaving", "liar", "liar", "liar", "boaster")


def _one(rng: random.Random, character: str, index: int, length: int) -> Peer:
    peer = Peer(f"{character}-{index}", rng.randrange(length), rng.uniform(0.0, 60.0))
    match character:
        case "short":
            peer.grown_at = float("inf")
            peer.short = rng.random()
        case "slow":
            peer.seconds = rng.uniform(1.0, 15.0)
        case "silent":
            peer.silent = rng.uniform(0.3, 1.0)
        case "leaving":
            peer.leaves = rng.uniform(0.05, 0.5)
        case "liar":
            peer.lies = rng.choice((0.1, 0.5, 1.0))
            peer.lies_about = tuple(rng.sample(list(Component), rng.randrange(1, 6)))
        case "boaster":
            peer.boast = rng.choice((1, 3, 100, 1 << 30))
    return peer
