"""Stage commit: whatever order blocks come in, the store gets each once, in order, and the others their answer."""

import itertools
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from starknet.network import Network
from tests.settings import settings_of
from tests.workers import blocks as made
from workers.commit import commit
from workers.component import Component
from workers.messages import BlockStored, BlocksUndone, BlockVerified, Fault, Retreat
from workers.settings import Settings
from workers.stage import Finished, Keeper
from workers.store import StoreError
from workers.store.reader import Reader, digest
from workers.store.writer import Writer

COUNT = 20


@pytest.fixture(scope="module")
def chain() -> list[BlockVerified]:
    return made.generated(COUNT, seed=1)


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper[BlockVerified]]:
    opened = commit.start(settings(tmp_path))
    yield opened
    opened.close()


def settings(db_path: Path) -> Settings:
    network = Network(
        name="test",
        chain_id="SN_TEST",
        feeder_url="",
        gateway_url="",
        l1_chain_id=0,
        core_contract="0x0",
        public_key=None,
    )
    return settings_of(network, db_path, memory_bytes=1 << 30)


def feed(
    keeper: Keeper[BlockVerified], blocks: list[BlockVerified], tickets: Iterator[int] | None = None
) -> list[Finished]:
    numbers = tickets or itertools.count(1)
    return [done for block in blocks for done in keeper.take(next(numbers), block)]


def stored(block: BlockVerified, attempt: int | None = None) -> BlockStored:
    return BlockStored(attempt or block.attempt, block.number, block.block_hash)


def head_number(db_path: Path) -> int | None:
    reader = Reader(db_path)
    head = reader.head()
    reader.close()
    return None if head is None else head.number


def reversed_order(blocks: list[BlockVerified]) -> list[BlockVerified]:
    return blocks[::-1]


def shuffled(blocks: list[BlockVerified]) -> list[BlockVerified]:
    return random.Random(3).sample(blocks, len(blocks))


def with_duplicates(blocks: list[BlockVerified]) -> list[BlockVerified]:
    return random.Random(4).sample(blocks * 3, 3 * len(blocks))


@pytest.mark.parametrize("order", [reversed_order, shuffled, with_duplicates])
def test_any_order_of_arrival_gives_the_very_same_store(
    tmp_path: Path,
    chain: list[BlockVerified],
    order: Callable[[list[BlockVerified]], list[BlockVerified]],
) -> None:
    straight = Writer(tmp_path / "straight", "SN_TEST")
    for block in chain:
        straight.store(block)
    straight.close()

    keeper = commit.start(settings(tmp_path / "mixed"))
    arrived = order(chain)
    finished = feed(keeper, arrived)
    keeper.close()

    assert digest(tmp_path / "mixed") == digest(tmp_path / "straight")
    tickets = [ticket for done in finished for ticket in done.tickets]
    assert sorted(tickets) == list(range(1, len(arrived) + 1))
    news = [output for done in finished for output in done.outputs]
    first_news = list(dict.fromkeys(news))
    assert first_news == [stored(block) for block in chain]


def test_a_block_that_comes_early_is_held_until_the_one_below_is_there(
    keeper: Keeper[BlockVerified], chain: list[BlockVerified], tmp_path: Path
) -> None:
    assert list(keeper.take(7, chain[1])) == []
    assert head_number(tmp_path) is None

    assert list(keeper.take(8, chain[0])) == [
        Finished((8,), (stored(chain[0]),)),
        Finished((7,), (stored(chain[1]),)),
    ]


def test_each_block_is_durable_before_its_ticket_is_finished(
    keeper: Keeper[BlockVerified], chain: list[BlockVerified], tmp_path: Path
) -> None:
    feed(keeper, chain[1:5])

    for number, _ in enumerate(keeper.take(1, chain[0])):
        assert head_number(tmp_path) == number


def test_a_stored_block_that_comes_again_is_answered_with_what_is_stored(
    keeper: Keeper[BlockVerified], chain: list[BlockVerified], tmp_path: Path
) -> None:
    feed(keeper, chain[:3])
    other = replace(chain[1], block_hash=b"\5" * 32, attempt=9)

    assert list(keeper.take(9, other)) == [Finished((9,), (stored(chain[1], 9),))]
    assert head_number(tmp_path) == 2


def test_a_later_attempt_replaces_the_held_one_and_an_earlier_is_dropped(
    keeper: Keeper[BlockVerified], chain: list[BlockVerified]
) -> None:
    wrong = replace(chain[1], state_root=b"\1" * 32, attempt=4)
    newer = replace(chain[1], attempt=5)

    assert list(keeper.take(1, wrong)) == []
    assert list(keeper.take(2, wrong)) == [Finished((2,))]
    assert list(keeper.take(3, newer)) == [Finished((1,))]
    assert list(keeper.take(4, wrong)) == [Finished((4,))]
    assert list(keeper.take(5, chain[0])) == [
        Finished((5,), (stored(chain[0]),)),
        Finished((3,), (stored(chain[1], 5),)),
    ]


@pytest.mark.parametrize("held", [False, True])
def test_a_block_with_a_wrong_root_becomes_a_fault_of_its_peers_and_the_rest_waits(
    keeper: Keeper[BlockVerified], chain: list[BlockVerified], held: bool
) -> None:
    wrong = replace(chain[1], state_root=b"\1" * 32, attempt=3)
    order = [chain[2], wrong, chain[0]] if held else [chain[2], chain[0], wrong]

    finished = feed(keeper, order)

    (fault,) = finished[-1].outputs
    assert isinstance(fault, Fault)
    assert (fault.rule, fault.attempt, fault.start, fault.count) == ("state.root", 3, 1, 1)
    assert fault.components == (Component.HEADERS, Component.STATE_DIFFS)
    assert fault.peers == ("headers-peer", "diffs-peer")
    assert finished[-1].tickets == ((2,) if held else (3,))
    assert [done.outputs for done in keeper.take(9, replace(chain[1], attempt=4))] == [
        (stored(chain[1], 4),),
        (stored(chain[2]),),
    ]


@pytest.mark.parametrize(
    ("change", "rule", "peer"),
    [
        ({"parent_hash": b"\1" * 32}, "header.parent", "headers-peer"),
        ({"classes": b"", "class_hashes": b""}, "classes.missing", "classes-peer"),
    ],
)
def test_a_wrong_parent_and_a_missing_class_blame_who_sent_them(
    keeper: Keeper[BlockVerified],
    fixtures: Path,
    tmp_path: Path,
    change: dict[str, bytes],
    rule: str,
    peer: str,
) -> None:
    block = replace(made.recorded(fixtures, "sepolia", 1)[0], **change)  # type: ignore[arg-type]

    ((fault,),) = [done.outputs for done in keeper.take(1, block)]

    assert isinstance(fault, Fault)
    assert (fault.rule, fault.peers) == (rule, (peer,))
    assert head_number(tmp_path) is None


def test_a_retreat_takes_blocks_back_and_lets_go_of_the_chain_that_is_left(
    keeper: Keeper[BlockVerified | Retreat], chain: list[BlockVerified], tmp_path: Path
) -> None:
    feed(keeper, chain[:3])
    three = digest(tmp_path)
    feed(keeper, [chain[3], chain[4], chain[6]])
    retreat = Retreat(attempt=50, number=2, block_hash=chain[2].block_hash)

    assert list(keeper.take(20, retreat)) == [
        Finished((3,)),  # block 6 was held
        Finished((20,), (BlocksUndone(2, chain[2].block_hash),)),
    ]
    assert head_number(tmp_path) == 2
    assert digest(tmp_path) == three
    assert list(keeper.take(21, chain[3])) == [Finished((21,))], "a block of the chain left"
    assert head_number(tmp_path) == 2
    again = replace(chain[3], attempt=51)
    assert list(keeper.take(22, again)) == [Finished((22,), (stored(again),))]


def test_what_is_stored_taken_back_and_refused_is_counted(
    chain: list[BlockVerified], tmp_path: Path
) -> None:
    told_of = settings(tmp_path)
    keeper = commit.start(told_of)
    for number in range(4):
        list(keeper.take(number, chain[number]))
    list(keeper.take(8, replace(chain[4], state_root=bytes(32))))
    list(keeper.take(9, Retreat(50, 2, chain[2].block_hash)))
    keeper.close()
    series = told_of.figures.report()["series"]
    told = {name: sets.get("") for name, sets in series.items()}
    assert told["hera_sync_blocks_total"] == 4
    transactions = sum(len(block.transaction_hashes) // 32 for block in chain[:4])
    assert told["hera_sync_transactions_total"] == transactions
    assert (told["hera_sync_reorgs_total"], told["hera_sync_reorged_blocks_total"]) == (1, 1)
    assert told["hera_chain_head_block"] == 2
    assert series["hera_verify_failures_total"] == {"state.root": 1}
    assert series["hera_store_commit_duration_seconds"]


def test_a_retreat_to_a_block_that_is_not_stored_changes_nothing(
    keeper: Keeper[BlockVerified | Retreat], chain: list[BlockVerified], tmp_path: Path
) -> None:
    feed(keeper, chain[:3])
    assert list(keeper.take(9, Retreat(50, 1, b"\7" * 32))) == [Finished((9,))]
    assert list(keeper.take(9, Retreat(50, 77, chain[1].block_hash))) == [Finished((9,))]
    assert head_number(tmp_path) == 2


def test_a_restarted_stage_goes_on_where_the_store_is(
    tmp_path: Path, chain: list[BlockVerified]
) -> None:
    first = commit.start(settings(tmp_path))
    feed(first, chain[:5])
    first.close()

    second = commit.start(settings(tmp_path))
    finished = feed(second, chain[4:7])
    second.close()

    assert [done.outputs for done in finished] == [(stored(block),) for block in chain[4:7]]


def test_a_store_that_is_in_use_refuses_the_stage_with_one_line(
    keeper: Keeper[BlockVerified], tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="another process writes this store"):
        commit.start(settings(tmp_path))


def test_each_stored_block_is_one_line_of_the_log_at_debug(
    keeper: Keeper[BlockVerified], chain: list[BlockVerified], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="hera")

    feed(keeper, [chain[1], chain[0], chain[0]])

    lines = [record for record in caplog.records if record.message == "Stored Block"]
    assert [line.__dict__["fields"]["number"] for line in lines] == [0, 1]
    values = lines[0].__dict__["fields"]
    digits = chain[0].block_hash.hex().lstrip("0")
    assert values["hash"] == f"0x{digits[:4]}...{digits[-4:]}"
    assert set(values) == {"number", "hash", "root"}
