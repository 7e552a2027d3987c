"""Varint-length-delimited messages: cuts a body into its payloads and joins payloads into a body."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from starknet import native

SPANS_AT_ONCE = 256  # looked for; whoever stops early has paid for no more


class MalformedBody(ValueError):
    """A body that is not a row of length-delimited payloads within the allowed size."""


class Serializable(Protocol):
    """Any wire message."""

    def SerializeToString(self) -> bytes:  # noqa: N802  (protobuf's own name)
        """The message's bytes."""


def split(body: bytes | memoryview, message_max: int) -> Iterator[memoryview]:
    """The payloads of a body in order, without copying; ``message_max`` is in bytes. Raises MalformedBody."""
    view = memoryview(body)
    for _, payload, end in spans(view, message_max):
        yield view[payload:end]


def spans(body: bytes | memoryview, message_max: int) -> Iterator[tuple[int, int, int]]:
    """Where each message lies: (start of its length, start of its payload, end); ``message_max`` in bytes.

    Raises MalformedBody at a length above ``message_max``, a cut-off payload, or a bad varint.
    """
    start = 0
    while start < len(body):
        try:
            found = native.wire_spans(body, start, SPANS_AT_ONCE, message_max)
        except ValueError as broken:
            raise MalformedBody(str(broken)) from broken
        yield from found
        start = found[-1][2]


def join(messages: Iterable[Serializable | bytes | memoryview]) -> bytes:
    """One body out of messages (or of their bytes), each preceded by its length."""
    return b"".join(part for message in messages for part in _framed(message))


def varint(number: int) -> bytes:
    """A non-negative integer as base-128 bytes, lowest group first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _framed(message: Serializable | bytes | memoryview) -> tuple[bytes, bytes | memoryview]:
    payload = message if isinstance(message, bytes | memoryview) else message.SerializeToString()
    return varint(len(payload)), payload
