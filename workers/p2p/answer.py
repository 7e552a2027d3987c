"""Serves stored blocks to peers by the five sync protocols; lets out stored bytes as they are, then ``Fin``."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import trio

from workers.component import Component
from workers.metrics import Figures
from workers.p2p import protocols
from workers.p2p.counting import counted, refused
from workers.p2p.protocols import BadIteration, Range
from workers.p2p.streams import BadRequest, Stream, StreamBroken, Writer, read_request
from workers.p2p.view import View

REQUEST_SECONDS = 15.0
ANSWER_SECONDS = 600.0
BLOCKS_MAX = 1000  # of one request; the rest is asked for with another
READ_BLOCKS = 32  # of one turn in the reader's thread
READ_BYTES = 256 * 1024
ANSWERS_MAX = 64  # at once; more wait
ANSWERS_PER_PEER_MAX = 32

log = logging.getLogger("hera.p2p")


@dataclass
class Served:
    """What has been served since the start."""

    bytes_out: int = 0
    blocks: Counter[Component] = field(default_factory=Counter)
    requests: int = 0
    refused: int = 0


class Answerer:
    """The server side of all five protocols."""

    def __init__(self, view: View, figures: Figures | None = None) -> None:
        self.served = Served()
        self._figures = figures or Figures()
        for part in Component:
            self._figures.count("hera_p2p_blocks_served_total", 0, protocol=part)
        self._view = view
        self._slots = trio.Semaphore(ANSWERS_MAX)
        self._busy: Counter[str] = Counter()

    def handler(self, component: Component) -> Callable[[Stream], Awaitable[None]]:
        """The stream handler of one protocol. It ends the stream and never raises for what a peer does."""

        async def handle(stream: Stream) -> None:
            peer = stream.peer
            if self._busy[peer] >= ANSWERS_PER_PEER_MAX:
                self.served.refused += 1
                refused(self._figures, component)
                await stream.reset()
                return
            self._busy[peer] += 1
            try:
                async with self._slots:
                    await self._serve(stream, component)
            finally:
                self._busy[peer] -= 1
                if not self._busy[peer]:
                    del self._busy[peer]

        return handle

    async def _serve(self, stream: Stream, component: Component) -> None:
        finished = False
        try:
            request = await read_request(stream, protocols.REQUEST_BYTES_MAX, REQUEST_SECONDS)
            wanted = protocols.decode_request(request)
            with counted(self._figures, component, "in"), trio.fail_after(ANSWER_SECONDS):
                await self._answer(stream, component, wanted)
            finished = True
        except (BadRequest, BadIteration) as error:
            self.served.refused += 1
            refused(self._figures, component)
            log.debug("request for %s by %s refused: %s", component, stream.peer, error)
        except (StreamBroken, trio.TooSlowError) as error:
            log.debug("answer of %s to %s ends early: %r", component, stream.peer, error)
        finally:
            await (stream.close() if finished else stream.reset())

    async def _answer(self, stream: Stream, component: Component, wanted: Range) -> None:
        self.served.requests += 1
        writer = Writer(stream, partial(self._count_bytes, component))
        numbers = await self._numbers(wanted)
        missing = False
        while not missing and (batch := list(islice(numbers, READ_BLOCKS))):
            while batch and not missing:
                parts = await self._view.parts(component, batch, READ_BYTES)
                del batch[: len(parts)]
                missing = await self._write(writer, component, parts)
        await writer.write(protocols.fin(component))
        await writer.flush()

    def _count_bytes(self, component: Component, size: int) -> None:
        self.served.bytes_out += size
        self._figures.count("hera_p2p_bytes_total", size, protocol=component, direction="in")

    async def _write(self, writer: Writer, component: Component, parts: list[bytes | None]) -> bool:
        """Write parts; return whether a block was missing."""
        for part in parts:
            if part is None:
                return True
            self.served.blocks[component] += 1
            self._figures.count("hera_p2p_blocks_served_total", protocol=component)
            await writer.write(part)
        return False

    async def _numbers(self, wanted: Range) -> Iterator[int]:
        """The numbers that the request names, as far as the head: at most ``BLOCKS_MAX``."""
        start = wanted.start
        if isinstance(start, bytes):
            found = await self._view.number_of(start)
            if found is None:
                return iter(())
            start = found
        head = await self._view.head()
        if head is None:
            return iter(())
        count = min(wanted.limit, BLOCKS_MAX)
        if wanted.backward:
            # A start beyond the head is a missing block: nothing follows it.
            last = max(start - (count - 1) * wanted.step, 0)
            numbers = range(start, last - 1, -wanted.step) if start <= head.number else range(0)
        else:
            numbers = range(start, min(start + count * wanted.step, head.number + 1), wanted.step)
        return iter(numbers[:count])
