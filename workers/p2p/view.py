"""The stored blocks as peers see them: a secondary reader behind one thread at a time, refreshed at most so often."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import trio

from workers.component import Component

REFRESH_SECONDS = 0.1

Result = TypeVar("Result")


class StoredHead(Protocol):
    """The newest stored block."""

    @property
    def number(self) -> int:
        """Its number."""
        ...

    @property
    def block_hash(self) -> bytes:
        """Its hash, 32 bytes."""
        ...


class StoredBlocks(Protocol):
    """What is asked of ``workers.store.reader.Reader``."""

    def refresh(self) -> None:
        """See what the writer has stored since."""
        ...

    def head(self) -> StoredHead | None:
        """The newest block; None for an empty or missing store."""
        ...

    def part(self, component: Component, number: int) -> bytes | None:
        """One part of one block as delimited messages; None for a block that is not there."""
        ...

    def number_of(self, block_hash: bytes) -> int | None:
        """The number of a stored block; None for an unknown hash."""
        ...

    def block_hash(self, number: int) -> bytes | None:
        """The hash of a stored block; None for one that is not there."""
        ...


class View:
    """Reads in a worker thread; never two threads at once, because the reader is not made for that."""

    def __init__(self, blocks: StoredBlocks) -> None:
        self._blocks = blocks
        self._turn = trio.CapacityLimiter(1)
        self._refreshed_at = -REFRESH_SECONDS

    def over(self, adapt: Callable[[StoredBlocks], StoredBlocks]) -> "View":
        """The same reader, never read at the same time, as ``adapt`` shows its blocks."""
        other = View(adapt(self._blocks))
        other._turn = self._turn
        return other

    def forget(self) -> None:
        """Look again at the next question: blocks were taken back."""
        self._refreshed_at = -REFRESH_SECONDS

    async def block_hash(self, number: int) -> bytes | None:
        """The hash of a stored block; None for one that is not there."""
        return await self._read(lambda: self._blocks.block_hash(number))

    async def head(self) -> StoredHead | None:
        """The newest block, at most ``REFRESH_SECONDS`` old."""
        return await self._read(self._blocks.head)

    async def number_of(self, block_hash: bytes) -> int | None:
        """The number of a stored block; None for an unknown hash."""
        return await self._read(lambda: self._blocks.number_of(block_hash))

    async def parts(
        self, component: Component, numbers: Sequence[int], bytes_max: int
    ) -> list[bytes | None]:
        """The parts of ``numbers`` in order, as far as ``bytes_max`` reaches (always one); None ends the list."""
        return await self._read(lambda: _parts(self._blocks, component, numbers, bytes_max))

    async def _read(self, read: Callable[[], Result]) -> Result:
        refresh = trio.current_time() - self._refreshed_at >= REFRESH_SECONDS
        if refresh:
            self._refreshed_at = trio.current_time()

        def work() -> Result:
            if refresh:
                self._blocks.refresh()
            return read()

        return await trio.to_thread.run_sync(work, limiter=self._turn)


def _parts(
    blocks: StoredBlocks, component: Component, numbers: Sequence[int], bytes_max: int
) -> list[bytes | None]:
    found: list[bytes | None] = []
    size = 0
    for number in numbers:
        part = blocks.part(component, number)
        found.append(part)
        if part is None:
            break
        size += len(part)
        if size >= bytes_max:
            break
    return found
