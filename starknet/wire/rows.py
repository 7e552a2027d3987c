"""Wire messages as flat rows: lets through only felts that are felts, as the 32 bytes that hashes take.

A row is a named tuple with a value for every field of a message, also of the messages within it, which then bear
the names of both: ``resource_bounds_l1_gas``. Fields of a ``common`` message lie beside it, under their own names.
"""

from collections import namedtuple
from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from starknet import native
from starknet.felt import FeltError, FieldMissing

_FELTS = ("Felt252", "Hash", "Address", "EthereumAddress")
_FELT, _FELT_LIST, _NUMBER32, _NUMBER64, _BYTES, _MESSAGE, _MESSAGES = range(7)
_SCALARS = {
    FieldDescriptor.TYPE_UINT32: _NUMBER32,
    FieldDescriptor.TYPE_ENUM: _NUMBER32,
    FieldDescriptor.TYPE_UINT64: _NUMBER64,
    FieldDescriptor.TYPE_BYTES: _BYTES,
    FieldDescriptor.TYPE_STRING: _BYTES,
}
_Column = tuple[str, bytes]  # its name, its three bytes in the plan

Row = Any  # a named tuple; which fields it has is up to the type of message


class Shape:
    """Which columns the messages of one type have.

    A felt is 32 bytes, or None where it is absent; a list of felts is joined, a list of messages is one of their
    bytes; of a message within it a row says whether it is there.
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
        return self.rows_of_bytes([message.SerializeToString() for message in messages])

    def rows_of_bytes(self, messages: list[bytes]) -> list[Row]:
        """As ``rows``, of messages as the wire has them."""
        try:
            return list(map(self._row, native.wire_rows(self._plan, messages)))
        except ValueError as error:
            raise FeltError(str(error)) from error


def _columns(kind: Any, prefix: str) -> Iterable[_Column]:
    return chain.from_iterable(_of_field(field, prefix) for field in kind.fields)


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
    return [(name, bytes([field.number, column, len(below)])), *below]


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
