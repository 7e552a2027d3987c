"""The one writer: lets through only blocks that follow the head and lead to the state root they state.

Each block is one RocksDB batch, written after every check, so the store always holds whole blocks and nothing else.

Durability: the write-ahead log is on and a batch is in the kernel's hands when ``store`` returns, so the death of
the process (kill -9 included) loses nothing. A batch is forced to the disk when ``SYNC_BLOCKS_MAX`` blocks or
``SYNC_SECONDS_MAX`` have passed since the last forced one: at the head of the chain that is every block; in bulk it
spreads the cost (0.3 to 4 ms) over many blocks. Loss of power may take the blocks since then, never part of one;
they are fetched again.
"""

import os
import time
from pathlib import Path

from broker.codec import Body
from starknet.commitments import StateDiff
from starknet.felt import from_bytes
from starknet.wire.delimited import join, split
from starknet.wire.rows import Shape
from starknet.wire.sync_pb2 import Event, SignedBlockHeader
from workers.component import Component
from workers.errors import PeerFault
from workers.frames import EVENTS, carried
from workers.messages import BlockVerified
from workers.metrics import Figures
from workers.store import Head, StoreError, tries
from workers.store.opening import FOLDER, exists, identify, lock_for_writing, open_for_writing
from workers.store.reader import decode_header, hash_of, is_defined
from workers.store.rocks import Batch, Rocks
from workers.store.schema import (
    EVENT_KEYS_INDEXED,
    FELT_BYTES,
    HEAD_KEY,
    PART_FAMILY,
    ZERO,
    Family,
    Kind,
    cut_hashes,
    event_prefix,
    felt,
    number_key,
    pack_head,
    pack_location,
    unpack_head,
    unpack_location,
)

SYNC_BLOCKS_MAX = 32
SYNC_SECONDS_MAX = 1.0
MEASURE_SECONDS = 10.0  # between two looks at the sizes of the families
EVENT = Shape(Event.DESCRIPTOR)


class Writer:
    """The store in ``db_path``, open for writing; created if there is none. Belongs to one thread."""

    def __init__(self, db_path: Path, chain_id: str, figures: Figures | None = None) -> None:
        self._figures = figures or Figures()
        self._lock = lock_for_writing(db_path)
        try:
            self._rocks = open_for_writing(db_path, chain_id)
            try:
                self._head = _read_head(self._rocks)
                self._note_head(self._head)
                self._measure()
            except BaseException:
                self._rocks.close()
                raise
        except BaseException:
            os.close(self._lock)
            raise
        for counted in ("blocks", "transactions", "events"):
            self._figures.count(f"hera_sync_{counted}_total", 0)
        self._unsynced = 0
        self._synced_at = time.monotonic()
        self._is_broken = False  # the disk refused a write

    @property
    def head(self) -> Head | None:
        """The last stored block, None in an empty store."""
        return self._head

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash of a stored block."""
        body = self._rocks.get(Family.HEADERS, number_key(number))
        return None if body is None else hash_of(decode_header(body))

    def store(self, block: BlockVerified) -> SignedBlockHeader:
        """Apply and write the block that follows the head; return its header.

        Raises ``PeerFault`` (``header.parent``, ``classes.missing``, ``state.root``) and then leaves the store as
        it was; ``StoreError`` when the disk refuses.
        """
        with self._figures.timed("hera_store_commit_duration_seconds"):
            header = self._store(block)
        self._note_stored(block, header)
        return header

    def _store(self, block: BlockVerified) -> SignedBlockHeader:
        self._require_link(block)
        diff = tries.read_diff(block.state_diff)
        header = decode_header(block.header)
        batch = self._rocks.batch()
        self._put_classes(batch, block, diff)
        version = header.protocol_version
        root = felt(tries.advance(self._rocks, batch, diff, block.number, version))
        if root != block.state_root:
            raise _root_fault(block, root)
        self._put_parts(batch, block)
        for key in event_keys(block.events, block.number):
            batch.put(Family.EVENT_INDEX, key, b"")
        head = Head(block.number, block.block_hash, block.state_root)
        batch.put(Family.META, HEAD_KEY, pack_head(head))
        self._write(batch)
        self._head = head
        return header

    def undo_head(self) -> Head | None:
        """Take the last block back, in one batch; return the head below it. The store must hold a block."""
        head = self._head
        assert head is not None
        number = head.number
        below = _header_at(self._rocks, number - 1) if number else SignedBlockHeader()
        diff = tries.read_diff(self._rocks.get(Family.STATE_DIFFS, number_key(number)) or b"")
        batch = self._rocks.batch()
        root = tries.retreat(self._rocks, batch, diff, number, below.protocol_version)
        if root != from_bytes(below.state_root.elements):
            raise StoreError(f"{self._rocks.path}: history does not lead back from block {number}")
        self._delete_parts(batch, head)
        self._delete_classes(batch, number)
        new_head = _head_of(below) if number else None
        if new_head is None:
            batch.delete(Family.META, HEAD_KEY)
        else:
            batch.put(Family.META, HEAD_KEY, pack_head(new_head))
        self._write(batch)
        self._head = new_head
        self._note_head(new_head)
        return new_head

    def close(self) -> None:
        """Force all blocks to the disk; release the database and its lock."""
        try:
            self._rocks.close(sync=not self._is_broken)
        except StoreError:
            if not self._is_broken:  # else it only says again what the write has said
                raise
        finally:
            os.close(self._lock)

    def _note_stored(self, block: BlockVerified, header: SignedBlockHeader) -> None:
        transactions = len(block.transaction_hashes) // FELT_BYTES
        self._figures.count("hera_sync_blocks_total")
        self._figures.count("hera_sync_transactions_total", transactions)
        self._figures.count("hera_sync_events_total", header.events.n_leaves)
        self._figures.set("hera_chain_head_block", header.number)
        self._figures.set("hera_chain_head_timestamp_seconds", header.time)
        if time.monotonic() - self._measured_at >= MEASURE_SECONDS:
            self._measure()

    def _measure(self) -> None:
        self._measured_at = time.monotonic()
        for family, size in self._rocks.sizes().items():
            self._figures.set("hera_store_bytes", size, family=family.value)

    def _note_head(self, head: Head | None) -> None:
        if head is None:
            self._figures.unset("hera_chain_head_block")
            self._figures.unset("hera_chain_head_timestamp_seconds")
            return
        header = _header_at(self._rocks, head.number)
        self._figures.set("hera_chain_head_block", head.number)
        self._figures.set("hera_chain_head_timestamp_seconds", header.time)

    def _require_link(self, block: BlockVerified) -> None:
        number, parent = (
            (0, ZERO) if self._head is None else (self._head.number + 1, self._head.block_hash)
        )
        guilty = (Component.HEADERS,)
        if block.number != number:
            raise PeerFault("header.parent", block.number, guilty, f"block {number} is next")
        if block.parent_hash != parent:
            detail = f"0x{block.parent_hash.hex()} stated, 0x{parent.hex()} stored"
            raise PeerFault("header.parent", block.number, guilty, detail)

    def _put_classes(self, batch: Batch, block: BlockVerified, diff: StateDiff) -> None:
        """Write the new definitions; every class that the block declares or deploys must be known then.

        A class is served with the block that first deploys it and with each that declares it: the protocol demands
        every declared class. So what is listed for a block follows from the chain, not from what a peer added.
        """
        declared, deployed = tries.brought_classes(diff)
        names = [felt(name) for name in sorted(declared | deployed)]
        new = [name for name in names if not is_defined(self._rocks, name)]
        frames = dict(zip(cut_hashes(block.class_hashes), _frames(block.classes), strict=True))
        key = number_key(block.number)
        for name in new:
            if name not in frames:
                detail = f"0x{name.hex()}"
                raise PeerFault("classes.missing", block.number, (Component.CLASSES,), detail)
            batch.put(Family.CLASSES, name, frames[name])
            batch.put(Family.HISTORY, Kind.DEFINED + name + key, ZERO)
        served = {*new, *map(felt, declared)}
        batch.put(Family.BLOCK_CLASSES, key, b"".join(sorted(served)))

    def _put_parts(self, batch: Batch, block: BlockVerified) -> None:
        key = number_key(block.number)
        batch.put(Family.HEADERS, key, block.header)
        batch.put(Family.STATE_DIFFS, key, block.state_diff)
        batch.put(Family.TRANSACTIONS, key, block.transactions)
        batch.put(Family.EVENTS, key, block.events)
        batch.put(Family.NUMBER_BY_HASH, block.block_hash, key)
        batch.put(Family.TX_HASHES, key, block.transaction_hashes)
        hashes = cut_hashes(block.transaction_hashes)
        found = self._rocks.get_many(Family.TX_INDEX, hashes)
        # the oldest hash forms bind no nonce, so a hash may come again: its first place stays
        places: dict[bytes, int] = {}
        for index, (name, place) in enumerate(zip(hashes, found, strict=True)):
            if place is None:
                places.setdefault(name, index)
        for name, index in places.items():
            batch.put(Family.TX_INDEX, name, pack_location(block.number, index))

    def _delete_parts(self, batch: Batch, head: Head) -> None:
        key = number_key(head.number)
        hashes = cut_hashes(self._rocks.get(Family.TX_HASHES, key) or b"")
        found = self._rocks.get_many(Family.TX_INDEX, hashes)
        for name, place in zip(hashes, found, strict=True):
            if place is not None and unpack_location(place)[0] == head.number:
                batch.delete(Family.TX_INDEX, name)
        events = self._rocks.get(Family.EVENTS, key) or b""
        for indexed in event_keys(events, head.number):
            batch.delete(Family.EVENT_INDEX, indexed)
        for family in (*PART_FAMILY.values(), Family.TX_HASHES):
            batch.delete(family, key)
        batch.delete(Family.NUMBER_BY_HASH, head.block_hash)

    def _delete_classes(self, batch: Batch, number: int) -> None:
        key = number_key(number)
        for name in cut_hashes(self._rocks.get(Family.BLOCK_CLASSES, key) or b""):
            defined = Kind.DEFINED + name + key
            if self._rocks.get(Family.HISTORY, defined) is not None:
                batch.delete(Family.HISTORY, defined)
                batch.delete(Family.CLASSES, name)
        batch.delete(Family.BLOCK_CLASSES, key)

    def _write(self, batch: Batch) -> None:
        now = time.monotonic()
        unsynced = self._unsynced + 1
        sync = unsynced >= SYNC_BLOCKS_MAX or now - self._synced_at >= SYNC_SECONDS_MAX
        try:
            with self._figures.timed("hera_store_write_duration_seconds"):
                self._rocks.write(batch, sync=sync)
        except StoreError:
            self._is_broken = True
            raise
        self._unsynced = 0 if sync else unsynced
        self._synced_at = now if sync else self._synced_at


def event_keys(body: bytes, number: int) -> set[bytes]:
    """Return the keys of ``event_index`` for the events of one block."""
    rows = EVENT.rows_of_bytes(carried(EVENTS, "event", Body(body), number, Component.EVENTS))
    width = EVENT_KEYS_INDEXED * FELT_BYTES
    senders = {row.from_address or ZERO for row in rows}
    keys = {
        (place, value)
        for row in rows
        for place, value in enumerate(cut_hashes(row.keys[:width]), 1)
    }
    end = number_key(number)
    return {event_prefix(*one) + end for one in keys | {(0, sender) for sender in senders}}


def revert_to(db_path: Path, number: int) -> Head | None:
    """Take back every block above ``number`` (-1: all of them); return the head that is left."""
    if not exists(db_path):
        raise StoreError(f"{db_path / FOLDER}: there is no store")
    writer = Writer(db_path, identify(db_path).chain)
    try:
        while writer.head is not None and writer.head.number > number:
            writer.undo_head()
        return writer.head
    finally:
        writer.close()


def _root_fault(block: BlockVerified, root: bytes) -> PeerFault:
    # The diff fits its header: where no hash or key binds the header, either may be the lie.
    guilty = (Component.HEADERS, Component.STATE_DIFFS)
    detail = f"0x{root.hex()} computed, 0x{block.state_root.hex()} stated"
    return PeerFault("state.root", block.number, guilty, detail)


def _read_head(rocks: Rocks) -> Head | None:
    """Return the head; StoreError unless its header says the same."""
    value = rocks.get(Family.META, HEAD_KEY)
    if value is None:
        return None
    head = unpack_head(value)
    if _head_of(_header_at(rocks, head.number)) != head:
        raise StoreError(f"{rocks.path}: head and header differ: the store is damaged")
    return head


def _header_at(rocks: Rocks, number: int) -> SignedBlockHeader:
    body = rocks.get(Family.HEADERS, number_key(number))
    if body is None:
        raise StoreError(f"{rocks.path}: no header of block {number}: the store is damaged")
    return decode_header(body)


def _head_of(header: SignedBlockHeader) -> Head:
    root = felt(from_bytes(header.state_root.elements))
    return Head(header.number, hash_of(header), root)


def _frames(body: bytes) -> list[bytes]:
    return [join([payload]) for payload in split(body, len(body))]
