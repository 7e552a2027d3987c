"""The node's HTTP server: the status page, what probes ask, and JSON-RPC at a path for each version.

Everything runs in one thread but questions to the broker and to an upstream node, since a Reader belongs to one
thread. Nothing that is asked of it takes long by itself: see ``events.PAGE_SECONDS`` and the bounds of lists.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.link import Link
from workers.exits import EX_CONFIG, EX_TEMPFAIL
from workers.listening import CannotListen, bind, cannot_serve
from workers.log import fields, log
from workers.rpc import probes
from workers.rpc.jsonrpc import Service, refusal
from workers.rpc.page import routes as page
from workers.rpc.page.stream import Streams
from workers.rpc.specs import SPECS, paths
from workers.rpc.upstream import Upstream
from workers.rpc.watch import Watch
from workers.settings import Settings
from workers.store.reader import Reader

BODY_BYTES_MAX = 10 << 20
BODY_SECONDS_MAX = 20.0
CONNECTIONS_MAX = 128
STOP_SECONDS_MAX = 1
TICK_SECONDS = 0.5
ANY_ORIGIN = Middleware(
    CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["*"]
)


def main(settings: Settings, link: Link) -> None:
    """Serve until SIGTERM; leave with code 78 if the port cannot be had, 75 if the broker was lost.

    Raises ``StoreError`` once the store cannot be read.
    """
    bound = _bind(settings)
    reader = Reader(settings.db_path)
    watch = Watch(settings, reader, link.stats)
    streams = Streams(watch, lambda client: server.cut(client))
    config = uvicorn.Config(
        application(watch, streams),
        log_config=None,
        access_log=False,
        proxy_headers=False,  # whom a connection is with is what its socket says
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=STOP_SECONDS_MAX,
        lifespan="on",
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    server = _Server(config)
    server.when_stopping = streams.close
    watch.when_lost = lambda: setattr(server, "should_exit", True)
    log.info("Serving HTTP", extra=fields(host=settings.http_host, port=bound.getsockname()[1]))
    try:
        with bound:
            server.run(sockets=[bound])
    finally:
        reader.close()
    if watch.unreadable is not None:
        raise watch.unreadable
    if watch.lost:
        raise SystemExit(EX_TEMPFAIL)


class _Server(uvicorn.Server):
    """Ends at SIGTERM and SIGINT without raising them again: an end that was asked for is no failure."""

    when_stopping: Callable[[], None]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take both signals while the server runs."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._end) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, *_: object) -> None:
        self.should_exit = True  # a second signal changes nothing: the end is bounded as it is

    async def main_loop(self) -> None:
        """Look twice a second whether to end; the library's loop, at ten times a second, is what an idle node feels."""
        while not await self.on_tick(0):
            await asyncio.sleep(TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop taking connections and let those end that are there."""
        self.when_stopping()
        await super().shutdown(sockets)

    def cut(self, client: object) -> None:
        """End the connections of ``client``, with what they have still to read."""
        for connection in list(self.server_state.connections):
            if client is not None and getattr(connection, "client", None) == client:
                connection.transport.abort()


def application(watch: Watch, streams: Streams) -> Starlette:
    """Build the application that answers from ``watch``."""

    settings = watch.settings
    upstream = None if settings.rpc_upstream is None else Upstream(settings.rpc_upstream)
    services = {spec: Service(watch, spec, upstream) for spec in SPECS}

    def rpc(service: Service) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                async with asyncio.timeout(BODY_SECONDS_MAX):
                    body = await _body(request)
            except TimeoutError:
                return _json(refusal(f"the body took more than {BODY_SECONDS_MAX:.0f} s"), 408)
            if body is None:
                return _json(refusal(f"the body is above {BODY_BYTES_MAX} bytes"), 413)
            answer = await service.answer(body)
            return Response(status_code=200) if answer is None else _json(answer)

        return endpoint

    async def unknown(request: Request, _: Exception) -> Response:
        served = ", ".join(path for path in paths())
        return _json(refusal(f"there is no {request.url.path[:80]}: use one of {served}"), 404)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sampling = asyncio.create_task(watch.keep_sampling())
        yield
        if upstream is not None:
            upstream.close()
        sampling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampling

    return Starlette(
        routes=[
            *probes.routes(watch),
            *page.routes(streams),
            *(Route(path, rpc(services[spec]), methods=["POST"]) for path, spec in paths().items()),
        ],
        middleware=[ANY_ORIGIN] if settings.rpc_cors else [],
        exception_handlers={404: unknown},
        lifespan=lifespan,
    )


async def _body(request: Request) -> bytes | None:
    """Return the request's body, or None as soon as it is longer than allowed."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            return None
    return bytes(body)


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def _bind(settings: Settings) -> socket.socket:
    try:
        return bind(settings.http_host, settings.http_port, shared=settings.rpc_workers > 1)
    except CannotListen as error:
        log.error(cannot_serve("HTTP", "http", error))
        raise SystemExit(EX_CONFIG) from None
