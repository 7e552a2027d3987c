"""One question to a gateway over HTTP: lets through a whole answer within bounds of time and size, or says why not.

The client has an event loop of its own, for only there a time-out holds for all of a request: finding the host,
connecting, and headers or a body that come drop by drop.
"""

import asyncio
import threading
import zlib
from collections.abc import Mapping
from concurrent.futures import wait
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

CONNECTIONS_MAX = 8
BODY_BYTES_MAX = 64 << 20  # as it comes, and unpacked
STOP_SECONDS = 0.2  # how late a stop is noticed
CLOSE_SECONDS_MAX = 3.0
GZIP = 16 + zlib.MAX_WBITS
PLAIN, PACKED = ("", "identity"), ("gzip", "x-gzip")


class NoAnswer(Exception):
    """No whole answer came; the text says why."""


class Slow(NoAnswer):
    """No whole answer came in time."""


class Unreadable(Exception):
    """An answer came whose body is too long or cannot be unpacked; the text says which."""


@dataclass(frozen=True)
class Answer:
    """One whole answer; ``body`` is unpacked, ``bytes_came`` counts it as it was sent. ``retry_after`` is a header."""

    status: int
    body: bytes
    bytes_came: int
    retry_after: str | None
    location: str | None


class Transfer:
    """Connections to one host, kept open between requests. Any thread may ask; ``stop`` ends all waiting."""

    def __init__(self, url: str, stop: threading.Event, headers: Mapping[str, str]) -> None:
        self._stop = stop
        secure = urlsplit(url).scheme == "https"
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Accept-Encoding": "gzip", **headers},
            timeout=None,  # the time-out is for the whole request
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX
            ),
            verify=secure,  # without https there is nothing to verify, and loading certificates is slow
            follow_redirects=False,  # another host must not see the API key
            trust_env=not _is_loopback(url),  # a proxy cannot reach this machine's own ports
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http", daemon=True)
        self._thread.start()

    def get(self, path: str, params: Mapping[str, str], seconds: float) -> Answer:
        """Ask once; raises NoAnswer, Slow after ``seconds``, and Unreadable."""
        asked = asyncio.run_coroutine_threadsafe(self._get(path, params, seconds), self._loop)
        while not wait([asked], STOP_SECONDS).done:
            if self._stop.is_set():
                asked.cancel()
                raise NoAnswer("stopping")
        return asked.result()

    def close(self) -> None:
        """End what is under way, and close all connections."""
        ended = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        wait([ended], CLOSE_SECONDS_MAX)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS_MAX)
        self._loop.close()

    async def _get(self, path: str, params: Mapping[str, str], seconds: float) -> Answer:
        try:
            async with (
                asyncio.timeout(seconds),
                self._http.stream("GET", path, params=params) as response,
            ):
                body, came = await _read(response)
        except TimeoutError:
            raise Slow(f"no whole answer within {seconds:g} s") from None
        except httpx.RequestError as error:
            raise NoAnswer(str(error) or type(error).__name__) from None
        headers = response.headers
        return Answer(
            response.status_code, body, came, headers.get("retry-after"), headers.get("location")
        )

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._http.aclose()
        await self._loop.shutdown_asyncgens()


async def _read(response: httpx.Response) -> tuple[bytes, int]:
    """Return the unpacked body and how many bytes came; never unpacks more than the bound."""
    packing = response.headers.get("content-encoding", "").strip().lower()
    if packing not in PLAIN + PACKED:
        raise Unreadable(f"is packed as {packing[:40]}, which was not asked for")
    unpacker = zlib.decompressobj(GZIP) if packing in PACKED else None
    body, came = bytearray(), 0
    async for piece in response.aiter_raw():
        came += len(piece)
        body += piece if unpacker is None else _unpack(unpacker, piece, len(body))
        if max(came, len(body)) > BODY_BYTES_MAX:
            raise Unreadable(f"is longer than {BODY_BYTES_MAX >> 20} MiB")
    if unpacker is not None and not unpacker.eof:
        raise Unreadable("ends in the middle of its gzip data")
    return bytes(body), came


def _unpack(unpacker: "zlib._Decompress", piece: bytes, length: int) -> bytes:
    if unpacker.eof:
        raise Unreadable("goes on behind its gzip data")
    try:
        return unpacker.decompress(piece, BODY_BYTES_MAX + 1 - length)
    except zlib.error as error:
        raise Unreadable(f"is no gzip data: {error}") from None


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
