"""What the simulated runs of one process share: a generated chain, what an undisturbed node stores of it, one store."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from starknet.wire.sync_pb2 import SignedBlockHeader
from tests.flow import chains
from tests.flow.peers import Chain
from workers import verify
from workers.errors import PeerFault
from workers.messages import BlockAssembled, BlockVerified
from workers.settings import Settings
from workers.store.schema import CHAIN_KEY, SCHEMA_KEY, Family
from workers.store.writer import Writer, _read_head

LENGTH = 7
REMEMBERED_MAX = 4096


class Watch(Protocol):
    """Who is told of each write."""

    def before_write(self, block: BlockVerified) -> None: ...

    def after_write(self, block: BlockVerified) -> None: ...


class WatchedWriter(Writer):
    """The real writer, with the run told before and after each write."""

    run: Watch | None = None

    def store(self, block: BlockVerified) -> SignedBlockHeader:
        if self.run is None:
            return super().store(block)
        self.run.before_write(block)
        header = super().store(block)
        self.run.after_write(block)
        return header

    def begin_anew(self) -> None:
        """Know only what is stored, as after opening."""
        self._head = _read_head(self._rocks)

    def clear(self) -> None:
        """Delete every block and all that came with it."""
        batch = self._rocks.batch()
        for family in Family:
            for key, _ in self._rocks.items(family):
                if key not in (SCHEMA_KEY, CHAIN_KEY):
                    batch.delete(family, key)
        self._rocks.write(batch, sync=False)
        self._head = None

    def dump(self) -> bytes:
        """Return one hash of all that is stored (a reader would have to be opened anew after every crash)."""
        hasher = sha256()
        for family in Family:
            for key, value in self._rocks.items(family):
                for part in (family.encode(), key, value):
                    hasher.update(len(part).to_bytes(4, "big") + part)
        return hasher.digest()


class World:
    """What runs of one process share: the chain, the undisturbed store's dump, and one store, emptied between runs."""

    def __init__(self, folder: Path) -> None:
        generated, blocks = chains.devnet(LENGTH)
        self.chain = Chain(blocks)
        self.other = Chain(chains.another_devnet(LENGTH))
        self.settings = chains.settings(generated.network(), folder / "store")
        self.expected = [next(verify.verify(self.settings, block)) for block in blocks]
        self._remembered: dict[object, BlockVerified | PeerFault] = {}
        self.writer = self._open()
        for block in self.expected:
            self.writer.store(block)
        self.undisturbed = self.writer.dump()

    def _open(self) -> WatchedWriter:
        return WatchedWriter(self.settings.db_path, self.settings.network.chain_id)

    def reopen(self) -> WatchedWriter:
        """Open the store as its last batch left it."""
        self.writer.close()
        self.writer = self._open()
        return self.writer

    def renew(self) -> None:
        """Begin with a new store, after a run that may have left anything in it."""
        self.writer.close()
        shutil.rmtree(self.settings.db_path)
        self.writer = self._open()

    def remembered(self, settings: Settings, block: BlockAssembled) -> Iterator[BlockVerified]:
        """Verify, unless the same bytes were verified before: then what was found of them is said again."""
        key = (
            block.number,
            block.header,
            block.state_diff,
            block.classes,
            block.transactions,
            block.events,
        )
        if key not in self._remembered:
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[key] = _verdict(settings, block)
        found = self._remembered[key]
        if isinstance(found, PeerFault):
            raise found.with_traceback(None)
        yield replace(found, attempt=block.attempt, peers=block.peers)

    def close(self) -> None:
        """Close the store."""
        self.writer.close()


def _verdict(settings: Settings, block: BlockAssembled) -> BlockVerified | PeerFault:
    try:
        return next(verify.verify(settings, block))
    except PeerFault as broken:
        return broken


@contextmanager
def opened(folder: Path) -> Iterator[World]:
    """A world in ``folder``; nothing of ours is logged meanwhile, lies and deaths are what a run is made of."""
    log = logging.getLogger("hera")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    world = World(folder)
    try:
        yield world
    finally:
        world.close()
        log.setLevel(level)
