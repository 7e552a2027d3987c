from collections.abc import Sequence
from typing import Any

import pytest

from starknet import forms, hashes, native
from starknet.felt import FeltError, FieldMissing, P, to_bytes32
from starknet.forms import CHAIN, Bits, Form, Packed, When, address, pedersen, poseidon
from starknet.transactions import ADDRESS_LIMIT
from starknet.wire import sync_pb2 as pb
from starknet.wire.rows import Shape

DEPLOY = Shape(
    pb.TransactionInBlock.Deploy.DESCRIPTOR
)  # class_hash, address_salt, calldata, version
GIVEN = to_bytes32(99)


def row(*values: Any) -> tuple[Any, ...]:
    """A row of the shape; integers that are felts become bytes."""
    class_hash, salt, calldata, version = values
    felts = (None if felt is None else to_bytes32(felt) for felt in (class_hash, salt))
    return (*felts, b"".join(map(to_bytes32, calldata)), version)


def hashed(whole: forms.Hash, *rows: tuple[Any, ...]) -> list[int]:
    found = Form(DEPLOY, whole).hashes(rows, GIVEN)
    return [int.from_bytes(felt) for felt in found]


def test_a_list_holds_fields_constants_and_hashes_of_lists() -> None:
    whole = poseidon(5, "class_hash", pedersen("calldata", CHAIN), "calldata", "version")
    calldata: Sequence[Sequence[int]] = ([], [1], [2, P - 1, 3])
    expected = [
        hashes.poseidon_many([5, 7, hashes.pedersen_array([*data, 99]), *data, 2**64 - 1])
        for data in calldata
    ]
    assert hashed(whole, *(row(7, 0, data, 2**64 - 1) for data in calldata)) == expected
    assert hashed(whole) == []


def test_one_hash_of_many_rows_is_each_rows_own() -> None:
    whole = pedersen(poseidon(pedersen("class_hash"), pedersen("address_salt")), "class_hash")
    numbers = range(40)
    expected = [
        hashes.pedersen_array(
            [
                hashes.poseidon_many([hashes.pedersen_array([n]), hashes.pedersen_array([n + 1])]),
                n,
            ]
        )
        for n in numbers
    ]
    assert hashed(whole, *(row(n, n + 1, [], 0) for n in numbers)) == expected


def test_a_part_is_left_out_where_its_field_says_nothing() -> None:
    whole = poseidon("class_hash", When("calldata", poseidon("calldata")), When("version", 6))
    rows = row(1, 0, [], 0), row(1, 0, [4], 0), row(1, 0, [], 1)
    inner = hashes.poseidon_many([4])
    assert hashed(whole, *rows) == list(map(hashes.poseidon_many, ([1], [1, inner], [1, 6])))


def test_fields_are_packed_at_their_places() -> None:
    whole = poseidon(Packed(3 << 192, (Bits("class_hash", 100, 92), Bits("version", 0, 64))))
    found = hashed(whole, row(2**92 - 1, 0, [], 2**64 - 1))
    assert found == [hashes.poseidon_many([3 << 192 | (2**92 - 1) << 100 | 2**64 - 1])]
    with pytest.raises(FeltError, match="92 bits"):
        hashed(whole, row(2**92, 0, [], 0))


def test_an_address_is_cut_to_what_addresses_there_are() -> None:
    rows = [row(n, 0, [], 0) for n in range(20)]
    expected = [hashes.pedersen_array([n]) % ADDRESS_LIMIT for n in range(20)]
    assert hashed(address("class_hash"), *rows) == expected


def test_the_field_that_is_missing_is_named() -> None:
    with pytest.raises(FieldMissing, match=r"Deploy\.address_salt is missing"):
        hashed(pedersen("class_hash", "address_salt"), row(1, 2, [], 0), row(1, None, [], 0))


@pytest.mark.parametrize(
    "value", [b"\xff" * 32, to_bytes32(P), bytes(31), -1, 2**64, "text", 1.5, [], (1,)]
)
def test_a_value_that_is_no_felt_is_refused(value: Any) -> None:
    with pytest.raises(FeltError):
        hashed(pedersen("class_hash"), (value, b"", b"", 0))


LIST, VALUE, CONSTANT, RESULT, PACK, WHEN = range(6)
BAD = {
    "nothing": [],
    "no list": [(VALUE, 0, 0, 0)],
    "an unknown step": [(LIST, 0, 0, 0), (6, 0, 0, 0)],
    "an unknown kind": [(LIST, 3, 0, 0)],
    "a constant too many": [(LIST, 0, 0, 0), (CONSTANT, 1, 0, 0)],
    "its own result": [(LIST, 0, 0, 0), (RESULT, 0, 0, 0)],
    "a result of its round": [(LIST, 0, 0, 0), (LIST, 0, 0, 0), (RESULT, 0, 0, 0)],
    "a result to come": [(LIST, 0, 0, 0), (RESULT, 1, 0, 0), (LIST, 0, 1, 0)],
    "rounds that fall": [(LIST, 0, 1, 0), (LIST, 0, 0, 0)],
    "two kinds in a round": [(LIST, 0, 0, 0), (LIST, 1, 0, 0)],
    "more bits than a felt": [(LIST, 0, 0, 0), (CONSTANT, 0, 0, 0), (PACK, 0, 200, 49)],
    "leaving out the next list": [(LIST, 0, 0, 0), (WHEN, 0, 1, 0), (LIST, 0, 1, 0)],
}


@pytest.mark.parametrize("bad", sorted(BAD))
def test_what_is_no_form_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="form"):
        native.form_hashes(b"".join(map(bytes, BAD[bad])), GIVEN, [])


@pytest.mark.parametrize(
    "steps",
    [
        [(LIST, 0, 0, 0), (PACK, 0, 0, 8)],  # into no felt
        [(LIST, 0, 0, 0), (CONSTANT, 0, 0, 0), (PACK, 1, 0, 8)],  # two felts
        [(LIST, 0, 0, 0), (VALUE, 9, 0, 0)],  # of no column
        [(LIST, 0, 0, 10)],
    ],
)
def test_a_form_that_its_rows_do_not_fit_is_refused(steps: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"pack|columns"):
        native.form_hashes(b"".join(map(bytes, steps)), GIVEN, [(1, bytes(64))])
