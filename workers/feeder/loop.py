"""Source feeder: hands on whole blocks from a feeder gateway, as many beyond the stored head as the bounds allow.

The main thread owns link, store view and window; a few threads wait for the gateway. What is handed on goes the
same way as a block from peers: nothing that the gateway says is believed.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from broker.link import Delivery
from starknet.felt import to_bytes32
from workers.feeder.block import Fetched, PartMissing, assemble, fetch, fetch_classes
from workers.feeder.client import FeederError, Gateway, Unreachable
from workers.feeder.fork import Common, find_common
from workers.feeder.head import Head, Place
from workers.feeder.trouble import REASONS, Trouble, reason_of
from workers.feeder.window import Entry, Step, Window
from workers.log import fields, log
from workers.messages import RETREAT_BLOCKS_MAX, BlockStored, BlocksUndone, Fault, Retreat
from workers.settings import Settings
from workers.store.reader import Reader

REQUESTS_MAX = 4  # at once
CREDIT = 64
BUSY_SECONDS = 0.02  # how long to listen for messages while requests are under way
FULL_SECONDS = 0.1  # … while the pipeline takes no more
IDLE_SECONDS_MAX = 1.0
LOOK_SECONDS = 5.0  # how often the store's head is looked at besides being told
BEHIND_BLOCKS = 2
OTHER_PARENT = (
    "header.parent"  # what commit says of a verified block that follows another one than ours
)
CLASS_ORIGINS = ("gateway", "store", "window")


class Port(Protocol):
    """What the feeder needs of its link to the broker."""

    def take(self, timeout_s: float) -> Delivery[Any] | None:
        """Wait for a message."""
        ...

    def done(self, tickets: list[int]) -> None:
        """Finish messages."""
        ...

    def give(self, message: object) -> bool:
        """Hand a message on; False when its topic is full."""
        ...

    def status(self, values: dict[str, int | float | str]) -> None:
        """Tell how the feeder is."""
        ...


def run(settings: Settings, link: Port, stop: threading.Event) -> None:
    """Feed blocks through ``link`` until ``stop``."""
    pool = ThreadPoolExecutor(REQUESTS_MAX, thread_name_prefix="gateway")
    with (
        Gateway(
            settings.feeder_url,
            stop,
            settings.figures,
            api_key=settings.gateway_api_key,
            timeouts_s=settings.gateway_timeouts_s,
        ) as gateway,
        closing(Reader(settings.db_path, settings.figures)) as reader,
    ):
        feeder = _Feeder(settings, link, gateway, reader, pool)
        try:
            feeder.start()
            while not stop.is_set():
                feeder.turn()
        finally:
            stop.set()  # ends the threads' waiting for another try
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass
class _Job:
    """One call to the gateway under way in a thread, and what to do with its outcome."""

    entry: Entry
    future: Future[Any]
    done: Callable[[Entry, Any], None]


class _Feeder:
    """The loop's state; every method runs in the main thread."""

    def __init__(
        self,
        settings: Settings,
        link: Port,
        gateway: Gateway,
        reader: Reader,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._settings = settings
        self._poll_seconds = settings.feeder_poll_seconds
        self._link = link
        self._gateway = gateway
        self._reader = reader
        self._pool = pool
        self._window = Window(-1, settings.in_flight_bytes)
        self._jobs: list[_Job] = []
        self._trouble = Trouble(gateway.url)
        self._gateway_head = Head(self._window, reader)
        self._latest: Future[tuple[int, bytes] | None] | None = None
        self._latest_at = 0.0
        self._attempt = time.time_ns() // 1_000_000  # above those of an earlier life
        self._look_at = 0.0
        self._at_head = False
        self._fork: Future[Common | None] | None = None
        self._retreat: Retreat | None = None  # until commit has taken the blocks back
        self._is_retreat_given = False
        self._oldest = 0  # what was stored by older attempts is of a chain that was left

    def start(self) -> None:
        """Begin at the stored head."""
        self._look(time.monotonic())
        for origin in CLASS_ORIGINS:
            self._count_classes(origin, 0)
        for reason in REASONS:
            self._settings.figures.count("hera_feeder_failures_total", 0, reason=reason)
        log.info(
            "Feeding blocks from a gateway",
            extra=fields(url=self._gateway.url, next=self._window.head + 1),
        )

    def turn(self) -> None:
        """Gather what came from the gateway, hand it on, ask for more; then listen to the broker."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look(now)
        self._gather()
        self._follow_fork()
        if self._retreat is None:
            self._give()
        if self._retreat is None and now >= self._trouble.paused_until:
            self._look_at_gateway(now)
            self._resolve()
            self._ask(now)
        self._tell_at_head()
        self._tell_status()
        self._listen(self._patience(time.monotonic()))

    def _tell_status(self) -> None:
        target = max(self._window.best_known(), self._gateway_head.target)
        self._link.status(
            {
                "head": self._window.head,
                "target": target,
                "window": self._window.blocks_held(),
                "bytes": self._window.bytes_held(),
                "requests": len(self._jobs),
                "stuck": self._trouble.line,
            }
        )
        figures = self._settings.figures
        figures.set("hera_sync_window_bytes", self._window.bytes_held())
        figures.set("hera_sync_window_capacity_bytes", self._settings.in_flight_bytes)
        figures.set("hera_feeder_requests_in_flight", len(self._jobs))
        if target >= 0:
            figures.set("hera_sync_best_known_block", target)

    def _patience(self, now: float) -> float:
        """How long the broker may be listened to before something else is due."""
        if self._jobs or self._latest is not None or self._fork is not None:
            return BUSY_SECONDS
        if self._window.ready():
            return FULL_SECONDS
        due = min(self._window.next_due(now), self._latest_at - now)
        due = max(due, self._trouble.paused_until - now, BUSY_SECONDS)
        return min(due, IDLE_SECONDS_MAX)

    # ---- broker -> feeder -----------------------------------------------------------------------

    def _listen(self, seconds: float) -> None:
        delivery = self._link.take(seconds)
        for _ in range(CREDIT):
            if delivery is None:
                return
            match delivery.message:
                case Fault():
                    self._fault(delivery.message)
                case BlocksUndone():
                    self._undone(delivery.message.number)
                case BlockStored() if delivery.message.attempt >= self._oldest:
                    self._stored(delivery.message.number)
            self._link.done([delivery.ticket])
            delivery = self._link.take(0)

    def _stored(self, number: int) -> None:
        self._window.stored(number)
        self._trouble.stored(number)

    def _fault(self, fault: Fault) -> None:
        """Fetch what was refused again, unless that has begun already."""
        for number in range(fault.start, fault.start + fault.count):
            entry = self._window.get(number)
            if entry is None or entry.step is not Step.GIVEN or fault.attempt < entry.attempt:
                continue
            if fault.rule == OTHER_PARENT and number == self._window.head + 1:
                self._look_for_fork()
            if number == self._window.head + 1 or self._trouble.quiet():
                text = f"gateway: block {number} breaks rule {fault.rule}: {fault.detail}"
                self._trouble.tell(number, text, logging.ERROR)
            entry.classes.clear()
            self._window.failed(entry, time.monotonic())

    # ---- the gateway leaves our chain ------------------------------------------------------------

    def _look_for_fork(self) -> None:
        """Ask the gateway where its chain left the stored one."""
        if self._fork is not None or self._retreat is not None:
            return
        self._reader.refresh()
        head = self._window.head
        numbers = range(max(0, head - RETREAT_BLOCKS_MAX), head + 1)
        hashes = {number: self._reader.block_hash(number) for number in numbers}
        stored = {number: known for number, known in hashes.items() if known is not None}
        if stored:
            self._fork = self._pool.submit(find_common, self._settings, self._gateway, stored)

    def _follow_fork(self) -> None:
        """Have commit take back what the gateway does not have any more, and begin anew below it."""
        if self._fork is not None and self._fork.done():
            fork, self._fork = self._fork, None
            try:
                common = fork.result()
            except (FeederError, PartMissing) as error:
                self._cannot_follow(f"the gateway left our chain: {error}")
                return
            if common is None:
                text = f"the gateway shares none of our last {RETREAT_BLOCKS_MAX} blocks"
                self._cannot_follow(f"{text}; staying")
                return
            if common.number < self._window.head:
                log.warning(
                    "The gateway left our chain: we follow",
                    extra=fields(last_common=common.number, head=self._window.head),
                )
                self._attempt += 1
                self._oldest = self._attempt
                self._retreat = Retreat(self._attempt, common.number, common.block_hash)
        if self._retreat is not None and not self._is_retreat_given:
            self._is_retreat_given = self._link.give(self._retreat)

    def _cannot_follow(self, text: str) -> None:
        self._trouble.tell(self._window.head + 1, text, logging.ERROR)

    def _undone(self, number: int) -> None:
        self._retreat = None
        self._is_retreat_given = False
        self._window.retreat(number)
        self._at_head = False

    def _look(self, now: float) -> None:
        """Follow the store, also where a message was lost with an earlier life of this process."""
        self._look_at = now + LOOK_SECONDS
        self._reader.refresh()
        head = self._reader.head()
        if head is not None and self._retreat is None:
            self._stored(head.number)

    # ---- gateway -> feeder ----------------------------------------------------------------------

    def _look_at_gateway(self, now: float) -> None:
        """Ask for the gateway's last block now and then; follow it where it is another than ours."""
        if self._latest is None:
            if now >= self._latest_at:
                self._latest_at = now + self._poll_seconds
                self._latest = self._pool.submit(self._gateway.latest)
            return
        if not self._latest.done():
            return
        asked, self._latest = self._latest, None
        try:
            self._reader.refresh()
            place = self._gateway_head.look(asked.result())
        except FeederError as error:
            self._count_failure(error)
            if isinstance(error, Unreachable):
                self._trouble.pause(error, now)
            return
        self._trouble.answered()
        if place is Place.OTHER:
            self._look_for_fork()

    def _ask(self, now: float) -> None:
        while len(self._jobs) < REQUESTS_MAX:
            entry = self._window.next_to_ask(now)
            if entry is None:
                return
            self._attempt += 1
            entry.attempt = self._attempt
            entry.step = Step.ASKED
            self._submit(entry, self._fetched, fetch, self._gateway, entry.number)

    def _submit(
        self,
        entry: Entry,
        done: Callable[[Entry, Any], None],
        call: Callable[..., Any],
        *args: object,
    ) -> None:
        self._jobs.append(_Job(entry, self._pool.submit(call, *args), done))

    def _gather(self) -> None:
        """Take what the threads have brought; a block that was stored or refused meanwhile is dropped."""
        finished = [job for job in self._jobs if job.future.done()]
        self._jobs = [job for job in self._jobs if not job.future.done() and job not in finished]
        for job in finished:
            entry = job.entry
            try:
                outcome = job.future.result()
            except (FeederError, PartMissing) as error:
                if self._window.get(entry.number) is entry:
                    self._failed(entry, error)
                continue
            self._trouble.answered()
            if self._window.get(entry.number) is entry:
                job.done(entry, outcome)

    def _fetched(self, entry: Entry, fetched: Fetched | None) -> None:
        if fetched is None:
            self._window.absent(entry.number, time.monotonic() + self._poll_seconds)
            return
        self._window.present(entry.number)
        entry.fetched = fetched
        entry.step = Step.FETCHED
        self._window.keep(entry, fetched.size)

    def _resolve(self) -> None:
        """Ask for the classes of each fetched block that neither the store has nor a lower block brings."""
        entries = list(self._window.unresolved())
        if entries:
            self._reader.refresh()
        for entry in entries:
            if entry.fetched is None:
                continue
            entry.wanted = self._wanted(entry.fetched)
            if self._window.is_class_coming(entry):
                continue  # a lower block asks for it at this moment
            self._find_classes(entry)
            missing = [known for known in entry.wanted if known not in entry.classes]
            if not missing:
                self._complete(entry, 0)
                continue
            entry.step = Step.CLASSES_ASKED
            arguments = (self._gateway, entry.number, entry.wanted, entry.classes)
            self._submit(entry, self._complete, fetch_classes, *arguments)

    def _wanted(self, fetched: Fetched) -> tuple[int, ...]:
        """Return the classes that a block brings: declared ones, and deployed ones that nobody declared."""
        brought = self._window.brought_before(fetched.number)
        deployed = (
            class_hash
            for class_hash in fetched.deployed
            if class_hash not in brought and not self._reader.has_class(to_bytes32(class_hash))
        )
        return tuple(dict.fromkeys((*fetched.declared, *deployed)))

    def _find_classes(self, entry: Entry) -> None:
        """Take what was fetched before: a class may be declared more than once."""
        for class_hash in entry.wanted:
            if class_hash in entry.classes:
                continue
            origin, frame = "window", self._window.class_frame(class_hash)
            if frame is None:
                origin, frame = "store", self._reader.class_frame(to_bytes32(class_hash))
            if frame is not None:
                entry.classes[class_hash] = frame
                self._count_classes(origin, 1)

    def _complete(self, entry: Entry, fetched: int) -> None:
        self._count_classes("gateway", fetched)
        assert entry.fetched is not None, "classes are asked for once the block is fetched"
        frames = [entry.classes[class_hash] for class_hash in entry.wanted]
        entry.ready = assemble(entry.attempt, entry.fetched, frames)
        entry.fetched = None
        entry.step = Step.READY
        self._window.keep(entry, entry.size + sum(len(frame) for frame in frames))

    def _failed(self, entry: Entry, error: FeederError | PartMissing) -> None:
        """Try again later; say why where all lower blocks are there."""
        now = time.monotonic()
        if isinstance(error, Unreachable):
            self._window.interrupted(entry)
            self._trouble.pause(error, now)
            return
        self._count_failure(error)
        self._window.failed(entry, now)
        if entry.number == self._window.lowest_missing():
            self._trouble.failed(entry.number, error)

    def _count_failure(self, error: Exception) -> None:
        if not isinstance(error, Unreachable):  # the client has counted its tries
            figures = self._settings.figures
            figures.count("hera_feeder_failures_total", reason=reason_of(error))

    def _count_classes(self, origin: str, count: int) -> None:
        self._settings.figures.count("hera_feeder_classes_total", count, origin=origin)

    def _tell_at_head(self) -> None:
        """One line when all that the gateway has is stored; again only after falling behind."""
        if self._window.at_head() and not self._at_head:
            self._at_head = True
            log.info("At the gateway's head", extra=fields(number=self._window.head))
        if self._window.blocks_held() > BEHIND_BLOCKS:
            self._at_head = False

    # ---- feeder -> broker -----------------------------------------------------------------------

    def _give(self) -> None:
        for entry in self._window.ready():
            assert entry.ready is not None, "a block is ready once it is assembled"
            if not self._link.give(entry.ready):
                return
            entry.ready = None
            entry.step = Step.GIVEN
