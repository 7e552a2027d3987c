"""Keeps every thread from asking a gateway that said it is asked too often, for as long as it said."""

import random
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from workers.log import log
from workers.metrics import Figures

WAIT_SECONDS_MAX = 300.0  # whatever a gateway says, after this it is asked again
QUIET_SECONDS = 60.0  # after this long without a limit the next one is said again
SPREAD = (
    1.25  # a wait is up to so many times what was said, so that nodes do not all come back at once
)
OVERLOADED = 429


class Limit:
    """The gateway's wish to be left alone, shared by all threads; ``stop`` ends the waiting."""

    def __init__(self, stop: threading.Event, figures: Figures) -> None:
        self._stop = stop
        self._figures = figures
        self._lock = threading.Lock()
        self._until = 0.0
        self._quiet_at = 0.0
        figures.count("hera_feeder_limited_seconds_total", 0)

    def hold(self, seconds: float, status: int) -> None:
        """Let nobody ask for so long, at most ``WAIT_SECONDS_MAX``; one line for as long as that goes on."""
        seconds = min(seconds, WAIT_SECONDS_MAX) * random.uniform(1.0, SPREAD)
        now = time.monotonic()
        with self._lock:
            added = now + seconds - max(self._until, now)
            self._until = max(self._until, now + seconds)
            is_new = now >= self._quiet_at
            self._quiet_at = self._until + QUIET_SECONDS
        self._figures.count("hera_feeder_limited_seconds_total", max(added, 0.0))
        if is_new:
            hint = (
                "; --gw-api-key lifts the limit for who has a key" if status == OVERLOADED else ""
            )
            log.warning(
                f"The gateway wants to be asked less (HTTP status {status}); waiting {seconds:.1f} s{hint}"
            )

    def left(self) -> float:
        """Return for how many seconds more nobody may ask."""
        return max(0.0, self._until - time.monotonic())

    def wait(self) -> bool:
        """Wait until asking is allowed; False when it is time to stop instead."""
        while (left := self.left()) > 0:
            if self._stop.wait(left):
                return False
        return not self._stop.is_set()


def seconds_of(retry_after: str | None) -> float | None:
    """Read a Retry-After header, seconds or a date; None for one that is absent or makes no sense."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
