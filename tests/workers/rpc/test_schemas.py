"""Every answer is one that the published specification of its version allows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from node import networks
from starknet.ages import EXAMPLES, version_named
from tests.flow import chains
from tests.starknet import recorded
from tests.workers.rpc.support import (
    ALL_SPECS,
    Node,
    generated,
    opened,
    opened_apart,
    schemas,
    verified,
)
from workers.rpc.methods import ALL, Forwarded, methods_of
from workers.rpc.specs import LATEST, SPECS, Spec

LENGTH = 10  # the last digit of a block's number says what it is about
BLOCK_METHODS = (
    *("getBlockWithTxHashes", "getBlockWithTxs", "getBlockWithReceipts"),
    *("getBlockTransactionCount", "getStateUpdate"),
)
APART = [
    ("sepolia", 56377),
    ("sepolia", 469719),
    ("sepolia", 4072139),
    ("mainnet", 2240),
    ("integration", 319709),
]

Call = tuple[str, dict[str, Any]]


def calls_of_block(node: Node, number: int) -> Iterator[Call]:
    """Yield calls for all that is in one block."""
    at: dict[str, Any] = {"block_id": {"block_number": number}}
    for method in BLOCK_METHODS:
        yield method, at
    hashes = node.call("getBlockWithTxHashes", **at)["transactions"]
    for index, name in enumerate(hashes):
        yield "getTransactionByBlockIdAndIndex", at | {"index": index}
        for method in ("getTransactionByHash", "getTransactionReceipt", "getTransactionStatus"):
            yield method, {"transaction_hash": name}


def calls_of_state(node: Node, number: int) -> Iterator[Call]:
    """Yield calls for all that one block changes."""
    at: dict[str, Any] = {"block_id": {"block_number": number}}
    diff = node.call("getStateUpdate", **at)["state_diff"]
    for deployed in diff["deployed_contracts"]:
        contract = at | {"contract_address": deployed["address"]}
        for method in ("getClassHashAt", "getClassAt", "getNonce"):
            yield method, contract
        yield "getClass", at | {"class_hash": deployed["class_hash"]}
    for changed in diff["storage_diffs"]:
        for entry in changed["storage_entries"]:
            key = at | {"contract_address": changed["address"], "key": entry["key"]}
            yield "getStorageAt", key
            yield "getStorageAt", key | {"response_flags": ["INCLUDE_LAST_UPDATE_BLOCK"]}


def calls_of_node(node: Node) -> Iterator[Call]:
    """Yield calls for the chain as a whole."""
    for method in ("specVersion", "chainId", "syncing", "blockNumber", "blockHashAndNumber"):
        yield method, {}
    yield "getEvents", {"filter": {"chunk_size": 5}}
    yield "getEvents", {"filter": {"chunk_size": 1000}}
    diff = node.call("getStateUpdate", "latest")["state_diff"]
    contracts = [
        {
            "contract_address": changed["address"],
            "storage_keys": [entry["key"] for entry in changed["storage_entries"]],
        }
        for changed in diff["storage_diffs"]
    ]
    addresses = [contract["contract_address"] for contract in contracts]
    yield (
        "getStorageProof",
        {
            "block_id": "latest",
            "class_hashes": ["0x1"],
            "contract_addresses": addresses,
            "contracts_storage_keys": contracts,
        },
    )


def check(node: Node, calls: Iterator[Call], seen: set[str]) -> None:
    for method, params in calls:
        seen.add(method)
        for spec in SPECS:
            result = node.call(method, spec=spec, **params)
            assert not (isinstance(result, dict) and "code" in result), (method, params, result)
            schemas(spec).check(method, result)


@pytest.mark.parametrize("version", EXAMPLES)
def test_answers_over_a_chain_of_each_era_are_what_the_schemas_allow(
    version: str, tmp_path: Path
) -> None:
    network, blocks = generated(version_named(version), LENGTH)
    seen: set[str] = set()
    with opened(network, tmp_path, blocks, target=LENGTH + 5) as node:
        check(node, calls_of_node(node), seen)
        for number in range(LENGTH):
            check(node, calls_of_block(node, number), seen)
            check(node, calls_of_state(node, number), seen)
    answered = {name.removeprefix("starknet_") for name, each in ALL.items()}
    forwarded = {
        name.removeprefix("starknet_") for name, each in ALL.items() if isinstance(each, Forwarded)
    }
    assert seen == answered - forwarded


def test_answers_over_recorded_blocks_are_what_the_schemas_allow(
    fixtures: Path, tmp_path: Path
) -> None:
    network = networks.load("sepolia")
    blocks = verified(network, chains.recorded(fixtures, "sepolia", 7))
    with opened(network, tmp_path, blocks) as node:
        check(node, calls_of_node(node), set())
        for number in range(7):
            check(node, calls_of_block(node, number), set())
            check(node, calls_of_state(node, number), set())


@pytest.mark.parametrize(("network", "number"), APART)
def test_answers_over_a_recorded_block_apart_are_what_the_schemas_allow(
    network: str, number: int, fixtures: Path, tmp_path: Path
) -> None:
    found = recorded.load(fixtures, network, number)
    with opened_apart(tmp_path, found) as node:
        calls = list(calls_of_block_alone(node, number))
        check(node, iter(calls), set())
        check(node, iter([("getEvents", {"filter": FROM_LATEST | {"chunk_size": 100}})]), set())


FROM_LATEST = {"from_block": "latest"}


def calls_of_block_alone(node: Node, number: int) -> Iterator[Call]:
    """Yield the calls that need no other block."""
    return (call for call in calls_of_block(node, number) if call[0] != "getStateUpdate")


@ALL_SPECS
def test_every_method_of_the_specification_is_here_with_its_parameters(spec: Spec) -> None:
    methods = methods_of(spec)
    published = schemas(spec)
    assert published.methods() <= methods.keys()
    for name in published.methods():
        method = methods[name]
        if isinstance(method, Forwarded):
            continue
        named = [(param.name, param.required) for param in method.params]
        assert named == published.parameters(name.removeprefix("starknet_"))


@ALL_SPECS
def test_an_answer_that_is_wrong_in_one_place_is_refused_by_the_schemas(
    spec: Spec, tmp_path: Path
) -> None:
    """Without this the tests above could pass because nothing is looked at."""
    network, blocks = generated("0.13.4", LENGTH)
    with opened(network, tmp_path, blocks) as node:
        for method in ("getBlockWithTxs", "getBlockWithReceipts"):
            good = node.call(method, "latest", spec=spec)
            schemas(spec).check(method, good)
            for path in every_path(good):
                with pytest.raises(jsonschema_rs.ValidationError):
                    schemas(spec).check(method, spoilt(good, path))


def every_path(block: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return where the header, the first transaction and its receipt have values."""
    first = block["transactions"][0]
    paths: list[tuple[Any, ...]] = [(name,) for name in block]
    if "receipt" not in first:
        return paths + [("transactions", 0, name) for name in first]
    for part in ("transaction", "receipt"):
        paths += [("transactions", 0, part, name) for name in first[part]]
    return paths


def spoilt(tree: Any, path: tuple[Any, ...]) -> Any:
    """Return a copy with a value of no allowed kind in that place."""
    if not path:
        return None
    copy = list(tree) if isinstance(tree, list) else dict(tree)
    copy[path[0]] = spoilt(tree[path[0]], path[1:])
    return copy


def test_the_schemas_want_felts_without_leading_zeros(tmp_path: Path) -> None:
    for wrong in ("0x01", "1", 1, "0xg", "0x" + 65 * "1", None):
        with pytest.raises(jsonschema_rs.ValidationError):
            schemas(LATEST).check("getNonce", wrong)
    schemas(LATEST).check("getNonce", "0x1")


@ALL_SPECS
def test_felts_that_are_asked_for_may_be_written_with_leading_zeros_and_capitals(
    spec: Spec, tmp_path: Path
) -> None:
    """As starknet.js writes keys of storage; answers have them as the schemas want them."""
    network, blocks = generated("0.13.4", LENGTH)
    with opened(network, tmp_path, blocks) as node:
        diff = node.call("getStateUpdate", "latest", spec=spec)["state_diff"]
        changed = diff["storage_diffs"][0]
        address, key = changed["address"], changed["storage_entries"][0]["key"]
        wanted = node.call("getStorageAt", address, key, "latest", spec=spec)
        assert wanted == changed["storage_entries"][0]["value"]
        for write in (padded, shouted, lambda felt: shouted(padded(felt))):
            told = node.call("getStorageAt", write(address), write(key), "latest", spec=spec)
            assert told == wanted
            schemas(spec).check("getStorageAt", told)
        for wrong in (address[2:], int(address, 16), "0x" + 65 * "0", address + "g", "0x"):
            assert node.call("getNonce", "latest", wrong, spec=spec)["code"] == -32602


def padded(felt: str) -> str:
    return f"0x{int(felt, 16):064x}"


def shouted(felt: str) -> str:
    return "0X" + felt[2:].upper()
