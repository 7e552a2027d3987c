"""Asks one peer for one range by a stream of its own; lets through only a whole answer, ended by ``Fin``."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from workers.component import Component, message_bytes_max
from workers.p2p import protocols
from workers.p2p.protocols import Range
from workers.p2p.streams import READ_BYTES, AnswerReader, BadAnswer, Stream, StreamBroken

AFTER_FIN_SECONDS = 5.0

Room = Callable[[int], Awaitable[None]]


class NoAnswer(Exception):
    """The peer gave no whole answer; nobody lied. ``rule`` names what it owed, ``str()`` says what happened."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule


class TooBig(Exception):
    """The answer is honest so far but larger than we take at once: ask for fewer blocks."""


@dataclass(frozen=True)
class Patience:
    """How long and how much. A peer may fall ``seconds`` behind the ``floor``; being early before does not help.

    So a message of n bytes takes at most ``seconds`` and n bytes at the floor, however quickly those before it came.
    """

    bytes_max: int = 64 << 20  # of one answer
    seconds: float = 20.0
    bytes_per_second_floor: int = 32 * 1024  # a tenth of what a poor line gives
    idle_seconds: float = 20.0  # without a byte


async def ask(
    open_stream: Callable[[], Awaitable[Stream]],
    component: Component,
    wanted: Range,
    patience: Patience,
    room: Room | None = None,
    messages_max: int | None = None,
) -> bytes:
    """Return the answer's messages as they came, without ``Fin``.

    An answer of more than ``messages_max`` messages is cut off after one too many. Headers are then refused; of the
    other parts that much is returned, because the fetch stage knows whether this peer lied, or the one of the headers.

    Between two reads ``room`` is told how many bytes have come; as long as it waits nothing is read, which the peer
    feels through the stream's window, and the peer's time stands still.

    Raises ``BadAnswer`` for what no honest peer sends, ``NoAnswer`` for silence, slowness, a reset or a missing
    ``Fin``, ``TooBig``, and what ``open_stream`` raises.
    """
    stream = await open_stream()
    whole = False
    try:
        await _request(stream, wanted, patience)
        reader = AnswerReader(
            protocols.FIN_FIELDS[component], message_bytes_max(component), messages_max
        )
        await _read(stream, reader, patience, room)
        if reader.is_over and component is Component.HEADERS:
            raise BadAnswer("headers.count", f"more than {messages_max}")
        if not reader.is_over:
            await _nothing_follows(stream)
            whole = True
        return reader.body
    except StreamBroken as error:
        raise NoAnswer("stream.reset", str(error)) from error
    finally:
        await (stream.close() if whole else stream.reset())


async def _request(stream: Stream, wanted: Range, patience: Patience) -> None:
    with trio.move_on_after(patience.idle_seconds) as scope:
        await stream.write(protocols.encode_request(wanted))
        await stream.close_write()
    if scope.cancelled_caught:
        raise NoAnswer("request.stalled", f"the request was not taken in {patience.idle_seconds} s")


async def _read(
    stream: Stream, reader: AnswerReader, patience: Patience, room: Room | None
) -> None:
    """Feed the reader until ``Fin``, or one message too many."""
    spare = patience.seconds  # how far the peer may still fall behind
    while not (reader.finished or reader.is_over):
        if room is not None:
            await room(reader.bytes_received)
        asked = trio.current_time()
        with trio.move_on_after(min(spare, patience.idle_seconds)) as scope:
            chunk = await stream.read(READ_BYTES)
        if scope.cancelled_caught:
            raise NoAnswer("stream.slow", f"too slow: {reader.bytes_received} bytes came")
        if not chunk:
            raise NoAnswer("fin.missing", f"no Fin after {reader.bytes_received} bytes")
        took = trio.current_time() - asked
        earned = len(chunk) / patience.bytes_per_second_floor
        spare = min(spare - took + earned, patience.seconds)
        reader.feed(chunk)
        if reader.bytes_received > patience.bytes_max:
            raise TooBig(f"more than {patience.bytes_max} bytes")


async def _nothing_follows(stream: Stream) -> None:
    """After ``Fin`` only the end may come; who leaves the stream open instead is not waited for."""
    # SYNC-SPEC: If a replying peer sends any additional messages after sending a fin message, they are considered
    # malicious and the connection with them should be dropped.
    with trio.move_on_after(AFTER_FIN_SECONDS):
        try:
            rest = await stream.read(READ_BYTES)
        except StreamBroken:
            return
        if rest:
            raise BadAnswer("fin.after", f"{len(rest)} bytes after Fin")
