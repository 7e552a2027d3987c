"""JSON-RPC 2.0: lets through well-formed requests to the methods that need only the head; the rest gets an error."""

import json
from collections.abc import Callable
from typing import Any, Protocol

from workers.settings import Settings
from workers.store import Head

SPEC_VERSION = "0.10.2"
BATCH_MAX = 256

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
NO_BLOCKS = 32


class Chain(Protocol):
    """What the methods ask of the node."""

    @property
    def settings(self) -> Settings:
        """The node's settings."""
        ...

    def head(self) -> Head | None:
        """Return the last stored block."""
        ...

    def started(self) -> Head | None:
        """Return the last stored block at the time the server began."""
        ...

    def target(self) -> int | None:
        """Return the highest block heard of."""
        ...


class RpcError(Exception):
    """An error of JSON-RPC or of the Starknet specification."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def object(self) -> dict[str, Any]:
        """Return the error object."""
        known = {"code": self.code, "message": self.message}
        return known if self.data is None else known | {"data": self.data}


def answer(body: bytes, chain: Chain) -> dict[str, Any] | list[dict[str, Any]] | None:
    """Answer one request or a batch; None if there is nothing to say (notifications only)."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return _failed(None, RpcError(PARSE_ERROR, "Parse error"))
    if not isinstance(request, list):
        return _one(request, chain)
    if not 0 < len(request) <= BATCH_MAX:
        problem = f"a batch holds 1 to {BATCH_MAX} requests"
        return _failed(None, RpcError(INVALID_REQUEST, "Invalid Request", problem))
    answers = [_one(single, chain) for single in request]
    return [each for each in answers if each is not None] or None


def felt(value: bytes) -> str:
    """Write a hash as the specification does: 0x and hex digits without leading zeros."""
    return hex(int.from_bytes(value, "big"))


def _one(request: object, chain: Chain) -> dict[str, Any] | None:
    if not isinstance(request, dict):
        return _failed(None, RpcError(INVALID_REQUEST, "Invalid Request"))
    identity = request.get("id")
    if not isinstance(identity, str | int | None) or isinstance(identity, bool):
        problem = "id must be text or a whole number"
        return _failed(None, RpcError(INVALID_REQUEST, "Invalid Request", problem))
    try:
        result = _call(request, chain)
    except RpcError as error:
        return _failed(identity, error)
    return {"jsonrpc": "2.0", "result": result, "id": identity} if "id" in request else None


def _call(request: dict[str, Any], chain: Chain) -> object:
    name = request.get("method")
    if request.get("jsonrpc") != "2.0" or not isinstance(name, str):
        raise RpcError(INVALID_REQUEST, "Invalid Request")
    method = _METHODS.get(name)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, "Method Not Found")
    if request.get("params", []) not in ([], {}):
        raise RpcError(INVALID_PARAMS, "Invalid Params", f"{name} takes none")
    return method(chain)


def _failed(identity: str | int | None, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": error.object(), "id": identity}


def _need_head(chain: Chain) -> Head:
    head = chain.head()
    if head is None:
        raise RpcError(NO_BLOCKS, "There are no blocks")
    return head


def _chain_id(chain: Chain) -> object:
    return hex(chain.settings.network.chain_id_felt)


def _block_number(chain: Chain) -> object:
    return _need_head(chain).number


def _block_hash_and_number(chain: Chain) -> object:
    head = _need_head(chain)
    return {"block_hash": felt(head.block_hash), "block_number": head.number}


def _syncing(chain: Chain) -> object:
    """Return false at the head, else where the node began, is and goes; a hash it cannot know yet is 0x0."""
    head, target = chain.head(), chain.target()
    if target is None or (head is not None and target <= head.number):
        return False
    began, now = _named("starting", chain.started()), _named("current", head)
    return began | now | {"highest_block_hash": "0x0", "highest_block_num": target}


def _named(name: str, head: Head | None) -> dict[str, object]:
    return {
        f"{name}_block_hash": "0x0" if head is None else felt(head.block_hash),
        f"{name}_block_num": 0 if head is None else head.number,
    }


def _spec_version(_: Chain) -> object:
    return SPEC_VERSION


_METHODS: dict[str, Callable[[Chain], object]] = {
    "starknet_specVersion": _spec_version,
    "starknet_chainId": _chain_id,
    "starknet_blockNumber": _block_number,
    "starknet_blockHashAndNumber": _block_hash_and_number,
    "starknet_syncing": _syncing,
}
