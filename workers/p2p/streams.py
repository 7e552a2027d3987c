"""What a stream of a sync protocol is to this process, and the two ways of reading one, both bounded."""

import sys
from collections.abc import Callable
from typing import Protocol

import trio

READ_BYTES = 256 * 1024
WRITE_BYTES_MAX = 128 * 1024  # so often is seen whether the peer reads
WRITE_BYTES_MIN = 64 * 1024  # smaller writes cost up to 50 times more CPU a byte
VARINT_BYTES_MAX = 5  # a length of up to 35 bits; far above any allowed message


class StreamBroken(Exception):
    """The stream ended without its sender's FIN: reset, or the connection is gone."""


class Stream(Protocol):
    """A stream to one peer. It must be ended by ``close`` or ``reset``."""

    @property
    def peer(self) -> str:
        """The PeerID of the other side, base58."""
        ...

    @property
    def address(self) -> str:
        """What counts as one address of the other side; empty once the connection is gone."""
        ...

    async def read(self, size: int) -> bytes:
        """Return 1…size bytes, or b"" after the peer's FIN. Raises ``StreamBroken``."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of ``data``. Raises ``StreamBroken``."""
        ...

    async def close_write(self) -> None:
        """Send FIN; the other direction stays open."""
        ...

    async def close(self) -> None:
        """Send FIN and read no more."""
        ...

    async def reset(self) -> None:
        """End both directions at once."""
        ...


class BadRequest(Exception):
    """A request that is no request; the stream is reset."""


class BadAnswer(Exception):
    """An answer that no honest peer sends. ``rule`` names what it broke."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


async def read_request(stream: Stream, bytes_max: int, seconds: float) -> bytes:
    """Read until the peer's half-close.

    Raises ``BadRequest`` over ``bytes_max`` or ``seconds``, ``StreamBroken`` where the stream was reset.
    """
    request = bytearray()
    with trio.move_on_after(seconds) as scope:
        while chunk := await stream.read(READ_BYTES):
            request += chunk
            if len(request) > bytes_max:
                raise BadRequest(f"request of more than {bytes_max} bytes")
    if scope.cancelled_caught:
        raise BadRequest(f"request not finished in {seconds} s")
    return bytes(request)


class Writer:
    """Joins and cuts parts to writes of ``WRITE_BYTES_MIN`` … ``WRITE_BYTES_MAX``; ``flush`` sends the rest.

    ``count`` is told the bytes of each write that is done.
    """

    def __init__(self, stream: Stream, count: Callable[[int], None]) -> None:
        self._stream = stream
        self._count = count
        self._waiting: list[bytes] = []
        self._size = 0

    async def write(self, data: bytes) -> None:
        """Keep or send ``data``."""
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= WRITE_BYTES_MIN:
            await self.flush()

    async def flush(self) -> None:
        """Send all that is kept."""
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        for start in range(0, len(data), WRITE_BYTES_MAX):
            piece = data[start : start + WRITE_BYTES_MAX]
            await self._stream.write(piece)
            self._count(len(piece))


class AnswerReader:
    """Takes an answer's bytes as they come; knows the borders of its messages and ``Fin``, decodes nothing.

    ``body`` holds the whole messages so far, with their lengths and without ``Fin``. One message more than
    ``messages_max`` is the last that is taken.
    """

    def __init__(
        self, fin_field: int, message_bytes_max: int, messages_max: int | None = None
    ) -> None:
        assert 0 < fin_field < 16, "a tag of one byte"
        self._fin_tag = fin_field << 3 | 2
        self._message_max = message_bytes_max
        self._messages_left = sys.maxsize if messages_max is None else messages_max
        self._received = bytearray()
        self._position = 0  # of the first message that is not whole yet
        self.finished = False  # Fin has come
        self.is_over = False  # more messages have come than may

    def feed(self, chunk: bytes) -> None:
        """Take more bytes; raise ``BadAnswer`` for what is over a limit, empty, or after ``Fin``."""
        if self.finished:
            raise BadAnswer("fin.after", f"{len(chunk)} bytes after Fin")
        self._received += chunk
        received, position, size = self._received, self._position, len(self._received)
        while position < size:
            length, payload = message_length(received, position, self._message_max)
            if payload == 0 or payload + length > size:
                break
            if received[payload] == self._fin_tag:
                self._finish(position, payload + length)
                return
            position = payload + length
            self._messages_left -= 1
            if self._messages_left < 0:
                self.is_over = True
                break
        self._position = position

    @property
    def body(self) -> bytes:
        """The messages that are whole, as they came."""
        return bytes(memoryview(self._received)[: self._position])

    @property
    def bytes_received(self) -> int:
        """How many bytes have come."""
        return len(self._received)

    def _finish(self, position: int, end: int) -> None:
        self._position = position
        self.finished = True
        if end < len(self._received):
            raise BadAnswer("fin.after", f"{len(self._received) - end} bytes after Fin")


class MessageReader:
    """Takes length-delimited messages off a stream, one at a time."""

    def __init__(self, stream: Stream, message_bytes_max: int) -> None:
        self._stream = stream
        self._message_max = message_bytes_max
        self._received = bytearray()

    async def next(self) -> bytes | None:
        """The next message, or None once the peer has sent FIN. Raises ``BadAnswer`` and ``StreamBroken``."""
        while True:
            length, payload = message_length(self._received, 0, self._message_max)
            if payload and len(self._received) >= payload + length:
                message = bytes(self._received[payload : payload + length])
                del self._received[: payload + length]
                return message
            chunk = await self._stream.read(self._message_max)
            if not chunk:
                return None
            self._received += chunk


def message_length(received: bytearray, position: int, message_max: int) -> tuple[int, int]:
    """A message's length and where its payload begins; (0, 0) while the length itself is not whole.

    Raises ``BadAnswer`` for a length above ``message_max`` and for none.
    """
    length = 0
    available = min(len(received) - position, VARINT_BYTES_MAX)
    for index in range(available):
        byte = received[position + index]
        length |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if length > message_max:
                raise BadAnswer("message.oversize", f"{length} bytes, {message_max} allowed")
            if length == 0:
                raise BadAnswer("message.empty", "a message without content")
            return length, position + index + 1
    if available == VARINT_BYTES_MAX:
        raise BadAnswer("message.oversize", "a length of more than 35 bits")
    return 0, 0
