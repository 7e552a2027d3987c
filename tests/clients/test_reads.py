"""Every read call of starknet.js and starknet-py says of a chain what its gateway says."""

import json
from typing import Any

import pytest

from starknet.hashes import pedersen
from starknet.state import state_root
from tests.clients.askers import Asker, plain
from tests.clients.conftest import Chain
from tests.scripts import Refused
from tests.workers.rpc import expected
from tests.workers.rpc.support import value_at

Json = dict[str, Any]


def shared(told: Json, wanted: Json) -> Json:
    """Return what was told of what is wanted."""
    return {name: told.get(name) for name in wanted}


def in_order(listed: list[Any]) -> list[Any]:
    """Return a list whose order says nothing in one order."""
    return sorted(listed, key=repr)


def test_the_chain_as_a_whole(chain: Chain, asker: Asker) -> None:
    head = chain.blocks[-1][0]
    assert asker.ask("specVersion") == asker.version
    assert asker.ask("chainId") == chain.chain_id
    syncing = asker.ask("syncing")  # the recorded gateway tells of later blocks than it has
    assert syncing is False or syncing["current_block_num"] == chain.head
    assert syncing is False or chain.name == "recorded"
    assert asker.ask("blockNumber") == chain.head
    assert asker.ask("blockHashAndNumber") == plain(
        {"block_hash": head["block_hash"], "block_number": chain.head}
    )


def test_headers(chain: Chain, asker: Asker) -> None:
    for block, _ in chain.blocks:
        wanted = expected.header(block)
        if asker.version != "0.9.0":
            wanted |= expected.commitments(block)
        wanted["transactions"] = [each["transaction_hash"] for each in block["transactions"]]
        for place in (block["block_number"], block["block_hash"]):
            told = asker.ask("getBlockWithTxHashes", block=place)
            assert shared(told, wanted) == plain(wanted)
        count = asker.ask("getBlockTransactionCount", block=block["block_hash"])
        assert count == len(block["transactions"])
    assert asker.ask("getBlockWithTxHashes", block="latest")["block_number"] == chain.head


def test_transactions(chain: Chain, asker: Asker) -> None:
    for block, _ in chain.blocks:
        told = asker.ask("getBlockWithTxs", block=block["block_number"])["transactions"]
        for ours, theirs in zip(told, block["transactions"], strict=True):
            assert_transaction(ours, theirs)
    for block, index, transaction, _ in chain.transactions():
        name = transaction["transaction_hash"]
        assert_transaction(asker.ask("getTransactionByHash", transaction_hash=name), transaction)
        told = asker.ask(
            "getTransactionByBlockIdAndIndex", block=block["block_number"], index=index
        )
        assert_transaction(told, transaction)


def assert_transaction(told: Json, said: Json) -> None:
    wanted = plain(expected.transaction(said))
    if "type" not in told:  # starknet-py has a class for each
        wanted.pop("type")
        assert {*told} - {*wanted} <= {"signature"}, told
    assert shared(told, wanted) == wanted


def test_receipts(chain: Chain, asker: Asker) -> None:
    whole = [
        pair["receipt"]
        for number in range(chain.head + 1)
        for pair in asker.ask("getBlockWithReceipts", block=number)["transactions"]
    ]
    for (block, _, transaction, said), listed in zip(chain.transactions(), whole, strict=True):
        wanted = plain(expected.receipt(transaction, said))
        assert shared(listed, wanted) == wanted
        name = said["transaction_hash"]
        told = asker.ask("getTransactionReceipt", transaction_hash=name)
        wanted |= plain({each: block[each] for each in ("block_hash", "block_number")})
        assert shared(told, wanted) == wanted
        status = asker.ask("getTransactionStatus", transaction_hash=name)
        assert status["finality_status"] == "ACCEPTED_ON_L2"
        assert status["execution_status"] == said["execution_status"]
        assert status.get("failure_reason") == said.get("revert_error")


def test_state_updates(chain: Chain, asker: Asker) -> None:
    for block, update in chain.blocks:
        told = asker.ask("getStateUpdate", block=block["block_number"])
        wanted = plain(expected.state_update(block, update))
        if asker.version == "0.9.0":
            del wanted["state_diff"]["migrated_compiled_classes"]
        else:
            told["state_diff"].setdefault("migrated_compiled_classes", [])
        for diff in (told["state_diff"], wanted["state_diff"]):
            for each in diff["storage_diffs"]:
                each["storage_entries"] = in_order(each["storage_entries"])
            diff |= {name: in_order(listed) for name, listed in diff.items()}
        assert told == wanted


def test_the_state_after_each_block(chain: Chain, asker: Asker) -> None:
    storage: dict[tuple[str, str], tuple[str, int]] = {}
    nonces: dict[str, str] = {}
    classes: dict[str, str] = {}
    for number, (_, update) in enumerate(chain.blocks):
        diff = update["state_diff"]
        changed = {
            (address, entry["key"]): (entry["value"], number)
            for address, entries in diff["storage_diffs"].items()
            for entry in entries
        }
        storage |= changed
        nonces |= diff["nonces"]
        given = [*diff["deployed_contracts"], *diff["replaced_classes"]]
        classes |= {each["address"]: each["class_hash"] for each in given}
        asked = storage if number == chain.head else changed
        for address, key in asked:
            place = {"contract_address": address, "key": key, "block": number}
            value, since = storage[address, key]
            assert asker.ask("getStorageAt", **place) == plain(value)
            if asker.version != "0.9.0":
                flagged = asker.ask(
                    "getStorageAt", **place, response_flags=["INCLUDE_LAST_UPDATE_BLOCK"]
                )
                assert flagged == {"value": plain(value), "last_update_block": since}
        for address, class_hash in classes.items():
            place = {"contract_address": address, "block": number}
            assert asker.ask("getClassHashAt", **place) == plain(class_hash)
            assert asker.ask("getNonce", **place) == plain(nonces.get(address, "0x0"))


def test_classes(chain: Chain, asker: Asker) -> None:
    deployed: dict[str, str] = {}
    for _, update in chain.blocks:
        for each in update["state_diff"]["deployed_contracts"]:
            deployed.setdefault(each["class_hash"], each["address"])
    for class_hash, address in deployed.items():
        said = chain.definition(class_hash)
        assert said is not None
        by_hash = asker.ask("getClass", class_hash=class_hash, block="latest")
        assert asker.ask("getClassAt", contract_address=address, block="latest") == by_hash
        assert by_hash["entry_points_by_type"] == plain(said["entry_points_by_type"])
        if "sierra_program" in said:
            assert by_hash["sierra_program"] == plain(said["sierra_program"])
            abi = by_hash["abi"]  # starknet.js reads it
            assert (json.loads(abi) if isinstance(abi, str) else abi) == json.loads(said["abi"])
            assert by_hash["contract_class_version"] == said["contract_class_version"]
        else:
            told = [entry.get("name") for entry in by_hash["abi"]]
            assert told == [entry.get("name") for entry in said["abi"]]


def test_events_page_by_page(chain: Chain, asker: Asker) -> None:
    emitted = [event for block, _ in chain.blocks for event in expected.events(block)]
    all_of_them = {"from_block": 0, "to_block": chain.head}
    assert paged(asker, chunk_size=7, **all_of_them) == as_told(asker, emitted)
    sender, key = emitted[0]["from_address"], emitted[-1]["keys"][0]
    mine = [event for event in emitted if event["from_address"] == sender]
    assert paged(asker, chunk_size=2, address=sender, **all_of_them) == as_told(asker, mine)
    keyed = [event for event in emitted if event["keys"][:1] == [key]]
    assert paged(asker, chunk_size=1024, keys=[[key]], **all_of_them) == as_told(asker, keyed)
    last = {"from_block": chain.head, "to_block": chain.head, "chunk_size": 1024}
    assert paged(asker, **last) == as_told(asker, expected.events(chain.blocks[-1][0]))


def paged(asker: Asker, **query: Any) -> list[Json]:
    """Follow the continuation tokens to the end."""
    page = asker.events(**query)
    found: list[Json] = page["events"]
    while token := page.get("continuation_token"):
        page = asker.events(**query, continuation_token=token)
        assert 0 < len(page["events"]) <= query["chunk_size"]
        found += page["events"]
    return found


def as_told(asker: Asker, events: list[Json]) -> list[Json]:
    """Return events as the version has them: before 0.10 without their place in the block."""
    places = ("transaction_index", "event_index") if asker.version == "0.9.0" else ()
    return [plain({name: event[name] for name in event if name not in places}) for event in events]


def test_storage_proofs_lead_from_the_state_root_to_the_value(chain: Chain, asker: Asker) -> None:
    block, update = chain.blocks[-1]
    address, entries = next(iter(update["state_diff"]["storage_diffs"].items()))
    keys = [entry["key"] for entry in entries]
    proof = asker.ask(
        "getStorageProof",
        class_hashes=[],
        contract_addresses=[address],
        contracts_storage_keys=[{"contract_address": address, "storage_keys": keys}],
        block="latest",
    )
    roots = proof["global_roots"]
    contracts, classes = roots["contracts_tree_root"], roots["classes_tree_root"]
    assert roots["block_hash"] == plain(block["block_hash"])
    version = block.get("starknet_version", "")
    assert state_root(contracts, classes, version) == plain(update["new_root"])
    (leaf,) = proof["contracts_proof"]["contract_leaves_data"]
    nodes = nodes_of(proof["contracts_storage_proofs"][0])
    for entry in entries:
        found = value_at(nodes, leaf["storage_root"], int(entry["key"], 16), pedersen)
        assert found == plain(entry["value"])
    held = pedersen(pedersen(pedersen(leaf["class_hash"], leaf["storage_root"]), leaf["nonce"]), 0)
    on_path = nodes_of(proof["contracts_proof"]["nodes"])
    assert value_at(on_path, contracts, int(address, 16), pedersen) == held


def nodes_of(listed: Any) -> list[Json]:
    """Return the nodes of a proof with their felts as text again."""
    return [
        {
            "node_hash": hex(each["node_hash"]),
            "node": {
                name: value if name == "length" else hex(value)
                for name, value in each["node"].items()
            },
        }
        for each in listed
    ]


@pytest.mark.parametrize(
    ("code", "method", "given"),
    [
        (24, "getBlockWithTxs", {"block": 10**6}),
        (24, "getStateUpdate", {"block": "0x1234"}),
        (24, "getBlockWithTxHashes", {"block": "pre_confirmed"}),
        (24, "getBlockWithTxHashes", {"block": "l1_accepted"}),
        (27, "getTransactionByBlockIdAndIndex", {"block": 0, "index": 10**6}),
        (29, "getTransactionByHash", {"transaction_hash": "0x1234"}),
        (29, "getTransactionReceipt", {"transaction_hash": "0x1234"}),
        (29, "getTransactionStatus", {"transaction_hash": "0x1234"}),
        (20, "getNonce", {"contract_address": "0x1234", "block": "latest"}),
        (20, "getClassHashAt", {"contract_address": "0x1234", "block": "latest"}),
        (28, "getClass", {"class_hash": "0x1234", "block": "latest"}),
        (42, "getStorageProof", {"block": 0}),
    ],
)
def test_what_is_not_there_has_the_code_that_the_client_knows(
    asker: Asker, code: int, method: str, given: Json
) -> None:
    with pytest.raises(Refused) as refused:
        asker.ask(method, **given)
    assert refused.value.code == code or refused.value.name == "TransactionNotReceivedError"
