"""Stage commit: lets through verified blocks in strict order, each once, and keeps those that come too early.

A block waits, leased, until the one below it is stored. Of two blocks of one number the later attempt stays: it was
fetched because something about the earlier one was wrong. A block at or below the head is answered with what is
stored there, so that a source which was restarted learns how far the store has come. Where the network left our
chain, blocks are taken back one by one; what is then still under way of the old chain is let go.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from starknet.felt import short
from workers.blame import fault_of
from workers.commit.pace import Pace
from workers.errors import PeerFault
from workers.log import fields, log
from workers.messages import BlockStored, BlocksUndone, BlockVerified, Retreat
from workers.metrics import Figures
from workers.settings import Settings
from workers.stage import Finished, Keeper

if TYPE_CHECKING:
    from workers.store.writer import Writer


def start(settings: Settings) -> Keeper[BlockVerified | Retreat]:
    """Open the store for writing; StoreError, one line, if it is not ours to write."""
    # RocksDB is 8 MB of memory: every process reads the pipeline page, only this one opens the store
    from workers.store.writer import Writer

    figures = settings.figures
    return Commit(Writer(settings.db_path, settings.network.chain_id, figures), figures)


class Commit:
    """Holds blocks that came early; the lease credit of the stage bounds how many."""

    def __init__(self, writer: "Writer", figures: Figures | None = None) -> None:
        self._writer = writer
        self._figures = figures or Figures()
        self._figures.count("hera_sync_reorgs_total", 0)
        self._figures.count("hera_sync_reorged_blocks_total", 0)
        self._held: dict[int, tuple[int, BlockVerified]] = {}  # number -> ticket and block
        self._pace = Pace()
        self._oldest = 0  # blocks of older attempts are of a chain that was left

    def take(self, ticket: int, message: BlockVerified | Retreat) -> Iterator[Finished]:
        """Store the block and all held ones that follow it, each durable once it is yielded; or take blocks back."""
        if isinstance(message, Retreat):
            yield from self._retreat(ticket, message)
            return
        if message.attempt < self._oldest:
            yield Finished((ticket,))
            return
        if message.number < self._next:
            yield Finished((ticket,), self._stored_below(message))
            return
        yield from self._hold(ticket, message)
        while (held := self._held.pop(self._next, None)) is not None:
            yield self._store(*held)

    def close(self) -> None:
        """Close the store; what is held goes back to the broker with the link."""
        self._held.clear()
        self._writer.close()

    @property
    def _next(self) -> int:
        head = self._writer.head
        return 0 if head is None else head.number + 1

    def _stored_below(self, block: BlockVerified) -> tuple[BlockStored, ...]:
        block_hash = self._writer.block_hash(block.number)
        return () if block_hash is None else (BlockStored(block.attempt, block.number, block_hash),)

    def _retreat(self, ticket: int, message: Retreat) -> Iterator[Finished]:
        """Take back what is stored above the block, if it is ours; each block in a write of its own."""
        said = {"number": message.number, "hash": f"0x{message.block_hash.hex()}"}
        if self._writer.block_hash(message.number) != message.block_hash:
            log.warning("Asked to go back to a block that is not stored", extra=fields(**said))
            yield Finished((ticket,))
            return
        self._oldest = max(self._oldest, message.attempt)
        yield Finished(tuple(held for held, _ in self._held.values()))
        self._held.clear()
        before = self._next
        while self._next > message.number + 1:
            self._writer.undo_head()
        log.warning("Took blocks back", extra=fields(**said, blocks=before - self._next))
        self._figures.count("hera_sync_reorgs_total")
        self._figures.count("hera_sync_reorged_blocks_total", before - self._next)
        undone = BlocksUndone(message.number, message.block_hash)
        yield Finished((ticket,), (undone,))

    def _hold(self, ticket: int, block: BlockVerified) -> Iterator[Finished]:
        held = self._held.get(block.number)
        if held is not None and block.attempt <= held[1].attempt:
            yield Finished((ticket,))
            return
        self._held[block.number] = (ticket, block)
        if held is not None:
            yield Finished((held[0],))

    def _store(self, ticket: int, block: BlockVerified) -> Finished:
        try:
            header = self._writer.store(block)
        except PeerFault as fault:
            self._figures.count("hera_verify_failures_total", rule=fault.rule)
            return Finished((ticket,), (fault_of(block, fault),))
        log.log(
            self._pace.level(header.time, time.time()),
            "Stored Block",
            extra=fields(
                number=block.number,
                hash=short(int.from_bytes(block.block_hash, "big")),
                root=short(int.from_bytes(block.state_root, "big")),
            ),
        )
        return Finished((ticket,), (BlockStored(block.attempt, block.number, block.block_hash),))
