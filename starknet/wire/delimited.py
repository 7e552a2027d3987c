"""Varint-length-delimited messages: cuts a body into its payloads and joins payloads into a body."""

from collections.abc import Iterable, Iterator
from typing import Protocol

VARINT_BYTES_MAX = 5  # a length of up to 35 bits; far above any allowed message


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
        length, payload = _varint(body, start)
        if length > message_max:
            raise MalformedBody(f"message of {length} bytes, {message_max} allowed")
        end = payload + length
        if end > len(body):
            raise MalformedBody(f"message of {length} bytes is cut off")
        yield start, payload, end
        start = end


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


def _varint(body: bytes | memoryview, position: int) -> tuple[int, int]:
    """The varint at ``position`` and the position after it; only the shortest form is allowed."""
    number = shift = 0
    for byte in body[position : position + VARINT_BYTES_MAX]:
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift > 0:
                raise MalformedBody("length is not in its shortest form")
            return number, position
        shift += 7
    if shift < 7 * VARINT_BYTES_MAX:
        raise MalformedBody("length is cut off")
    raise MalformedBody("length of more than 35 bits")
