"""What is answered is what the chain says: compared with the gateway's answers that the chain was made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node import networks
from starknet.ages import version_named
from starknet.devnet import Devnet
from tests.flow import chains
from tests.starknet import recorded
from tests.workers.rpc import expected
from tests.workers.rpc.support import Node, opened, opened_apart, verified
from workers.rpc.specs import V0_9, V0_10

LENGTH = 14
VERSIONS = ("none", "0.11.1", "0.13.1", "0.14.1")


@dataclass(frozen=True)
class Told:
    """A node, and what the gateway says of its blocks: block and state update."""

    node: Node
    chain: Devnet

    def block(self, number: int) -> Any:
        return self.chain.block(number)[0]

    def diff(self, number: int) -> Any:
        return self.chain.block(number)[1]["state_diff"]


@pytest.fixture(scope="module", params=VERSIONS)
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    chain, blocks = chains.devnet(LENGTH, version_named(request.param))
    stored = verified(chain.network(), blocks)
    with opened(chain.network(), tmp_path_factory.mktemp("node"), stored) as node:
        yield Told(node, chain)


def at(number: int) -> dict[str, int]:
    return {"block_number": number}


def test_headers_say_what_the_gateway_says(told: Told) -> None:
    for number in range(LENGTH):
        block, wanted = told.node.call("getBlockWithTxHashes", at(number)), told.block(number)
        for name, theirs in (
            *(("block_hash", "block_hash"), ("parent_hash", "parent_block_hash")),
            *(("block_number", "block_number"), ("new_root", "state_root")),
            ("timestamp", "timestamp"),
        ):
            assert block[name] == wanted[theirs]
        assert block["transactions"] == [
            each["transaction_hash"] for each in wanted["transactions"]
        ]
        assert block["starknet_version"] == wanted.get("starknet_version", "")
        assert block["transaction_count"] == len(wanted["transactions"])
        events = sum(len(each["events"]) for each in wanted["transaction_receipts"])
        assert block["event_count"] == events
        if "l1_gas_price" in wanted:
            assert block["l1_gas_price"] == wanted["l1_gas_price"]
        older = told.node.call("getBlockWithTxHashes", at(number), spec=V0_9)
        assert set(block) - set(older) == {
            *("event_commitment", "event_count", "receipt_commitment", "state_diff_commitment"),
            *("state_diff_length", "transaction_commitment", "transaction_count"),
        }


def test_transactions_say_what_the_gateway_says(told: Told) -> None:
    for number in range(LENGTH):
        listed = told.node.call("getBlockWithTxs", at(number))["transactions"]
        for ours, theirs in zip(listed, told.block(number)["transactions"], strict=True):
            assert ours == expected.transaction(theirs)


def test_receipts_say_what_the_gateway_says(told: Told) -> None:
    for number in range(LENGTH):
        wanted = told.block(number)
        listed = told.node.call("getBlockWithReceipts", at(number))["transactions"]
        pairs = zip(wanted["transactions"], wanted["transaction_receipts"], strict=True)
        for ours, (transaction, receipt) in zip(listed, pairs, strict=True):
            compare(ours["receipt"], transaction, receipt)
            alone = told.node.call("getTransactionReceipt", receipt["transaction_hash"])
            place = {"block_hash": wanted["block_hash"], "block_number": number}
            assert alone == ours["receipt"] | place


def compare(ours: dict[str, Any], transaction: dict[str, Any], receipt: dict[str, Any]) -> None:
    """Compare a receipt with the gateway's."""
    told = {name: value for name, value in ours.items() if name != "message_hash"}
    assert told == expected.receipt(transaction, receipt)
    assert ("message_hash" in ours) == (transaction["type"] == "L1_HANDLER")


def test_state_updates_say_what_the_gateway_says(told: Told) -> None:
    for number in range(LENGTH):
        diff = told.node.call("getStateUpdate", at(number))["state_diff"]
        wanted = told.diff(number)
        assert {
            each["address"]: pairs(each["storage_entries"], "key", "value")
            for each in diff["storage_diffs"]
        } == {
            address: pairs(entries, "key", "value")
            for address, entries in wanted["storage_diffs"].items()
        }
        assert pairs(diff["nonces"], "contract_address", "nonce") == wanted["nonces"]
        for ours, theirs, key, value in (
            ("deployed_contracts", "deployed_contracts", "address", "class_hash"),
            ("declared_classes", "declared_classes", "class_hash", "compiled_class_hash"),
            (
                "migrated_compiled_classes",
                "migrated_compiled_classes",
                "class_hash",
                "compiled_class_hash",
            ),
        ):
            assert pairs(diff[ours], key, value) == pairs(wanted.get(theirs, []), key, value)
        replaced = pairs(wanted["replaced_classes"], "address", "class_hash")
        assert pairs(diff["replaced_classes"], "contract_address", "class_hash") == replaced
        assert set(diff["deprecated_declared_classes"]) == set(wanted["old_declared_contracts"])
        assert (
            "migrated_compiled_classes"
            not in told.node.call("getStateUpdate", at(number), spec=V0_9)["state_diff"]
        )


def pairs(listed: list[dict[str, str]], key: str, value: str) -> dict[str, str]:
    return {each[key]: each[value] for each in listed}


def test_the_state_after_any_block_is_what_the_diffs_up_to_it_make(told: Told) -> None:
    storage: dict[tuple[str, str], tuple[str, int]] = {}
    nonces: dict[str, str] = {}
    classes: dict[str, str] = {}
    for number in range(LENGTH):
        diff = told.diff(number)
        for address, entries in diff["storage_diffs"].items():
            for entry in entries:
                storage[address, entry["key"]] = entry["value"], number
        nonces |= diff["nonces"]
        for each in (*diff["deployed_contracts"], *diff["replaced_classes"]):
            classes[each["address"]] = each["class_hash"]
        for (address, key), (value, since) in storage.items():
            assert told.node.call("getStorageAt", address, key, at(number)) == value
            flagged = told.node.call(
                "getStorageAt", address, key, at(number), ["INCLUDE_LAST_UPDATE_BLOCK"]
            )
            assert flagged == {"value": value, "last_update_block": since}
        for address, class_hash in classes.items():
            assert told.node.call("getClassHashAt", at(number), address) == class_hash
            assert told.node.call("getNonce", at(number), address) == nonces.get(address, "0x0")


def test_a_state_update_may_be_asked_for_some_contracts_only(told: Told) -> None:
    whole = told.node.call("getStateUpdate", at(1))["state_diff"]
    wanted = whole["storage_diffs"][-1]["address"]
    part = told.node.call("getStateUpdate", at(1), [wanted])["state_diff"]
    assert part["storage_diffs"] == whole["storage_diffs"][-1:]
    assert {each["contract_address"] for each in part["nonces"]} <= {wanted}
    assert told.node.call("getStateUpdate", at(1), [])["state_diff"]["storage_diffs"] == []
    assert part["declared_classes"] == whole["declared_classes"]


def test_classes_are_known_from_the_block_that_brings_them(told: Told) -> None:
    for number in range(LENGTH):
        diff = told.diff(number)
        names = [
            *diff["old_declared_contracts"],
            *pairs(diff["declared_classes"], "class_hash", "class_hash"),
        ]
        for name in names:
            definition = told.node.call("getClass", at(number), name)
            wanted = told.chain.class_definition(int(name, 16))
            assert wanted is not None
            if "sierra_program" in wanted:
                assert definition["sierra_program"] == wanted["sierra_program"]
                assert definition["abi"] == wanted["abi"]
            else:
                assert (
                    definition["entry_points_by_type"].keys()
                    == wanted["entry_points_by_type"].keys()
                )
            if number:
                assert told.node.call("getClass", at(number - 1), name)["code"] == 28


def test_the_message_hash_of_an_l1_handler_is_the_one_that_l1_knows(tmp_path: Path) -> None:
    """Keccak-256 over 32-byte words: sender, contract, nonce, selector, length of the payload, payload."""
    from sha3 import keccak_256

    chain, blocks = chains.devnet(LENGTH)
    seen = 0
    with opened(chain.network(), tmp_path, verified(chain.network(), blocks)) as node:
        for number in range(LENGTH):
            for each in node.call("getBlockWithReceipts", at(number))["transactions"]:
                transaction = each["transaction"]
                if transaction["type"] != "L1_HANDLER":
                    continue
                sender, *payload = (int(felt, 16) for felt in transaction["calldata"])
                words = [
                    sender,
                    int(transaction["contract_address"], 16),
                    int(transaction["nonce"], 16),
                ]
                words += [int(transaction["entry_point_selector"], 16), len(payload), *payload]
                digest = keccak_256(b"".join(word.to_bytes(32, "big") for word in words)).digest()
                assert each["receipt"]["message_hash"] == hex(int.from_bytes(digest, "big"))
                seen += 1
    assert seen


def test_proof_facts_come_only_when_they_are_asked_for(told: Told) -> None:
    flag = ["INCLUDE_PROOF_FACTS"]
    for number in range(LENGTH):
        plain = told.node.call("getBlockWithTxs", at(number))["transactions"]
        flagged = told.node.call("getBlockWithTxs", at(number), flag)["transactions"]
        for one, other in zip(plain, flagged, strict=True):
            is_new = one["type"] == "INVOKE" and one["version"] == "0x3"
            assert other == one | ({"proof_facts": []} if is_new else {})
    refused = told.node.call("getBlockWithTxs", at(0), ["INCLUDE_EVERYTHING"], spec=V0_10)
    assert refused["code"] == -32602


def test_recorded_sepolia_blocks_are_answered_with_their_own_hashes(
    fixtures: Path, tmp_path: Path
) -> None:
    network = networks.load("sepolia")
    with opened(
        network, tmp_path, verified(network, chains.recorded(fixtures, "sepolia", 7))
    ) as node:
        block = node.call("getBlockWithTxHashes", at(0))
        assert (
            block["block_hash"]
            == "0x5c627d4aeb51280058bed93c7889bce78114d63baad1be0f0aeb32496d5f19c"
        )
        assert node.call("chainId") == "0x534e5f5345504f4c4941"


@pytest.mark.parametrize(
    ("network", "number"),
    [
        *(("goerli", 485004), ("mainnet", 2240), ("mainnet", 65000), ("mainnet", 763497)),
        *(("mainnet", 2238855), ("sepolia", 56377), ("sepolia", 469719), ("sepolia", 4072139)),
        ("sepolia-integration", 3077642),
    ],
)
def test_recorded_blocks_apart_say_what_the_gateway_said(
    network: str, number: int, fixtures: Path, tmp_path: Path
) -> None:
    found = recorded.load(fixtures, network, number)
    with opened_apart(tmp_path, found) as node:
        answer = node.call("getBlockWithReceipts", at(number), ["INCLUDE_PROOF_FACTS"])
        listed = answer["transactions"]
    pairs = zip(found.json["transactions"], found.json["transaction_receipts"], strict=True)
    for ours, (transaction, receipt) in zip(listed, pairs, strict=True):
        compare(ours["receipt"], transaction, receipt)
        ours["transaction"].pop("proof_facts", None)
        assert ours["transaction"] | {
            "transaction_hash": receipt["transaction_hash"]
        } == expected.transaction(transaction)
