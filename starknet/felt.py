"""Felts, the integers 0 … P-1 that all of Starknet is made of: lets through only bytes that are one."""

from typing import Protocol

P = 2**251 + 17 * 2**192 + 1
KEY_MAX = 2**251 - 1  # addresses, storage keys and class hashes are paths of 251 bits in a trie
HASH_BYTES = 32  # a felt as hashes take it
FELT_BYTES_MAX = HASH_BYTES


class FeltError(ValueError):
    """Bytes that are not a felt, or a felt outside the range its place allows."""


class FieldMissing(ValueError):
    """A required part of a wire message is absent or has a value the protocol does not know."""


class HasElements(Protocol):
    """Any wire message that carries one number as big-endian bytes (Felt252, Hash, Address, …)."""

    elements: bytes


class HasFields(Protocol):
    """Any wire message; only the presence of fields is asked."""

    def HasField(self, field_name: str, /) -> bool:  # noqa: N802  (protobuf's own name)
        """Whether the field was sent."""


def from_bytes(data: bytes) -> int:
    """The felt of up to 32 big-endian bytes (none at all is 0); raises FeltError for anything else."""
    if len(data) > FELT_BYTES_MAX:
        raise FeltError(f"felt of {len(data)} bytes")
    value = int.from_bytes(data, "big")
    if value >= P:
        raise FeltError("felt not below the field's prime")
    return value


def to_bytes32(felt: int) -> bytes:
    """The felt as exactly 32 big-endian bytes."""
    return felt.to_bytes(FELT_BYTES_MAX, "big")


def to_wire(felt: int) -> bytes:
    """The felt as the wire writes it: big-endian without leading zeros, 0 as no bytes."""
    return felt.to_bytes((felt.bit_length() + 7) // 8, "big")


def short(felt: int) -> str:
    """Short form for log lines, first and last four digits: ``0x4e88...42dc``; short numbers whole."""
    digits = f"{felt:x}"
    return f"0x{digits}" if len(digits) <= 8 else f"0x{digits[:4]}...{digits[-4:]}"


def short_string(text: str) -> int:
    """ASCII text as a big-endian integer, the protocol's way to put a name into a hash."""
    return int.from_bytes(text.encode("ascii"), "big")


def require(message: HasFields, *names: str) -> None:
    """Raises FieldMissing unless the message carries every one of the named submessages."""
    for name in names:
        if not message.HasField(name):
            raise FieldMissing(f"{type(message).__name__}.{name} is missing")


def value(field: HasElements) -> int:
    """The felt inside a wire message; raises FeltError."""
    return from_bytes(field.elements)


def key_value(field: HasElements) -> int:
    """The felt inside a wire message that serves as a trie key (below 2^251); raises FeltError."""
    return key_of(field.elements)


def key_of(data: bytes) -> int:
    """The felt of up to 32 big-endian bytes that serves as a trie key (below 2^251); raises FeltError."""
    felt = from_bytes(data)
    if felt > KEY_MAX:
        raise FeltError("trie key of more than 251 bits")
    return felt
