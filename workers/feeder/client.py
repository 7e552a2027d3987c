"""Speaks with a feeder gateway over HTTP: lets through JSON answers, within bounds of size, time and tries.

FeederError
* NotThere      the gateway has no such block or class
* BadAnswer     the gateway answered what no feeder gateway answers
* Unreachable   no answer at all, or only overload, after several tries
"""

import json
import random
import threading
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from starknet.felt import to_bytes32
from workers.metrics import Figures

Json = dict[str, Any]

TRIES_MAX = 4
BACKOFF_SECONDS = 0.25  # doubled at each try, and jittered
BACKOFF_SECONDS_MAX = 8.0
CONNECT_SECONDS_MAX = 4.0
READ_SECONDS_MAX = 8.0  # between two pieces of an answer; also how long a stop may wait
ANSWER_BYTES_MAX = 256 << 20  # unpacked
CONNECTIONS_MAX = 8
ABSENT = ("BLOCK_NOT_FOUND", "UNDECLARED_CLASS", "NOT_FOUND")
OVERLOADED = 429


class FeederError(Exception):
    """Something the gateway did; the text is one line."""


class NotThere(FeederError):
    """The gateway has no such block or class."""


class BadAnswer(FeederError):
    """The gateway answered what no feeder gateway answers."""


class Unreachable(FeederError):
    """The gateway gave no answer after ``TRIES_MAX`` tries."""


class Gateway:
    """One feeder gateway; safe for calls from several threads. ``stop`` ends waiting for another try."""

    def __init__(self, url: str, stop: threading.Event, figures: Figures | None = None) -> None:
        self.url = base_url(url)
        self._figures = figures or Figures()
        self._stop = stop
        self.date: str | None = None  # what the last answer said of the time
        secure = urlsplit(self.url).scheme == "https"
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(READ_SECONDS_MAX, connect=CONNECT_SECONDS_MAX, pool=None),
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX
            ),
            verify=secure,  # without https there is nothing to verify, and loading certificates is slow
            follow_redirects=secure,
            trust_env=not _is_loopback(self.url),  # a proxy cannot reach this machine's own ports
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def block_with_state_update(self, number: int) -> tuple[Json, Json]:
        """Return block and state update of one number, in one request."""
        answer = self._object(
            "get_state_update", {"blockNumber": str(number), "includeBlock": "true"}
        )
        block, state_update = answer.get("block"), answer.get("state_update")
        if not isinstance(block, dict) or not isinstance(state_update, dict):
            raise BadAnswer(
                f"get_state_update of block {number} lacks the block or its state update"
            )
        return block, state_update

    def has_block(self, number: int) -> bool:
        """Whether the gateway knows this block at all."""
        try:
            self._object("get_block", {"blockNumber": str(number)})
        except NotThere:
            return False
        return True

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash of a block; None for one that the gateway does not have."""
        try:
            answer = self._object("get_block", {"blockNumber": str(number), "headerOnly": "true"})
        except NotThere:
            return None
        try:
            return to_bytes32(int(str(answer["block_hash"]), 16))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise BadAnswer(f"get_block of block {number} has no usable block_hash") from None

    def signature(self, number: int) -> Json:
        """Return the sequencer's signature of one block."""
        return self._object("get_signature", {"blockNumber": str(number)})

    def class_definition(self, class_hash: int) -> Json:
        """Return the definition of one class."""
        return self._object("get_class_by_hash", {"classHash": hex(class_hash)})

    def public_key(self) -> int:
        """Return the x of the key that the gateway says its blocks are signed with."""
        answer = self._json("get_public_key", {})
        try:
            return int(answer, 16)
        except (TypeError, ValueError):
            raise BadAnswer("get_public_key is not a hexadecimal number") from None

    def _object(self, path: str, params: dict[str, str]) -> Json:
        answer = self._json(path, params)
        if not isinstance(answer, dict):
            raise BadAnswer(f"{path} is not a JSON object")
        return answer

    def _json(self, path: str, params: dict[str, str]) -> Any:
        try:
            return json.loads(self._get(path, params))
        except (ValueError, RecursionError):
            raise BadAnswer(f"{path} is not JSON") from None

    def _get(self, path: str, params: dict[str, str]) -> bytes:
        """Return the body of a good answer; another try only where another may help."""
        cause = "stopping"
        for tried in range(TRIES_MAX):
            if tried and self._stop.wait(backoff(tried, BACKOFF_SECONDS, BACKOFF_SECONDS_MAX)):
                break
            try:
                status, body = self._once(path, params)
            except httpx.DecodingError as error:
                raise BadAnswer(f"{path} cannot be unpacked: {error}") from None
            except httpx.TransportError as error:
                cause = str(error) or type(error).__name__
                continue
            if status == httpx.codes.OK:
                return body
            if status != OVERLOADED and status < httpx.codes.INTERNAL_SERVER_ERROR:
                raise _refusal(path, status, body)
            cause = f"HTTP status {status}"
        raise Unreachable(f"{self.url} does not answer: {cause}")

    def _once(self, path: str, params: dict[str, str]) -> tuple[int, bytes]:
        """Ask once, and count it: by its HTTP status, 0 where no whole answer came."""
        status = 0
        try:
            with self._figures.timed("hera_feeder_request_duration_seconds", endpoint=path):
                status, body = self._answer(path, params)
        finally:
            self._figures.count("hera_feeder_requests_total", endpoint=path, status=str(status))
        return status, body

    def _answer(self, path: str, params: dict[str, str]) -> tuple[int, bytes]:
        with self._http.stream("GET", path, params=params) as response:
            self.date = response.headers.get("date")
            body = bytearray()
            for piece in response.iter_bytes():
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    raise BadAnswer(f"{path} is longer than {ANSWER_BYTES_MAX} bytes")
            return response.status_code, bytes(body)


def fetch_public_key(url: str) -> int:
    """Ask a gateway for its sequencer's key (x); raises FeederError, one clear line."""
    with Gateway(url, threading.Event()) as gateway:
        return gateway.public_key()


def base_url(url: str) -> str:
    """Return the URL that paths are added to; ``/feeder_gateway/`` may be left out."""
    trimmed = url.rstrip("/")
    if urlsplit(trimmed).scheme not in ("http", "https") or not urlsplit(trimmed).hostname:
        raise BadAnswer(f"feeder URL {url!r} is not an http or https URL")
    return trimmed + ("/" if trimmed.endswith("/feeder_gateway") else "/feeder_gateway/")


def backoff(tried: int, first: float, most: float) -> float:
    """Seconds to wait after ``tried`` failures: doubled each time, up to ``most``, a third of it random."""
    return min(most, first * 2.0 ** min(tried - 1, 16)) * random.uniform(2 / 3, 1)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _refusal(path: str, status: int, body: bytes) -> FeederError:
    """Read one of Starknet's own error bodies."""
    try:
        answer = json.loads(body)
        code, message = str(answer["code"]), str(answer["message"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return BadAnswer(f"{path} got HTTP status {status}")
    if code.rpartition(".")[2] in ABSENT:
        return NotThere(message[:200])
    return BadAnswer(f"{path} got {code[:80]}: {message[:200]}")
