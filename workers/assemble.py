"""Stage assemble: holds the parts of a block until all five are there, then hands the whole block on.

A part is finished only together with its block, so that a crash loses nothing: the broker hands the held parts out
again. A part fetched anew (greater ``attempt``) replaces the one it repairs. Parts of two blocks of one number (the
network left our chain) are never joined: those of the newer attempt stay.
"""

from collections.abc import Iterable

from workers.component import Component
from workers.messages import BlockAssembled, BlockPart
from workers.settings import Settings
from workers.stage import Finished

# Nothing is fetched further than a window beyond the stored head, so what lies this far behind a newer part is stored.
BEHIND_MAX = 1000


class Assembler:
    """Holds at most one part for each component of each block of the window."""

    def __init__(self) -> None:
        self._blocks: dict[int, dict[Component, tuple[int, BlockPart]]] = {}
        self._newest = 0

    def take(self, ticket: int, message: BlockPart) -> Iterable[Finished]:
        """Hold the part; give the block once its five parts are there."""
        if message.number < self._newest - BEHIND_MAX:
            yield Finished((ticket,))
            return
        yield from self._forget_stored(message.number)
        held = self._blocks.setdefault(message.number, {})
        other = next(
            (old for old in held.values() if old[1].block_hash != message.block_hash), None
        )
        if other is not None:
            if message.attempt < other[1].attempt:
                yield Finished((ticket,))
                return
            yield Finished(tuple(old for old, _ in held.values()))
            held.clear()
        before = held.get(message.component)
        if before is not None and before[1].attempt > message.attempt:
            yield Finished((ticket,))
            return
        held[message.component] = (ticket, message)
        if before is not None:
            yield Finished((before[0],))
        if len(held) == len(Component):
            yield self._whole(message.number)

    def close(self) -> None:
        """Held parts go back to the broker with the process."""
        self._blocks.clear()

    def _whole(self, number: int) -> Finished:
        held = self._blocks.pop(number)
        parts = {component: held[component][1] for component in Component}
        block = BlockAssembled(
            attempt=max(part.attempt for part in parts.values()),
            number=number,
            peers=tuple(parts[component].peer for component in Component),
            header=parts[Component.HEADERS].body,
            state_diff=parts[Component.STATE_DIFFS].body,
            classes=parts[Component.CLASSES].body,
            transactions=parts[Component.TRANSACTIONS].body,
            events=parts[Component.EVENTS].body,
        )
        return Finished(tuple(ticket for ticket, _ in held.values()), (block,))

    def _forget_stored(self, number: int) -> Iterable[Finished]:
        if number <= self._newest:
            return
        self._newest = number
        for old in [n for n in self._blocks if n < number - BEHIND_MAX]:
            yield Finished(tuple(ticket for ticket, _ in self._blocks.pop(old).values()))


def start(settings: Settings) -> Assembler:
    """Open the stage; it holds nothing yet."""
    return Assembler()
