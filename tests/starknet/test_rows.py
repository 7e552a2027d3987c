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
from starknet.wire.rows import Shape, felt_of, present

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


def test_messages_of_one_field_are_merged_as_protobuf_merges_them() -> None:
    twice = (
        _field(1, _field(1, b"\7"))
        + _field(1, b"")
        + _field(4, _field(1, b"\1") + _field(1, b"\2"))
    )
    (row,) = EVENT.rows_of_bytes([twice])
    assert row == _as_protobuf_reads(pb.Event.FromString(twice))
    assert row.transaction_hash == to_bytes32(7)
    assert row.keys == to_bytes32(2)


_PAYLOADS = st.one_of(
    st.binary(max_size=4), st.binary(max_size=33).map(lambda part: _field(1, part))
)
_FIELDS = st.builds(_field, st.integers(0, 6), _PAYLOADS)
_BYTES = st.lists(st.one_of(_FIELDS, _FIELDS, _FIELDS, st.binary(max_size=6))).map(b"".join)


@given(_BYTES)
def test_any_bytes_are_read_or_refused_as_protobuf_reads_or_refuses_them(data: bytes) -> None:
    try:
        expected = _as_protobuf_reads(pb.Event.FromString(data))
    except DecodeError:
        with pytest.raises(FeltError):
            EVENT.rows_of_bytes([data])
        return
    felts = b"".join(part for part in expected if part is not None)
    try:
        (row,) = EVENT.rows_of_bytes([data])
    except FeltError:
        whole = [felts[at : at + 32] for at in range(0, len(felts), 32)]
        assert len(felts) % 32 or any(int.from_bytes(felt) >= P for felt in whole)
    else:
        assert row == expected


@pytest.mark.parametrize("plan", [b"\1\0", b"\1\7\0", b"\1\5\1", b"\1\0\1\2\0\0"])
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
