"""JSON-RPC 2.0: lets through well-formed requests, answers each, alone or in a batch, within bounds of size and time.

It knows nothing of how requests come and answers go: HTTP and WebSocket give it a body and send what it returns.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

import orjson

from workers.log import fields, log
from workers.rpc.errors import (
    RpcError,
    internal_error,
    invalid_request,
    method_not_found,
    parse_error,
)
from workers.rpc.methods import Added, AnyMethod, Forwarded, Method, methods_of
from workers.rpc.params import arguments
from workers.rpc.specs import Spec
from workers.rpc.upstream import Upstream
from workers.rpc.view import Chain, View
from workers.rpc.writes import Gateway

BATCH_MAX = 256
DEPTH_MAX = 32  # lists and objects within each other; the specification's deepest request takes 9
BATCH_SECONDS = 30.0  # begun no later than this; what is left of the batch gets an error
ANSWER_BYTES_MAX = 64 << 20  # of a batch; what would go beyond it gets an error
NULL = b"null"


class Service:
    """One version of the specification over one chain. ``more`` are methods that only this caller has."""

    def __init__(
        self,
        chain: Chain,
        spec: Spec,
        upstream: Upstream | None = None,
        gateway: Gateway | None = None,
    ) -> None:
        self.chain = chain
        self.spec = spec
        self._methods = methods_of(spec)
        self._upstream = upstream
        self._gateway = gateway

    async def answer(
        self, body: bytes, more: Mapping[str, AnyMethod] | None = None
    ) -> bytes | None:
        """Answer one request or a batch; None if there is nothing to say (notifications only)."""
        try:
            request = _parsed(body)
        except RpcError as error:
            return _failed(NULL, error)
        if not isinstance(request, list):
            return await self._one(request, more or {})
        if not 0 < len(request) <= BATCH_MAX:
            problem = f"a batch holds 1 to {BATCH_MAX} requests"
            return _failed(NULL, invalid_request(problem))
        return await self._batch(request, more or {})

    async def _batch(self, requests: list[Any], more: Mapping[str, AnyMethod]) -> bytes | None:
        """Answer one after the other, and let others have their turn in between."""
        deadline = monotonic() + BATCH_SECONDS
        answers: list[bytes] = []
        size = 0
        for request in requests:
            if monotonic() > deadline:
                answer = _refused(request, f"the batch took longer than {BATCH_SECONDS:.0f} s")
            elif size > ANSWER_BYTES_MAX:
                answer = _refused(request, f"the answer is above {ANSWER_BYTES_MAX} bytes")
            else:
                answer = await self._one(request, more)
            if answer is not None:
                answers.append(answer)
                size += len(answer)
            await asyncio.sleep(0)
        return b"[" + b",".join(answers) + b"]" if answers else None

    async def _one(self, request: Any, more: Mapping[str, AnyMethod]) -> bytes | None:
        try:
            identity = _identity(request)
        except RpcError as error:
            return _failed(NULL, error)
        try:
            result = await self._counted(request, more)
        except RpcError as error:
            answer = _failed(identity, error)
        else:
            answer = b"".join((b'{"jsonrpc":"2.0","result":', _encode(result), _ending(identity)))
        return answer if "id" in request or not _is_valid(request) else None

    async def _counted(self, request: dict[str, Any], more: Mapping[str, AnyMethod]) -> object:
        """Call, and count the request by its method and its error by the code."""
        figures = self.chain.settings.figures
        name = str(request.get("method"))
        known = name if name in self._methods or name in more else "unknown"
        figures.count("hera_rpc_requests_total", method=known)
        try:
            with figures.timed("hera_rpc_request_duration_seconds"):
                return await self._call(request, more)
        except RpcError as error:
            figures.count("hera_rpc_errors_total", code=str(error.code))
            raise

    async def _call(self, request: dict[str, Any], more: Mapping[str, AnyMethod]) -> object:
        if not _is_valid(request):
            raise invalid_request()
        name, params = request["method"], request.get("params")
        params = [] if params is None else params
        method = self._methods.get(name) or more.get(name)
        if method is None:
            raise method_not_found()
        if isinstance(method, Forwarded):
            return await self._forward(name, method, params)
        try:
            return self._run(name, method, params)
        except RpcError as error:
            if self._upstream is None or error.code not in method.elsewhere:
                raise
        return await self._upstream.ask(self.spec, name, params)

    async def _forward(self, name: str, method: Forwarded, params: Any) -> object:
        if self._upstream is not None:
            return await self._upstream.ask(self.spec, name, params)
        if self._gateway is None or not isinstance(method, Added):
            raise method_not_found(method.lacks)
        return await self._gateway.add(self.spec, method.kind, method.transaction(params))

    def _run(self, name: str, method: Method, params: Any) -> object:
        view = View(self.chain, self.spec, self.chain.head())
        values = arguments(method.params, params)
        try:
            return method.run(view, *values)
        except RpcError:
            raise
        # a damaged store or our own fault: others, and the batch, are answered still
        except Exception as error:  # noqa: BLE001
            log.exception("A request failed", extra=fields(method=name))
            raise internal_error(type(error).__name__) from None


def refusal(why: str) -> bytes:
    """Return the answer to a body that was not read."""
    return _failed(NULL, invalid_request(why))


def notification(method: str, params: object) -> bytes:
    """Return what is told without being asked."""
    return _encode({"jsonrpc": "2.0", "method": method, "params": params})


def _parsed(body: bytes) -> Any:
    try:
        request = json.loads(body, parse_constant=_no_json)
    except (ValueError, RecursionError):
        raise parse_error() from None
    if _is_deeper(request, DEPTH_MAX):
        raise parse_error(f"lists and objects lie more than {DEPTH_MAX} deep")
    return request


def _no_json(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _is_deeper(tree: Any, depth: int) -> bool:
    level = [tree]
    for _ in range(depth):
        level = [
            below for each in level for below in _below(each) if isinstance(below, list | dict)
        ]
        if not level:
            return False
    return True


def _below(tree: Any) -> Iterable[Any]:
    if isinstance(tree, dict):
        return tree.values()
    return tree if isinstance(tree, list) else ()


def _identity(request: Any) -> bytes:
    """Return the request's id as JSON, null if it has none; error -32600 if there cannot be a request in it."""
    if not isinstance(request, dict):
        raise invalid_request()
    identity = request.get("id")
    if not isinstance(identity, str | int | None) or isinstance(identity, bool):
        raise invalid_request("id must be text or a whole number")
    return json.dumps(identity).encode()


def _is_valid(request: dict[str, Any]) -> bool:
    return request.get("jsonrpc") == "2.0" and isinstance(request.get("method"), str)


def _refused(request: Any, why: str) -> bytes | None:
    try:
        identity = _identity(request)
    except RpcError as error:
        return _failed(NULL, error)
    return _failed(identity, internal_error(why)) if "id" in request else None


def _failed(identity: bytes, error: RpcError) -> bytes:
    return b'{"jsonrpc":"2.0","error":' + _encode(error.object()) + _ending(identity)


def _ending(identity: bytes) -> bytes:
    return b',"id":' + identity + b"}"


def _encode(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except (
        TypeError
    ):  # a number of more than 64 bits or half a character, in a class's ABI or from upstream
        return json.dumps(value).encode()
