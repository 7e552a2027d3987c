from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starknet import commitments
from starknet.commitments import StateDiffError
from starknet.felt import FeltError, FieldMissing, P, to_wire, value
from starknet.hashes import PairHash, list_root, pedersen, poseidon
from starknet.versions import rules_for
from starknet.wire import sync_pb2 as pb
from tests.starknet import recorded

LEAF = 0x2F0D8840BCF3BC629598D8A6CC80CB7C0D9E52D93DAB244BBF9CD0DCA0AD082


def _felt(number: int) -> pb.Felt252:
    return pb.Felt252(elements=to_wire(number))


def _hash(number: int) -> pb.Hash:
    return pb.Hash(elements=to_wire(number))


def _contract(address: int, **fields: object) -> pb.StateDiffsResponse:
    diff = pb.ContractDiff(address=pb.Address(elements=to_wire(address)), **fields)  # type: ignore[arg-type]  # test data
    return pb.StateDiffsResponse(contract_diff=diff)


def _entry(key: int, new: int) -> pb.ContractStoredValue:
    return pb.ContractStoredValue(key=_felt(key), value=_felt(new))


# ---- lists ------------------------------------------------------------------------------------


def test_list_roots_are_the_known_ones() -> None:
    assert list_root([1, 2, 3], poseidon) == (
        0x3B5CC7F1292EB3847C3F902D048A7E5DC7702D1C191CCD17C2D33F797E6FC32
    )
    assert list_root([LEAF, LEAF], poseidon) == (
        0x282B635972328BD1CFA86496FE920D20BD9440CD78EE8DC90AE2B383D664DCF
    )
    assert list_root([], pedersen) == 0


def _by_definition(leaves: dict[int, int], height: int, pair: PairHash) -> int:
    """The trie's root straight from its definition: edges are found by looking at all leaves."""
    if not leaves:
        return 0
    if height == 0:
        return leaves[0]
    if len(leaves) == 1 or len({key >> (height - 1) for key in leaves}) == 1:
        split = height
        while split and len({key >> (split - 1) for key in leaves}) == 1:
            split -= 1
        path = next(iter(leaves)) >> split
        below = {key & ((1 << split) - 1): leaf for key, leaf in leaves.items()}
        return (pair(_by_definition(below, split, pair), path) + height - split) % P
    half = height - 1
    left = {key: leaf for key, leaf in leaves.items() if not key >> half}
    right = {key ^ 1 << half: leaf for key, leaf in leaves.items() if key >> half}
    return pair(_by_definition(left, half, pair), _by_definition(right, half, pair))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=20))
def test_a_list_root_is_that_of_the_sparse_trie(leaves: list[int]) -> None:
    present = {index: leaf for index, leaf in enumerate(leaves) if leaf}
    assert list_root(leaves, poseidon) == _by_definition(present, 64, poseidon)


# ---- transactions and receipts ----------------------------------------------------------------


def test_transaction_leaves_are_the_known_ones() -> None:
    signature = pb.AccountSignature(parts=[_felt(2), _felt(3)])
    invoke = pb.TransactionInBlock(invoke_v3=pb.InvokeV3(signature=signature))
    message = pb.TransactionInBlock(l1_handler=pb.L1HandlerV0())
    leaf = commitments.transaction_leaf
    assert leaf(rules_for("0.13.2"), 1, invoke) == LEAF
    assert leaf(rules_for("0.13.4"), 1, invoke) == LEAF
    assert leaf(rules_for("0.13.2"), 1, message) == (
        0xA93BF5E58B9378D093AA86DDC2F61A3295A1D1E665BD0EF3384DD07B30E033
    )
    assert leaf(rules_for("0.13.4"), 1, message) == (
        0x579E8877C7755365D5EC1EC7D3A94A457EFF5D1F40482BBE9729C064CDEAD2
    )


def test_signatures_of_other_kinds_enter_the_leaf_from_0_11_1() -> None:
    signed = pb.TransactionInBlock.DeclareV1WithoutClass(
        signature=pb.AccountSignature(parts=[_felt(5)])
    )
    unsigned = pb.TransactionInBlock.DeclareV1WithoutClass(signature=pb.AccountSignature())
    leaves = [
        commitments.transaction_leaf(rules_for(version), 1, pb.TransactionInBlock(declare_v1=body))
        for version in ("0.11.0", "0.11.1")
        for body in (signed, unsigned)
    ]
    assert leaves[0] == leaves[1]
    assert leaves[2] != leaves[3]


def _receipt(reason: str | None) -> pb.Receipt:
    def message(sender: int, to: int, payload: list[int]) -> pb.MessageToL1:
        return pb.MessageToL1(
            from_address=_felt(sender),
            to_address=pb.EthereumAddress(elements=to_wire(to)),
            payload=[_felt(part) for part in payload],
        )

    common = pb.Receipt.Common(
        actual_fee=_felt(99804),
        messages_sent=[message(34, 35, [36, 37]), message(56, 57, [58, 59])],
        execution_resources=pb.Receipt.ExecutionResources(
            total_l1_gas=_felt(16580), l1_data_gas=_felt(32), l2_gas=_felt(7)
        ),
        revert_reason=reason,
    )
    return pb.Receipt(invoke=pb.Receipt.Invoke(common=common))


def _receipt_leaf(reason: str | None, data_gas: int | None = None) -> bytes:
    (receipt,) = commitments.read_receipts([_receipt(reason)])
    return commitments.receipt_leaf(bytes(32), receipt, data_gas)


def test_the_receipt_root_is_the_known_one() -> None:
    assert commitments.receipt_commitment([1234], [_receipt("aborted")]) == (
        0x31963CB891EBB825E83514DEB748C89B6967B5368CBC48A9B56193A1464CA87
    )


def test_an_empty_revert_reason_is_not_the_same_as_none() -> None:
    assert _receipt_leaf("") != _receipt_leaf(None)


def test_known_data_gas_takes_the_place_of_the_wires() -> None:
    assert _receipt_leaf(None, 32) == _receipt_leaf(None)
    assert _receipt_leaf(None, 64) != _receipt_leaf(None)


def test_a_receipt_without_its_parts_lacks_fields() -> None:
    for receipt in (pb.Receipt(), pb.Receipt(invoke=pb.Receipt.Invoke())):
        with pytest.raises(FieldMissing):
            commitments.receipt_commitment([1], [receipt])


def test_an_events_transaction_enters_its_leaf_from_0_13_2() -> None:
    def roots(version: str) -> set[int]:
        events = [pb.Event(transaction_hash=_hash(n), from_address=_felt(1)) for n in (1, 2)]
        return {commitments.event_commitment(rules_for(version), [event]) for event in events}

    assert len(roots("0.13.1")) == 1
    assert len(roots("0.13.2")) == 2


# ---- state diff -------------------------------------------------------------------------------


def test_state_diff_commitments_of_recorded_blocks_are_recomputed(fixtures: Path) -> None:
    for name, number in (
        ("sepolia-integration", 35748),
        ("sepolia-integration", 35749),
        ("sepolia-integration", 64164),
        ("sepolia-integration", 1164618),
        ("sepolia", 4072139),
    ):
        block = recorded.load(fixtures, name, number)
        diff = commitments.read_state_diff(block.wire.state_diff)
        assert commitments.state_diff_commitment(diff) == int(
            block.json["state_diff_commitment"], 16
        )
        assert commitments.state_diff_length(diff) == block.json["state_diff_length"]


def test_migrated_classes_count_as_declared(fixtures: Path) -> None:
    state_update = recorded.read(fixtures / "sepolia-integration" / "state_update" / "3077642.json")
    assert state_update is not None
    assert len(state_update["state_diff"]["migrated_compiled_classes"]) == 3
    block = recorded.load(fixtures, "sepolia-integration", 3077642)
    diff = commitments.read_state_diff(block.wire.state_diff)
    assert commitments.state_diff_commitment(diff) == (
        0x31DC9B20993D7256C0B407C7F36D9CB77B7D44788B40F40C770785B1BA421C9
    )


@pytest.mark.parametrize("name", ["mainnet", "sepolia", "sepolia-integration", "integration"])
def test_old_commitments_are_the_ones_that_were_signed(fixtures: Path, name: str) -> None:
    compared = 0
    for number in recorded.numbers(fixtures, name):
        signature = recorded.read(fixtures / name / "signature" / f"{number}.json")
        stated = (signature or {}).get("signature_input", {}).get("state_diff_commitment")
        if stated is None or not (fixtures / name / "state_update" / f"{number}.json").exists():
            continue
        block = recorded.load(fixtures, name, number)
        diff = commitments.read_state_diff(block.wire.state_diff)
        assert commitments.old_state_diff_commitment(diff) == int(stated, 16), number
        compared += 1
    assert compared >= 1


def test_a_contract_may_be_split_over_messages_in_any_order() -> None:
    whole = [_contract(9, nonce=_felt(1), values=[_entry(1, 2), _entry(3, 4)])]
    split = [
        _contract(9, values=[_entry(3, 4)]),
        _contract(9, nonce=_felt(1)),
        _contract(9, values=[_entry(1, 2)]),
    ]
    of = commitments.read_state_diff
    assert of(split) == of(whole)
    assert commitments.state_diff_length(of(whole)) == 3


def _class(class_hash: int, compiled: int | None = None) -> pb.StateDiffsResponse:
    declared = pb.DeclaredClass(class_hash=_hash(class_hash))
    if compiled is not None:
        declared.compiled_class_hash.CopyFrom(_hash(compiled))
    return pb.StateDiffsResponse(declared_class=declared)


@pytest.mark.parametrize(
    "twice",
    [
        [_contract(9, values=[_entry(1, 2)]), _contract(9, values=[_entry(1, 2)])],
        [_contract(9, values=[_entry(1, 2), _entry(1, 3)])],
        [_contract(9, nonce=_felt(1)), _contract(9, nonce=_felt(1))],
        [_contract(9, class_hash=_hash(1)), _contract(9, class_hash=_hash(2))],
        [_class(1), _class(1)],
        [_class(1), _class(1, 2)],
        [_class(1, 2), _class(1)],
        [_class(1, 2), _class(1, 2)],
    ],
)
def test_saying_anything_twice_is_a_duplicate(twice: list[pb.StateDiffsResponse]) -> None:
    with pytest.raises(StateDiffError) as caught:
        commitments.read_state_diff(twice)
    assert caught.value.rule == "state_diff.duplicate"


def test_a_contract_without_a_change_is_refused() -> None:
    with pytest.raises(StateDiffError) as caught:
        commitments.read_state_diff([_contract(9)])
    assert caught.value.rule == "state_diff.empty"


def test_a_domain_that_no_version_has_is_refused() -> None:
    with pytest.raises(StateDiffError) as caught:
        commitments.read_state_diff([_contract(9, nonce=_felt(1), domain=pb.L2)])
    assert caught.value.rule == "state_diff.domain"


def test_trie_keys_of_252_bits_and_empty_messages_are_refused() -> None:
    with pytest.raises(FeltError):
        commitments.read_state_diff([_contract(2**251, nonce=_felt(1))])
    with pytest.raises(FeltError):
        commitments.read_state_diff([_contract(9, values=[_entry(2**251, 1)])])
    for message in (pb.StateDiffsResponse(), pb.StateDiffsResponse(fin=pb.Fin())):
        with pytest.raises(FieldMissing):
            commitments.read_state_diff([message])


def test_the_recorded_transaction_roots_are_recomputed(fixtures: Path) -> None:
    for name, number in (("sepolia-integration", 35749), ("sepolia", 4072139)):
        block = recorded.load(fixtures, name, number)
        assert value(block.wire.header.transactions.root) == int(
            block.json["transaction_commitment"], 16
        )
        assert value(block.wire.header.events.root) == int(block.json["event_commitment"], 16)
        assert value(block.wire.header.receipts) == int(block.json["receipt_commitment"], 16)
