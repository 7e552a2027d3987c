"""Drives the plan: asks peers what it says, hands their answers to the fetch stages, tells it what became of them.

What follows from an answer or from a stage's news is decided in ``verdicts``; here is what waits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from workers.component import Component
from workers.log import fields, log
from workers.messages import BlockStored
from workers.p2p import forms
from workers.p2p.ask import NoAnswer, Patience, Room, TooBig, ask
from workers.p2p.bridge import Bridge
from workers.p2p.counting import counted
from workers.p2p.heads import count_headers, find_head
from workers.p2p.host import CannotReach, Host
from workers.p2p.obstacle import Obstacle
from workers.p2p.peers import Peers
from workers.p2p.plan import Planner, Request
from workers.p2p.protocols import Range
from workers.p2p.reorg import Reorg
from workers.p2p.roster import Streams
from workers.p2p.streams import BadAnswer
from workers.p2p.verdicts import Verdicts
from workers.p2p.view import View
from workers.settings import Settings

TICK_SECONDS = 0.25
IDLE_SECONDS = 1.0  # a tick while nothing is under way: whoever brings news wakes the loop
LOOK_SECONDS = 5.0  # at the store's head, besides being told
HEADS_SECONDS = 1.0  # between two looks at whose head is to be asked for
CHECKS_MAX = 8  # peers asked for their head at once
CHECK_SECONDS = 60.0  # for one peer's head
ANSWER_BYTES_MIN, ANSWER_BYTES_MAX = 1 << 20, 64 << 20
BLOCK_BYTES_MAX = 64 << 20  # an answer for one block: more than any honest one


@dataclass
class Asked:
    """What has been asked since the start."""

    requests: int = 0
    under_way: int = 0
    bytes_in: int = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request as under way inside the block."""
        self.requests += 1
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1


class Syncer:
    """The client side of all five protocols."""

    def __init__(
        self,
        settings: Settings,
        host: Host,
        peers: Peers,
        planner: Planner,
        bridge: Bridge,
        view: View,
    ) -> None:
        self.asked = Asked()
        self.streams = Streams(trio.current_time)
        self._figures = settings.figures
        self.verdicts = Verdicts(peers, planner, settings.figures)
        self.obstacle = Obstacle(peers, planner, self.verdicts)
        self._network = settings.network
        self._public_key = settings.public_key
        self._host = host
        self._peers = peers
        self._planner = planner
        self._bridge = bridge
        self._view = view
        answer_bytes = min(max(settings.in_flight_bytes // 8, ANSWER_BYTES_MIN), ANSWER_BYTES_MAX)
        self._reorg = Reorg(self._ask, peers, planner, self.verdicts, bridge, view)
        self._patience = Patience(bytes_max=answer_bytes)
        self._patience_for_one = Patience(bytes_max=BLOCK_BYTES_MAX)
        self._answers = forms.Answers()
        self._iteration = 0
        self._news = trio.Event()
        self._stepped = trio.Event()

    async def run(self) -> None:
        """Sync until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._bridge.pump, self._handle)
            nursery.start_soon(self._look_at_store)
            nursery.start_soon(self._check_heads)
            nursery.start_soon(self._reorg.run)
            while True:
                self._step(nursery, trio.current_time())
                self._stepped.set()
                self._stepped = trio.Event()
                idle = self._planner.is_idle
                with trio.move_on_after(IDLE_SECONDS if idle else TICK_SECONDS):
                    await self._news.wait()
                self._news = trio.Event()

    def target(self) -> int | None:
        """The highest block that any askable peer has."""
        heads = [peer.head for peer in self._peers.askable(trio.current_time())]
        return max(heads, default=None)

    def window_bytes(self) -> int:
        """What the window beyond the stored head holds or awaits."""
        return self._planner.used_bytes

    # ---- the plan ------------------------------------------------------------------------------------------------

    def _step(self, nursery: trio.Nursery, now: float) -> None:
        self.obstacle.look(now)
        for peer in self.verdicts.leaving():
            if peer in self._host.peers():
                nursery.start_soon(self._host.disconnect, peer)
        if self._bridge.is_full or self._reorg.is_retreating:
            return
        plan = self._planner.plan(self._peers.askable(now), now)
        if plan.opened:
            self._say_iteration(plan.requests)
        for request in plan.requests:
            nursery.start_soon(self._fetch, request)

    def _say_iteration(self, requests: tuple[Request, ...]) -> None:
        log.debug("Continuous iteration", extra=fields(i=self._iteration))
        self._iteration += 1
        log.debug("Number of peers", extra=fields(len=len(self._peers)))
        for request in requests:
            if request.component is Component.HEADERS:
                known = ", ".join(map(str, self._host.addresses_of(request.peer)))
                log.debug(
                    "Random chosen peer's info",
                    extra=fields(peerInfo=f"{{{request.peer}: [{known}]}}"),
                )

    async def _fetch(self, request: Request) -> None:
        body = b"" if request.is_empty else await self._answer(request)
        if body is not None and self._planner.is_current(request):
            await self._bridge.give(self._planner.message(request, body))
            self._planner.given(request, len(body))
        self._news.set()

    async def _answer(self, request: Request) -> bytes | None:
        """Ask; None where the plan was told that there is no usable answer."""
        wanted = Range(request.start, request.count)
        try:
            room, most = partial(self._room, request), self._planner.messages_max(request)
            blocks = range(request.start, request.start + request.count)
            with self.streams.of(request.peer, request.component, blocks):
                body = await self._ask(request.peer, request.component, wanted, room, most)
        except BadAnswer as error:
            self.verdicts.bad(request, error.rule, error.detail, trio.current_time())
        except NoAnswer as error:
            self.verdicts.bad(request, error.rule, str(error), trio.current_time())
        except TooBig as error:
            if request.count == 1:
                now = trio.current_time()
                self.verdicts.bad(request, "message.flood", str(error), now)
            else:
                self._planner.too_big(request, trio.current_time())
        except CannotReach as error:
            log.debug("No answer", extra=fields(peer=request.peer, why=str(error)))
            self._planner.failed(request, trio.current_time())
        else:
            if self.verdicts.is_usable(request, body, trio.current_time()):
                return body
        return None

    async def _room(self, request: Request, size_bytes: int) -> None:
        """Wait while an answer may not be read on: the window holds as much as it may."""
        while not self._planner.received(request, size_bytes):
            await self._stepped.wait()

    async def _ask(
        self,
        peer: str,
        component: Component,
        wanted: Range,
        room: Room | None = None,
        messages_max: int | None = None,  # None: of headers, one a block
    ) -> bytes:
        form = forms.form_of(self._host.protocols_of(peer), self._network.chain_id) or forms.SPEC
        name = form.protocol_id(self._network.chain_id, component)
        patience = self._patience_for_one if wanted.limit == 1 else self._patience
        began = trio.current_time()
        most = wanted.limit if messages_max is None else messages_max
        opener = partial(self._host.open, peer, name)
        with counted(self._figures, component, "out"), self.asked.counted():
            body = await ask(opener, component, wanted, patience, room, most)
        self._figures.count("hera_p2p_bytes_total", len(body), protocol=component, direction="out")
        self._peers.answered(peer, len(body), trio.current_time() - began)
        self.asked.bytes_in += len(body)
        return await self._answers.read(form, component, body)

    # ---- what the stages say -------------------------------------------------------------------------------------

    def _handle(self, message: Any) -> None:
        if not self._reorg.heard(message):
            self.verdicts.heard(message, trio.current_time())
        self._news.set()

    async def _look_at_store(self) -> None:
        """See the head move also where the news of it was lost with a broker."""
        while True:
            began = self._planner.new_attempt()  # a head read before a retreat moves nothing
            head = await self._view.head()
            if head is not None and not self._reorg.is_retreating:
                news = BlockStored(began, head.number, head.block_hash)
                self._planner.block_stored(news, trio.current_time())
            await trio.sleep(LOOK_SECONDS)

    # ---- the peers' heads ----------------------------------------------------------------------------------------

    async def _check_heads(self) -> None:
        checks = trio.CapacityLimiter(CHECKS_MAX)
        async with trio.open_nursery() as nursery:
            while True:
                free = int(checks.available_tokens)
                for peer in self._peers.to_check(trio.current_time(), free):
                    nursery.start_soon(self._check, peer, checks)
                await trio.sleep(HEADS_SECONDS)

    async def _check(self, peer: str, checks: trio.CapacityLimiter) -> None:
        async with checks:
            found: int | None = None
            with self._checking(peer), trio.move_on_after(CHECK_SECONDS):
                found = await self._find_head(peer)
            self._peers.checked(peer, found, trio.current_time())
            self._news.set()

    async def _find_head(self, peer: str) -> int | None:
        if forms.form_of(self._host.protocols_of(peer), self._network.chain_id) is None:
            return None  # another kind of node: it is looked at again, ever less often
        known = self._peers.known_head(peer)

        async def headers_in(wanted: Range) -> int:
            body = await self._ask(peer, Component.HEADERS, wanted)
            return count_headers(self._network, self._public_key, wanted, body)

        stored = self._planner.base - 1
        return await find_head(headers_in, stored if known is None else max(known, stored))

    @contextmanager
    def _checking(self, peer: str) -> Iterator[None]:
        """What a peer does while it is asked for its head ends the question only."""
        try:
            yield
        except BadAnswer as error:
            self._blame_for_head(peer, error.rule, error.detail)
        except TooBig as error:
            self._blame_for_head(peer, "message.flood", str(error))
        except NoAnswer as error:
            self._blame_for_head(peer, error.rule, str(error))
        except CannotReach as error:
            log.debug("Cannot ask for the head", extra=fields(peer=peer, why=str(error)))

    def _blame_for_head(self, peer: str, rule: str, detail: str) -> None:
        block, now = self._planner.base, trio.current_time()
        self.verdicts.blame_for_headers(peer, block, rule, detail, now)
