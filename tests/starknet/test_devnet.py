"""The generated chain is valid by the same rules as a real one, and holds every kind of thing it promises."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from starknet import ages, classes, gateway
from starknet.block import CheckedBlock, RuleBroken, check_block
from starknet.devnet import HASH_LAG, LARGE_TRANSACTIONS, Devnet
from starknet.hashes import pedersen, poseidon, poseidon_many
from starknet.trie import HEIGHT
from starknet.versions import UnknownVersion
from starknet.wire.parse import bytes_of
from tests.starknet.tries import map_root

Json = dict[str, Any]
LENGTH = 30


@pytest.fixture(scope="module")
def chain() -> Devnet:
    devnet = Devnet(length=LENGTH)
    devnet.block(LENGTH - 1)
    return devnet


def test_every_block_passes_all_checks_and_links_to_its_parent(chain: Devnet) -> None:
    parent = 0
    for number in range(LENGTH):
        checked = check(chain, *chain.block(number))
        assert checked.number == number
        assert checked.parent_hash == parent
        parent = checked.block_hash
        assert chain.number_of(parent) == number


def test_state_roots_are_those_of_an_independent_recomputation(chain: Devnet) -> None:
    world = World()
    for number in range(LENGTH):
        block, update, _ = chain.block(number)
        assert int(update["old_root"], 16) == world.root
        world.apply(update["state_diff"])
        assert int(update["new_root"], 16) == world.root
        assert block["state_root"] == update["new_root"]


def test_the_same_seed_gives_the_same_chain_and_another_seed_another(chain: Devnet) -> None:
    again, other = Devnet(length=4), Devnet(seed=1, length=4)
    for number in range(4):
        assert again.block(number) == chain.block(number)
        assert other.block(number)[0]["block_hash"] != chain.block(number)[0]["block_hash"]
    assert again.public_key == chain.public_key != other.public_key


@pytest.mark.parametrize("version", ages.EXAMPLES)
def test_the_chain_of_every_age_is_valid_with_all_its_state_roots(version: str) -> None:
    devnet = Devnet(length=12, version=ages.version_named(version))
    world = World(always_joined=version.startswith("0.14"))
    for number in range(12):
        check(devnet, *devnet.block(number))
        update = devnet.block(number)[1]
        world.apply(update["state_diff"])
        assert int(update["new_root"], 16) == world.root


def test_blocks_before_0_7_bind_neither_time_nor_events_but_their_chain() -> None:
    devnet = Devnet(length=12, version="", first_07_block=6)
    for number, bound in ((5, False), (6, True)):
        block, update, signature = deepcopy(devnet.block(number))
        assert "starknet_version" not in block
        assert ("sequencer_address" in block) == bound
        block["timestamp"] += 1
        if not bound:
            check(devnet, block, update, signature)
            continue
        with pytest.raises(RuleBroken, match=r"header\.block_hash"):
            check(devnet, block, update, signature)


KINDS = {
    "": {"DEPLOY 0", "INVOKE_FUNCTION 0", "L1_HANDLER 0"},
    "0.10.0": {
        *("DECLARE 0", "DECLARE 1", "DEPLOY 0", "DEPLOY_ACCOUNT 1"),
        *("INVOKE_FUNCTION 0", "INVOKE_FUNCTION 1", "L1_HANDLER 0"),
    },
    "0.12.3": {
        *("DECLARE 0", "DECLARE 1", "DECLARE 2", "DEPLOY_ACCOUNT 1"),
        *("INVOKE_FUNCTION 1", "L1_HANDLER 0"),
    },
    "0.14.1": {"DECLARE 3", "DEPLOY_ACCOUNT 3", "INVOKE_FUNCTION 3", "L1_HANDLER 0"},
}


@pytest.mark.parametrize("version", KINDS)
def test_an_age_has_its_own_kinds_of_transactions(version: str) -> None:
    devnet = Devnet(length=20, version=version)
    found = {
        f"{tx['type']} {int(tx['version'], 16)}"
        for number in range(20)
        for tx in devnet.block(number)[0]["transactions"]
    }
    assert found == KINDS[version]


def test_before_the_first_version_string_classes_come_with_contracts_alone() -> None:
    devnet = Devnet(length=12, version="")
    diffs = [devnet.block(number)[1]["state_diff"] for number in range(12)]
    assert not any(diff["old_declared_contracts"] or diff["nonces"] for diff in diffs)
    deployed = {item["class_hash"] for diff in diffs for item in diff["deployed_contracts"]}
    assert all(devnet.class_definition(int(name, 16)) for name in deployed)
    assert deployed


def test_from_0_14_1_on_compiled_classes_are_hashed_with_blake_and_one_is_migrated() -> None:
    devnet = Devnet(length=4, version="0.14.1")
    diffs = [devnet.block(number)[1]["state_diff"] for number in range(4)]

    def compiled(item: Json) -> Json:
        casm = devnet.compiled_class(int(item["class_hash"], 16))
        assert casm is not None
        return casm

    first, second = diffs[0]["declared_classes"]
    for item in (first, second):
        assert item["compiled_class_hash"] == hex(classes.compiled_class_hash(compiled(item)))
    (later,) = diffs[1]["declared_classes"]
    (migrated,) = diffs[3]["migrated_compiled_classes"]
    for item in (later, migrated):
        assert item["compiled_class_hash"] == hex(classes.compiled_class_hash_v2(compiled(item)))
    assert migrated["class_hash"] in (first["class_hash"], second["class_hash"])


def test_the_json_has_the_form_of_its_age() -> None:
    def answers(version: str) -> tuple[Json, Json]:
        block, _, signature = Devnet(length=3, version=version).block(2)
        return block, signature

    block, signature = answers("0.12.3")
    assert "receipt_commitment" not in block
    assert block["gas_price"] == hex(10**9 + 2)
    assert set(signature["signature_input"]) == {"block_hash", "state_diff_commitment"}
    block, signature = answers("0.13.0")
    assert {"eth_l1_gas_price", "strk_l1_gas_price"} <= block.keys()
    assert "signature_input" not in signature
    block, _ = answers("0.13.3")
    assert {"l1_gas_price", "l1_data_gas_price", "receipt_commitment"} <= block.keys()
    assert "l2_gas_price" not in block
    assert "l2_gas_price" in answers("0.13.4")[0]


def test_a_version_that_nobody_knows_is_refused_with_those_that_can_be_made() -> None:
    for text in ("0.15.0", "1.x"):
        with pytest.raises(UnknownVersion, match=r"such as none, 0\.9\.1, .*0\.14\.1$"):
            ages.version_named(text)
    assert ages.version_named(ages.NO_VERSION) == ""
    with pytest.raises(UnknownVersion):
        Devnet(version="0.15.0")


def test_every_kind_of_transaction_is_there(chain: Devnet) -> None:
    kinds = {(tx["type"], int(tx["version"], 16)) for tx in transactions(chain)}
    assert kinds == {
        ("DECLARE", 0),
        ("DECLARE", 1),
        ("DECLARE", 2),
        ("DECLARE", 3),
        ("DEPLOY_ACCOUNT", 1),
        ("DEPLOY_ACCOUNT", 3),
        ("INVOKE_FUNCTION", 1),
        ("INVOKE_FUNCTION", 3),
        ("L1_HANDLER", 0),
    }
    assert any(tx["signature"] == [] for tx in transactions(chain) if "signature" in tx)


def test_receipts_hold_fees_reverts_and_messages_to_l1(chain: Devnet) -> None:
    receipts = [
        receipt
        for number in range(LENGTH)
        for receipt in chain.block(number)[0]["transaction_receipts"]
    ]
    assert any(receipt["execution_status"] == "REVERTED" for receipt in receipts)
    assert any(receipt["l2_to_l1_messages"] for receipt in receipts)
    assert any(int(receipt["actual_fee"], 16) for receipt in receipts)
    assert all(receipt["execution_resources"]["total_gas_consumed"] for receipt in receipts)
    assert any(receipt["events"] for receipt in receipts)


def test_state_diffs_hold_every_kind_of_change(chain: Devnet) -> None:
    diffs = [chain.block(number)[1]["state_diff"] for number in range(LENGTH)]
    for kind in (
        "nonces",
        "deployed_contracts",
        "old_declared_contracts",
        "declared_classes",
        "replaced_classes",
    ):
        assert any(diff[kind] for diff in diffs), kind
    entries = [entry for diff in diffs for kept in diff["storage_diffs"].values() for entry in kept]
    assert any(entry["value"] == "0x0" for entry in entries)


def test_old_block_hashes_are_kept_in_the_system_contract(chain: Devnet) -> None:
    for number in range(HASH_LAG, LENGTH):
        kept = chain.block(number)[1]["state_diff"]["storage_diffs"]["0x1"]
        old = number - HASH_LAG
        assert kept == [{"key": hex(old), "value": chain.block(old)[0]["block_hash"]}]


def test_some_blocks_are_empty_and_some_large() -> None:
    devnet = Devnet(length=50)
    check(devnet, *devnet.block(49))
    check(devnet, *devnet.block(25))
    assert devnet.block(49)[0]["transactions"] == []
    assert len(devnet.block(25)[0]["transactions"]) == LARGE_TRANSACTIONS


def test_each_declared_class_is_there_with_the_right_hash_and_compiled_form(chain: Devnet) -> None:
    compiled_hashes = set()
    for number in range(LENGTH):
        for declared in chain.block(number)[1]["state_diff"]["declared_classes"]:
            casm = chain.compiled_class(int(declared["class_hash"], 16))
            assert casm is not None
            assert hex(classes.compiled_class_hash(casm)) == declared["compiled_class_hash"]
            compiled_hashes.add(declared["compiled_class_hash"])
    assert len(compiled_hashes) > 3
    assert chain.class_definition(1) is None
    assert chain.compiled_class(1) is None


def test_a_chain_ends_at_its_length() -> None:
    with pytest.raises(IndexError, match="block 2 of a devnet of 2 blocks"):
        Devnet(length=2).block(2)


def test_the_json_survives_being_sent(chain: Devnet) -> None:
    sent = json.loads(json.dumps(chain.block(11)))
    check(chain, *sent)


def tamper_fee(block: Json, update: Json) -> None:
    block["transaction_receipts"][0]["actual_fee"] = "0x7"


def tamper_time(block: Json, update: Json) -> None:
    block["timestamp"] += 1


def tamper_event(block: Json, update: Json) -> None:
    receipt = next(kept for kept in block["transaction_receipts"] if kept["events"])
    receipt["events"][0]["data"] = ["0x7"]


def tamper_storage(block: Json, update: Json) -> None:
    update["state_diff"]["storage_diffs"]["0x1"][0]["value"] = "0x7"


def tamper_price(block: Json, update: Json) -> None:
    block["l2_gas_price"]["price_in_wei"] = "0x7"


@pytest.mark.parametrize(
    "tamper", [tamper_fee, tamper_time, tamper_event, tamper_storage, tamper_price]
)
def test_a_changed_field_is_noticed(chain: Devnet, tamper: Callable[[Json, Json], None]) -> None:
    block, update, signature = deepcopy(chain.block(13))
    tamper(block, update)
    with pytest.raises(RuleBroken):
        check(chain, block, update, signature)


def check(devnet: Devnet, block: Json, update: Json, signature: Json) -> CheckedBlock:
    """Check one block from its JSON alone, with its classes."""
    wire = gateway.block_from_gateway(block, update, signature)
    wire = gateway.fill_commitments(wire, wire.header.protocol_version)
    definitions = [
        gateway.class_from_gateway(definition, class_hash)
        for class_hash in wire.declared
        if (definition := devnet.class_definition(class_hash)) is not None
    ]
    return check_block(
        devnet.network(),
        devnet.public_key,
        wire.header,
        wire.state_diff,
        definitions,
        bytes_of(wire.transactions),
        bytes_of(wire.events),
    )


def transactions(devnet: Devnet) -> Iterator[Json]:
    for number in range(LENGTH):
        yield from devnet.block(number)[0]["transactions"]


class World:
    """The whole state as plain maps, hashed anew by the definition of the tries."""

    def __init__(self, *, always_joined: bool = False) -> None:
        self.root = 0
        self._always_joined = always_joined
        self._classes: dict[int, int] = {}
        self._class_of: dict[int, int] = {}
        self._nonces: dict[int, int] = {}
        self._storage: dict[int, dict[int, int]] = {}

    def apply(self, diff: Json) -> None:
        for kind in ("deployed_contracts", "replaced_classes"):
            for changed in diff[kind]:
                self._class_of[int(changed["address"], 16)] = int(changed["class_hash"], 16)
        for address, nonce in diff["nonces"].items():
            self._nonces[int(address, 16)] = int(nonce, 16)
        for address, entries in diff["storage_diffs"].items():
            kept = self._storage.setdefault(int(address, 16), {})
            kept.update({int(entry["key"], 16): int(entry["value"], 16) for entry in entries})
        for declared in diff["declared_classes"] + diff.get("migrated_compiled_classes", []):
            leaf = poseidon(
                int.from_bytes(b"CONTRACT_CLASS_LEAF_V0"), int(declared["compiled_class_hash"], 16)
            )
            self._classes[int(declared["class_hash"], 16)] = leaf
        self.root = self._hashed()

    def _hashed(self) -> int:
        addresses = self._class_of.keys() | self._nonces.keys() | self._storage.keys()
        contracts = map_root(
            HEIGHT, {address: self._leaf(address) for address in addresses}, pedersen
        )
        declared = map_root(HEIGHT, self._classes, poseidon)
        if declared == 0 and not self._always_joined:
            return contracts
        return poseidon_many([int.from_bytes(b"STARKNET_STATE_V0"), contracts, declared])

    def _leaf(self, address: int) -> int:
        storage = map_root(HEIGHT, self._storage.get(address, {}), pedersen)
        leaf = pedersen(self._class_of.get(address, 0), storage)
        return pedersen(pedersen(leaf, self._nonces.get(address, 0)), 0)
