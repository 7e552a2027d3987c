"""What the broker and its workers say to each other; the only place where the order of frames is written.

Every message is ``[head, frame, frame, ...]``. The head is one version byte, one command byte, and the msgpack list of
the command's fields; the frames behind it are a message of a topic, opaque to the broker. The pattern is Majordomo's
(ZeroMQ RFC 18): the worker speaks first, says how much it can take, and does not stop saying that it lives.
"""

import os
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import msgpack

VERSION = 1
"""Of the commands below. Raise it when their fields change."""

MESSAGE_VERSION = 2
"""Of the messages inside. Raise it when a field of ``workers.messages`` changes; the broker refuses other workers."""

BEAT_S = 1.0
SILENCE_S = 5.0  # five beats lost: dead
HELLO_S = 10.0  # how long a worker waits for a broker that is still starting
CREDIT_MAX = 16_384
FRAME_BYTES_MAX = 512 << 20
FRAMES_MAX = 65_536  # of one multipart message; a range of 100 blocks gives about 200
HEAD_BYTES_MAX = 1 << 20
NAME_BYTES_MAX = 128


class ProtocolError(ValueError):
    """The other side sent what the protocol does not have."""


class OtherVersion(ProtocolError):
    """The other side speaks another version of the commands."""


class Command(IntEnum):
    """Each with its fields. ``| message`` means: the frames of one message follow."""

    # worker -> broker
    HELLO = 1  # worker, message version, topics taken, topics given, credit; then a frame: the realm (tcp:// only)
    BEAT = 2  # status (opaque)
    GIVE = 3  # topic, sequence, priority | message
    DONE = 4  # tickets, [[topic, priority, frames], ...] | message | message ...
    AGAIN = 5  # ticket, delay_ms
    BEGIN = (
        6  # ticket now worked on (0: none), for blame; not said by who always works on the oldest
    )
    STATS = 7  # request
    BYE = 8  #

    # broker -> worker
    WELCOME = 64  # broker instance
    REFUSED = 65  # reason; do not come back
    PULSE = 66  # broker instance
    WORK = 67  # ticket, topic, deliveries | message
    KEPT = 68  # topic, sequence: everything given below it is in the queue
    FULL = 69  # topic, sequence: this and all later ones were not kept; wait for ROOM
    ROOM = 70  # topic, sequence: give again from here
    FIGURES = 71  # request, msgpack
    STRANGER = 72  # you are not known here: the broker was restarted, or took you for dead


_FIELDS: dict[int, list[type]] = {
    Command.HELLO: [str, int, list, list, int],
    Command.BEAT: [bytes],
    Command.GIVE: [str, int, int],
    Command.DONE: [list, list],
    Command.AGAIN: [int, int],
    Command.BEGIN: [int],
    Command.STATS: [int],
    Command.BYE: [],
    Command.WELCOME: [bytes],
    Command.REFUSED: [str],
    Command.PULSE: [bytes],
    Command.WORK: [int, str, int],
    Command.KEPT: [str, int],
    Command.FULL: [str, int],
    Command.ROOM: [str, int],
    Command.FIGURES: [int, bytes],
    Command.STRANGER: [],
}
_PREFIX = {command: bytes((VERSION, command)) for command in Command}


def head(command: Command, *fields: Any) -> bytes:
    """Return the head frame of one message."""
    packed: bytes = msgpack.packb(fields)
    return _PREFIX[command] + packed


def parse(frame: bytes | memoryview) -> tuple[Command, list[Any]]:
    """Return the command and its fields, each of its declared type; nested lists are for the reader to check."""
    if len(frame) < 3 or len(frame) > HEAD_BYTES_MAX:
        raise ProtocolError(f"a head of {len(frame)} bytes")
    if frame[0] != VERSION:
        raise OtherVersion(f"protocol version {frame[0]} instead of {VERSION}")
    declared = _FIELDS.get(frame[1])
    if declared is None:
        raise ProtocolError(f"command {frame[1]} is unknown")
    fields = _unpack(frame[2:])
    if [type(field) for field in fields] != declared:
        raise ProtocolError(f"{Command(frame[1]).name} has other fields")
    return Command(frame[1]), fields


def pack_map(values: dict[str, Any]) -> bytes:
    """Pack a status or the broker's figures."""
    packed: bytes = msgpack.packb(values)
    return packed


def unpack_map(blob: bytes) -> dict[str, Any]:
    """Return what ``pack_map`` packed; an empty blob is an empty map."""
    try:
        values = msgpack.unpackb(blob) if blob else {}
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise ProtocolError(f"not msgpack: {error}") from error
    if type(values) is not dict:
        raise ProtocolError("not a map")
    return values


def readable(figures: dict[str, Any]) -> dict[str, Any]:
    """Unpack what workers say of themselves in a broker's figures; what cannot be read is as good as unsaid."""
    for worker in figures["workers"].values():
        try:
            worker["status"] = unpack_map(worker["status"])
        except ProtocolError:
            worker["status"] = {}
    return figures


def new_instance() -> bytes:
    """Return what tells this broker from the one before it on the same endpoint."""
    return os.urandom(8)


def names(values: Sequence[Any]) -> tuple[str, ...]:
    """Return the list as names, or raise."""
    if not all(type(value) is str and len(value) <= NAME_BYTES_MAX for value in values):
        raise ProtocolError("not a list of names")
    return tuple(values)


def _unpack(packed: bytes | memoryview) -> list[Any]:
    try:
        fields = msgpack.unpackb(packed, max_ext_len=0, max_map_len=0)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise ProtocolError(f"fields are not msgpack: {error}") from error
    if type(fields) is not list:
        raise ProtocolError("fields are not a list")
    return fields
