"""Every subscription of starknet.js and starknet-py tells of past blocks, of new ones, and of those taken back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starknet.devnet import Devnet
from tests.clients.askers import Asker, Json, plain
from tests.clients.conftest import GENERATED_VERSION, Chain, asking
from tests.process.nodes import custom_network, feeding, gateway, nodes, wait_until
from tests.workers.rpc import expected

SHORT, LONG, FORK_AT, FORK = 8, 14, 11, 18  # lengths of the chain as it goes on
SECONDS_MAX = 20.0


def headers(asker: Asker, blocks: list[Json]) -> list[Json]:
    """Return what is told of new heads; they have no status."""
    told = [expected.header(block) for block in blocks]
    if asker.version != "0.9.0":
        told = [
            each | expected.commitments(block) for each, block in zip(told, blocks, strict=True)
        ]
    return [
        plain({name: value for name, value in each.items() if name != "status"}) for each in told
    ]


def events(asker: Asker, blocks: list[Json]) -> list[Json]:
    """Return what is told of events."""
    places = ("transaction_index", "event_index") if asker.version == "0.9.0" else ()
    return [
        plain({name: value for name, value in event.items() if name not in places})
        | {"finality_status": "ACCEPTED_ON_L2"}
        for block in blocks
        for event in expected.events(block)
    ]


def hashes(blocks: list[Json]) -> list[Any]:
    """Return the hashes of all transactions."""
    return [plain(each["transaction_hash"]) for block in blocks for each in block["transactions"]]


def wait_for(heard: Callable[[], list[Any]], wanted: list[Any]) -> None:
    """Wait until as much was heard, then compare."""
    wait_until(lambda: len(heard()) >= len(wanted), SECONDS_MAX, lambda: f"heard {heard()}")
    assert heard() == wanted


def heads_heard(asker: Asker, subscription: str, wanted: list[Json]) -> Callable[[], list[Json]]:
    """Return what gives the headers that were told, no more of each than is wanted."""

    def heard() -> list[Json]:
        told = asker.heard(subscription)
        names = [each.keys() for each in wanted] + [None] * len(told)
        return [
            {name: value for name, value in each.items() if kept is None or name in kept}
            for each, kept in zip(told, names, strict=False)
        ]

    return heard


def test_past_blocks_are_told_of_from_where_one_begins(chain: Chain, asker: Asker) -> None:
    blocks = [block for block, _ in chain.blocks[1:]]
    wanted = headers(asker, blocks)
    heads = asker.subscribe("subscribeNewHeads", block=1)
    wait_for(heads_heard(asker, heads, wanted), wanted)

    emitted = events(asker, blocks)
    everything = asker.subscribe("subscribeEvents", block=1)
    wait_for(lambda: asker.heard(everything), emitted)
    all_of_them = [event for block in blocks for event in expected.events(block)]
    sender, key = all_of_them[0]["from_address"], all_of_them[-1]["keys"][0]
    from_one = asker.subscribe("subscribeEvents", block=1, from_address=sender)
    mine = [event for event in emitted if event["from_address"] == plain(sender)]
    wait_for(lambda: asker.heard(from_one), mine)
    keyed = asker.subscribe("subscribeEvents", block=1, keys=[[key]])
    with_key = [event for event in emitted if event["keys"][:1] == [plain(key)]]
    wait_for(lambda: asker.heard(keyed), with_key)

    for _, _, transaction, receipt in list(chain.transactions())[-3:]:
        name = transaction["transaction_hash"]
        status = asker.subscribe("subscribeTransactionStatus", transaction_hash=name)
        wait_until(lambda: bool(asker.heard(status)), SECONDS_MAX, lambda: "no status")  # noqa: B023
        (told,) = asker.heard(status)
        assert told["transaction_hash"] == plain(name)
        assert told["status"]["finality_status"] == "ACCEPTED_ON_L2"
        assert told["status"]["execution_status"] == receipt["execution_status"]
        assert asker.unsubscribe(status)
    for subscription in (heads, everything, from_one, keyed):
        assert asker.unsubscribe(subscription)


def test_new_blocks_and_blocks_taken_back_are_told_of_as_they_come(tmp_path: Path) -> None:
    kind = ("--devnet", "--protocol-version", GENERATED_VERSION)
    chain = Devnet(length=LONG, version=GENERATED_VERSION)
    blocks = [chain.block(number)[0] for number in range(LONG)]
    with nodes(tmp_path) as make:
        with gateway(*kind, "--blocks", str(SHORT)) as url:
            port = int(url.rsplit(":", 1)[1])
            node = make("node", *custom_network(url), *feeding()[0], "--verify-workers", "1")
            node.wait_head(SHORT - 1)
        with (
            asking("starknet.js-v0_10", node, tmp_path) as first,
            asking("starknet.js-v0_9", node, tmp_path) as second,
            asking("starknet-py-v0_10", node, tmp_path) as third,
        ):
            told = [(asker, Told(asker, blocks)) for asker in (first, second, third)]
            with gateway(*kind, "--blocks", str(LONG), port=port):
                node.wait_head(LONG - 1)
                for asker, each in told:
                    each.check_new(asker)
            longer = ("--blocks", str(FORK), "--fork-at", str(FORK_AT))
            with gateway(*kind, *longer, port=port):
                node.wait_head(FORK - 1)
                for asker, each in told:
                    each.check_reorganised(asker)
    assert "Traceback" not in node.text()


class Told:
    """The subscriptions of one client from the time on that the chain was short."""

    def __init__(self, asker: Asker, blocks: list[Json]) -> None:
        self._blocks = blocks
        self._heads = asker.subscribe("subscribeNewHeads", block="latest")
        self._events = asker.subscribe("subscribeEvents", block="latest")
        self._receipts = asker.subscribe("subscribeNewTransactionReceipts")
        self._transactions = asker.subscribe("subscribeNewTransactions")
        *_, last = (
            each for each in blocks[LONG - 1]["transactions"] if each["type"] == "INVOKE_FUNCTION"
        )
        waited, sender = last["transaction_hash"], last["sender_address"]
        self._status = asker.subscribe("subscribeTransactionStatus", transaction_hash=waited)
        self._of_one = asker.subscribe("subscribeNewTransactions", sender_address=[sender])
        self._sender = plain(sender)

    def check_new(self, asker: Asker) -> None:
        """Check that all was told of the blocks by which the chain grew."""
        fresh = self._blocks[SHORT:]
        heads = headers(asker, self._blocks[SHORT - 1 :])
        wait_for(heads_heard(asker, self._heads, heads), heads)
        wait_for(lambda: asker.heard(self._events), events(asker, self._blocks[SHORT - 1 :]))
        wait_for(lambda: names(asker.heard(self._receipts)), hashes(fresh))
        receipts = asker.heard(self._receipts)
        said = [each for block in fresh for each in block["transaction_receipts"]]
        for ours, theirs in zip(receipts, said, strict=True):
            assert ours["actual_fee"]["amount"] == plain(theirs["actual_fee"])
            assert ours["events"] == plain(theirs["events"])
        wait_for(lambda: names(asker.heard(self._transactions)), hashes(fresh))
        (status,) = asker.heard(self._status)
        assert status["status"]["finality_status"] == "ACCEPTED_ON_L2"
        mine = [
            plain(each["transaction_hash"])
            for block in fresh
            for each in block["transactions"]
            if plain(each.get("sender_address")) == self._sender
        ]
        assert names(asker.heard(self._of_one)) == mine

    def check_reorganised(self, asker: Asker) -> None:
        """Check that it was told what was taken back, and then of the blocks in its place."""
        chain = Devnet(length=FORK, version=GENERATED_VERSION, fork_at=FORK_AT)
        fork = [chain.block(number)[0] for number in range(FORK_AT, FORK)]
        before = LONG - SHORT + 1
        lost = {
            "starting_block_hash": plain(self._blocks[FORK_AT]["block_hash"]),
            "starting_block_number": FORK_AT,
            "ending_block_hash": plain(self._blocks[LONG - 1]["block_hash"]),
            "ending_block_number": LONG - 1,
        }
        wanted = [block["block_hash"] for block in fork]

        def heard() -> list[Json]:
            return asker.heard(self._heads)[before:]

        wait_until(lambda: len(heard()) > len(fork), SECONDS_MAX, lambda: f"heard {heard()}")
        reorg, *heads = heard()
        assert reorg == lost
        assert [head["block_hash"] for head in heads] == plain(wanted)
        assert asker.unsubscribe(self._heads)


def names(told: list[Json]) -> list[Any]:
    """Return the hashes of transactions or receipts; starknet-py has the former in an object of their own."""
    return [each.get("transaction", each).get("transaction_hash") for each in told if each]
