"""Claims about gateway JSON: every age of it is read, nothing malformed is, and it is written back alike."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from starknet import classes, gateway
from starknet.felt import value
from starknet.gateway import GatewayFormatError, block_from_gateway
from starknet.wire import sync_pb2 as pb
from tests.starknet import recorded

PARTS = ("block", "state_update", "signature")
WITH_PROOF_FACTS = ("sepolia-integration", 1041730)


def answers(fixtures: Path, network: str, number: int) -> tuple[Any, Any, Any]:
    block, update, signature = (
        recorded.read(fixtures / network / part / f"{number}.json") for part in PARTS
    )
    return block, update, signature


def small_blocks(fixtures: Path) -> list[tuple[str, int]]:
    every = [(name, n) for name in recorded.NETWORKS for n in recorded.numbers(fixtures, name)]
    assert len(every) > 60
    return every


def hashes(block: dict[str, Any]) -> list[int]:
    return [int(tx["transaction_hash"], 16) for tx in block["transactions"]]


def test_every_recorded_block_comes_back_as_the_same_messages(fixtures: Path) -> None:
    for network, number in small_blocks(fixtures):
        block, update, signature = answers(fixtures, network, number)
        wire = block_from_gateway(block, update, signature)
        diff = (update or {}).get("state_diff", {})
        replaced = {int(item["address"], 16) for item in diff.get("replaced_classes", [])}
        written = (
            gateway.block_to_gateway(wire, hashes(block)),
            gateway.state_update_to_gateway(wire, 0, replaced=replaced) if update else None,
            gateway.signature_to_gateway(wire) if signature else None,
        )
        assert block_from_gateway(*json.loads(json.dumps(written))) == wire, (network, number)


def test_what_is_written_holds_every_number_that_was_read(fixtures: Path) -> None:
    block, update, signature = answers(fixtures, "sepolia-integration", 35749)
    wire = gateway.fill_commitments(block_from_gateway(block, update, signature), "0.13.2")
    written = gateway.block_to_gateway(wire, hashes(block))
    same = """block_hash parent_block_hash block_number state_root timestamp sequencer_address
    transaction_commitment event_commitment receipt_commitment state_diff_commitment
    state_diff_length l1_da_mode l1_gas_price l1_data_gas_price starknet_version"""
    for field in same.split():
        assert written[field] == block[field], field
    for old, new in zip(block["transactions"], written["transactions"], strict=True):
        assert new == {**old, **{key: item for key, item in new.items() if key not in old}}
    assert gateway.signature_to_gateway(wire) == signature
    diff = gateway.state_update_to_gateway(wire, int(update["old_root"], 16))["state_diff"]
    for group, items in update["state_diff"].items():
        assert len(diff[group]) == len(items), group


def test_the_commitments_of_new_blocks_are_those_the_gateway_states(fixtures: Path) -> None:
    compared = 0
    for network, number in small_blocks(fixtures):
        block, update, signature = answers(fixtures, network, number)
        if "receipt_commitment" not in block or block["starknet_version"] < "0.13.2":
            continue
        wire = block_from_gateway(block, update, signature)
        header = gateway.fill_commitments(wire, block["starknet_version"]).header
        stated = [block[f"{part}_commitment"] for part in ("transaction", "event", "receipt")]
        roots = [header.transactions.root, header.events.root, header.receipts]
        if update is not None:
            stated += [block["state_diff_commitment"], hex(block["state_diff_length"])]
            roots.append(header.state_diff_commitment.root)
            assert header.state_diff_commitment.state_diff_length == block["state_diff_length"]
        assert [hex(value(root)) for root in roots] == stated[: len(roots)], (network, number)
        compared += 1
    assert compared > 10


@pytest.mark.parametrize(
    ("answer", "wei", "fri"),
    [
        ({"gas_price": "0x10"}, 16, 0),
        ({"eth_l1_gas_price": "0x11", "strk_l1_gas_price": "0x12", "gas_price": "0x1"}, 17, 18),
        ({"l1_gas_price": {"price_in_wei": "0x13", "price_in_fri": "0x14"}}, 19, 20),
        (
            {"l1_gas_price": {"price_in_wei": hex(7 << 64 | 5), "price_in_fri": "0x0"}},
            7 << 64 | 5,
            0,
        ),
        ({}, 0, 0),
    ],
)
def test_the_gas_price_is_read_in_each_of_its_forms(
    fixtures: Path, answer: dict[str, Any], wei: int, fri: int
) -> None:
    block, _, _ = answers(fixtures, "mainnet", 0)
    for field in ("gas_price", "eth_l1_gas_price", "strk_l1_gas_price", "l1_gas_price"):
        block.pop(field, None)
    header = block_from_gateway(block | answer, None, None).header
    prices = (header.l1_gas_price_wei, header.l1_gas_price_fri)
    assert [price.low + (price.high << 64) for price in prices] == [wei, fri]


def test_fields_that_the_first_blocks_lack_count_as_zero(fixtures: Path) -> None:
    block, _, _ = answers(fixtures, "mainnet", 0)
    for field in ("sequencer_address", "starknet_version"):
        block.pop(field, None)
    for receipt in block["transaction_receipts"]:
        receipt.pop("execution_resources", None)
    wire = block_from_gateway(block, None, None)
    assert value(wire.header.sequencer_address) == 0
    assert wire.header.protocol_version == ""
    common = wire.transactions[0].receipt.deprecated_deploy.common
    assert common.HasField("execution_resources")
    assert not common.execution_resources.HasField("total_l1_gas")


def test_an_l1_handler_without_nonce_gets_the_nonce_0(fixtures: Path) -> None:
    block, _, _ = answers(fixtures, "sepolia", 6)
    (transaction,) = block["transactions"]
    stated = block_from_gateway(block, None, None).transactions[0]
    assert stated.transaction.l1_handler.nonce.elements == b"" or transaction["nonce"] != "0x0"
    assert len(stated.receipt.l1_handler.msg_hash.elements) == 32
    del transaction["nonce"]
    handler = block_from_gateway(block, None, None).transactions[0].transaction.l1_handler
    assert handler.HasField("nonce")
    assert value(handler.nonce) == 0


def test_the_hashed_gas_is_the_total_and_not_the_part_for_data_availability(fixtures: Path) -> None:
    block, _, _ = answers(fixtures, "sepolia-integration", 64164)
    differ = 0
    pairs = block_from_gateway(block, None, None).transactions
    for pair, receipt in zip(pairs, block["transaction_receipts"], strict=True):
        resources = pair.receipt.invoke.common.execution_resources
        total = receipt["execution_resources"]["total_gas_consumed"]
        available = receipt["execution_resources"]["data_availability"]
        assert value(resources.l1_data_gas) == total["l1_data_gas"]
        assert value(resources.total_l1_gas) == total["l1_gas"]
        differ += total != available
    assert differ > 0


def test_only_a_reverted_transaction_has_a_reason(fixtures: Path) -> None:
    block, _, _ = answers(fixtures, "integration", 304740)
    for pair, receipt in zip(
        block_from_gateway(block, None, None).transactions,
        block["transaction_receipts"],
        strict=True,
    ):
        common = pair.receipt.invoke.common
        assert common.HasField("revert_reason") == (receipt["execution_status"] == "REVERTED")
        assert common.revert_reason == receipt.get("revert_error", "")


def test_declared_deployed_replaced_and_migrated_classes_are_told_apart(fixtures: Path) -> None:
    block, update, _ = answers(fixtures, "integration", 283364)
    update["state_diff"] = {
        "storage_diffs": {"0x9": []},
        "deployed_contracts": [{"address": "0x2", "class_hash": "0x21"}],
        "replaced_classes": [{"address": "0x1", "class_hash": "0x22"}],
        "old_declared_contracts": ["0x33", "0x32"],
        "declared_classes": [{"class_hash": "0x31", "compiled_class_hash": "0x41"}],
        "migrated_compiled_classes": [{"class_hash": "0x30", "compiled_class_hash": "0x40"}],
    }
    wire = block_from_gateway(block, update, None)
    assert (wire.declared, wire.deployed) == ([0x31, 0x32, 0x33], [0x21])
    contracts = [item.contract_diff for item in wire.state_diff if item.HasField("contract_diff")]
    assert [(value(c.address), value(c.class_hash)) for c in contracts] == [(1, 0x22), (2, 0x21)]
    assert wire.header.state_diff_commitment.state_diff_length == 6
    diff = gateway.state_update_to_gateway(wire, 0, replaced={1}, migrated={0x30})["state_diff"]
    assert diff["replaced_classes"] == update["state_diff"]["replaced_classes"]
    assert diff["deployed_contracts"] == update["state_diff"]["deployed_contracts"]
    assert diff["declared_classes"] == update["state_diff"]["declared_classes"]
    assert diff["migrated_compiled_classes"] == update["state_diff"]["migrated_compiled_classes"]
    assert diff["old_declared_contracts"] == ["0x32", "0x33"]


def test_a_contract_with_many_values_is_split_below_the_message_limit(fixtures: Path) -> None:
    block, update, _ = answers(fixtures, "sepolia", 0)
    high = 1 << 250
    entries = [{"key": hex(high + n), "value": hex(high - n)} for n in range(20_000)]
    update["state_diff"] = {"storage_diffs": {hex(high): entries}, "nonces": {hex(high): "0x1"}}
    wire = block_from_gateway(block, update, None)
    sizes = [message.ByteSize() for message in wire.state_diff]
    assert len(sizes) == 3
    assert max(sizes) < 1_000_000
    assert [message.contract_diff.HasField("nonce") for message in wire.state_diff] == [
        True,
        False,
        False,
    ]
    assert wire.header.state_diff_commitment.state_diff_length == 20_001
    written = gateway.state_update_to_gateway(wire, 0)["state_diff"]
    assert written["storage_diffs"] == update["state_diff"]["storage_diffs"]


def test_answers_about_different_blocks_do_not_mix(fixtures: Path) -> None:
    block, update, signature = answers(fixtures, "sepolia", 0)
    _, other_update, other_signature = answers(fixtures, "sepolia", 1)
    with pytest.raises(GatewayFormatError, match=r"state_update\.block_hash is of another block"):
        block_from_gateway(block, other_update, signature)
    with pytest.raises(GatewayFormatError, match=r"signature\.block_hash is of another block"):
        block_from_gateway(block, update, other_signature)


def test_proof_facts_travel_on_the_wire_and_are_written_only_where_there_are_some(
    fixtures: Path,
) -> None:
    block, _, _ = answers(fixtures, *WITH_PROOF_FACTS)
    wire = block_from_gateway(block, None, None)
    sent = [list(pair.transaction.invoke_v3.proof_facts) for pair in wire.transactions]
    assert any(sent)
    written = gateway.block_to_gateway(wire, hashes(block))["transactions"]
    stated = [tx.get("proof_facts") or None for tx in block["transactions"]]
    assert [tx.get("proof_facts") for tx in written] == stated


@pytest.mark.parametrize(
    ("path", "junk", "line"),
    [
        (["block_hash"], None, "block_hash is missing"),
        (["block_number"], -1, "block_number is out of range"),
        (["timestamp"], True, "timestamp is not a number"),
        (["state_root"], "0x" + "f" * 64, "state_root is out of range"),
        (["l1_da_mode"], "DISK", "l1_da_mode is neither CALLDATA nor BLOB"),
        (["transactions"], {}, "transactions is not a list"),
        (["transactions", 0], 5, "transactions[0].item is not an object"),
        (["transactions", 0, "version"], "0x9", "transactions[0].type DECLARE has no version 9"),
        (["transactions", 0, "type"], "MINT\n", "transactions[0].type MINT? has no version 0"),
        (
            ["transactions", 3, "calldata", 1],
            "zz",
            "transactions[3].calldata[1] is not a hex number",
        ),
        (["transaction_receipts"], [], "transaction_receipts has 0 items for 7 transactions"),
        (
            ["transaction_receipts", 3, "transaction_hash"],
            "0x1",
            "transaction_receipts[3].transaction_hash is of another transaction",
        ),
        (
            ["transaction_receipts", 3, "execution_resources", "n_steps"],
            1 << 32,
            "transaction_receipts[3].execution_resources.n_steps is out of range",
        ),
    ],
)
def test_an_error_names_the_field_in_one_line(
    fixtures: Path, path: list[Any], junk: Any, line: str
) -> None:
    block, _, _ = answers(fixtures, "sepolia", 0)
    holder = block
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = junk
    with pytest.raises(GatewayFormatError) as caught:
        block_from_gateway(block, None, None)
    assert str(caught.value) == f"gateway JSON: {line}"


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.just("\ud800"),
    st.just([]),
    st.just({}),
    st.just([None]),
    st.just([[]]),
    st.just({"a": 1}),
)


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_junk_anywhere_is_a_format_error_or_still_a_block(
    fixtures: Path, data: st.DataObject
) -> None:
    number = data.draw(st.sampled_from([0, 6, 7, 16697]))
    whole = dict(zip(PARTS, answers(fixtures, "sepolia", number), strict=True))
    holder: Any = copy.deepcopy(whole)
    parent, step = holder, data.draw(st.sampled_from(PARTS))
    while isinstance(parent[step], (dict, list)) and parent[step] and data.draw(st.integers(0, 5)):
        parent = parent[step]
        steps = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        step = data.draw(st.sampled_from(steps))
    parent[step] = data.draw(JUNK)
    if holder["block"] is None:
        return
    try:
        wire = block_from_gateway(holder["block"], holder["state_update"], holder["signature"])
        gateway.fill_commitments(wire, "0.13.2")
    except GatewayFormatError as error:
        line = str(error)
    else:
        line = ""
    assert "\n" not in line


@pytest.mark.parametrize("junk", [None, [], {}, {"sierra_program": 5}, {"program": 5}, {"abi": ""}])
def test_a_malformed_class_is_a_format_error(junk: Any) -> None:
    with pytest.raises(GatewayFormatError):
        gateway.class_from_gateway(junk, 5)


def test_every_recorded_class_comes_back_as_the_same_message(fixtures: Path) -> None:
    files = sorted((fixtures / "sepolia" / "class").glob("*.json"))
    assert len(files) > 10
    for file in files:
        definition = json.loads(file.read_bytes())
        message = gateway.class_from_gateway(definition, int(file.stem, 16))
        written = gateway.class_to_gateway(message)
        again = gateway.class_from_gateway(json.loads(json.dumps(written)), int(file.stem, 16))
        assert again == message
        assert message.ByteSize() < 4_000_000
        if "program" in definition:
            assert written["program"] == definition["program"]
            assert written["abi"] == definition["abi"]
        else:
            assert written["abi"] == definition["abi"]
            assert written["sierra_program"] == definition["sierra_program"]


def test_an_entry_point_offset_may_be_hex_or_decimal() -> None:
    points = [{"selector": "0x1", "offset": "0x1f"}, {"selector": "0x2", "offset": 32}]
    definition = {"abi": [], "program": {}, "entry_points_by_type": {"EXTERNAL": points}}
    message = gateway.class_from_gateway(definition, 5)
    assert [point.offset for point in message.cairo0.externals] == [31, 32]


def test_a_program_that_does_not_unpack_cannot_be_written() -> None:
    message = pb.Class(cairo0=pb.Cairo0Class(abi="[]", program="AAAA"))
    with pytest.raises(classes.MalformedClass):
        gateway.class_to_gateway(message)
