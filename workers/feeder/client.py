"""Speaks with a feeder gateway: lets through JSON answers, within bounds of size, time and tries.

FeederError
* NotThere      the gateway has no such block or class
* BadAnswer     the gateway answered what no feeder gateway answers
* Unreachable   no answer, only overload, or a refusal of all that we ask
"""

import json
import random
import threading
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from starknet.felt import to_bytes32
from workers.feeder.limit import OVERLOADED, Limit, seconds_of
from workers.feeder.transfer import Answer, NoAnswer, Slow, Transfer, Unreadable
from workers.metrics import Figures

Json = dict[str, Any]

TRIES_MAX = 4
BACKOFF_SECONDS = 0.25  # doubled at each try, and jittered
BACKOFF_SECONDS_MAX = 8.0
LIMIT_SECONDS = (
    1.0  # the same, where the gateway is asked too often and does not say when to come back
)
LIMIT_SECONDS_MAX = 30.0
TIMEOUTS_SECONDS = (5.0, 10.0, 20.0, 40.0)  # for the first try that is too slow, the second …
VALUES_MAX = 2 << 20  # in one answer: a value takes many times its bytes once it is read
API_KEY_HEADER = "X-Throttling-Bypass"
ABSENT = ("BLOCK_NOT_FOUND", "UNDECLARED_CLASS", "NOT_FOUND")


class FeederError(Exception):
    """Something the gateway did; the text is one line."""


class NotThere(FeederError):
    """The gateway has no such block or class."""


class BadAnswer(FeederError):
    """The gateway answered what no feeder gateway answers."""


class Unreachable(FeederError):
    """The gateway gave no answer of use after all tries; ``hint`` says what to do."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class Gateway:
    """One feeder gateway; safe for calls from several threads. ``stop`` ends all waiting for it.

    ``timeouts_s`` are for the whole of a request: the first until it was too short, then the next, up to the last.
    """

    def __init__(
        self,
        url: str,
        stop: threading.Event,
        figures: Figures | None = None,
        *,
        api_key: str | None = None,
        timeouts_s: tuple[float, ...] = TIMEOUTS_SECONDS,
        tries_max: int = TRIES_MAX,
    ) -> None:
        self.url = base_url(url)
        self._figures = figures or Figures()
        self._stop = stop
        self._timeouts_s = timeouts_s
        self._tries_max = tries_max
        self.limit = Limit(stop, self._figures)
        headers = {} if api_key is None else {API_KEY_HEADER: api_key}
        self._transfer = Transfer(self.url, stop, headers)

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
        self._transfer.close()

    def latest(self) -> tuple[int, bytes] | None:
        """Return number and hash of the gateway's last block; None while it has none."""
        try:
            answer = self._object("get_block", {"blockNumber": "latest", "headerOnly": "true"})
        except NotThere:
            return None
        number = answer.get("block_number")
        if not isinstance(number, int) or not 0 <= number < 1 << 64:
            raise BadAnswer("get_block of the latest block has no usable block_number")
        return number, _hash_of(answer, "the latest block")

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
        return _hash_of(answer, f"block {number}")

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
        body = self._get(path, params)
        if sum(body.count(mark) for mark in (b",", b"[", b"{")) > VALUES_MAX:
            raise BadAnswer(f"{path} has more than {VALUES_MAX} values")
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise BadAnswer(f"{path} is not JSON") from None

    def _get(self, path: str, params: dict[str, str]) -> bytes:
        """Return the body of a good answer; another try only where another may help."""
        trouble = Unreachable(f"{self.url} was not asked: stopping")
        slow = 0
        for tried in range(self._tries_max):
            if tried and self._stop.wait(backoff(tried, BACKOFF_SECONDS, BACKOFF_SECONDS_MAX)):
                break
            if not self.limit.wait():
                break
            try:
                answer = self._once(path, params, self._timeouts_s[slow])
            except Slow as error:
                slow = min(slow + 1, len(self._timeouts_s) - 1)
                trouble = self._trouble(
                    "timeout", f"gave {error}", "raise --gw-timeout if the line is slow"
                )
            except NoAnswer as error:
                trouble = self._trouble(
                    "connection", f"does not answer: {error}", "check --feeder-url and the network"
                )
            else:
                if answer.status == httpx.codes.OK:
                    return answer.body
                trouble = self._judge(path, answer, tried + 1)
        raise trouble

    def _once(self, path: str, params: dict[str, str], seconds: float) -> Answer:
        """Ask once, and count it: by its HTTP status, 0 where no whole answer came."""
        status = 0
        try:
            with self._figures.timed("hera_feeder_request_duration_seconds", endpoint=path):
                answer = self._transfer.get(path, params, seconds)
            status = answer.status
            self._figures.count("hera_feeder_bytes_total", answer.bytes_came, endpoint=path)
            return answer
        except Unreadable as error:
            raise BadAnswer(f"{path} {error}") from None
        finally:
            self._figures.count("hera_feeder_requests_total", endpoint=path, status=str(status))

    def _judge(self, path: str, answer: Answer, tries: int) -> Unreachable:
        """Return what is wrong with an answer that may be better next time; raises where it will not be."""
        status, later = answer.status, seconds_of(answer.retry_after)
        if status == OVERLOADED or (
            status == httpx.codes.SERVICE_UNAVAILABLE and later is not None
        ):
            if later is None:
                later = backoff(tries, LIMIT_SECONDS, LIMIT_SECONDS_MAX)
            self.limit.hold(later, status)
            hint = "--gw-api-key lifts the limit for who has a key"
            return self._trouble("limited", f"wants to be asked less (HTTP status {status})", hint)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return self._trouble("server", f"fails with HTTP status {status}", "")
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise self._trouble(
                "refused", f"refuses us (HTTP status {status})", "check --gw-api-key"
            )
        raise _refusal(path, answer)

    def _trouble(self, reason: str, what: str, hint: str) -> Unreachable:
        self._figures.count("hera_feeder_failures_total", reason=reason)
        return Unreachable(f"{self.url} {what}", hint)


def fetch_public_key(
    url: str, api_key: str | None = None, timeouts_s: tuple[float, ...] = TIMEOUTS_SECONDS
) -> int:
    """Ask a gateway once for its sequencer's key (x); raises FeederError, one clear line."""
    stop = threading.Event()
    with Gateway(url, stop, api_key=api_key, timeouts_s=timeouts_s, tries_max=1) as gateway:
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


def _hash_of(answer: Json, which: str) -> bytes:
    try:
        return to_bytes32(int(str(answer["block_hash"]), 16))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise BadAnswer(f"get_block of {which} has no usable block_hash") from None


def _refusal(path: str, answer: Answer) -> FeederError:
    """Read one of Starknet's own error bodies."""
    if answer.location is not None:
        return BadAnswer(f"{path} is moved to {answer.location[:200]}: correct --feeder-url")
    try:
        refusal = json.loads(answer.body)
        code, message = str(refusal["code"]), str(refusal["message"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return BadAnswer(f"{path} got HTTP status {answer.status}")
    if code.rpartition(".")[2] in ABSENT:
        return NotThere(message[:200])
    return BadAnswer(f"{path} got {code[:80]}: {message[:200]}")
