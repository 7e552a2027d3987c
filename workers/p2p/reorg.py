"""Follows the network where its signed chain leaves ours: finds the fork, lets the peers decide, has blocks taken back.

The search asks for headers that no request of the plan covers; the fetch stage checks them like all others. While
commit takes blocks back, nothing is asked: the store says where to go on.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio

from broker.codec import Body
from workers.component import Component
from workers.log import fields, log
from workers.messages import (
    BlocksUndone,
    Fault,
    ForkSeen,
    HeaderInfo,
    HeadersFetched,
    HeadersReceived,
    Retreat,
)
from workers.p2p.ask import NoAnswer, TooBig
from workers.p2p.bridge import Bridge
from workers.p2p.forks import Forged, Fork, find_fork, most_go_there
from workers.p2p.host import CannotReach
from workers.p2p.peers import Peers
from workers.p2p.plan import Planner
from workers.p2p.protocols import Range
from workers.p2p.streams import BadAnswer
from workers.p2p.verdicts import Verdicts
from workers.p2p.view import View

CHECK_SECONDS = 30.0  # for the fetch stage to check what a peer answered
UNDO_SECONDS = 120.0  # for commit to take blocks back, before it is told again

Ask = Callable[[str, Component, Range], Awaitable[bytes]]


class _Answer:
    """What the fetch stage says of one probe, once it says it."""

    def __init__(self) -> None:
        self.come = trio.Event()
        self.headers: Sequence[HeaderInfo] = ()


class Reorg:
    """One fork at a time is looked into; others show themselves again."""

    def __init__(
        self,
        ask: Ask,
        peers: Peers,
        planner: Planner,
        verdicts: Verdicts,
        bridge: Bridge,
        view: View,
    ) -> None:
        self._ask = ask
        self._peers = peers
        self._planner = planner
        self._verdicts = verdicts
        self._bridge = bridge
        self._view = view
        self._probes: dict[int, _Answer] = {}
        self._seen: ForkSeen | None = None
        self._news = trio.Event()
        self._undone = trio.Event()  # not set while commit takes blocks back
        self._undone.set()

    @property
    def is_retreating(self) -> bool:
        """Whether commit takes blocks back."""
        return not self._undone.is_set()

    async def run(self) -> None:
        """Look into forks until cancelled."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            if self._seen is not None:
                await self._examine(self._seen)
                self._seen = None

    def heard(self, message: Any) -> bool:
        """Take what a stage says about forks; return whether that was all about it."""
        match message:
            case ForkSeen():
                self._planner.fork_seen(message, trio.current_time())
                self._peers.off_chain(message.peer, trio.current_time())
                self._seen = self._seen or message
                self._news.set()
            case BlocksUndone():
                self._view.forget()
                self._planner.retreat(message.number, message.block_hash)
                self._undone.set()
            case HeadersFetched() if message.attempt in self._probes:
                self._answered(message.attempt, message.headers)
            case Fault() if message.attempt in self._probes:
                self._verdicts.blame_senders(message, trio.current_time())
                self._answered(message.attempt, ())
            case _:
                return False
        return True

    def _answered(self, attempt: int, headers: Sequence[HeaderInfo]) -> None:
        answer = self._probes.pop(attempt)
        answer.headers = headers
        answer.come.set()

    async def _examine(self, seen: ForkSeen) -> None:
        try:
            fork = await find_fork(self._probe, self._known, seen.peer, seen.number)
        except Forged:
            self._blame(seen.peer, seen.number, "headers.parent", "")
            return
        if fork is None:
            said = fields(peer=seen.peer, block=seen.number)
            log.warning("A peer is on another chain: where it left ours is not found", extra=said)
            return
        log.error(
            "The sequencer signed two blocks of one number",
            extra=fields(
                block=fork.number + 1,
                ours=f"0x{fork.ours.hex()}",
                theirs=f"0x{fork.theirs.hex()}",
                peer=seen.peer,
            ),
        )
        voters = self._peers.with_block(fork.number + 1, trio.current_time())
        if await most_go_there(self._probe, fork, [seen.peer, *voters]):
            await self._follow(fork)
        else:
            log.warning("Most peers have our block: we stay", extra=fields(block=fork.number + 1))

    async def _follow(self, fork: Fork) -> None:
        """Plan anew from where the chains part; have commit take back what it stored above."""
        log.warning(
            "The network left our chain: we follow",
            extra=fields(last_common=fork.number, peers_say=f"0x{fork.theirs.hex()}"),
        )
        undone = self._undone = trio.Event()
        attempt = self._planner.retreat(fork.number, fork.block_hash)
        while not undone.is_set():
            await self._bridge.give(Retreat(attempt, fork.number, fork.block_hash))
            with trio.move_on_after(UNDO_SECONDS):
                await undone.wait()
        self._peers.check_all()

    async def _probe(self, peer: str, start: int, count: int) -> Sequence[HeaderInfo]:
        """Ask ``peer`` for headers and have them checked; none where it does not answer or lies."""
        attempt = self._planner.new_attempt()
        try:
            body = await self._ask(peer, Component.HEADERS, Range(start, count))
        except BadAnswer as error:
            self._blame(peer, start, error.rule, error.detail)
            return ()
        except (NoAnswer, TooBig, CannotReach) as error:
            log.debug("No answer", extra=fields(peer=peer, why=str(error)))
            return ()
        answer = self._probes[attempt] = _Answer()
        try:
            await self._bridge.give(HeadersReceived(attempt, start, count, peer, b"", Body(body)))
            with trio.move_on_after(CHECK_SECONDS):
                await answer.come.wait()
        finally:
            self._probes.pop(attempt, None)
        return answer.headers

    def _blame(self, peer: str, block: int, rule: str, detail: str) -> None:
        self._verdicts.blame_for_headers(peer, block, rule, detail, trio.current_time())

    async def _known(self, number: int) -> bytes | None:
        return self._planner.hash_of(number) or await self._view.block_hash(number)
