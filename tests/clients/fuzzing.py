"""One client that asks a node whatever it draws, and what each answer has to be."""

import http.client
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jsonschema_rs

from tests.clients.requests import Json, Specification, broken, spoilt
from tests.workers.rpc.support import schemas
from workers.rpc.methods import ALL, Added, Forwarded
from workers.rpc.specs import paths

ANSWER_SECONDS_MAX = 10.0
CONNECTION_REQUESTS = 200  # then it is made anew
BATCH_MOST = 300  # a few more than are taken
PROTOCOL_CODES = {
    -32700: "Parse error",
    -32600: "Invalid Request",
    -32601: "Method not found",
    -32602: "Invalid params",
}
# an internal error is a finding, but for these: they are said on purpose
SAID = ("the tries are just being changed", "the answer is above", "the batch took longer")


class Finding(AssertionError):
    """An answer that must not be; the text has what was sent."""


class Fuzzer:
    """Draws requests for one node; ``kinds`` counts them, ``slowest`` is the longest wait, ``codes`` what came."""

    def __init__(self, port: int, specifications: list[Specification], seed: str) -> None:
        self.kinds: Counter[str] = Counter()
        self.codes: Counter[object] = Counter()
        self.slowest = 0.0
        self._port = port
        self._draw = random.Random(seed)
        self._specifications = specifications
        self._paths = {
            each.spec.name: [path for path, spec in paths().items() if spec == each.spec]
            for each in specifications
        }
        self._connection = self._connect()
        self._sent = 0

    def __str__(self) -> str:
        """What was asked and answered."""
        asked, kinds, codes = sum(self.kinds.values()), dict(self.kinds), dict(self.codes)
        return (
            f"{asked} requests {kinds}, answers {codes}, the slowest {self.slowest * 1e3:.0f} ms;"
        )

    def close(self) -> None:
        """Leave no connection open."""
        self._connection.close()

    def step(self) -> None:
        """Ask once. Raises ``Finding``."""
        kind = self._draw.choices(
            ("valid", "spoilt", "batch", "broken", "http", "raw"), (40, 40, 4, 12, 3, 1)
        )[0]
        self.kinds[kind] += 1
        specification = self._draw.choice(self._specifications)
        with self._timed():
            getattr(self, f"_{kind}")(specification)

    def ask_well(self, specification: Specification, asked: Json) -> None:
        """Ask what the specification allows. Raises ``Finding``."""
        told = self._answer(specification, asked)
        code = told.get("error", {}).get("code")
        if code == -32602 or told["id"] != asked["id"]:
            raise Finding(f"a valid request was refused: {asked} -> {told}")
        method = ALL[asked["method"]]
        forwarded = isinstance(method, Forwarded) and not isinstance(method, Added)
        if (code == -32601) != forwarded:
            raise Finding(f"known and unknown methods are mixed up: {asked} -> {told}")

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.slowest = max(self.slowest, time.monotonic() - began)

    # ---- kinds ----------------------------------------------------------------------------------------------

    def _valid(self, specification: Specification) -> None:
        self.ask_well(specification, specification.request(self._draw))

    def _spoilt(self, specification: Specification) -> None:
        asked = specification.request(self._draw)
        for _ in range(self._draw.choice((1, 1, 2, 5))):
            asked = spoilt(asked, self._draw)
        self._answer(specification, asked)

    def _batch(self, specification: Specification) -> None:
        count = self._draw.choice((0, 1, 3, 20, BATCH_MOST))
        asked: list[Any] = [specification.request(self._draw) for _ in range(min(count, 20))]
        asked = [spoilt(each, self._draw) if self._draw.random() < 0.3 else each for each in asked]
        asked *= max(1, count // 20)
        self._answer(specification, asked)

    def _broken(self, specification: Specification) -> None:
        body = json.dumps(specification.request(self._draw)).encode()
        self._checked(specification, broken(body, self._draw))

    def _http(self, specification: Specification) -> None:
        """Another method, path, type or length than a client has."""
        path = self._draw.choice((*self._paths[specification.spec.name], "/rpc/v0_99", "/%00"))
        method = self._draw.choice(("GET", "PUT", "DELETE", "OPTIONS", "HEAD", "POST", "BREW"))
        body = json.dumps(specification.request(self._draw)).encode()
        headers = self._draw.choice(
            (
                {"Content-Type": "text/plain; charset=utf-16"},
                {"Content-Encoding": "gzip"},
                {"Accept": "image/png"},
                {"Expect": "100-continue"},
                {"X": "x" * 60_000},
            )
        )
        status, _ = self._ask(method, path, body, headers)
        if status >= 500:
            raise Finding(f"{status} for {method} {path} {headers} {body!r}")

    def _raw(self, specification: Specification) -> None:
        """Bytes that are no HTTP, or not all of it."""
        body = json.dumps(specification.request(self._draw)).encode()
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
        sent = self._draw.choice(
            (
                self._draw.randbytes(200),
                head % (len(body) + 10) + body,
                head % (len(body) - 3) + body,
                b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                broken((head % len(body)).replace(b"a", b"b") + body, self._draw),
            )
        )
        with socket.create_connection(("127.0.0.1", self._port), ANSWER_SECONDS_MAX) as raw:
            told = b""
            try:
                raw.sendall(sent)
                raw.shutdown(socket.SHUT_WR)
                while piece := raw.recv(1 << 16):
                    told += piece
            except TimeoutError:
                raise Finding(f"no answer in {ANSWER_SECONDS_MAX} s to {sent!r}") from None
            except OSError:
                pass  # cut, which is an answer
        if told.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5")):
            raise Finding(f"{told[:200]!r} for {sent!r}")

    # ---- answers --------------------------------------------------------------------------------------------

    def _answer(self, specification: Specification, asked: Any) -> Json:
        told: Json = self._checked(specification, json.dumps(asked).encode(), asked)
        return told

    def _checked(self, specification: Specification, body: bytes, asked: Any = None) -> Any:
        """Send a body and return the answer, once it is one that JSON-RPC and the specification allow."""
        path = self._draw.choice(self._paths[specification.spec.name])
        status, said = self._ask("POST", path, body, {"Content-Type": "application/json"})
        try:
            assert status == 200, f"status {status}"
            if not said:
                assert not (isinstance(asked, dict) and "id" in asked), "nothing was said"
                return {}
            told = json.loads(said)
            for each, one in _pairs(told, asked):
                self._check_one(specification, each, one)
        except (AssertionError, ValueError, KeyError, jsonschema_rs.ValidationError) as error:
            raise Finding(f"{error!r}\n{path} {body[:3000]!r}\n-> {said[:3000]!r}") from None
        return told

    def _check_one(self, specification: Specification, told: Any, asked: Any) -> None:
        assert isinstance(told, dict)
        assert told["jsonrpc"] == "2.0"
        assert told.keys() in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
        if isinstance(asked, dict) and isinstance(asked.get("id"), str | int):
            kept = asked["id"] if not isinstance(asked["id"], bool) else None
            assert told["id"] == kept, "another id"
        if "error" in told:
            self._check_error(specification, told["error"])
            return
        self.codes["result"] += 1
        if isinstance(asked, dict):
            method = asked["method"].removeprefix("starknet_")
            schemas(specification.spec).check(method, told["result"])

    def _check_error(self, specification: Specification, error: Json) -> None:
        code, message = error["code"], error["message"]
        self.codes[code] += 1
        if code == -32603:
            assert any(words in str(error.get("data")) for words in SAID), "an internal error"
        elif code in PROTOCOL_CODES:
            assert message == PROTOCOL_CODES[code]
        else:
            assert message in specification.errors()[code], "not the specification's words"

    # ---- HTTP -----------------------------------------------------------------------------------------------

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS_MAX)

    def _ask(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        self._sent += 1
        if self._sent % CONNECTION_REQUESTS == 0:
            self._connection.close()
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except TimeoutError:
            self._connection.close()
            what = f"{method} {path} {headers} {body[:3000]!r}"
            raise Finding(f"no answer in {ANSWER_SECONDS_MAX} s to {what}") from None
        except (ConnectionError, http.client.HTTPException):  # cut after a refusal: ask anew
            self._connection.close()
            return 0, b""


def _pairs(told: Any, asked: Any) -> list[tuple[Any, Any]]:
    """Return each answer with its request, as far as that is known: a batch leaves notifications unanswered."""
    if not isinstance(told, list):
        return [(told, asked)]
    assert told, "an empty batch"
    if isinstance(asked, list) and len(told) == len(asked):
        return list(zip(told, asked, strict=True))
    return [(each, None) for each in told]
