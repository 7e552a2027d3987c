"""Parameters: lets through values of the kinds that the specification names, lenient in how a felt is written.

Every reader takes a JSON value and returns what methods work with, or raises ``RpcError`` -32602 that says why.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starknet.felt import KEY_MAX, P
from workers.rpc.errors import RpcError, invalid_params

LIST_MAX = 1024
NUMBER_MAX = 2**63 - 1
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,64}")


@dataclass(frozen=True)
class BlockHash:
    """A block named by its hash, 32 bytes."""

    value: bytes


@dataclass(frozen=True)
class BlockNumber:
    """A block named by its number."""

    value: int


@dataclass(frozen=True)
class BlockTag:
    """A block named by a word; whether the served version has it is for the method to say."""

    value: str


BlockId = BlockHash | BlockNumber | BlockTag
Read = Callable[[Any], Any]


@dataclass(frozen=True)
class Param:
    """One parameter: ``since`` is the first version that has it; one that is not required may be absent or null."""

    name: str
    read: Read
    required: bool = True
    default: Any = None
    since: tuple[int, int] = (0, 0)


def arguments(params: Sequence[Param], given: Any) -> list[Any]:
    """Read positional or named parameters in the method's order; names that are not known are let be.

    A later version of the specification may have more of them, all optional: a client of that version is answered.
    """
    if isinstance(given, list):
        if len(given) > len(params):
            raise invalid_params(f"{len(given)} parameters where there are at most {len(params)}")
        values = dict(zip((param.name for param in params), given, strict=False))
    elif isinstance(given, dict):
        values = given
    else:
        raise invalid_params("params is neither a list nor an object")
    return [_argument(param, values) for param in params]


def _argument(param: Param, values: Mapping[str, Any]) -> Any:
    value = values.get(param.name)
    if value is None:
        if param.required:
            raise invalid_params(f"{param.name} is missing")
        return param.default
    try:
        return param.read(value)
    except RpcError as error:
        raise RpcError(error.code, error.message, f"{param.name}: {error.data}") from None


def felt(value: Any) -> int:
    """Read a felt: 0x and up to 64 hex digits, leading zeros too."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise invalid_params("a felt is 0x and 1 to 64 hex digits, as text")
    number = int(value, 16)
    if number >= P:
        raise invalid_params("the felt is not below the field's prime")
    return number


def felt_bytes(value: Any) -> bytes:
    """Read a felt as 32 bytes."""
    return felt(value).to_bytes(32, "big")


def trie_key(value: Any) -> int:
    """Read a felt that is a path in a trie: below 2^251."""
    number = felt(value)
    if number > KEY_MAX:
        raise invalid_params("an address or key is below 2^251")
    return number


def natural(value: Any) -> int:
    """Read a whole number from 0 on."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= NUMBER_MAX:
        raise invalid_params("not a whole number from 0 on")
    return value


def list_of(read: Read, longest: int = LIST_MAX) -> Read:
    """Make a reader of lists, of up to ``longest`` items."""

    def read_list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise invalid_params("not a list")
        if len(value) > longest:
            raise invalid_params(f"a list of {len(value)} where {longest} is the most")
        return [read(item) for item in value]

    return read_list


def flags(*known: str) -> Read:
    """Make a reader of a list of flags; it returns the set of those given."""

    def flag(value: Any) -> str:
        if value not in known:
            raise invalid_params(f"a flag is one of {', '.join(known)}")
        return str(value)

    read_list = list_of(flag)
    return lambda value: frozenset(read_list(value))


def block_id(value: Any) -> BlockId:
    """Read a tag, or an object with a hash or a number."""
    if isinstance(value, str):
        return BlockTag(value)
    if isinstance(value, dict) and len(value) == 1:
        if "block_hash" in value:
            return BlockHash(felt_bytes(value["block_hash"]))
        if "block_number" in value:
            return BlockNumber(natural(value["block_number"]))
    raise invalid_params("a block is a tag, or an object with block_hash or block_number")
