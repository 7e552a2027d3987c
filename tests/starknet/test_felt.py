import pytest

from starknet import felt
from starknet.felt import FeltError, FieldMissing
from starknet.wire import sync_pb2 as pb


@pytest.mark.parametrize("number", [0, 1, 255, 256, felt.KEY_MAX, felt.P - 1])
def test_a_felt_survives_both_byte_forms(number: int) -> None:
    assert felt.from_bytes(felt.to_bytes32(number)) == number
    assert felt.from_bytes(felt.to_wire(number)) == number


def test_the_wire_form_has_no_leading_zeros() -> None:
    assert felt.to_wire(0) == b""
    assert felt.to_wire(256) == b"\x01\x00"


@pytest.mark.parametrize("data", [felt.P.to_bytes(32, "big"), b"\xff" * 32, bytes(33)])
def test_bytes_that_are_no_felt_are_refused(data: bytes) -> None:
    with pytest.raises(FeltError):
        felt.from_bytes(data)


def test_a_trie_key_has_at_most_251_bits() -> None:
    assert felt.key_value(pb.Felt252(elements=felt.to_wire(felt.KEY_MAX))) == felt.KEY_MAX
    with pytest.raises(FeltError):
        felt.key_value(pb.Felt252(elements=felt.to_wire(felt.KEY_MAX + 1)))


def test_a_missing_submessage_is_told_by_name() -> None:
    felt.require(pb.Patricia(root=pb.Hash()), "root")
    with pytest.raises(FieldMissing, match=r"Patricia\.root"):
        felt.require(pb.Patricia(), "root")


def test_the_short_form_keeps_both_ends() -> None:
    assert felt.short(0x4E8812345678942DC) == "0x4e88...42dc"
    assert felt.short(0x1234) == "0x1234"


def test_a_short_string_is_its_ascii_bytes() -> None:
    assert felt.short_string("SN_MAIN") == 0x534E5F4D41494E
