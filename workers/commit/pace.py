"""Tells a block at the head, which is news, from one of many while syncing, of which only ``debug`` has a line each."""

import logging

RECENT_SECONDS = 600.0  # since the time that a block states
PAUSE_SECONDS = (
    1.0  # since the block before it: nobody syncs so slowly, and no chain makes blocks so fast
)


class Pace:
    """Remembers when the last block was stored; times are Unix times in seconds."""

    def __init__(self) -> None:
        self._stored = 0.0

    def level(self, stated: float, now: float) -> int:
        """Return the level of the line about a block that states this time, is stored ``now``."""
        pause, self._stored = now - self._stored, now
        is_news = now - stated < RECENT_SECONDS or pause >= PAUSE_SECONDS
        return logging.INFO if is_news else logging.DEBUG
