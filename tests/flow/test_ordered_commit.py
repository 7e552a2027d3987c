"""commit under chaos: in whatever order, however often and however rarely blocks reach it, the store is the same."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from broker.link import Link
from broker.memory import MemoryBroker
from node.pipeline import BLOCKS_STORED, BLOCKS_VERIFIED, COMMIT, FAULTS
from tests.flow import chains
from tests.workers.blocks import generated
from workers import runtime
from workers.commit import commit
from workers.messages import BlockStored, BlockVerified
from workers.metrics import Counters
from workers.settings import Settings
from workers.store.reader import digest
from workers.store.writer import Writer

COUNT = 20
ROUNDS_MAX = 200


@pytest.fixture(scope="module")
def chain() -> list[BlockVerified]:
    return generated(COUNT, seed=2)


def give(rng: random.Random, source: Link, blocks: list[BlockVerified]) -> None:
    """Give blocks out of order; some never arrive, some more than once, of any attempt."""
    for block in rng.sample(blocks, len(blocks)):
        for _ in range(rng.choice((0, 1, 1, 3))):
            assert source.give(replace(block, attempt=rng.randrange(1, 9)))


def serve_a_while(rng: random.Random, broker: MemoryBroker, settings: Settings) -> None:
    """Run the stage on the store as it is, for some messages; most times it then ends without goodbye."""
    keeper = commit.start(settings)
    link = broker.link(COMMIT.name, takes=COMMIT.taken, gives=COMMIT.gives, credit=COMMIT.credit)
    for _ in range(rng.randrange(1, 2 * COUNT)):
        delivery = link.take_nowait()
        if delivery is None:
            break
        runtime.work(keeper, link, delivery, Counters(COMMIT.name))
    keeper.close()
    link.abandon() if rng.random() < 0.7 else link.close()


def news(source: Link) -> Iterator[BlockStored]:
    """What commit has said since; nobody is at fault."""
    while (delivery := source.take_nowait()) is not None:
        source.done((delivery.ticket,))
        assert isinstance(delivery.message, BlockStored)
        yield delivery.message


@pytest.mark.parametrize("seed", range(6))
def test_out_of_order_repeated_and_lost_messages_give_the_same_store(
    seed: int, chain: list[BlockVerified], tmp_path: Path
) -> None:
    rng = random.Random(seed)
    settings = chains.settings(chains.devnet(1)[0].network(), tmp_path / "chaos")
    broker = MemoryBroker((*COMMIT.taken, *COMMIT.gives))
    source = broker.link("p2p", takes=(BLOCKS_STORED, FAULTS), gives=(BLOCKS_VERIFIED,), credit=64)
    stored: dict[int, bytes] = {}
    for _ in range(ROUNDS_MAX):
        give(rng, source, [block for block in chain if block.number not in stored])
        serve_a_while(rng, broker, settings)
        for message in news(source):
            assert message.number <= len(stored), "the head moves on block by block"
            assert stored.setdefault(message.number, message.block_hash) == message.block_hash
        if len(stored) == COUNT:
            break

    assert list(stored.items()) == [(block.number, block.block_hash) for block in chain]
    straight = Writer(tmp_path / "straight", settings.network.chain_id)
    for block in chain:
        straight.store(block)
    straight.close()
    assert digest(settings.db_path) == digest(tmp_path / "straight")
