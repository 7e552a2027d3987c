"""Another node that is asked for what this one cannot do: run Cairo, compile, take transactions, read L1."""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError

from workers.rpc.errors import RpcError, internal_error
from workers.rpc.specs import Spec

AT_ONCE = 8
WAITING_MAX = 64
SECONDS_MAX = 30.0
ANSWER_BYTES_MAX = 32 << 20
VERSION = "{version}"
WHO = "upstream node"


class Threads:
    """Requests to another server run in threads, because the client is a blocking one; ``who`` is asked."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._pool = ThreadPoolExecutor(AT_ONCE, who)
        self._waiting = 0

    async def run(self, work: Callable[..., object], *arguments: object) -> object:
        """Return what ``work`` returns; error -32603 if more than ``WAITING_MAX`` wait already."""
        if self._waiting >= WAITING_MAX:
            raise internal_error(f"too many requests wait for the {self._who}")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, work, *arguments)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Start no further requests; those under way are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Upstream:
    """JSON-RPC of another node at ``url``, in which ``{version}`` stands for the version asked, such as v0_10."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._threads = Threads(WHO)

    async def ask(self, spec: Spec, method: str, params: Any) -> object:
        """Return the other node's result; raises ``RpcError``: the other's own, or -32603 if it cannot be had."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        url = self._url.replace(VERSION, spec.name)
        return await self._threads.run(_asked, url, json.dumps(request).encode())

    def close(self) -> None:
        """Start no further requests; those under way are not waited for."""
        self._threads.close()


def post(
    who: str, url: str, body: bytes, bytes_max: int, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    """Return status and text of an answer, good or not; error -32603 if there is none, or a longer one."""
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})
    try:
        with _opened(asked) as answer:
            status, text = answer.status, answer.read(bytes_max + 1)
    except (URLError, OSError, ValueError, HTTPException) as error:
        raise internal_error(f"the {who} does not answer: {error}"[:200]) from None
    if len(text) > bytes_max:
        raise internal_error(f"the {who}'s answer is above {bytes_max} bytes")
    return status, text


def _opened(asked: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(asked, timeout=SECONDS_MAX)
    except HTTPError as error:
        return error


def _asked(url: str, body: bytes) -> object:
    _, text = post(WHO, url, body, ANSWER_BYTES_MAX, {})
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise internal_error(f"the upstream node does not answer: {error}"[:200]) from None
    if not isinstance(told, dict):
        raise internal_error("the upstream node's answer is no JSON-RPC")
    if "result" in told:
        return told["result"]
    raise _error_of(told.get("error"))


def _error_of(error: Any) -> RpcError:
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        return internal_error("the upstream node's answer is no JSON-RPC")
    return RpcError(error["code"], str(error.get("message", "")), error.get("data"))
