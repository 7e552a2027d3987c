"""Finds the highest block of a peer by asking whether it has one: gallop upwards, then bisect."""

from collections.abc import Awaitable, Callable

STEP_MAX = 1 << 40  # blocks; no chain is longer


async def find_head(has: Callable[[int], Awaitable[bool]], known: int) -> int:
    """Return the highest number that the peer has, given that it has (or need not have) ``known``.

    Takes one question where nothing is new, else about twice the logarithm of what is new.
    """
    low, step = known, 1
    while step <= STEP_MAX and await has(low + step):
        low += step
        step *= 2
    high = low + step  # it does not have this one
    while high - low > 1:
        middle = (low + high) // 2
        if await has(middle):
            low = middle
        else:
            high = middle
    return low
