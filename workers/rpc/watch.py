"""What the HTTP server knows of its node: the store's head, the broker's figures of the last second, the speed."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from broker.link import BrokerLost
from workers.log import log
from workers.progress import OBSERVER, Progress, Sample, flat, progress, sample
from workers.rpc.felts import hex_of
from workers.settings import Settings
from workers.store import Head, StoreError
from workers.store.reader import Reader

REFRESH_SECONDS = 0.1  # the view follows the writer at most this often
SAMPLE_SECONDS = 1.0
IDLE_SAMPLE_SECONDS = 5.0  # at the head, and nobody has asked for the status for so long
STATS_SECONDS_MAX = 2.0
SPEED_SECONDS = 30.0  # blocks/s is measured over this time
LOOK_SECONDS = 15.0  # … and how busy the stages are


@dataclass(frozen=True)
class Look:
    """The broker's figures at one time, as ``workers.progress`` has them, and the bytes that peers gave and got."""

    sample: Sample
    bytes_in: int
    bytes_out: int


class Watch:
    """What the server knows: the store's head now, the broker's figures of the last second, the recent speed."""

    def __init__(
        self,
        settings: Settings,
        reader: Reader,
        stats: Callable[[float], dict[str, Any]],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.settings = settings
        self.reader = reader
        self.lost = False
        self.unreadable: StoreError | None = None
        self.when_lost: Callable[[], None] = lambda: None
        self._ask = stats
        self._clock = clock
        self._refreshed = -REFRESH_SECONDS
        self._stats: dict[str, Any] = {}
        self._heads: deque[tuple[float, int]] = deque()
        self._started = reader.head()
        self._looks: deque[Look] = deque()
        self._began = clock()
        self._asked_at = -SPEED_SECONDS
        self._asked = asyncio.Event()  # ends the long pause of an idle node

    def started(self) -> Head | None:
        """Return the last stored block at the time this process began."""
        return self._started

    def head(self) -> Head | None:
        """Return the last stored block, at most ``REFRESH_SECONDS`` behind."""
        now = self._clock()
        if now - self._refreshed >= REFRESH_SECONDS:
            self._refreshed = now
            try:
                self.reader.refresh()
            except (
                StoreError
            ) as error:  # this process ends by it; until then the view stays as it is
                self.unreadable = error
                self.when_lost()
        return self.reader.head()

    def target(self) -> int | None:
        """Return the highest block that a source heard of, never below the head."""
        head, heard = self.head(), self.heard()
        own = None if head is None else head.number
        return max((n for n in (own, heard) if n is not None), default=None)

    def heard(self) -> int | None:
        """Return the highest block that a source, peers or gateway, says there is; None while none has said."""
        said = [status.get("target") for status in self._statuses().values()]
        return max((n for n in said if isinstance(n, int) and _is_count(n)), default=None)

    def status(self) -> dict[str, Any]:
        """Return the answer of ``/status``."""
        self.is_asked()
        head, target, progress = self.head(), self.target(), self.progress()
        statuses = self._statuses()
        number = -1 if head is None else head.number
        return {
            "version": self.settings.version,
            "network": self.settings.network.name,
            "chain_id": self.settings.network.chain_id,
            "role": _role(self.settings),
            "head": None if head is None else _head(head),
            "target": target,
            "syncing": target is not None and target > number,
            "stuck": next(filter(None, (s.get("stuck") for s in statuses.values())), None),
            "peers": _p2p(statuses)["peers"],
            "p2p": _p2p(statuses),
            "blocks_per_second": round(self.speed(), 2),
            "progress": None if progress is None else progress.as_json(),
            "queues": self._stats.get("topics", {}),
            "workers": statuses,
        }

    def is_asked(self) -> None:
        """Note that somebody wants to know: figures are asked for each second for a while."""
        self._asked_at = self._clock()
        self._asked.set()

    def progress(self) -> Progress | None:
        """Return how far the node is, measured over ``LOOK_SECONDS``; None before the broker has answered."""
        if not self._looks:
            return None
        head, last = self.head(), self._looks[-1].sample
        number = None if head is None else head.number
        now = replace(last, head=number, target=self.target())
        return progress(self._looks[0].sample, now, self.settings.stages)

    def uptime(self) -> float:
        """Return for how many seconds this process has run."""
        return self._clock() - self._began

    def age(self) -> float | None:
        """Return for how many seconds the broker has not answered; None if it never did."""
        return self._clock() - self._looks[-1].sample.at if self._looks else None

    def bytes_per_second(self) -> tuple[float, float]:
        """Return how fast peers give us bytes, and how fast we give them some."""
        if len(self._looks) < 2:
            return 0.0, 0.0
        first, last = self._looks[0], self._looks[-1]
        seconds = max(0.001, last.sample.at - first.sample.at)
        grown = (last.bytes_in - first.bytes_in, last.bytes_out - first.bytes_out)
        return max(0, grown[0]) / seconds, max(0, grown[1]) / seconds

    def said(self, worker: str) -> dict[str, Any]:
        """Return what a process says of itself; nothing where there is none."""
        return self._statuses().get(worker, {})

    def workers(self) -> dict[str, float]:
        """Return the processes that the broker hears, and how many seconds ago it last did."""
        seen = {name: float(s.get("last_seen_s", 0)) for name, s in self._statuses().items()}
        return {name: seconds for name, seconds in seen.items() if not name.startswith(OBSERVER)}

    def speed(self) -> float:
        """Return blocks a second over the samples of the last ``SPEED_SECONDS``."""
        if len(self._heads) < 2:
            return 0.0
        (began, first), (ended, last) = self._heads[0], self._heads[-1]
        return max(0, last - first) / (ended - began) if ended > began else 0.0

    def note(self) -> None:
        """Take one sample of the head for ``speed``."""
        head, now = self.head(), self._clock()
        self._heads.append((now, -1 if head is None else head.number))
        while self._heads[0][0] < now - SPEED_SECONDS:
            self._heads.popleft()

    def look(self, stats: dict[str, Any]) -> None:
        """Take the broker's figures of now."""
        self._stats = stats
        head, now = self.head(), self._clock()
        number = None if head is None else head.number
        said = self.said("p2p")
        moved = (_count(said.get("bytes_in")), _count(said.get("bytes_out")))
        self._looks.append(Look(sample(stats, now, head=number, target=self.target()), *moved))
        while len(self._looks) > 2 and self._looks[1].sample.at <= now - LOOK_SECONDS:
            self._looks.popleft()

    async def keep_sampling(self) -> None:
        """Sample head and broker each second, less often while idle, until cancelled or the broker is lost."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "stats") as asker:
            while True:
                self.note()
                try:
                    self.look(await loop.run_in_executor(asker, self._ask, STATS_SECONDS_MAX))
                except TimeoutError:
                    log.debug("The broker did not answer in time")
                except BrokerLost:
                    self.lost = True
                    self.when_lost()
                    return
                await asyncio.sleep(SAMPLE_SECONDS)
                self._asked.clear()
                if self._is_idle():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._asked.wait(), IDLE_SAMPLE_SECONDS)

    def _is_idle(self) -> bool:
        """Whether the head stands still and nobody has asked for it of late."""
        stands = self._heads[0][1] == self._heads[-1][1]
        return stands and self._clock() - self._asked_at > IDLE_SAMPLE_SECONDS

    def _statuses(self) -> dict[str, dict[str, Any]]:
        workers = self._stats.get("workers", {})
        return {name: flat(record) for name, record in workers.items()}


def _role(settings: Settings) -> str:
    if settings.p2p is None:
        return "gateway"
    return "feeder" if settings.p2p.serve_only else "peer"


def _head(head: Head) -> dict[str, Any]:
    return {
        "number": head.number,
        "hash": hex_of(head.block_hash),
        "state_root": hex_of(head.state_root),
    }


def _p2p(statuses: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Sum up what the p2p process says: its peers, and how many parts of blocks it gave them."""
    said = statuses.get("p2p", {})
    counts = {name: int(value) for name, value in said.items() if _is_count(value)}
    return {
        "peers": counts.get("peers", 0),
        "served": sum(n for name, n in counts.items() if name.startswith("blocks_served_")),
        "requests_served": counts.get("requests_served", 0),
        "bytes_out": counts.get("bytes_out", 0),
    }


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _count(value: object) -> int:
    return value if isinstance(value, int) and _is_count(value) else 0
