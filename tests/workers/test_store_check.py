"""The check of a store: whatever blocks led to, it holds; a repeated hash must lead to its first place."""

from dataclasses import replace
from pathlib import Path

import pytest

from broker.codec import Body
from tests.workers import blocks as made
from workers.messages import BlockVerified
from workers.store import check
from workers.store.opening import FOLDER
from workers.store.reader import Reader, decode_header
from workers.store.rocks import open_primary
from workers.store.schema import Family, cut_hashes, number_key, pack_location
from workers.store.writer import Writer

LENGTH = 40


@pytest.fixture(scope="module")
def chain() -> list[BlockVerified]:
    return made.generated(LENGTH, seed=3)


def faults(db_path: Path, chain: list[BlockVerified]) -> list[str]:
    reader = Reader(db_path)
    head = reader.head()
    assert head is not None
    stored = [as_stored(reader, block) for block in chain[: head.number + 1]]
    found = [fault for block in stored for fault in check.block_faults(reader, block)]
    found += check.state_faults(reader, head, decode_header(stored[-1].header))
    reader.close()
    return found


def as_stored(reader: Reader, block: BlockVerified) -> BlockVerified:
    """The block with the classes that it has in the store: also those that are known from before."""
    named = reader.get(Family.BLOCK_CLASSES, number_key(block.number))
    assert named is not None
    return replace(block, class_hashes=Body(named))


def test_contracts_of_every_kind_changed_and_emptied_are_no_fault_also_after_a_retreat(
    tmp_path: Path, chain: list[BlockVerified]
) -> None:
    writer = Writer(tmp_path, "SN_TEST")
    for block in chain:
        writer.store(block)
    assert faults(tmp_path, chain) == []
    for _ in range(LENGTH // 2):
        writer.undo_head()
    writer.close()
    assert faults(tmp_path, chain) == []


def test_a_hash_that_comes_again_leads_to_its_first_place(
    tmp_path: Path, chain: list[BlockVerified]
) -> None:
    writer = Writer(tmp_path, "SN_TEST")
    places: dict[bytes, list[tuple[int, int]]] = {}
    for block in chain:
        writer.store(block)
        for index, name in enumerate(cut_hashes(block.transaction_hashes)):
            places.setdefault(name, []).append((block.number, index))
    writer.close()
    name, (first, *_, last) = next(row for row in places.items() if len(row[1]) > 1)
    rocks = open_primary(tmp_path / FOLDER)
    batch = rocks.batch()
    batch.put(Family.TX_INDEX, name, pack_location(*last))
    rocks.write(batch, sync=True)
    rocks.close()
    assert faults(tmp_path, chain) == [
        f"block {first[0]}: tx_index does not lead to its transactions"
    ]
