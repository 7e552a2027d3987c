"""Felts as the specification writes them: 0x and hex digits without leading zeros."""

from orjson import Fragment

from starknet.felt import HasElements
from starknet.native import felts_json

FELT_BYTES = 32


def hex_of(value: bytes | None) -> str:
    """Write a felt or hash of any number of bytes; an absent one is 0."""
    return hex(int.from_bytes(value or b"", "big"))


def hex_in(message: HasElements) -> str:
    """Write the felt inside a wire message."""
    return hex(int.from_bytes(message.elements, "big"))


def hexes_of(joined: bytes | None) -> Fragment:
    """Write a row of felts of 32 bytes each as a list, ready for the answer: a block has tens of thousands."""
    return Fragment(felts_json(joined or b""))
