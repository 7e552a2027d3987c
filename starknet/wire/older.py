"""The wire form of 2024, before L2 gas had prices, to and from today's: only numbers of fields differ, and one nesting.

Which form a message has shows in the message: each place that moved has a field that only one of the two can have.
So messages of today's form pass unchanged, also those of nodes that still send them under the older protocol ids.
Where nothing moved (classes, events, state diffs) the bytes are the same in both forms.
"""

from collections.abc import Callable, Iterable

from starknet.wire.delimited import varint
from starknet.wire.parse import MalformedMessage

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
VARINT_BYTES_MAX = 10

Field = tuple[int, int, bytes]
"""Number, wire type, and the value: of bytes without their length, of all else as it lies on the wire."""


class Untellable(ValueError):
    """The message holds what the older form has no place for."""


class OtherForm(ValueError):
    """The message is of neither form: some nodes send a third one under the older ids."""


# ---- messages as fields -----------------------------------------------------------------------------------------


def read_fields(message: bytes) -> list[Field]:
    """Take a message apart, one level deep; raise MalformedMessage."""
    found: list[Field] = []
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        begin = position
        if kind == VARINT:
            _, position = _varint(message, position)
        elif kind == BYTES:
            length, begin = _varint(message, position)
            position = begin + length
        elif kind in FIXED_BYTES:
            position += FIXED_BYTES[kind]
        else:
            raise MalformedMessage(f"wire type {kind}")
        if number == 0 or position > len(message):
            raise MalformedMessage("a field without number or end")
        found.append((number, kind, message[begin:position]))
    return found


def write_fields(fields: Iterable[Field]) -> bytes:
    """Put fields together in the order of their numbers; those of one number stay in order."""
    out = bytearray()
    for number, kind, value in sorted(fields, key=lambda field: field[0]):
        out += varint(number << 3 | kind)
        if kind == BYTES:
            out += varint(len(value))
        out += value
    return bytes(out)


def _varint(message: bytes, position: int) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(message[position : position + VARINT_BYTES_MAX]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, position + index + 1
    raise MalformedMessage("a number without end")


Change = Callable[[list[Field]], list[Field]]


def _within(number: int, change: Change) -> Change:
    """The change of a message that makes ``change`` in each message it has under ``number``."""

    def changed(fields: list[Field]) -> list[Field]:
        return [
            (n, kind, write_fields(change(read_fields(value))))
            if n == number and kind == BYTES
            else (n, kind, value)
            for n, kind, value in fields
        ]

    return changed


def _renumbered(fields: list[Field], numbers: dict[int, int]) -> list[Field]:
    return [(numbers.get(number, number), kind, value) for number, kind, value in fields]


def _has(fields: list[Field], *numbers: int) -> bool:
    return any(number in numbers for number, _, _ in fields)


def _without(fields: list[Field], *numbers: int) -> list[Field]:
    return [field for field in fields if field[0] not in numbers]


# ---- headers: DA mode and signatures came after L1's prices -----------------------------------------------------


def _header_to_spec(fields: list[Field]) -> list[Field]:
    if any(number >= 20 for number, _, _ in fields):
        raise OtherForm("a header with more fields than there are")
    has_price = any(number == 16 and kind == BYTES for number, kind, _ in fields)
    if has_price or _has(fields, 18, 19):
        return fields
    return _renumbered(fields, {16: 18, 17: 19})


def _header_to_older(fields: list[Field]) -> list[Field]:
    return _renumbered(_without(fields, 16, 17), {18: 16, 19: 17})


# ---- transactions: no bound of L1 data gas, and DECLARE 3 was flat ----------------------------------------------


def _bounds_to_spec(fields: list[Field]) -> list[Field]:
    return fields if _has(fields, 3) else _renumbered(fields, {2: 3})


def _bounds_to_older(fields: list[Field]) -> list[Field]:
    if _has(fields, 2):
        raise Untellable("a bound of L1 data gas")
    return _renumbered(fields, {3: 2})


def _declare_to_spec(fields: list[Field]) -> list[Field]:
    if not any(number > 2 for number, _, _ in fields):
        return fields
    hashes = [(2, kind, value) for number, kind, value in fields if number == 3]
    common = _within(6, _bounds_to_spec)(_without(fields, 3))
    return [(1, BYTES, write_fields(common)), *hashes]


def _declare_to_older(fields: list[Field]) -> list[Field]:
    flat = [(3, kind, value) for number, kind, value in fields if number == 2]
    for number, kind, value in fields:
        if number == 1 and kind == BYTES:
            flat += _within(6, _bounds_to_older)(read_fields(value))
    return flat


def _invoke_to_older(fields: list[Field]) -> list[Field]:
    if _has(fields, 11):
        raise Untellable("proof facts")
    return _within(4, _bounds_to_older)(fields)


DECLARE_V3, DEPLOY_ACCOUNT_V3, INVOKE_V3 = 4, 7, 10


def _transaction_to_spec(fields: list[Field]) -> list[Field]:
    fields = _within(DECLARE_V3, _declare_to_spec)(fields)
    fields = _within(DEPLOY_ACCOUNT_V3, _within(6, _bounds_to_spec))(fields)
    return _within(INVOKE_V3, _within(4, _bounds_to_spec))(fields)


def _transaction_to_older(fields: list[Field]) -> list[Field]:
    fields = _within(DECLARE_V3, _declare_to_older)(fields)
    fields = _within(DEPLOY_ACCOUNT_V3, _within(6, _bounds_to_older))(fields)
    return _within(INVOKE_V3, _invoke_to_older)(fields)


# ---- receipts: no L2 gas ----------------------------------------------------------------------------------------

RECEIPTS = range(1, 6)


def _resources_to_spec(fields: list[Field]) -> list[Field]:
    return fields if _has(fields, 7) else _renumbered(fields, {6: 7})


def _resources_to_older(fields: list[Field]) -> list[Field]:
    return _renumbered(_without(fields, 6), {7: 6})


def _receipt(resources: Change) -> Change:
    common = _within(1, _within(5, resources))

    def changed(fields: list[Field]) -> list[Field]:
        for kind in RECEIPTS:
            fields = _within(kind, common)(fields)
        return fields

    return changed


def _pair(transaction: Change, receipt: Change) -> Change:
    def changed(fields: list[Field]) -> list[Field]:
        return _within(2, receipt)(_within(1, transaction)(fields))

    return changed


# ---- answers ----------------------------------------------------------------------------------------------------

_HEADERS = (_within(1, _header_to_spec), _within(1, _header_to_older))
_TRANSACTIONS = (
    _within(1, _pair(_transaction_to_spec, _receipt(_resources_to_spec))),
    _within(1, _pair(_transaction_to_older, _receipt(_resources_to_older))),
)


def header_to_spec(response: bytes) -> bytes:
    """A ``BlockHeadersResponse`` of either form in today's; raises MalformedMessage and OtherForm."""
    return write_fields(_HEADERS[0](read_fields(response)))


def header_to_older(response: bytes) -> bytes:
    """A ``BlockHeadersResponse`` in the older form, without the prices of L2 gas; raises MalformedMessage."""
    return write_fields(_HEADERS[1](read_fields(response)))


def transaction_to_spec(response: bytes) -> bytes:
    """A ``TransactionsResponse`` of either form in today's; raises MalformedMessage."""
    return write_fields(_TRANSACTIONS[0](read_fields(response)))


def transaction_to_older(response: bytes) -> bytes:
    """A ``TransactionsResponse`` in the older form, without L2 gas of receipts.

    Raises MalformedMessage, and Untellable for what is part of the transaction's hash and has no place there.
    """
    return write_fields(_TRANSACTIONS[1](read_fields(response)))
