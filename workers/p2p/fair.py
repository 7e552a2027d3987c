"""How the server shares itself among those that ask it: so many requests a second, and turns in a fair order.

Fair is: next is who has had least lately. So a peer that asks now and then waits for nobody's flood.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

REQUESTS_PER_SECOND = 50.0  # of one peer; several times what a node asks that syncs at full speed
BURST_REQUESTS = 100.0  # at once, after silence
ADDRESS_REQUESTS_PER_SECOND = 200.0  # of one address, whatever names it has: a PeerID costs nothing
ADDRESS_BURST_REQUESTS = 400.0
HALF_LIFE_SECONDS = 10.0  # in which half of what a peer has had is forgotten
PEERS_REMEMBERED_MAX = 1024
WATCH_SECONDS = 1.0


class Rates:
    """A token bucket for each name. Pure: every call is told ``now`` in seconds."""

    def __init__(
        self, per_second: float = REQUESTS_PER_SECOND, burst: float = BURST_REQUESTS
    ) -> None:
        self._seconds_each = 1 / per_second
        self._ahead = burst / per_second  # so far back may a bucket be full
        self._due: dict[str, float] = {}

    def wait(self, name: str, now: float) -> float:
        """Take a token; return in how many seconds it is there (0: at once)."""
        if len(self._due) >= PEERS_REMEMBERED_MAX:
            self._due = {one: due for one, due in self._due.items() if due > now - self._ahead}
        due = max(self._due.get(name, 0.0), now - self._ahead) + self._seconds_each
        self._due[name] = due
        return max(0.0, due - now)


class Turns:
    """A semaphore of ``count`` whose next holder is the waiting peer that has held it for the least time lately.

    Who waits calls ``watch`` once a second.
    """

    def __init__(self, count: int, watch: Callable[[], None] = lambda: None) -> None:
        self._free = count
        self._watch = watch
        self._waiting: dict[str, deque[trio.Event]] = {}
        self._used: dict[str, tuple[float, float]] = {}  # seconds held, and when that was noted

    @asynccontextmanager
    async def of(self, peer: str) -> AsyncIterator[None]:
        """Wait for a turn of ``peer`` and hold it."""
        await self._wait(peer)
        began = trio.current_time()
        try:
            yield
        finally:
            self._note(peer, trio.current_time() - began)
            self._pass_on()

    async def _wait(self, peer: str) -> None:
        if self._free:
            self._free -= 1
            return
        mine = trio.Event()
        self._waiting.setdefault(peer, deque()).append(mine)
        try:
            while not mine.is_set():
                with trio.move_on_after(WATCH_SECONDS):
                    await mine.wait()
                self._watch()
        except trio.Cancelled:
            if mine.is_set():
                self._pass_on()
            else:
                self._waiting[peer].remove(mine)
                self._forget_if_empty(peer)
            raise

    def _pass_on(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        peer = min(self._waiting, key=self._lately)
        self._waiting[peer].popleft().set()
        self._forget_if_empty(peer)

    def _forget_if_empty(self, peer: str) -> None:
        if not self._waiting[peer]:
            del self._waiting[peer]

    def _lately(self, peer: str) -> float:
        """The seconds that ``peer`` has held turns for; half of them are forgotten within ``HALF_LIFE_SECONDS``."""
        seconds, at = self._used.get(peer, (0.0, 0.0))
        return seconds * float(0.5 ** ((trio.current_time() - at) / HALF_LIFE_SECONDS))

    def _note(self, peer: str, seconds: float) -> None:
        if peer not in self._used and len(self._used) >= PEERS_REMEMBERED_MAX:
            del self._used[min(self._used, key=self._lately)]
        self._used[peer] = (self._lately(peer) + seconds, trio.current_time())
