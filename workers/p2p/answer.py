"""Serves stored blocks to peers by the five sync protocols; lets out stored bytes as they are, then ``Fin``."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, field
from itertools import islice
from math import inf

import trio

from workers.component import Component
from workers.metrics import Figures
from workers.p2p import protocols
from workers.p2p.counting import counted, refused
from workers.p2p.fair import Rates, Turns
from workers.p2p.protocols import BadIteration, Range
from workers.p2p.roster import Streams
from workers.p2p.streams import BadRequest, Stream, StreamBroken, Writer, read_request
from workers.p2p.view import View

REQUEST_SECONDS = 15.0  # from the stream's opening to the request's half-close
ANSWER_SECONDS = 600.0  # of one answer: 1000 great blocks over a poor line
BLOCKS_MAX = 1000  # of one request; the rest is asked for with another
READ_BLOCKS = 32  # of one turn in the reader's thread
READ_BYTES = 256 * 1024  # of one turn, and at least one block: what an answer holds in memory
ANSWERS_MAX = 64  # given at once; more wait
REQUESTS_PER_PEER_MAX = 32  # open at once, of which we ask 16; more are reset
STALLED_SECONDS = 5.0  # for 128 KiB to be read, if others wait; else Yamux's 60 s hold

log = logging.getLogger("hera.p2p")


@dataclass
class Served:
    """What has been served since the start."""

    bytes_out: int = 0
    blocks: Counter[Component] = field(default_factory=Counter)
    requests: int = 0
    refused: int = 0  # no request, or too many of one peer at once
    late: int = 0  # above the rate of one peer
    stalled: int = 0  # not read while others waited


@dataclass(eq=False)
class Giving:
    """An answer on its way; ``stalled_at`` is when its peer will not have read for too long, seen while it writes."""

    scope: trio.CancelScope
    stalled_at: float = inf

    def writes(self) -> None:
        """Note that from now on the peer is waited for."""
        self.stalled_at = trio.current_time() + STALLED_SECONDS


class Answerer:
    """The server side of all five protocols."""

    def __init__(
        self, view: View, rates: Rates | None = None, figures: Figures | None = None
    ) -> None:
        self.served = Served()
        self.streams = Streams(trio.current_time)
        self._figures = figures or Figures()
        for part in Component:
            self._figures.count("hera_p2p_blocks_served_total", 0, protocol=part)
        self._view = view
        self._rates = rates or Rates()
        self._places = Turns(ANSWERS_MAX, self._end_stalled)
        self._reads = Turns(1)
        self._giving: dict[Giving, None] = {}
        self._open: Counter[str] = Counter()

    def over(self, view: View) -> "Answerer":
        """The same server, with its limits and counts, for the blocks of another view."""
        other = copy(self)
        other._view = view
        return other

    def handler(self, component: Component) -> Callable[[Stream], Awaitable[None]]:
        """The stream handler of one protocol. It ends the stream and never raises for what a peer does."""

        async def handle(stream: Stream) -> None:
            peer = stream.peer
            if self._open[peer] >= REQUESTS_PER_PEER_MAX:
                self.served.refused += 1
                refused(self._figures, component)
                await stream.reset()
                return
            self._open[peer] += 1
            try:
                await self._serve(stream, component)
            finally:
                self._open[peer] -= 1
                if not self._open[peer]:
                    del self._open[peer]

        return handle

    async def _serve(self, stream: Stream, component: Component) -> None:
        finished = False
        try:
            await self._hold_back(stream.peer)
            request = await read_request(stream, protocols.REQUEST_BYTES_MAX, REQUEST_SECONDS)
            wanted = protocols.decode_request(request)
            async with self._places.of(stream.peer):
                with counted(self._figures, component, "in"):
                    if not await self._give(stream, component, wanted):
                        raise trio.TooSlowError
            finished = True
        except (BadRequest, BadIteration) as error:
            self.served.refused += 1
            refused(self._figures, component)
            log.debug("request for %s by %s refused: %s", component, stream.peer, error)
        except (StreamBroken, trio.TooSlowError) as error:
            log.debug("answer of %s to %s ends early: %r", component, stream.peer, error)
        finally:
            await (stream.close() if finished else stream.reset())

    async def _hold_back(self, peer: str) -> None:
        """Answer late what comes quicker than one peer may ask; how many wait is bounded by its open requests."""
        seconds = self._rates.wait(peer, trio.current_time())
        if seconds:
            self.served.late += 1
            await trio.sleep(seconds)

    async def _give(self, stream: Stream, component: Component, wanted: Range) -> bool:
        """Answer; return whether that was done in time."""
        giving = Giving(trio.CancelScope(deadline=trio.current_time() + ANSWER_SECONDS))
        self._giving[giving] = None
        try:
            with giving.scope:
                await self._answer(stream, component, wanted, giving)
        finally:
            del self._giving[giving]
        return not giving.scope.cancelled_caught

    def _end_stalled(self) -> None:
        """Give the places of answers that are not read to those who wait."""
        for giving in self._giving:
            if trio.current_time() > giving.stalled_at and not giving.scope.cancel_called:
                self.served.stalled += 1
                giving.scope.cancel()

    async def _answer(
        self, stream: Stream, component: Component, wanted: Range, giving: Giving
    ) -> None:
        self.served.requests += 1

        def sent(size: int) -> None:
            self.served.bytes_out += size
            self._figures.count("hera_p2p_bytes_total", size, protocol=component, direction="in")
            giving.writes()

        writer = Writer(stream, sent)
        async with self._reads.of(stream.peer):
            numbers = await self._numbers(wanted)
        with self.streams.of(stream.peer, component, numbers):
            await self._write_blocks(stream.peer, writer, component, numbers, giving)
        giving.writes()
        await writer.write(protocols.fin(component))
        await writer.flush()

    async def _write_blocks(
        self, peer: str, writer: Writer, component: Component, numbers: range, giving: Giving
    ) -> None:
        """Write the blocks until one is missing, a few read at a time."""
        left = iter(numbers)
        missing = False
        while not missing and (batch := list(islice(left, READ_BLOCKS))):
            while batch and not missing:
                async with self._reads.of(peer):
                    parts = await self._view.parts(component, batch, READ_BYTES)
                del batch[: len(parts)]
                giving.writes()
                missing = await self._write(writer, component, parts)
                giving.stalled_at = inf

    async def _write(self, writer: Writer, component: Component, parts: list[bytes | None]) -> bool:
        """Write parts; return whether a block was missing."""
        for part in parts:
            if part is None:
                return True
            self.served.blocks[component] += 1
            self._figures.count("hera_p2p_blocks_served_total", protocol=component)
            await writer.write(part)
        return False

    async def _numbers(self, wanted: Range) -> range:
        """The numbers that the request names, as far as the head: at most ``BLOCKS_MAX``."""
        start = wanted.start
        if isinstance(start, bytes):
            found = await self._view.number_of(start)
            if found is None:
                return range(0)
            start = found
        head = await self._view.head()
        if head is None:
            return range(0)
        count = min(wanted.limit, BLOCKS_MAX)
        if wanted.backward:
            # A start beyond the head is a missing block: nothing follows it.
            last = max(start - (count - 1) * wanted.step, 0)
            numbers = range(start, last - 1, -wanted.step) if start <= head.number else range(0)
        else:
            numbers = range(start, min(start + count * wanted.step, head.number + 1), wanted.step)
        return numbers[:count]
