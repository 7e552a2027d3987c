"""The wire form of 2024: what it can hold goes there and back byte for byte, what it cannot is refused."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starknet.wire import older
from starknet.wire import sync_pb2 as pb
from starknet.wire.parse import MalformedMessage

FELTS = st.binary(max_size=32)
NUMBERS = st.integers(0, 2**64 - 1)


def felt() -> st.SearchStrategy[pb.Felt252]:
    return st.builds(pb.Felt252, elements=FELTS)


def limits() -> st.SearchStrategy[pb.ResourceLimits]:
    return st.builds(pb.ResourceLimits, max_amount=felt(), max_price_per_unit=felt())


BOUNDS = st.builds(pb.ResourceBounds, l1_gas=limits(), l2_gas=limits())
SIGNATURES = st.lists(st.builds(pb.ConsensusSignature, r=felt(), s=felt()), max_size=3)
HEADERS = st.builds(
    pb.SignedBlockHeader,
    number=NUMBERS,
    protocol_version=st.text(max_size=8),
    l1_data_gas_price_wei=st.builds(pb.Uint128, low=NUMBERS, high=NUMBERS),
    l1_data_availability_mode=st.sampled_from([pb.Calldata, pb.Blob]),
    signatures=SIGNATURES.filter(bool),
)
TRANSACTIONS = st.one_of(
    st.builds(
        pb.TransactionInBlock,
        declare_v3=st.builds(
            pb.TransactionInBlock.DeclareV3WithoutClass,
            common=st.builds(pb.DeclareV3Common, nonce=felt(), tip=NUMBERS, resource_bounds=BOUNDS),
            class_hash=st.builds(pb.Hash, elements=FELTS),
        ),
    ),
    st.builds(
        pb.TransactionInBlock,
        invoke_v3=st.builds(
            pb.InvokeV3, calldata=st.lists(felt(), max_size=3), resource_bounds=BOUNDS
        ),
    ),
    st.builds(
        pb.TransactionInBlock,
        deploy_account_v3=st.builds(pb.DeployAccountV3, nonce=felt(), resource_bounds=BOUNDS),
    ),
    st.builds(pb.TransactionInBlock, l1_handler=st.builds(pb.L1HandlerV0, nonce=felt())),
)
RESOURCES = st.builds(
    pb.Receipt.ExecutionResources,
    steps=st.integers(0, 2**32 - 1),
    l1_gas=felt(),
    total_l1_gas=felt(),
)
COMMON = st.builds(pb.Receipt.Common, actual_fee=felt(), execution_resources=RESOURCES)
RECEIPTS = st.one_of(
    st.builds(pb.Receipt, invoke=st.builds(pb.Receipt.Invoke, common=COMMON)),
    st.builds(pb.Receipt, deploy_account=st.builds(pb.Receipt.DeployAccount, common=COMMON)),
)


def answered(transaction: Any, receipt: Any) -> bytes:
    pair = pb.TransactionWithReceipt(transaction=transaction, receipt=receipt)
    return pb.TransactionsResponse(transaction_with_receipt=pair).SerializeToString()


@given(HEADERS)
def test_a_header_goes_to_the_older_form_and_back(header: pb.SignedBlockHeader) -> None:
    spec = pb.BlockHeadersResponse(header=header).SerializeToString()
    told = older.header_to_older(spec)
    assert told != spec
    assert older.header_to_spec(told) == spec
    assert older.header_to_spec(spec) == spec


@given(TRANSACTIONS, RECEIPTS)
def test_a_transaction_and_its_receipt_go_to_the_older_form_and_back(
    transaction: pb.TransactionInBlock, receipt: pb.Receipt
) -> None:
    spec = answered(transaction, receipt)
    assert older.transaction_to_spec(older.transaction_to_older(spec)) == spec
    assert older.transaction_to_spec(spec) == spec


def test_the_older_form_has_the_numbers_that_were_published() -> None:
    header = pb.SignedBlockHeader(
        l1_data_availability_mode=pb.Blob, signatures=[pb.ConsensusSignature()]
    )
    told = older.header_to_older(pb.BlockHeadersResponse(header=header).SerializeToString())
    inner = older.read_fields(told)[0][2]
    assert [number for number, _, _ in older.read_fields(inner)] == [16, 17]

    declare = pb.TransactionInBlock.DeclareV3WithoutClass(class_hash=pb.Hash(elements=b"\7"))
    declare.common.nonce.elements = b"\5"
    declare.common.resource_bounds.l2_gas.max_amount.elements = b"\6"
    resources = pb.Receipt.ExecutionResources(total_l1_gas=pb.Felt252(elements=b"\1"))
    receipt = pb.Receipt(
        declare=pb.Receipt.Declare(common=pb.Receipt.Common(execution_resources=resources))
    )
    told = older.transaction_to_older(answered(pb.TransactionInBlock(declare_v3=declare), receipt))
    transaction, result = (value for _, _, value in older.read_fields(_only(told)))
    assert [number for number, _, _ in older.read_fields(_only(transaction))] == [3, 4, 6]
    assert [number for number, _, _ in older.read_fields(_only(_only(_only(result))))] == [6]


def _only(message: bytes) -> bytes:
    ((_, _, value),) = older.read_fields(message)
    return value


def test_what_a_hash_covers_and_the_older_form_lacks_is_not_told() -> None:
    bounded = pb.InvokeV3()
    bounded.resource_bounds.l1_data_gas.max_amount.elements = b"\1"
    proven = pb.InvokeV3(proof_facts=[pb.Felt252(elements=b"\1")])
    for invoke in (bounded, proven):
        transaction = pb.TransactionInBlock(invoke_v3=invoke)
        with pytest.raises(older.Untellable):
            older.transaction_to_older(answered(transaction, pb.Receipt()))


def test_a_header_of_a_third_form_is_known_as_such() -> None:
    header = older.write_fields([(20, older.VARINT, b"\1"), (21, older.BYTES, b"")])
    with pytest.raises(older.OtherForm):
        older.header_to_spec(older.write_fields([(1, older.BYTES, header)]))


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_bytes_that_are_no_message_raise_nothing_else(data: bytes) -> None:
    for change in (older.header_to_spec, older.transaction_to_spec):
        try:
            change(data)
        except (MalformedMessage, older.OtherForm):
            continue


def test_a_message_cut_anywhere_is_refused_or_changed() -> None:
    header = pb.SignedBlockHeader(number=1 << 40, signatures=[pb.ConsensusSignature()])
    whole = older.header_to_older(pb.BlockHeadersResponse(header=header).SerializeToString())
    draw = random.Random(5)
    for _ in range(300):
        cut = bytearray(whole[: draw.randrange(1, len(whole))])
        cut[draw.randrange(len(cut))] ^= 1 << draw.randrange(8)
        try:
            older.header_to_spec(bytes(cut))
        except (MalformedMessage, older.OtherForm):
            continue
