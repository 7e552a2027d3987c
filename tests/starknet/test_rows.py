import json
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from starknet import native
from starknet.felt import FeltError, FieldMissing, P, to_bytes32, to_wire
from starknet.transactions import SHAPES
from starknet.wire import sync_pb2 as pb
from starknet.wire.rows import OneOf, Shape, felt_of, present

DIFF, DECLARE = Shape(pb.ContractDiff.DESCRIPTOR), SHAPES["declare_v3"]
EVENT, INVOKE = Shape(pb.Event.DESCRIPTOR), SHAPES["invoke_v3"]


def _felt(number: int) -> pb.Felt252:
    return pb.Felt252(elements=to_wire(number))


def _field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2, len(payload)]) + payload


def _as_protobuf_reads(message: pb.Event) -> tuple[Any, ...]:
    def one(name: str) -> bytes | None:
        return getattr(message, name).elements.rjust(32, b"\0") if message.HasField(name) else None

    lists = (
        b"".join(felt.elements.rjust(32, b"\0") for felt in part)
        for part in (message.keys, message.data)
    )
    return one("transaction_hash"), one("from_address"), *lists


def test_felts_are_padded_and_lists_joined() -> None:
    event = pb.Event(transaction_hash=pb.Hash(), keys=[_felt(1), _felt(2**251)])
    (row,) = EVENT.rows([event])
    assert row == (bytes(32), None, to_bytes32(1) + to_bytes32(2**251), b"")


def test_fields_of_messages_within_bear_both_names_and_a_common_message_none() -> None:
    common = pb.DeclareV3Common(
        tip=2**64 - 1,
        resource_bounds=pb.ResourceBounds(l1_gas=pb.ResourceLimits(max_amount=_felt(5))),
    )
    bare, full = DECLARE.rows(
        [pb.TransactionInBlock.DeclareV3WithoutClass(common=part) for part in (None, common)]
    )
    assert (bare.common, bare.tip, bare.resource_bounds, bare.signature_parts) == (
        False,
        0,
        False,
        None,
    )
    assert (full.common, full.tip, full.resource_bounds_l1_gas) == (True, 2**64 - 1, True)
    assert full.resource_bounds_l1_gas_max_amount == to_bytes32(5)
    assert full.resource_bounds_l1_gas_max_price_per_unit is None
    assert full.resource_bounds_l2_gas is False


def test_messages_of_a_list_are_kept_as_bytes() -> None:
    entry = pb.ContractStoredValue(key=_felt(1), value=_felt(2))
    (row,) = DIFF.rows([pb.ContractDiff(values=[entry, entry])])
    assert row.values == [entry.SerializeToString()] * 2


@pytest.mark.parametrize("elements", [b"\1" * 33, to_wire(P), b"\xff" * 32])
def test_a_felt_that_is_none_is_refused(elements: bytes) -> None:
    with pytest.raises(FeltError):
        EVENT.rows([pb.Event(data=[_felt(1), pb.Felt252(elements=elements)])])


def test_a_required_field_that_is_absent_is_named() -> None:
    (row,) = INVOKE.rows([pb.InvokeV3()])
    with pytest.raises(FieldMissing, match=r"InvokeV3\.nonce"):
        felt_of(row, "nonce")
    with pytest.raises(FieldMissing, match=r"InvokeV3\.resource_bounds"):
        present(row, "resource_bounds")


HASH = _field(1, _field(1, b"\7"))
ODD = {
    "a felt twice": HASH + HASH,
    "its bytes twice": _field(1, _field(1, b"\7") + _field(1, b"\7")),
    "a number for a message": b"\x08\x01" + HASH,
    "a number for the bytes": _field(1, b"\x08\x01"),
    "a length of two bytes where one will do": b"\x0a\x83\x00" + _field(1, b"\7"),
    "a tag of two bytes where one will do": b"\x8a\x00\x03" + _field(1, b"\7"),
    "a group": HASH + b"\x2b\x2c",
}


@pytest.mark.parametrize("odd", sorted(ODD))
def test_what_no_encoder_writes_is_refused_though_protobuf_reads_it(odd: str) -> None:
    assert EVENT.rows_of_bytes([HASH])
    pb.Event.FromString(ODD[odd])
    with pytest.raises(FeltError):
        EVENT.rows_of_bytes([ODD[odd]])


def test_a_member_of_a_oneof_is_read_by_its_own_shape() -> None:
    oneof = OneOf(pb.Receipt.DESCRIPTOR, "type")
    holder = Shape(pb.Receipt.DESCRIPTOR)
    fee = pb.Receipt.Common(actual_fee=_felt(7))
    receipts = [
        pb.Receipt(declare=pb.Receipt.Declare(common=fee)),
        pb.Receipt(invoke=pb.Receipt.Invoke()),
        pb.Receipt(declare=pb.Receipt.Declare()),
    ]
    read = oneof.rows([row.type for row in holder.rows(receipts)])
    assert [name for name, _ in read] == ["declare", "invoke", "declare"]
    assert [row.common for _, row in read] == [True, False, False]
    assert read[0][1].actual_fee == to_bytes32(7)
    with pytest.raises(FieldMissing, match=r"Receipt\.type"):
        oneof.rows([row.type for row in holder.rows([pb.Receipt()])])


def test_two_members_of_a_oneof_are_refused() -> None:
    holder = Shape(pb.Receipt.DESCRIPTOR)
    with pytest.raises(FeltError):
        holder.rows_of_bytes([_field(1, b"") + _field(3, b"")])


def test_what_messages_carry_is_cut_out_undecoded() -> None:
    oneof = OneOf(pb.EventsResponse.DESCRIPTOR, "event_message")
    event = pb.Event(data=[_felt(1)])
    messages = [pb.EventsResponse(event=event), pb.EventsResponse(fin=pb.Fin())]
    carried = oneof.members("event", [message.SerializeToString() for message in messages])
    assert carried == [event.SerializeToString(), b""]


@pytest.mark.parametrize("reason", [b"\xff", b"\xed\xa0\x80", b"\xc0\x80"])
def test_text_that_is_not_utf8_is_refused_as_protobuf_refuses_it(reason: bytes) -> None:
    common = pb.Receipt.Common
    (row,) = Shape(common.DESCRIPTOR).rows([common(revert_reason="é")])
    assert row.revert_reason == "é".encode()
    message = _field(common.DESCRIPTOR.fields_by_name["revert_reason"].number, reason)
    with pytest.raises(DecodeError):
        common.FromString(message)
    with pytest.raises(FeltError):
        Shape(common.DESCRIPTOR).rows_of_bytes([message])


_PAYLOADS = st.one_of(
    st.binary(max_size=4), st.binary(max_size=33).map(lambda part: _field(1, part))
)
_FIELDS = st.builds(_field, st.integers(0, 6), _PAYLOADS)
_BYTES = st.lists(st.one_of(_FIELDS, _FIELDS, _FIELDS, st.binary(max_size=6))).map(b"".join)


@given(_BYTES)
def test_what_is_read_of_any_bytes_is_what_protobuf_reads(data: bytes) -> None:
    try:
        (row,) = EVENT.rows_of_bytes([data])
    except FeltError:
        return
    assert row == _as_protobuf_reads(pb.Event.FromString(data))


_NUMBERS = st.integers(0, P - 1)
_EVENTS = st.builds(
    lambda numbers, keys, data: pb.Event(
        transaction_hash=pb.Hash(elements=to_wire(numbers[0])),
        from_address=_felt(numbers[1]),
        keys=map(_felt, keys),
        data=map(_felt, data),
    ),
    st.tuples(_NUMBERS, _NUMBERS),
    st.lists(_NUMBERS),
    st.lists(_NUMBERS),
)


@given(_EVENTS)
def test_whatever_protobuf_writes_is_read(event: pb.Event) -> None:
    (row,) = EVENT.rows([event])
    assert row == _as_protobuf_reads(event)


@pytest.mark.parametrize(
    "plan", [b"\1\0", b"\1\12\0", b"\1\6\1", b"\1\0\1\2\0\0", b"\1\11\0", b"\1\10\0"]
)
def test_what_is_no_plan_is_refused(plan: bytes) -> None:
    with pytest.raises(ValueError, match="plan"):
        native.wire_rows(plan, [])


@given(st.lists(st.integers(0, 2**256 - 1)))
def test_felts_as_json_are_the_hex_that_python_writes(felts: list[int]) -> None:
    text = native.felts_json(b"".join(map(to_bytes32, felts)))
    assert json.loads(text) == list(map(hex, felts))
    assert b" " not in text


def test_felts_as_json_need_whole_felts() -> None:
    for wrong in (bytes(31), bytes(33)):
        with pytest.raises(ValueError, match="32 bytes"):
            native.felts_json(wrong)
