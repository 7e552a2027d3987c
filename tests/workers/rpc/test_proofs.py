"""Storage proofs, checked by a walk of our own down to the value, against the root that the block states."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from poseidon_py.poseidon_hash import poseidon_hash, poseidon_hash_many

from starknet.felt import short_string
from starknet.hashes import pedersen
from tests.workers.rpc.support import Node, generated, opened, value_at
from workers.rpc import proofs

LENGTH = 12


@pytest.fixture(scope="module", params=["0.13.4", "0.14.1", "none"])
def node(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    version = "" if request.param == "none" else request.param
    network, blocks = generated(version, LENGTH)
    with opened(network, tmp_path_factory.mktemp("node"), blocks) as made:
        yield made


def roots(proof: dict[str, Any]) -> tuple[int, int]:
    told = proof["global_roots"]
    return int(told["contracts_tree_root"], 16), int(told["classes_tree_root"], 16)


def changed(node: Node) -> dict[str, dict[str, str]]:
    """Every contract's storage after the last block."""
    storage: dict[str, dict[str, str]] = {}
    for number in range(LENGTH):
        diff = node.call("getStateUpdate", {"block_number": number})["state_diff"]
        for each in diff["storage_diffs"]:
            entries = {entry["key"]: entry["value"] for entry in each["storage_entries"]}
            storage.setdefault(each["address"], {}).update(entries)
    return storage


def test_proofs_lead_from_the_state_root_to_every_stored_value(node: Node) -> None:
    storage = changed(node)
    addresses = list(storage)
    keys = [
        {"contract_address": address, "storage_keys": list(entries)}
        for address, entries in storage.items()
    ]
    for start in range(0, len(addresses), 2):
        some = slice(start, start + 2)
        proof = node.call("getStorageProof", "latest", [], addresses[some], keys[some])
        contracts, classes = roots(proof)
        check_root(node, contracts, classes)
        for address, leaf, nodes in zip(
            addresses[some],
            proof["contracts_proof"]["contract_leaves_data"],
            proof["contracts_storage_proofs"],
            strict=True,
        ):
            storage_root = int(leaf["storage_root"], 16)
            for key, value in storage[address].items():
                assert value_at(nodes, storage_root, int(key, 16), pedersen) == int(value, 16)
            hashed = pedersen(int(leaf["class_hash"], 16), storage_root)
            hashed = pedersen(pedersen(hashed, int(leaf["nonce"], 16)), 0)
            path = proof["contracts_proof"]["nodes"]
            assert value_at(path, contracts, int(address, 16), pedersen) == hashed


def check_root(node: Node, contracts: int, classes: int) -> None:
    block = node.call("getBlockWithTxHashes", "latest")
    joined = poseidon_hash_many([short_string("STARKNET_STATE_V0"), contracts, classes])
    root = joined if classes or block["starknet_version"] >= "0.14" else contracts
    assert int(block["new_root"], 16) == root


def test_proofs_lead_to_declared_classes(node: Node) -> None:
    declared: dict[int, int] = {}
    for number in range(LENGTH):
        diff = node.call("getStateUpdate", {"block_number": number})["state_diff"]
        for each in (*diff["declared_classes"], *diff["migrated_compiled_classes"]):
            declared[int(each["class_hash"], 16)] = int(each["compiled_class_hash"], 16)
    proof = node.call("getStorageProof", "latest", [hex(name) for name in declared])
    for name, compiled in declared.items():
        leaf = poseidon_hash(short_string("CONTRACT_CLASS_LEAF_V0"), compiled)
        assert value_at(proof["classes_proof"], roots(proof)[1], name, poseidon_hash) == leaf
    assert proof["contracts_proof"] == {"nodes": [], "contract_leaves_data": []}


def test_what_is_not_there_is_proved_not_to_be(node: Node) -> None:
    absent = hex(2**250 + 12345)
    keys = [{"contract_address": absent, "storage_keys": ["0x1"]}]
    proof = node.call("getStorageProof", "latest", [absent], [absent], keys)
    contracts, classes = roots(proof)
    assert value_at(proof["contracts_proof"]["nodes"], contracts, int(absent, 16), pedersen) == 0
    assert value_at(proof["classes_proof"], classes, int(absent, 16), poseidon_hash) == 0
    assert proof["contracts_storage_proofs"] == [[]]
    leaf = {"nonce": "0x0", "class_hash": "0x0", "storage_root": "0x0"}
    assert proof["contracts_proof"]["contract_leaves_data"] == [leaf]


def test_a_changed_proof_is_found_to_be_wrong(node: Node) -> None:
    """Without this the walk above could agree with anything."""
    address = next(iter(changed(node)))
    proof = node.call("getStorageProof", "latest", [], [address])
    nodes = proof["contracts_proof"]["nodes"]
    spoilt = nodes[-1]["node"]
    name = "child" if "child" in spoilt else "left"
    spoilt[name] = hex(int(spoilt[name], 16) ^ 1)
    with pytest.raises(AssertionError):
        value_at(nodes, roots(proof)[0], int(address, 16), pedersen)


def test_how_many_paths_one_answer_has_is_bounded(node: Node) -> None:
    many = [hex(key) for key in range(proofs.PATHS_MAX + 1)]
    assert node.call("getStorageProof", "latest", many)["code"] == -32602
    keys = [{"contract_address": "0x1", "storage_keys": many}]
    assert node.call("getStorageProof", "latest", [], [], keys)["code"] == -32602
    assert "classes_proof" in node.call("getStorageProof", "latest", many[:-1])
    for wrong in ([hex(2**251)], ["x"], [5]):
        assert node.call("getStorageProof", "latest", wrong)["code"] == -32602


def test_tries_of_earlier_blocks_are_not_kept(node: Node, tmp_path: Path) -> None:
    assert node.call("getStorageProof", {"block_number": LENGTH - 2})["code"] == 42
    head = node.call("blockHashAndNumber")
    assert "global_roots" in node.call("getStorageProof", {"block_hash": head["block_hash"]})
