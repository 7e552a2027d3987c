"""Another node that is asked for what this one cannot do: run Cairo, compile, take transactions, read L1."""

import asyncio
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import URLError

from workers.rpc.errors import RpcError, internal_error
from workers.rpc.specs import Spec

AT_ONCE = 8
WAITING_MAX = 64
SECONDS_MAX = 30.0
ANSWER_BYTES_MAX = 32 << 20
VERSION = "{version}"


class Upstream:
    """JSON-RPC of another node at ``url``, in which ``{version}`` stands for the version asked, such as v0_10.

    Requests run in threads, because the client is a blocking one; more than ``WAITING_MAX`` are refused.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = ThreadPoolExecutor(AT_ONCE, "upstream")
        self._waiting = 0

    async def ask(self, spec: Spec, method: str, params: Any) -> object:
        """Return the other node's result; raises ``RpcError``: the other's own, or -32603 if it cannot be had."""
        if self._waiting >= WAITING_MAX:
            raise internal_error("too many requests wait for the upstream node")
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        url = self._url.replace(VERSION, spec.name)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, _post, url, json.dumps(request).encode())
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Start no further requests; those under way are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _post(url: str, body: bytes) -> object:
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=SECONDS_MAX) as answer:
            text = answer.read(ANSWER_BYTES_MAX + 1)
        if len(text) > ANSWER_BYTES_MAX:
            raise internal_error(f"the upstream node's answer is above {ANSWER_BYTES_MAX} bytes")
        told = json.loads(text)
    except (URLError, OSError, ValueError, RecursionError) as error:
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
