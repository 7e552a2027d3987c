"""Finds where a signed chain leaves ours, and whether the peers have gone that way. Asks through callbacks; no I/O.

The sequencer alone can sign two blocks of one number, so each such pair is reported loudly; which of the two is the
chain, more peers decide.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from workers.messages import RETREAT_BLOCKS_MAX, HeaderInfo

FIRST_BLOCKS = 8  # looked at below the fork; then ever more
RANGE_BLOCKS = 100
VOTERS_MAX = 16

Probe = Callable[[str, int, int], Awaitable[Sequence[HeaderInfo]]]
"""``(peer, start, count)``: its verified and linked headers, fewer where it has no more; none if it does not answer."""

Known = Callable[[int], Awaitable[bytes | None]]
"""The hash of our block of a number, stored or under way."""


class Forged(Exception):
    """The header that seemed to fork was a lie: below it the peer has our blocks."""


@dataclass(frozen=True)
class Fork:
    """Where another signed chain leaves ours: after block ``number``, with ``theirs`` instead of ``ours``."""

    number: int
    block_hash: bytes
    theirs: bytes
    ours: bytes


async def find_fork(probe: Probe, known: Known, peer: str, number: int) -> Fork | None:
    """Search below ``number``, whose block of ``peer`` follows another one than ours; None where it is not found.

    Raises Forged.
    """
    above: tuple[bytes, bytes] | None = (
        None  # the lowest block seen that is not ours, and ours of that number
    )
    end, count = number, FIRST_BLOCKS
    while end > max(0, number - RETREAT_BLOCKS_MAX):
        start = max(0, end - count)
        headers = await probe(peer, start, end - start + 1)  # with the one above, so that they link
        if len(headers) != end - start + 1 or (above and headers[-1].block_hash != above[0]):
            return None
        for header in reversed(headers[:-1]):
            ours = await known(header.number)
            if ours is None:
                return None
            if ours == header.block_hash:
                if above is None:
                    raise Forged
                return Fork(header.number, ours, *above)
            above = (header.block_hash, ours)
        end, count = start, min(2 * count, RANGE_BLOCKS - 1)
    return None


async def most_go_there(probe: Probe, fork: Fork, peers: Sequence[str]) -> bool:
    """Whether more of ``peers`` have the fork's first block than have ours; who has neither is not counted."""
    votes: Counter[bytes] = Counter()

    async def vote(peer: str) -> None:
        headers = await probe(peer, fork.number + 1, 1)
        votes.update(header.block_hash for header in headers)

    async with trio.open_nursery() as nursery:
        for peer in peers[:VOTERS_MAX]:
            nursery.start_soon(vote, peer)
    return votes[fork.theirs] > votes[fork.ours]
