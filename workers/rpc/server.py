"""The node's HTTP server: ``/status``, ``/health`` and JSON-RPC at a path for each version.

Everything runs in one thread but questions to the broker and to an upstream node, since a Reader belongs to one
thread. Nothing that is asked of it takes long by itself: see ``events.PAGE_SECONDS`` and the bounds of lists.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.link import BrokerLost, Link
from workers.exits import EX_CONFIG, EX_TEMPFAIL
from workers.listening import CannotListen, bind
from workers.log import fields, log
from workers.rpc.felts import hex_of
from workers.rpc.jsonrpc import Service, refusal
from workers.rpc.specs import SPECS, paths
from workers.rpc.upstream import Upstream
from workers.settings import Settings
from workers.store import Head, StoreError
from workers.store.reader import Reader

BODY_BYTES_MAX = 10 << 20
BODY_SECONDS_MAX = 20.0
CONNECTIONS_MAX = 128
STOP_SECONDS_MAX = 1
REFRESH_SECONDS = 0.1  # the view follows the writer at most this often
SAMPLE_SECONDS = 1.0
IDLE_SAMPLE_SECONDS = 5.0  # at the head, and nobody has asked for the status for so long
TICK_SECONDS = 0.5
STATS_SECONDS_MAX = 2.0
SPEED_SECONDS = 30.0  # blocks/s is measured over this time
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
    config = uvicorn.Config(
        application(watch),
        log_config=None,
        access_log=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=STOP_SECONDS_MAX,
        lifespan="on",
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    server = _Server(config)
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
        self.force_exit = self.should_exit  # at the second signal
        self.should_exit = True

    async def main_loop(self) -> None:
        """Look twice a second whether to end; the library's loop, at ten times a second, is what an idle node feels."""
        while not await self.on_tick(0):
            await asyncio.sleep(TICK_SECONDS)


class Watch:
    """What the server knows: the store's head now, the broker's figures of the last second, the recent speed."""

    def __init__(
        self,
        settings: Settings,
        reader: Reader,
        stats: Callable[[float], dict[str, Any]],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.settings = settings
        self.reader = reader
        self.lost = False
        self.unreadable: StoreError | None = None
        self.when_lost: Callable[[], None] = lambda: None
        self._ask = stats
        self._clock = clock
        self._refreshed = -REFRESH_SECONDS
        self._stats: dict[str, Any] = {}
        self._heads: deque[tuple[float, int]] = deque()
        self._started = reader.head()
        self._asked_at = -SPEED_SECONDS
        self._asked = asyncio.Event()  # ends the long pause of an idle node

    def started(self) -> Head | None:
        """Return the last stored block at the time this process began."""
        return self._started

    def head(self) -> Head | None:
        """Return the last stored block, at most ``REFRESH_SECONDS`` behind."""
        now = self._clock()
        if now - self._refreshed >= REFRESH_SECONDS:
            self._refreshed = now
            try:
                self.reader.refresh()
            except (
                StoreError
            ) as error:  # this process ends by it; until then the view stays as it is
                self.unreadable = error
                self.when_lost()
        return self.reader.head()

    def target(self) -> int | None:
        """Return the highest block that a source heard of, never below the head."""
        heard = [int(s["target"]) for s in self._statuses().values() if _is_count(s.get("target"))]
        head = self.head()
        own = [] if head is None else [head.number]
        return max(heard + own, default=None)

    def status(self) -> dict[str, Any]:
        """Return the answer of ``/status``."""
        self._asked_at = self._clock()
        self._asked.set()
        head, target = self.head(), self.target()
        statuses = self._statuses()
        number = -1 if head is None else head.number
        return {
            "version": self.settings.version,
            "network": self.settings.network.name,
            "chain_id": self.settings.network.chain_id,
            "role": _role(self.settings),
            "head": None if head is None else _head(head),
            "target": target,
            "syncing": target is not None and target > number,
            "stuck": next(filter(None, (s.get("stuck") for s in statuses.values())), None),
            "peers": _p2p(statuses)["peers"],
            "p2p": _p2p(statuses),
            "blocks_per_second": round(self.speed(), 2),
            "queues": self._stats.get("topics", {}),
            "workers": statuses,
        }

    def speed(self) -> float:
        """Return blocks a second over the samples of the last ``SPEED_SECONDS``."""
        if len(self._heads) < 2:
            return 0.0
        (began, first), (ended, last) = self._heads[0], self._heads[-1]
        return max(0, last - first) / (ended - began) if ended > began else 0.0

    def note(self) -> None:
        """Take one sample of the head for ``speed``."""
        head, now = self.head(), self._clock()
        self._heads.append((now, -1 if head is None else head.number))
        while self._heads[0][0] < now - SPEED_SECONDS:
            self._heads.popleft()

    async def keep_sampling(self) -> None:
        """Sample head and broker each second, less often while idle, until cancelled or the broker is lost."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "stats") as asker:
            while True:
                self.note()
                try:
                    self._stats = await loop.run_in_executor(asker, self._ask, STATS_SECONDS_MAX)
                except TimeoutError:
                    log.debug("The broker did not answer in time")
                except BrokerLost:
                    self.lost = True
                    self.when_lost()
                    return
                await asyncio.sleep(SAMPLE_SECONDS)
                self._asked.clear()
                if self._is_idle():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._asked.wait(), IDLE_SAMPLE_SECONDS)

    def _is_idle(self) -> bool:
        """Whether the head stands still and nobody has asked for it of late."""
        stands = self._heads[0][1] == self._heads[-1][1]
        return stands and self._clock() - self._asked_at > IDLE_SAMPLE_SECONDS

    def _statuses(self) -> dict[str, dict[str, Any]]:
        workers = self._stats.get("workers", {})
        return {name: _flat(record) for name, record in workers.items()}


def application(watch: Watch) -> Starlette:
    """Build the application that answers from ``watch``."""

    async def status(_: Request) -> Response:
        return JSONResponse(watch.status())

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

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
            Route("/status", status),
            Route("/health", health),
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
        log.error(f"Cannot serve HTTP on {error}: choose another --http-port or --http-host")
        raise SystemExit(EX_CONFIG) from None


def _role(settings: Settings) -> str:
    if settings.p2p is None:
        return "gateway"
    return "feeder" if settings.p2p.serve_only else "peer"


def _head(head: Head) -> dict[str, Any]:
    return {
        "number": head.number,
        "hash": hex_of(head.block_hash),
        "state_root": hex_of(head.state_root),
    }


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Join what the broker knows of a worker with what the worker said of itself."""
    status = record.get("status")
    known = {name: value for name, value in record.items() if name != "status"}
    said = status if isinstance(status, dict) else {}
    return known | {name: value for name, value in said.items() if name != "series"}


def _p2p(statuses: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Sum up what the p2p process says: its peers, and how many parts of blocks it gave them."""
    said = statuses.get("p2p", {})
    counts = {name: int(value) for name, value in said.items() if _is_count(value)}
    return {
        "peers": counts.get("peers", 0),
        "served": sum(n for name, n in counts.items() if name.startswith("blocks_served_")),
        "requests_served": counts.get("requests_served", 0),
        "bytes_out": counts.get("bytes_out", 0),
    }


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
