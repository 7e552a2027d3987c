"""What subscribers are told, over real connections: each message is held against the schemas of its version."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from starknet.ages import EXAMPLES, version_named
from tests.workers.rpc.sockets import Client, Served, serving, socket_schemas
from tests.workers.rpc.support import ALL_SPECS, Node, generated, viewed
from workers.messages import BlockVerified
from workers.rpc import subscriptions
from workers.rpc.errors import RpcError
from workers.rpc.follower import Follower, Reorg
from workers.rpc.params import BlockNumber
from workers.rpc.specs import LATEST, V0_8, V0_9, V0_10, Spec
from workers.rpc.subscriptions import OPENINGS, NewHeads
from workers.rpc.view import View

LENGTH = 12
STORED = 8
FELT = "0x5"


@pytest.fixture(scope="module")
def blocks() -> tuple[BlockVerified, ...]:
    return generated("0.13.4", LENGTH)[1]


@pytest.fixture(scope="module")
def module_served(
    tmp_path_factory: pytest.TempPathFactory, blocks: tuple[BlockVerified, ...]
) -> Iterator[Served]:
    network, _ = generated("0.13.4", LENGTH)
    with serving(network, tmp_path_factory.mktemp("node"), blocks[:STORED]) as served:
        yield served


@pytest.fixture
def served(module_served: Served, blocks: tuple[BlockVerified, ...]) -> Iterator[Served]:
    """The store as it was at first, whatever the test before did."""
    yield module_served
    module_served.hang_up()
    head = module_served.writer.head
    assert head is not None
    module_served.undo(max(0, head.number + 1 - STORED))
    module_served.store(*blocks[min(STORED, head.number + 1) : STORED])
    module_served.wait()
    module_served.hang_up()


def path_of(spec: Spec) -> str:
    return f"/rpc/{spec.name}"


def numbers(client: Client, count: int) -> list[int]:
    """Return the numbers of the blocks that the next notifications are about."""
    found = [client.told()[2] for _ in range(count)]
    return [result["block_number"] for result in found]


# ---- new heads ----------------------------------------------------------------------------------------------


@ALL_SPECS
def test_heads_are_told_from_the_last_one_on_as_they_are_stored(
    spec: Spec, served: Served, blocks: tuple[BlockVerified, ...]
) -> None:
    client = served.open(path_of(spec))
    identity = client.call("subscribeNewHeads")
    name, told_of, header = client.told()
    assert (name, told_of, header["block_number"]) == ("NewHeads", identity, STORED - 1)
    for number in (STORED, STORED + 1):
        served.store(blocks[number])
        assert client.told()[2]["block_number"] == number
    block = client.call("getBlockWithTxHashes", "latest")
    served.store(blocks[STORED + 2])
    header = client.told()[2]
    assert header["parent_hash"] == block["block_hash"]
    assert header.keys() == block.keys() - {"status", "transactions"}


def test_heads_are_told_from_a_number_or_hash_on(served: Served) -> None:
    client = served.open()
    for wanted in (3, 0):
        client.call("subscribeNewHeads", {"block_number": wanted})
        assert numbers(client, STORED - wanted) == list(range(wanted, STORED))
    block = client.call("getBlockWithTxHashes", {"block_number": 5})
    client.call("subscribeNewHeads", block_id={"block_hash": block["block_hash"]})
    assert numbers(client, 3) == [5, 6, 7]
    client.call("subscribeNewHeads", "latest")
    assert numbers(client, 1) == [7]


def test_two_subscriptions_of_a_connection_and_those_of_others_are_told_apart(
    served: Served, blocks: tuple[BlockVerified, ...]
) -> None:
    one, other = served.open(), served.open()
    first, second = one.call("subscribeNewHeads"), one.call("subscribeNewHeads")
    assert first != second
    other.call("subscribeNewHeads")
    assert {one.told()[1], one.told()[1]} == {first, second}
    assert one.call("unsubscribe", first) is True
    served.store(blocks[STORED])
    assert numbers(other, 2) == [STORED - 1, STORED]
    assert [told_of for _, told_of, _ in one.all_told()] == [second]


def test_an_empty_store_tells_of_the_first_block_on(
    tmp_path: Path, blocks: tuple[BlockVerified, ...]
) -> None:
    with serving(generated("0.13.4", LENGTH)[0], tmp_path) as served:
        client = served.open()
        client.call("subscribeNewHeads", "latest")
        client.call("subscribeNewTransactions")
        served.store(*blocks[:2])
        told = client.all_told()
    heads = [result["block_number"] for name, _, result in told if name == "NewHeads"]
    assert heads == [0, 1]
    assert "NewTransaction" in [name for name, _, _ in told]


# ---- events, transactions, receipts ---------------------------------------------------------------------------


@ALL_SPECS
def test_events_are_those_of_get_events(
    spec: Spec, served: Served, blocks: tuple[BlockVerified, ...]
) -> None:
    client = served.open(path_of(spec))
    every = page(client, {"from_block": {"block_number": 0}})
    sender, keys = every[-1]["from_address"], every[-1]["keys"]
    for filters in (
        {},
        {"from_address": sender},
        {"keys": [[keys[0]]]},
        {"from_address": sender, "keys": [[], ["0x123"]]},
    ):
        asked = {"address" if name == "from_address" else name: v for name, v in filters.items()}
        wanted = page(client, {"from_block": {"block_number": 2}} | asked)
        identity = client.call("subscribeEvents", block_id={"block_number": 2}, **filters)
        told = client.all_told()
        assert [bare(result) for _, _, result in told] == wanted
        assert client.call("unsubscribe", identity) is True
    client.call("subscribeEvents")
    assert {result["block_number"] for _, _, result in client.all_told()} <= {STORED - 1}
    served.store(blocks[STORED])
    told = client.all_told()
    assert [bare(result) for _, _, result in told] == page(client, {"from_block": "latest"}) != []
    assert ("finality_status" in told[0][2]) is (spec is not V0_8)


def page(client: Client, query: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.call("getEvents", query | {"chunk_size": 1000})["events"]
    return found


def bare(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "finality_status"}


@pytest.mark.parametrize("spec", [V0_9, V0_10], ids=lambda spec: spec.name)
def test_transactions_and_receipts_of_new_blocks_are_those_of_the_block(
    spec: Spec, served: Served, blocks: tuple[BlockVerified, ...]
) -> None:
    client = served.open(path_of(spec))
    transactions = client.call("subscribeNewTransactions")
    receipts = client.call("subscribeNewTransactionReceipts", finality_status=["ACCEPTED_ON_L2"])
    client.call("subscribeNewTransactions", finality_status=["PRE_CONFIRMED", "RECEIVED"])
    client.call("subscribeNewTransactions", sender_address=["0x123"])
    assert client.all_told() == []
    served.store(blocks[STORED])
    told = client.all_told()
    block = client.call("getBlockWithTxs", "latest")
    assert [result for _, told_of, result in told if told_of == transactions] == [
        each | {"finality_status": "ACCEPTED_ON_L2"} for each in block["transactions"]
    ]
    assert [result for _, told_of, result in told if told_of == receipts] == [
        client.call("getTransactionReceipt", each["transaction_hash"])
        for each in block["transactions"]
    ]
    assert {told_of for _, told_of, _ in told} == {transactions, receipts}


@pytest.mark.parametrize("version", EXAMPLES[::6])
def test_what_is_told_of_every_kind_of_transaction_is_what_the_schemas_allow(
    version: str, tmp_path: Path
) -> None:
    network, blocks = generated(version_named(version), LENGTH)
    with serving(network, tmp_path) as served:
        clients = {spec: served.open(path_of(spec)) for spec in (V0_8, V0_9, V0_10)}
        for spec, client in clients.items():
            for name, opening in OPENINGS.items():
                if "Status" not in name and opening.since <= spec.since <= opening.until:
                    client.call(name.removeprefix("starknet_"))
        served.store(*blocks)
        told = {
            spec: {name for name, _, _ in client.all_told()} for spec, client in clients.items()
        }
    assert told[V0_8] == {"NewHeads", "Events", "PendingTransactions"}
    assert told[V0_9] == {"NewHeads", "Events", "NewTransaction", "NewTransactionReceipts"}
    assert told[V0_10] == told[V0_9]


def test_a_sender_is_an_account_a_new_contract_or_what_l1_speaks_to(
    served: Served, blocks: tuple[BlockVerified, ...]
) -> None:
    client = served.open()
    new = blocks[STORED:]
    client.call("subscribeNewTransactionReceipts")
    client.call("subscribeNewTransactions")
    served.store(*new)
    told = client.all_told()
    transactions = [result for name, _, result in told if name == "NewTransaction"]
    deployed = {
        result["transaction_hash"]: result["contract_address"]
        for name, _, result in told
        if name == "NewTransactionReceipts" and "contract_address" in result
    }
    by_sender: dict[str, set[str]] = {}
    for each in transactions:
        name = each["transaction_hash"]
        sender = each.get("sender_address") or deployed.get(name) or each["contract_address"]
        by_sender.setdefault(sender, set()).add(name)
    assert len(by_sender) > 1
    served.undo(len(new))
    other = served.open()
    named = {
        kind: {
            other.call(f"subscribe{kind}", sender_address=[sender]): sender for sender in by_sender
        }
        for kind in ("NewTransactions", "NewTransactionReceipts")
    }
    served.store(*new)
    found: dict[str, set[str]] = {}
    for _, told_of, result in other.all_told():
        found.setdefault(told_of, set()).add(result["transaction_hash"])
    for identities in named.values():
        assert {sender: found[identity] for identity, sender in identities.items()} == by_sender


def test_0_8_tells_of_transactions_once_they_are_in_a_block(
    served: Served, blocks: tuple[BlockVerified, ...]
) -> None:
    client = served.open(path_of(V0_8))
    hashes = client.call("subscribePendingTransactions")
    whole = client.call("subscribePendingTransactions", True)
    served.store(blocks[STORED])
    told = client.all_told()
    block = client.call("getBlockWithTxs", "latest")
    assert [result for _, told_of, result in told if told_of == whole] == block["transactions"]
    assert [result for _, told_of, result in told if told_of == hashes] == [
        each["transaction_hash"] for each in block["transactions"]
    ]


def test_a_transactions_status_is_told_now_or_once_it_is_in_a_block(
    served: Served, blocks: tuple[BlockVerified, ...]
) -> None:
    client = served.open()
    stored = client.call("getBlockWithTxHashes", {"block_number": 2})["transactions"][0]
    coming = hex(int.from_bytes(blocks[STORED + 1].transaction_hashes[:32]))
    known, unknown = (client.call("subscribeTransactionStatus", each) for each in (stored, coming))
    name, told_of, result = client.told()
    assert (name, told_of, result["transaction_hash"]) == ("TransactionStatus", known, stored)
    assert result["status"] == client.call("getTransactionStatus", stored)
    served.store(blocks[STORED])
    assert client.all_told() == []
    served.store(blocks[STORED + 1])
    ((_, told_of, result),) = client.all_told()
    assert (told_of, result["transaction_hash"]) == (unknown, coming)
    served.undo(2)
    assert {name for name, _, _ in client.all_told()} == {"Reorg"}
    served.store(*blocks[STORED : STORED + 2])
    ((_, told_of, _),) = client.all_told()
    assert told_of == unknown


# ---- reorgs -------------------------------------------------------------------------------------------------


@ALL_SPECS
def test_a_reorg_is_told_to_every_subscription_before_the_new_blocks(
    spec: Spec, served: Served, blocks: tuple[BlockVerified, ...]
) -> None:
    client = served.open(path_of(spec))
    lost = [
        client.call("getBlockWithTxHashes", {"block_number": at})["block_hash"] for at in (5, 7)
    ]
    first = client.call("getBlockWithTxHashes", {"block_number": 5})["transactions"][0]
    opened = {client.call("subscribeNewHeads"), client.call("subscribeEvents")}
    opened.add(client.call("subscribeTransactionStatus", first))
    if spec is not V0_8:
        opened.add(client.call("subscribeNewTransactions"))
        opened.add(client.call("subscribeNewTransactionReceipts"))
    client.all_told()
    served.undo(3)
    told = client.all_told()
    assert {name for name, _, _ in told} == {"Reorg"}
    assert {told_of for _, told_of, _ in told} == opened
    for identity in opened:
        pieces = [result for _, told_of, result in told if told_of == identity]
        assert joined(pieces) == {
            "starting_block_number": 5,
            "starting_block_hash": lost[0],
            "ending_block_number": 7,
            "ending_block_hash": lost[1],
        }
    served.store(*blocks[5:9])
    heads = [result for name, _, result in client.all_told() if name == "NewHeads"]
    assert [header["block_number"] for header in heads] == [5, 6, 7, 8]


def joined(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one reorg for some that follow each other downwards: blocks are undone one by one."""
    for above, below in itertools.pairwise(pieces):
        assert below["ending_block_number"] == above["starting_block_number"] - 1
    ends = {name: value for name, value in pieces[0].items() if name.startswith("ending")}
    return {name: value for name, value in pieces[-1].items() if name.startswith("s")} | ends


def test_who_was_not_told_of_a_block_is_not_told_that_it_is_lost(tmp_path: Path) -> None:
    network, blocks = generated("0.13.4", LENGTH)
    with serving(network, tmp_path, blocks[:3]) as served, viewed(network, tmp_path) as node:
        follower = Follower(node.watch)
        follower.look()
        subscription = subscriptions.Subscription("1", NewHeads(BlockNumber(0)), 0)
        subscription.next = 2
        subscription.lose(Reorg(2, b"\2", 2, b"\3"))
        assert (subscription.next, subscription.reorg) == (2, None)
        subscription.lose(Reorg(1, b"\1", 2, b"\3"))
        subscription.lose(Reorg(0, b"\0", 0, b"\0"))
        assert (subscription.next, subscription.reorg) == (0, Reorg(0, b"\0", 2, b"\3"))
        assert served.settings.network is network


def test_another_chain_that_is_there_at_the_next_look_is_a_reorg(tmp_path: Path) -> None:
    """As where blocks are undone and others stored within one look, and where the store is empty again."""
    network, blocks = generated("0.13.4", LENGTH)
    told: list[Reorg | None] = []

    class Ear:
        def changed(self, reorg: Reorg | None) -> None:
            told.append(reorg)

    with viewed(network, tmp_path) as node:
        shown = Shown(node, blocks)
        follower = Follower(shown)  # type: ignore[arg-type]
        follower._listeners.add(Ear())
        shown.chain = {at: bytes([at + 1]) * 32 for at in range(9)}
        follower.look()
        shown.chain = shown.chain | {at: bytes([at + 101]) * 32 for at in range(6, 11)}
        follower.look()
        shown.chain = {}
        follower.look()
        follower.look()
    assert told == [
        None,
        Reorg(6, b"\7" * 32, 8, b"\11" * 32),
        Reorg(0, b"\1" * 32, 10, b"\157" * 32),
    ]


class Shown:
    """A chain of which only the hashes are known."""

    def __init__(self, node: Node, _: object) -> None:
        self.chain: dict[int, bytes] = {}
        self.reader = self
        self.node = node

    def head(self) -> Any:
        from workers.store import Head

        last = max(self.chain, default=None)
        return None if last is None else Head(last, self.chain[last], bytes(32))

    def block_hash(self, number: int) -> bytes | None:
        return self.chain.get(number)


# ---- errors -------------------------------------------------------------------------------------------------


@ALL_SPECS
def test_every_method_of_the_specification_is_here_with_its_parameters_and_errors(
    spec: Spec, served: Served
) -> None:
    published = socket_schemas(spec)
    asked = {name for name in published.methods() if "ubscribe" in name}
    mine = {n for n, each in OPENINGS.items() if each.since <= spec.since <= each.until}
    assert asked == mine | {"starknet_unsubscribe"}
    for name in mine:
        params = [each for each in OPENINGS[name].params if each.since <= spec.since]
        assert [(each.name, each.required) for each in params] == published.parameters(name)
    client = served.open(path_of(spec))
    assert client.call("unsubscribe", "99") == error(spec, "unsubscribe", 66)
    many = [hex(number) for number in range(1025)]
    assert client.call("subscribeEvents", keys=[many]) == error(spec, "subscribeEvents", 34)
    last = {"block_number": STORED}
    for method in ("subscribeNewHeads", "subscribeEvents"):
        assert client.call(method, block_id=last) == error(spec, method, 24)
        unknown = client.call(method, block_id={"block_hash": FELT})
        assert unknown == error(spec, method, 24)
        for tag in ("pending", "pre_confirmed", "l1_accepted"):
            assert client.call(method, block_id=tag)["code"] == -32602
    sent = "subscribePendingTransactions" if spec is V0_8 else "subscribeNewTransactions"
    assert client.call(sent, sender_address=many) == error(spec, sent, 67)
    assert client.call(sent, sender_address=["five"])["code"] == -32602
    assert client.call("subscribeTransactionStatus")["code"] == -32602
    assert client.all_told() == []


def error(spec: Spec, method: str, code: int) -> dict[str, object]:
    return {"code": code, "message": socket_schemas(spec).errors(f"starknet_{method}")[code]}


def test_methods_of_other_versions_and_of_http_are_not_here(served: Served) -> None:
    assert served.open("/v0_8").call("subscribeNewTransactions")["code"] == -32601
    client = served.open("/v0_10")
    assert client.call("subscribePendingTransactions")["code"] == -32601
    for status in ("ACCEPTED_ON_L1", "CANDIDATE"):
        asked = client.call("subscribeNewTransactionReceipts", finality_status=[status])
        assert asked["code"] == -32602
    assert client.call("subscribeEvents", finality_status="CANDIDATE")["code"] == -32602


def test_no_more_than_1024_blocks_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert subscriptions.HISTORY_MAX == 1024
    network, blocks = generated("0.13.4", LENGTH)
    with serving(network, tmp_path, blocks), viewed(network, tmp_path) as node:
        view = View(node.watch, LATEST, node.watch.head())
        monkeypatch.setattr(subscriptions, "HISTORY_MAX", 4)
        assert NewHeads(BlockNumber(LENGTH - 5)).first(view) == LENGTH - 5
        with pytest.raises(RpcError) as refused:
            NewHeads(BlockNumber(LENGTH - 6)).first(view)
    wanted = error(LATEST, "subscribeNewHeads", 68)
    assert {"code": refused.value.code, "message": refused.value.message} == wanted


def test_a_notification_that_is_wrong_in_one_place_is_refused_by_the_schemas(
    served: Served,
) -> None:
    """Without this the tests above could pass because nothing is looked at."""
    client = served.open()
    client.call("subscribeNewHeads")
    client.call("subscribeEvents", block_id={"block_number": 0})
    kinds = {}
    for name, told_of, result in client.all_told():
        kinds[name] = {"subscription_id": told_of, "result": result}
    assert len(kinds) == 2
    for name, params in kinds.items():
        wrong: list[Any] = [params | {"subscription_id": 5}]
        for field in params["result"]:
            wrong.append(params | {"result": params["result"] | {field: None}})
        for each in wrong:
            with pytest.raises(jsonschema_rs.ValidationError):
                socket_schemas(LATEST).check_note(f"starknet_subscription{name}", each)
