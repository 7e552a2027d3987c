"""Follows the store for subscribers: says when the head is another one, and which blocks are no longer of the chain.

It looks only while somebody listens; a node without subscribers stays idle.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from workers.rpc.felts import hex_of
from workers.rpc.view import Chain
from workers.store import Head

LOOK_SECONDS = 0.1
HASHES_MAX = 1024  # a deeper reorg is told as one of so many blocks


@dataclass(frozen=True)
class Reorg:
    """First and last block of a piece of chain that is no longer the node's."""

    start: int
    start_hash: bytes
    end: int
    end_hash: bytes

    def before(self, later: "Reorg") -> "Reorg":
        """Return this and a later one as one, for a listener who was told of neither."""
        if later.start >= self.start:
            return self
        return Reorg(later.start, later.start_hash, self.end, self.end_hash)

    def object(self) -> dict[str, object]:
        """Write it as the specification's REORG_DATA."""
        return {
            "starting_block_hash": hex_of(self.start_hash),
            "starting_block_number": self.start,
            "ending_block_hash": hex_of(self.end_hash),
            "ending_block_number": self.end,
        }


class Listener(Protocol):
    """Who is told that the head is another one."""

    def changed(self, reorg: Reorg | None) -> None:
        """Take note; ``reorg`` names the blocks that were lost on the way."""
        ...


class Follower:
    """One for a process. ``head`` is the last block that the listeners know of."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.head: Head | None = None
        self._hashes: dict[int, bytes] = {}  # of the last blocks, ascending, none left out
        self._listeners: set[Listener] = set()
        self._looking: asyncio.Task[None] | None = None
        self._count = 0

    def join(self, listener: Listener) -> None:
        """Tell ``listener`` of changes from now on, as the view is."""
        if self._listeners:
            self.look()
        else:
            self._begin()
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        """Tell ``listener`` no more; after the last one nothing is looked at."""
        self._listeners.discard(listener)
        if not self._listeners and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def counted(self, more: int) -> None:
        """Count subscriptions that there are more, or less."""
        self._count += more
        self.chain.settings.figures.set("hera_rpc_subscriptions", self._count)

    def look(self) -> None:
        """Compare the view as it is with what was seen last. To be called before the view is read."""
        head = self.chain.reader.head()
        if head == self.head:
            return
        reorg = self._lost(-1 if head is None else head.number)
        self.head = head
        self._note()
        for listener in list(self._listeners):
            listener.changed(reorg)

    def _begin(self) -> None:
        self.head = self.chain.reader.head()
        self._hashes = {}
        self._note()
        self._looking = asyncio.create_task(self._keep_looking())

    async def _keep_looking(self) -> None:
        while True:
            self.chain.head()
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def _lost(self, height: int) -> Reorg | None:
        """Forget the hashes of blocks that are not those of the view; return first and last of them."""
        lost: list[tuple[int, bytes]] = []
        for number in reversed(self._hashes):
            found = self.chain.reader.block_hash(number) if number <= height else None
            if found == self._hashes[number]:
                break
            lost.append((number, self._hashes[number]))
        for number, _ in lost:
            del self._hashes[number]
        return Reorg(*lost[-1], *lost[0]) if lost else None

    def _note(self) -> None:
        """Read the hashes of blocks that are new."""
        if self.head is None:
            return
        first = max(self.head.number - HASHES_MAX + 1, 0)
        for number in range(max(first, next(reversed(self._hashes), -1) + 1), self.head.number + 1):
            self._hashes[number] = self.chain.reader.block_hash(number) or b""
        for number in list(self._hashes):
            if number >= first:
                break
            del self._hashes[number]
