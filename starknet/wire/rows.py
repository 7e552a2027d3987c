"""Wire messages as flat rows: lets through only felts that are felts, as the 32 bytes that hashes take.

A row is a named tuple with a value for every field of a message, also of the messages within it, which then bear
the names of both: ``resource_bounds_l1_gas``. Fields of a ``common`` message lie beside it, under their own names.
"""

from collections import namedtuple
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from starknet import native
from starknet.felt import FeltError, FieldMissing
from starknet.wire.parse import bytes_of

_FELTS = ("Felt252", "Hash", "Address", "EthereumAddress")
_FELT, _FELT_LIST, _NUMBER32, _NUMBER64, _BYTES, _TEXT = range(6)
_MESSAGE, _MESSAGES, _ONE_OF, _MEMBER = range(6, 10)
_SCALARS = {
    FieldDescriptor.TYPE_UINT32: _NUMBER32,
    FieldDescriptor.TYPE_ENUM: _NUMBER32,
    FieldDescriptor.TYPE_UINT64: _NUMBER64,
    FieldDescriptor.TYPE_BYTES: _BYTES,
    FieldDescriptor.TYPE_STRING: _TEXT,
}
_STEP = 3  # bytes of a field in the plan
_Column = tuple[str, bytes]  # its name, what the plan has of it

Chosen = tuple[int, bytes]
"""Which member of a oneof is there, and its bytes."""

Row = Any  # a named tuple; which fields it has is up to the type of message


class Shape:
    """Which columns the messages of one type have.

    A felt is 32 bytes, or None where it is absent; a list of felts is joined, a list of messages is one of their
    bytes; of a message within it a row says whether it is there, of a oneof which member, or None.
    """

    def __init__(self, kind: Any) -> None:  # a Descriptor, of which the stubs know two
        columns = list(_columns(kind, ""))
        self.name: str = kind.name
        self.columns = [name for name, _ in columns]
        self._plan = b"".join(plan for _, plan in columns)
        row = namedtuple(kind.name, self.columns)  # type: ignore[misc]
        self._row = partial(tuple.__new__, row)

    def rows(self, messages: Iterable[Message]) -> list[Row]:
        """A row for each message; raises FeltError."""
        return self.rows_of_bytes(bytes_of(messages))

    def rows_of_bytes(self, messages: Sequence[bytes]) -> list[Row]:
        """As ``rows``, of messages as the wire has them; FeltError also where they are no messages."""
        try:
            return list(map(self._row, native.wire_rows(self._plan, messages)))
        except ValueError as error:
            raise FeltError(str(error)) from error


class OneOf:
    """The messages of which another message holds one: lets through a row of whichever it is."""

    def __init__(self, kind: Any, name: str) -> None:  # a Descriptor, as above
        self._name = f"{kind.name}.{name}"
        self._holder = Shape(kind)
        self._column = self._holder.columns.index(name)
        fields = kind.oneofs_by_name[name].fields
        self.shapes = {field.name: Shape(field.message_type) for field in fields}
        self._names = list(self.shapes)

    def rows(self, chosen: Sequence[Chosen | None]) -> list[tuple[str, Row]]:
        """The name and the row of each message; raises FieldMissing where there is none, and FeltError."""
        messages: dict[int, list[bytes]] = {}
        for one in chosen:
            if one is None:
                raise FieldMissing(f"{self._name} is missing")
            messages.setdefault(one[0], []).append(one[1])
        rows = {
            place: zip(repeat(name), self.shapes[name].rows_of_bytes(messages[place]))
            for place, name in enumerate(self._names)
            if place in messages
        }
        return [next(rows[one[0]]) for one in chosen if one]

    def members(self, name: str, messages: Sequence[bytes]) -> list[bytes]:
        """The bytes of the member of that name out of the messages that hold it, empty where it is absent."""
        place = self._names.index(name)
        rows = self._holder.rows_of_bytes(messages)
        chosen = [row[self._column] for row in rows]
        return [one[1] if one and one[0] == place else b"" for one in chosen]


def _columns(kind: Any, prefix: str) -> Iterator[_Column]:
    for field in kind.fields:
        members = field.containing_oneof.fields if field.containing_oneof else [field]
        if len(members) == 1:
            yield from _of_field(field, prefix)
        elif members[0].name == field.name:
            plan = b"".join(bytes([member.number, _MEMBER, 0]) for member in members)
            yield prefix + field.containing_oneof.name, bytes([0, _ONE_OF, len(members)]) + plan


def _of_field(field: FieldDescriptor, prefix: str) -> list[_Column]:
    name = prefix + field.name
    below: list[_Column] = []
    if field.message_type is None:
        column = _SCALARS[field.type]
    elif field.message_type.name in _FELTS:
        column = _FELT_LIST if field.is_repeated else _FELT
    elif field.is_repeated:
        column = _MESSAGES
    else:
        column = _MESSAGE
        below = list(_columns(field.message_type, prefix if field.name == "common" else f"{name}_"))
    steps = sum(len(plan) for _, plan in below) // _STEP
    return [(name, bytes([field.number, column, steps])), *below]


def present(row: Row, *names: str) -> None:
    """Raises FieldMissing unless the row's message carries every one of the named fields."""
    for name in names:
        if getattr(row, name) in (None, False):
            raise FieldMissing(f"{type(row).__name__}.{name} is missing")


def felt_of(row: Row, name: str) -> bytes:
    """A required felt of a row, 32 bytes; raises FieldMissing."""
    felt: bytes | None = getattr(row, name)
    if felt is None:
        raise FieldMissing(f"{type(row).__name__}.{name} is missing")
    return felt
