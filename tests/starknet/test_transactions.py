from pathlib import Path

import pytest

from node import networks
from starknet import transactions
from starknet.felt import FeltError, FieldMissing, to_wire, value
from starknet.transactions import transaction_hash, transaction_kind
from starknet.versions import rules_for
from starknet.wire import sync_pb2 as pb
from tests.starknet import recorded

SEPOLIA = networks.load("sepolia")
COUNTS = {
    "mainnet": 286,
    "sepolia": 52,
    "sepolia-integration": 92,
    "integration": 173,
    "goerli": 246,
    "goerli2": 6,
}


def _felt(number: int) -> pb.Felt252:
    return pb.Felt252(elements=to_wire(number))


def _bounds(**more: pb.ResourceLimits) -> pb.ResourceBounds:
    limits = pb.ResourceLimits(max_amount=_felt(1), max_price_per_unit=_felt(2))
    return pb.ResourceBounds(l1_gas=limits, l2_gas=limits, **more)


def _invoke_v3() -> pb.TransactionInBlock:
    body = pb.InvokeV3(
        sender=pb.Address(elements=b"\1"),
        signature=pb.AccountSignature(),
        resource_bounds=_bounds(),
        nonce=_felt(3),
    )
    return pb.TransactionInBlock(invoke_v3=body)


@pytest.mark.parametrize("name", recorded.NETWORKS)
def test_every_transaction_hash_of_recorded_blocks_is_recomputed(fixtures: Path, name: str) -> None:
    network = networks.load(name)
    count = 0
    for number in recorded.numbers(fixtures, name):
        wire = recorded.load_bare(fixtures, name, number)
        has_version = not rules_for(wire.header.protocol_version).unversioned_transactions
        for pair in wire.transactions:
            found = transaction_hash(pair.transaction, network, has_version=has_version)
            assert found == value(pair.transaction.transaction_hash), (number, count)
            count += 1
    assert count >= COUNTS[name]


def test_old_forms_are_for_blocks_without_a_version_only(fixtures: Path) -> None:
    block = recorded.load(fixtures, "mainnet", 0)
    for pair in block.wire.transactions:
        stated = value(pair.transaction.transaction_hash)
        assert transaction_hash(pair.transaction, block.network, has_version=False) == stated
        assert transaction_hash(pair.transaction, block.network, has_version=True) != stated


def test_messages_from_l1_before_0_7_hash_as_invokes() -> None:
    handler = pb.L1HandlerV0(
        nonce=_felt(0), address=pb.Address(elements=b"\1"), entry_point_selector=_felt(2)
    )
    invoke = pb.TransactionInBlock.InvokeV0(
        max_fee=_felt(0), address=pb.Address(elements=b"\1"), entry_point_selector=_felt(2)
    )
    (old_invoke,) = transactions.OLD_FORMS["invoke_v0"]
    stated = transactions.hash_by(old_invoke, pb.TransactionInBlock(invoke_v0=invoke), SEPOLIA)
    message = pb.TransactionInBlock(
        l1_handler=handler, transaction_hash=pb.Hash(elements=to_wire(stated))
    )
    assert transaction_hash(message, SEPOLIA, has_version=False) == stated
    assert transaction_hash(message, SEPOLIA, has_version=True) != stated


def test_without_a_stated_hash_the_modern_form_is_taken() -> None:
    assert transaction_hash(_invoke_v3(), SEPOLIA) == transaction_hash(
        _invoke_v3(), SEPOLIA, has_version=False
    )


@pytest.mark.parametrize(("name", "count"), [("mainnet", 46), ("sepolia", 3), ("integration", 20)])
def test_addresses_of_deployed_contracts_are_the_recorded_ones(
    fixtures: Path, name: str, count: int
) -> None:
    derived = 0
    for number in recorded.numbers(fixtures, name):
        block = recorded.load(fixtures, name, number)
        for pair, answer in zip(block.wire.transactions, block.json["transactions"], strict=True):
            address = transactions.deployed_address(pair.transaction)
            if address is not None:
                stated = answer.get("contract_address") or answer["sender_address"]
                assert address == int(stated, 16)
                derived += 1
    assert derived >= count


def test_the_third_resource_bound_enters_the_hash_when_it_is_there() -> None:
    plain, bounded = _invoke_v3(), _invoke_v3()
    limits = pb.ResourceLimits(max_amount=_felt(0), max_price_per_unit=_felt(0))
    bounded.invoke_v3.resource_bounds.l1_data_gas.CopyFrom(limits)
    assert transaction_hash(plain, SEPOLIA) != transaction_hash(bounded, SEPOLIA)


def test_data_availability_modes_enter_the_hash() -> None:
    hashes = set()
    for nonce_mode in (pb.L1, pb.L2):
        for fee_mode in (pb.L1, pb.L2):
            transaction = _invoke_v3()
            transaction.invoke_v3.nonce_data_availability_mode = nonce_mode
            transaction.invoke_v3.fee_data_availability_mode = fee_mode
            hashes.add(transaction_hash(transaction, SEPOLIA))
    assert len(hashes) == 4


def test_resource_bounds_over_their_bits_are_refused() -> None:
    transaction = _invoke_v3()
    transaction.invoke_v3.resource_bounds.l1_gas.max_amount.elements = to_wire(2**64)
    with pytest.raises(FeltError):
        transaction_hash(transaction, SEPOLIA)


def test_a_deploy_of_an_unknown_version_is_refused() -> None:
    body = pb.TransactionInBlock.Deploy(class_hash=pb.Hash(), address_salt=pb.Felt252(), version=2)
    with pytest.raises(FeltError):
        transaction_hash(pb.TransactionInBlock(deploy=body), SEPOLIA)


@pytest.mark.parametrize("kind", sorted(transactions.FORMS))
def test_an_empty_transaction_of_any_kind_lacks_fields(kind: str) -> None:
    transaction = pb.TransactionInBlock()
    getattr(transaction, kind).SetInParent()
    assert transaction_kind(transaction) == kind
    with pytest.raises(FieldMissing):
        transaction_hash(transaction, SEPOLIA)


def test_each_kind_on_the_wire_has_a_form() -> None:
    members = {
        field.name for field in pb.TransactionInBlock.DESCRIPTOR.oneofs_by_name["txn"].fields
    }
    assert members == set(transactions.FORMS)
    with pytest.raises(FieldMissing):
        transaction_hash(pb.TransactionInBlock(), SEPOLIA)
