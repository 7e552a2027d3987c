"""The node's HTTP server: the status page, what probes ask, and JSON-RPC at a path for each version.

Everything runs in one thread but questions to the broker and to an upstream node, since a Reader belongs to one
thread. Nothing that is asked of it takes long by itself: see ``events.PAGE_SECONDS`` and the bounds of lists.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from broker.link import Link
from workers.exits import EX_CONFIG, EX_TEMPFAIL
from workers.listening import CannotListen, bind, cannot_serve
from workers.log import fields, log
from workers.rpc import probes, sockets
from workers.rpc.follower import Follower
from workers.rpc.jsonrpc import Service, refusal
from workers.rpc.page import routes as page
from workers.rpc.page.stream import Streams
from workers.rpc.sockets import Socket, Sockets
from workers.rpc.specs import SPECS, paths, unserved
from workers.rpc.upstream import Upstream
from workers.rpc.watch import Watch
from workers.rpc.writes import Gateway
from workers.settings import Settings
from workers.store.reader import Reader

BODY_BYTES_MAX = 10 << 20
BODY_SECONDS_MAX = 20.0
NICE = 5  # where both want the cores, the sync goes before those who ask
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
    with contextlib.suppress(OSError):  # a service manager may forbid it
        os.nice(NICE)
    listening = bound(settings)
    reader = Reader(settings.db_path)
    watch = Watch(settings, reader, link.stats)
    streams = Streams(watch, lambda client: server.cut(client))
    server = _Server(configured(watch, streams))
    server.when_stopping = streams.close
    watch.when_lost = lambda: setattr(server, "should_exit", True)
    try:
        with contextlib.ExitStack() as closing:
            server.run(sockets=[closing.enter_context(each) for each in listening])
    finally:
        reader.close()
    if watch.unreadable is not None:
        raise watch.unreadable
    if watch.lost:
        raise SystemExit(EX_TEMPFAIL)


def configured(watch: Watch, streams: Streams) -> uvicorn.Config:
    """Return what the web server is told, its limits above all."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    return uvicorn.Config(
        sockets.apart(application(watch, streams), watch.settings.ws_port),
        http=_Requests,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # whom a connection is with is what its socket says
        limit_concurrency=CONNECTIONS_MAX + sockets.CONNECTIONS_MAX,
        timeout_graceful_shutdown=STOP_SECONDS_MAX,
        lifespan="on",
        ws=Socket,
        ws_max_size=sockets.MESSAGE_BYTES_MAX,
        ws_ping_interval=sockets.PING_SECONDS,
        ws_ping_timeout=sockets.PONG_SECONDS,
        ws_per_message_deflate=False,  # a message would be unpacked before it is measured
    )


class _Dropping:
    """A transport that drops what is written once its connection ends, as asyncio's own do; uvloop's raise.

    Without it each client that leaves while it is answered would be a traceback in the log.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Write, as long as there is someone to read."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Requests(HttpToolsProtocol):
    """The server's side of a connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, on a transport that does not raise at its end."""
        super().connection_made(_Dropping(transport))  # type: ignore[arg-type]


class _Server(uvicorn.Server):
    """Ends at SIGTERM and SIGINT without raising them again: an end that was asked for is no failure."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.when_stopping: Callable[[], None] = lambda: None

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
    others = contextlib.ExitStack()
    upstream, gateway = _upstream(settings, others), _gateway(settings, others)
    services = {spec: Service(watch, spec, upstream, gateway) for spec in SPECS}

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
        return _json(refusal(unserved(request.url.path)), 404)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sampling = asyncio.create_task(watch.keep_sampling())
        yield
        others.close()
        sampling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampling

    return Starlette(
        routes=[
            *probes.routes(watch),
            *page.routes(streams),
            *(Route(path, rpc(services[spec]), methods=["POST"]) for path, spec in paths().items()),
            *sockets.routes(Sockets(Follower(watch), services, settings.rpc_cors)),
        ],
        middleware=[ANY_ORIGIN] if settings.rpc_cors else [],
        exception_handlers={404: unknown},
        lifespan=lifespan,
    )


def _upstream(settings: Settings, closing: contextlib.ExitStack) -> Upstream | None:
    url = settings.rpc_upstream
    return None if url is None else closing.enter_context(contextlib.closing(Upstream(url)))


def _gateway(settings: Settings, closing: contextlib.ExitStack) -> Gateway | None:
    url, key = settings.network.gateway_url, settings.gateway_api_key
    return closing.enter_context(contextlib.closing(Gateway(url, key))) if url else None


async def _body(request: Request) -> bytes | None:
    """Return the request's body, or None as soon as it is longer than allowed; of a client that left what came."""
    body = bytearray()
    with contextlib.suppress(ClientDisconnect):
        async for piece in request.stream():
            body += piece
            if len(body) > BODY_BYTES_MAX:
                return None
    return bytes(body)


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def bound(settings: Settings) -> list[socket.socket]:
    """Take the ports that are wanted: of HTTP, which takes WebSockets too, and of WebSockets alone.

    Raises ``SystemExit`` with code 78 if one cannot be had.
    """
    wanted = [
        ("HTTP", "http", settings.http_host, settings.http_port if settings.http else None),
        ("WebSocket", "ws", settings.ws_host, settings.ws_port),
    ]
    taken = []
    for name, option, host, port in wanted:
        if port is None:
            continue
        try:
            taken.append(bind(host, port, shared=settings.rpc_workers > 1))
        except CannotListen as error:
            log.error(cannot_serve(name, option, error))
            raise SystemExit(EX_CONFIG) from None
        log.info(f"Serving {name}", extra=fields(host=host, port=taken[-1].getsockname()[1]))
    return taken
