"""Felts as the specification writes them: 0x and hex digits without leading zeros."""

from starknet.felt import HasElements

FELT_BYTES = 32


def hex_of(value: bytes | None) -> str:
    """Write a felt or hash of any number of bytes; an absent one is 0."""
    return hex(int.from_bytes(value or b"", "big"))


def hex_in(message: HasElements) -> str:
    """Write the felt inside a wire message."""
    return hex(int.from_bytes(message.elements, "big"))


def hexes_of(joined: bytes) -> list[str]:
    """Write a row of felts of 32 bytes each. There are thousands in a block, so it is done by text alone."""
    if not joined:
        return []
    digits = joined.hex(",", FELT_BYTES).split(",")
    return ["0x" + (each.lstrip("0") or "0") for each in digits]
