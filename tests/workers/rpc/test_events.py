"""Events by filter: pages and index give what reading every event would give, and read few blocks for it."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from starknet.wire import sync_pb2 as pb
from starknet.wire.delimited import join
from tests.workers.rpc.support import Node, generated, opened
from workers.component import Component
from workers.rpc import events
from workers.rpc.specs import V0_9
from workers.store import Head
from workers.store.reader import Reader, digest
from workers.store.writer import Writer, event_keys

LENGTH = 24


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    network, blocks = generated("0.13.4", LENGTH)
    with opened(network, tmp_path_factory.mktemp("node"), blocks) as opened_node:
        yield opened_node


@pytest.fixture(scope="module")
def all_events(node: Node) -> list[dict[str, Any]]:
    """Every event of the chain, gathered from the receipts."""
    found = []
    for number in range(LENGTH):
        block = node.call("getBlockWithReceipts", {"block_number": number})
        for index, each in enumerate(block["transactions"]):
            for place, event in enumerate(each["receipt"]["events"]):
                found.append(
                    event
                    | {
                        "block_hash": block["block_hash"],
                        "block_number": number,
                        "transaction_hash": each["receipt"]["transaction_hash"],
                        "transaction_index": index,
                        "event_index": place,
                    }
                )
    assert len(found) > 40
    return found


def pages(node: Node, chunk: int, **query: object) -> Iterator[list[dict[str, Any]]]:
    """Yield the pages of a query to their end."""
    token: dict[str, object] = {}
    while True:
        answer = node.call("getEvents", query | {"chunk_size": chunk} | token)
        yield answer["events"]
        if "continuation_token" not in answer:
            return
        token = {"continuation_token": answer["continuation_token"]}


def whole(node: Node, chunk: int = 1000, **query: object) -> list[dict[str, Any]]:
    return [event for page in pages(node, chunk, **query) for event in page]


def matches(event: dict[str, Any], senders: list[str], keys: list[list[str]]) -> bool:
    if senders and event["from_address"] not in senders:
        return False
    for place, allowed in enumerate(keys):
        if allowed and (place >= len(event["keys"]) or event["keys"][place] not in allowed):
            return False
    return True


def test_without_a_filter_every_event_comes_once_in_order(
    node: Node, all_events: list[dict[str, Any]]
) -> None:
    assert whole(node) == all_events
    for chunk in (1, 7, len(all_events), len(all_events) - 1):
        sizes = [len(page) for page in pages(node, chunk)]
        assert whole(node, chunk) == all_events
        assert sizes == [chunk] * (len(all_events) // chunk) + [len(all_events) % chunk] * bool(
            len(all_events) % chunk
        )


def test_filters_give_what_reading_every_event_gives(
    node: Node, all_events: list[dict[str, Any]]
) -> None:
    draw = random.Random(1)
    found = 0
    for _ in range(60):
        one, other = draw.choice(all_events), draw.choice(all_events)
        senders = draw.choice(
            [[], [one["from_address"]], [one["from_address"], other["from_address"]]]
        )
        keys = [
            draw.choice([[], [key], [key, "0x5"], other["keys"][:1]])
            for key in one["keys"][: draw.randrange(3)]
        ]
        first, last = sorted(draw.choices(range(LENGTH), k=2))
        query: dict[str, Any] = {
            "from_block": {"block_number": first},
            "to_block": {"block_number": last},
        }
        if senders:
            query["address"] = senders[0] if len(senders) == 1 else senders
        if keys or draw.random() < 0.5:
            query["keys"] = keys
        wanted = [
            event
            for event in all_events
            if first <= event["block_number"] <= last and matches(event, senders, keys)
        ]
        assert whole(node, draw.choice([1, 3, 100]), **query) == wanted
        found += len(wanted)
    assert found > 100


def test_a_filter_reads_only_blocks_that_may_have_such_events(
    node: Node, all_events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    part = Reader.part

    def counted(self: Reader, component: Component, number: int) -> bytes | None:
        if component is Component.EVENTS:
            read.append(number)
        return part(self, component, number)

    rarest = min(
        all_events, key=lambda one: sum(each["keys"] == one["keys"] for each in all_events)
    )
    blocks = {
        event["block_number"]
        for event in all_events
        if matches(event, [], [[key] for key in rarest["keys"]])
    }
    monkeypatch.setattr(Reader, "part", counted)
    assert whole(node, keys=[[key] for key in rarest["keys"]])
    assert set(read) == blocks
    assert len(blocks) < LENGTH / 4
    read.clear()
    assert whole(node, address="0x1234567") == []
    assert read == []


def test_a_page_that_takes_long_ends_early_and_goes_on(
    node: Node, all_events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PAGE_SECONDS", -1)
    assert len(list(pages(node, 1000))) == LENGTH
    assert whole(node) == all_events


def test_blocks_may_be_named_in_every_way(node: Node, all_events: list[dict[str, Any]]) -> None:
    head = node.call("blockHashAndNumber")
    last = [event for event in all_events if event["block_number"] == head["block_number"]]
    for block in ("latest", {"block_hash": head["block_hash"]}, {"block_number": LENGTH - 1}):
        assert whole(node, from_block=block) == last
        assert whole(node, to_block=block) == all_events
    assert whole(node, to_block={"block_number": 10**9}) == all_events
    assert whole(node, to_block="pre_confirmed") == all_events
    assert whole(node, from_block="pre_confirmed") == []
    assert whole(node, from_block={"block_number": 5}, to_block={"block_number": 4}) == []


def test_older_versions_do_not_say_the_place(node: Node) -> None:
    event = node.call("getEvents", {"chunk_size": 1}, spec=V0_9)["events"][0]
    assert not {"transaction_index", "event_index"} & set(event)


@pytest.mark.parametrize(
    "wrong",
    [
        {"chunk_size": 0},
        {"chunk_size": "5"},
        {},
        {"chunk_size": 1, "address": 5},
        {"chunk_size": 1, "keys": "0x1"},
        {"chunk_size": 1, "keys": ["0x1"]},
        {"chunk_size": 1, "keys": [[1]]},
        {"chunk_size": 1, "from_block": "soon"},
        {"chunk_size": 1, "continuation_token": 5},
        [],
    ],
)
def test_a_filter_that_is_none_is_refused(node: Node, wrong: object) -> None:
    assert node.call("getEvents", wrong)["code"] == -32602


def test_the_index_goes_with_the_blocks_that_are_taken_back(tmp_path: Path) -> None:
    network, blocks = generated("0.13.4", LENGTH)
    digests = []
    writer = Writer(tmp_path, network.chain_id)
    for block in blocks[:6]:
        digests.append(digest(tmp_path))
        writer.store(block)
    for wanted in reversed(digests):
        head = writer.undo_head()
        assert isinstance(head, Head | None)
        assert digest(tmp_path) == wanted
    writer.close()


def test_a_key_of_the_index_stands_for_a_place_and_a_felt() -> None:
    event = pb.Event(
        from_address=pb.Felt252(elements=b"\x05"),
        keys=[pb.Felt252(elements=bytes([place])) for place in (7, 7, 8, 9, 10)],
    )
    body = join([pb.EventsResponse(event=event)])
    keys = event_keys(body, 3)
    assert {(key[0], key[7]) for key in keys} == {(0, 5), (1, 7), (2, 7), (3, 8), (4, 9)}
    assert {key[8:] for key in keys} == {(3).to_bytes(8, "big")}
