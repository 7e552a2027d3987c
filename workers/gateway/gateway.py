"""The feeder gateway over HTTP: its paths, its parameters and its own error bodies."""

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from workers.gateway.source import ChainSource, GatewayError
from workers.listening import CannotListen, bind
from workers.log import fields, log

CONNECTIONS_MAX = 128
STOP_SECONDS_MAX = 3
UINT64_MAX = (1 << 64) - 1
FELT_BITS = 252


def serve(
    source: ChainSource,
    host: str,
    port: int,
    *,
    listening: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve ``source`` until SIGTERM, SIGINT or ``stop``; ``listening`` gets the URL once it answers.

    Port 0 takes a free port. Raises GatewayError, one clear line, when the address cannot be had.
    """
    bound = _bind(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
    config = uvicorn.Config(
        application(source),
        log_config=None,
        access_log=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=STOP_SECONDS_MAX,
        lifespan="off",
        ws="none",
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    server = _Server(config, lambda: _announce(url, listening), stop or threading.Event())
    with bound, _signals_end_quietly():
        server.run(sockets=[bound])


def application(source: ChainSource) -> Starlette:
    """Build the application that answers for ``source``."""
    answers = _Answers(source)
    prefix = "/feeder_gateway/"
    return Starlette(
        routes=[
            Route(prefix + "is_alive", _alive),
            Route(prefix + "get_block", answers.get_block),
            Route(prefix + "get_state_update", answers.get_state_update),
            Route(prefix + "get_signature", answers.get_signature),
            Route(prefix + "get_class_by_hash", answers.get_class),
            Route(prefix + "get_compiled_class_by_class_hash", answers.get_compiled_class),
            Route(prefix + "get_public_key", answers.get_public_key),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=1024, compresslevel=1)],
        exception_handlers={_Refused: _refuse},
    )


class _Refused(Exception):
    """A request that is answered with one of Starknet's error bodies and status 400."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Answers:
    """One method a path. They run in threads, since reading and generating blocks take time."""

    def __init__(self, source: ChainSource) -> None:
        self._source = source

    def get_block(self, request: Request) -> Response:
        return self._by_block(request, self._source.block)

    def get_state_update(self, request: Request) -> Response:
        if _flag(request, "includeBlock"):
            return self._by_block(request, self._with_block)
        return self._by_block(request, self._source.state_update)

    def get_signature(self, request: Request) -> Response:
        return self._by_block(request, self._source.signature)

    def get_class(self, request: Request) -> Response:
        return self._by_class(request, self._source.class_definition)

    def get_compiled_class(self, request: Request) -> Response:
        return self._by_class(request, self._source.compiled_class)

    def get_public_key(self, request: Request) -> Response:
        key = self._source.public_key()
        if key is None:
            raise _Refused("StarknetErrorCode.NOT_FOUND", "No public key was recorded.")
        return _json(key)

    def _with_block(self, number: int) -> bytes | None:
        block = self._source.block(number)
        state_update = self._source.state_update(number)
        if block is None or state_update is None:
            return None
        return b'{"block": ' + block + b', "state_update": ' + state_update + b"}"

    def _by_block(self, request: Request, find: Callable[[int], bytes | None]) -> Response:
        number = self._number(request)
        found = find(number)
        if found is None:
            raise _unknown_block(f"number {number}")
        return _json(found)

    def _by_class(self, request: Request, find: Callable[[int], bytes | None]) -> Response:
        class_hash = _felt(request, "classHash")
        found = find(class_hash)
        if found is None:
            raise _Refused(
                "StarknetErrorCode.UNDECLARED_CLASS",
                f"Class with hash {class_hash:#x} is not declared.",
            )
        return _json(found)

    def _number(self, request: Request) -> int:
        if "blockHash" in request.query_params:
            block_hash = _felt(request, "blockHash")
            number = self._source.number_of(block_hash)
            if number is None:
                raise _unknown_block(f"hash {block_hash:#x}")
            return number
        text = request.query_params.get("blockNumber", "pending")
        if text in ("latest", "pending"):
            latest = self._source.latest()
            if latest is None:
                raise _unknown_block(f"number {text}")
            return latest
        return _uint64(text)


async def _alive(_: Request) -> Response:
    return PlainTextResponse("FeederGateway is alive!")


async def _refuse(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, _Refused)
    return JSONResponse({"code": refused.code, "message": refused.message}, status_code=400)


def _unknown_block(which: str) -> _Refused:
    return _Refused("StarknetErrorCode.BLOCK_NOT_FOUND", f"Block {which} was not found.")


def _malformed(message: str) -> _Refused:
    return _Refused("StarkErrorCode.MALFORMED_REQUEST", message)


def _uint64(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= UINT64_MAX):
        raise _malformed(
            f"Block ID should be in the range [0, {UINT64_MAX}] or latest, got: {text[:80]}."
        )
    return int(text)


def _felt(request: Request, name: str) -> int:
    text = request.query_params.get(name)
    if text is None:
        raise _malformed(f"Key not found: {name}.")
    digits = text[2:] if text[:2] in ("0x", "0X") else ""
    if not (0 < len(digits) <= 66 and all(c in "0123456789abcdefABCDEF" for c in digits)):
        raise _malformed(
            f"{name} should be a hexadecimal string starting with 0x, got: {text[:80]}."
        )
    value = int(digits, 16)
    if value >> FELT_BITS:
        raise _malformed(f"{name} is out of range, got: {text[:80]}.")
    return value


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text.lower() not in ("true", "false"):
        raise _malformed(f"{name} should be true or false, got: {text[:80]}.")
    return text.lower() == "true"


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _bind(host: str, port: int) -> socket.socket:
    try:
        return bind(host, port)
    except CannotListen as error:
        raise GatewayError(
            f"the gateway cannot listen on {error}: choose another port or host"
        ) from error


class _Server(uvicorn.Server):
    """Says so once it answers requests, and ends when it is told to."""

    def __init__(
        self, config: uvicorn.Config, announce: Callable[[], None], stop: threading.Event
    ) -> None:
        super().__init__(config)
        self._announce = announce
        self._stop = stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._stop.is_set()


def _announce(url: str, listening: Callable[[str], None] | None) -> None:
    log.info("Feeder gateway listening", extra=fields(url=url))
    if listening is not None:
        listening(url)


@contextlib.contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """The server raises the signal that stopped it again; a stop that was asked for is no failure."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
