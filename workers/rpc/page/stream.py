"""Server-sent events of what the page shows. Nothing is worked out unless somebody reads; who does not read is cut."""

import asyncio
from collections.abc import Callable
from time import monotonic

import orjson
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from workers.rpc.page.board import board
from workers.rpc.watch import Watch

STREAMS_MAX = 8
EVENT_SECONDS = 1.0
EVENTS_MAX = 3600  # of one stream; browsers come again by themselves
SLOW_SECONDS = 5.0  # for an event to leave
RETRY = b"retry: 2000\n\n"

Cut = Callable[[object], None]
"""Ends a client's connection, whatever it has still to read."""


class Streams:
    """All streams of one process; they share what is worked out."""

    def __init__(
        self,
        watch: Watch,
        cut: Cut,
        clock: Callable[[], float] = monotonic,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        self.slow_seconds = slow_seconds
        self.open = 0
        self.made = 0  # how often what is shown was worked out
        self._watch = watch
        self._cut = cut
        self._clock = clock
        self._event = b""
        self._made_at = -EVENT_SECONDS
        self._closing = asyncio.Event()

    def response(self) -> Response:
        """Return a stream, or the refusal of one too many."""
        if self.open >= STREAMS_MAX:
            said = {"error": f"{STREAMS_MAX} pages are open already: close one, or ask /status"}
            return JSONResponse(said, 503, {"Retry-After": "30"})
        return _Stream(self)

    def close(self) -> None:
        """End every stream soon: the server stops."""
        self._closing.set()

    async def pause(self, gone: asyncio.Task[None]) -> bool:
        """Wait for the next event; return whether there is to be one."""
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait(
                {gone, closing}, timeout=EVENT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            closing.cancel()
        return not (gone.done() or self._closing.is_set())

    def event(self) -> bytes:
        """Return what the page shows now, at most ``EVENT_SECONDS`` old."""
        now = self._clock()
        if now - self._made_at >= EVENT_SECONDS / 2:
            self._made_at = now
            self.made += 1
            self._event = b"data: " + orjson.dumps(board(self._watch)) + b"\n\n"
        return self._event

    def cut(self, client: object) -> None:
        """End the connection of one who does not read."""
        self._cut(client)


class _Stream(Response):
    """One reader's stream."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        del self.headers["content-length"]
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the reader leaves, the server stops, or an event does not leave in time."""
        self._streams.open += 1
        gone = asyncio.create_task(_left(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with asyncio.timeout(None) as patience:
                await self._send(send, gone, patience)
        except TimeoutError:
            self._streams.cut(scope["client"])
            await asyncio.wait({gone}, timeout=EVENT_SECONDS)
        finally:
            self._streams.open -= 1
            gone.cancel()

    async def _send(self, send: Send, gone: asyncio.Task[None], patience: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        more = True
        for number in range(EVENTS_MAX):
            body = (b"" if number else RETRY) + (self._streams.event() if more else b"")
            patience.reschedule(loop.time() + self._streams.slow_seconds)
            await send({"type": "http.response.body", "body": body, "more_body": more})
            patience.reschedule(None)
            if not more:
                return
            more = await self._streams.pause(gone) and number < EVENTS_MAX - 2


async def _left(receive: Receive) -> None:
    """Return once the reader is gone."""
    for _ in range(EVENTS_MAX):
        if (await receive())["type"] == "http.disconnect":
            return
