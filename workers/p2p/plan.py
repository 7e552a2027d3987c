"""Decides what to ask of whom: the window of ranges beyond the stored head. Pure: no clock, socket or queue.

A span is a range of blocks under way, at most 100. Its headers come first, one span after the other, because each
needs the hash before it; then its other parts, at once and from different peers. What fails is asked of another
peer, what is cut short is completed, and what broke a rule later is fetched anew as a small span of its own.

Bytes are counted from the request to the stored block: what is asked as what is expected, or what came if that is
more; what came until its last block is stored. No more is asked, and answers are read no further, beyond the memory;
the lowest block alone is always let through, since storing it is what makes room.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from broker.codec import Body
from workers.component import Component
from workers.messages import (
    BlockStored,
    BodiesFetched,
    ClassesReceived,
    ClassesWanted,
    EventsReceived,
    Fault,
    ForkSeen,
    HeaderInfo,
    HeadersFetched,
    HeadersReceived,
    StateDiffsReceived,
    TransactionsReceived,
)
from workers.p2p.score import WEAKNESS_POINTS

RANGE_BLOCKS = 100
WINDOW_BLOCKS = 400
REQUESTS_MAX = 48  # under way at once
REQUESTS_PER_PEER_MAX = 16
RETRY_SECONDS_MIN = 0.2
RETRY_SECONDS_MAX = 30.0
# A fault may overtake the news that its range was cut; so long it is waited for before the range is asked again.
HOLD_SECONDS = 0.5
REPAIRS_AT_ONCE = 3  # of one block; what breaks rules more often waits, each time twice as long
EXPLORED = 0.1  # of the requests go to any peer
QUALITY_MIN = 1e-6
SUSPECTS_MAX = 1024
ATTEMPTS_KEPT = 8  # of one job: news of older ones is not heeded
STUCK_SECONDS = 30.0
STUCK_SECONDS_MAX = 600.0
BYTES_PER_BLOCK_GUESS = (
    512 * 1024
)  # high: the first requests ask for few blocks, then it is known better
BYTES_PER_HEADER_GUESS = 1024
SLICES = 16  # one request asks for no more than this part of the memory
REQUEST_BYTES = (
    2 << 20
)  # what an answer that is not read may hold in the stream's window, and a little more
GENESIS_PARENT = bytes(32)
BODIES = (Component.STATE_DIFFS, Component.TRANSACTIONS, Component.EVENTS)

Received = (
    HeadersReceived | StateDiffsReceived | ClassesReceived | TransactionsReceived | EventsReceived
)


class State(Enum):
    """Where a job is: to be asked, asked of a peer, or handed to the fetch stage."""

    WAITING = "waiting"
    ASKED = "asked"
    GIVEN = "given"


@dataclass(frozen=True)
class Answer:
    """An answer that was cut into blocks ``start`` … ``end-1``; ``size`` counts its bytes."""

    component: Component
    peer: str
    start: int
    end: int
    size: int


@dataclass(eq=False)
class Span:
    """A range of blocks under way. ``used`` counts how many of its requests each peer got."""

    start: int
    count: int
    is_repair: bool = False
    avoid: frozenset[str] = frozenset()
    answers: list[Answer] = field(default_factory=list)
    jobs: "list[Job]" = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)

    @property
    def end(self) -> int:
        """The number after the last block."""
        return self.start + self.count


@dataclass(eq=False)
class Job:
    """One part of one range, asked until it has come whole. ``received`` counts the bytes that have come so far."""

    span: Span
    component: Component
    start: int
    count: int
    parent_hash: bytes = b""
    headers: tuple[HeaderInfo, ...] = ()
    wanted: tuple[ClassesWanted, ...] = ()
    state: State = State.WAITING
    attempt: int = 0
    peer: str = ""
    avoid: set[str] = field(default_factory=set)
    received: int = 0
    failures: int = 0
    faults: int = 0
    retry_at: float = 0.0  # before it, only peers that have not failed are asked
    hold_until: float = 0.0  # before it, nobody is asked
    attempts: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The number after the last block."""
        return self.start + self.count

    @property
    def needs_nobody(self) -> bool:
        """Whether the answer is known to be empty: no block brings a class."""
        return self.component is Component.CLASSES and not any(
            want.declared or want.deployed for want in self.wanted
        )


@dataclass(frozen=True)
class PeerState:
    """A peer that may be asked. ``head`` is the highest block it is known to have; the better one is asked more."""

    peer: str
    head: int
    quality: float = 1.0


@dataclass(frozen=True)
class Request:
    """Ask ``peer`` for blocks ``start`` … ``start+count-1`` of ``component``; without network if ``is_empty``."""

    attempt: int
    peer: str
    component: Component
    start: int
    count: int
    is_empty: bool = False


@dataclass(frozen=True)
class Plan:
    """What to do now: requests to send, and how many ranges were begun."""

    requests: tuple[Request, ...]
    opened: int


@dataclass(frozen=True)
class Stuck:
    """The head has not moved for ``seconds``; ``waits_for`` says on what, ``action`` what was done about it."""

    number: int
    seconds: int
    waits_for: str
    action: str


class Planner:
    """The window beyond the stored head. Every method that depends on time is told ``now`` in seconds."""

    def __init__(
        self,
        head: tuple[int, bytes] | None,
        first_attempt: int,
        memory_bytes: int,
        rng: random.Random,
        now: float = 0.0,
        *,
        range_blocks: int = RANGE_BLOCKS,
        window_blocks: int = WINDOW_BLOCKS,
    ) -> None:
        self._range_blocks = range_blocks
        self._window_blocks = window_blocks
        self.base = 0 if head is None else head[0] + 1  # the next block to be stored
        self._hashes = {self.base - 1: GENESIS_PARENT if head is None else head[1]}
        self._frontier = self.base  # the first block without a verified header
        self._next_attempt = first_attempt
        self._oldest = 0  # what was stored by older attempts is of a chain that was left
        self._memory_bytes = memory_bytes
        self._rng = rng
        self._spans: list[Span] = []
        self._opening: Span | None = None
        self._by_attempt: dict[int, Job] = {}
        # By attempt: faults that may be about its outcome, or about its use by a later stage.
        self._suspects: dict[int, list[Fault]] = {}
        # By block: the first attempt that is newer than its last repair, and how many repairs there were.
        self._repaired: dict[int, tuple[int, int]] = {}
        self._requests_max = min(REQUESTS_MAX, max(1, memory_bytes // REQUEST_BYTES))
        self._bytes_per_block = dict.fromkeys(Component, float(BYTES_PER_BLOCK_GUESS))
        self._bytes_per_block[Component.HEADERS] = float(BYTES_PER_HEADER_GUESS)
        self._moved_at = now
        self._checked_at = now
        self._stuck_after = STUCK_SECONDS
        self._stuck_times = 0

    # ---- asking --------------------------------------------------------------------------------------------------

    def plan(self, peers: Sequence[PeerState], now: float) -> Plan:
        """Open the ranges that the window has room for and choose a peer for each request that can go out."""
        opened = self._open_spans(max((peer.head for peer in peers), default=-1))
        busy = Counter(job.peer for job in self._jobs() if job.state is State.ASKED)
        requests: list[Request] = []
        used = self.used_bytes
        for span in self._in_order():
            waiting = [j for j in span.jobs if j.state is State.WAITING and now >= j.hold_until]
            for job in waiting:
                count = job.count if job.needs_nobody else self._fitting(job, used, busy)
                peer = self._choose(job, peers, busy, now) if count else None
                if peer is None:
                    continue
                if count < job.count:
                    waiting.append(self._cut(job, count))
                requests.append(self._ask(job, peer))
                if not job.needs_nobody:
                    busy[job.peer] += 1
                    used += self._expected(job)
        return Plan(tuple(requests), opened)

    def is_current(self, request: Request) -> bool:
        """Whether the answer to ``request`` is still wanted."""
        job = self._by_attempt.get(request.attempt)
        return job is not None and job.attempt == request.attempt and job.state is State.ASKED

    def message(self, request: Request, body: bytes) -> Received:
        """Wrap an answer for the fetch stage of its component."""
        job = self._by_attempt[request.attempt]
        attempt, start, peer, frame = request.attempt, request.start, request.peer, Body(body)
        match request.component:
            case Component.HEADERS:
                parent = job.parent_hash
                return HeadersReceived(attempt, start, request.count, peer, parent, frame)
            case Component.STATE_DIFFS:
                return StateDiffsReceived(attempt, start, peer, job.headers, frame)
            case Component.CLASSES:
                return ClassesReceived(attempt, start, peer, job.wanted, frame)
            case Component.TRANSACTIONS:
                return TransactionsReceived(attempt, start, peer, job.headers, frame)
            case Component.EVENTS:
                return EventsReceived(attempt, start, peer, job.headers, frame)

    def messages_max(self, request: Request) -> int:
        """How many messages an honest answer has at most, by the headers and state diffs that are known."""
        if request.component is Component.HEADERS:
            return request.count
        job = self._by_attempt.get(request.attempt)
        if job is None:
            return 0  # nobody waits for it any more
        match request.component:
            case Component.STATE_DIFFS:
                # SYNC-SPEC: declare the peer malicious if the counter becomes bigger than state_diff_length; each
                # message counts for at least one (its fetch stage counts exactly)
                return sum(header.state_diff_length for header in job.headers)
            case Component.CLASSES:
                return sum(len(want.declared) + len(want.deployed) for want in job.wanted)
            case Component.TRANSACTIONS:
                return sum(header.transactions for header in job.headers)
            case Component.EVENTS:
                return sum(header.events for header in job.headers)

    def received(self, request: Request, size_bytes: int) -> bool:
        """Note that so much of an answer has come; return whether it may be read on now."""
        job = self._by_attempt.get(request.attempt)
        if job is None or job.attempt != request.attempt:
            return True  # nobody waits for it: it ends soon
        job.received = size_bytes
        return self._is_lowest(job) or self.used_bytes <= self._memory_bytes

    def given(self, request: Request, size_bytes: int) -> None:
        """Note that the answer of ``size_bytes`` has gone to its fetch stage."""
        job = self._by_attempt.get(request.attempt)
        if job is None or job.attempt != request.attempt:
            return
        job.state = State.GIVEN
        job.received = size_bytes
        if not request.is_empty:
            mean = self._bytes_per_block[job.component]
            self._bytes_per_block[job.component] = (mean + size_bytes / job.count) / 2

    def failed(self, request: Request, now: float) -> None:
        """Ask another peer; the same one only after a while that grows."""
        job = self._by_attempt.get(request.attempt)
        if job is None or job.attempt != request.attempt:
            return
        self._retry(job, {request.peer}, now)

    def too_big(self, request: Request, now: float) -> None:
        """Ask for half as many blocks; a single block that is too big counts as failed."""
        job = self._by_attempt.get(request.attempt)
        if job is None or job.attempt != request.attempt:
            return
        if job.count == 1:
            self._retry(job, {request.peer}, now)
            return
        self._bytes_per_block[job.component] *= 2
        job.state = State.WAITING
        job.received = 0
        self._cut(job, job.count // 2)

    # ---- what the stages say -------------------------------------------------------------------------------------

    def headers_fetched(self, news: HeadersFetched, now: float) -> None:
        """Ask for what the verified headers commit to; what is missing at the end comes with a later request."""
        job = self._by_attempt.get(news.attempt)
        if job is None or job.component is not Component.HEADERS:
            return
        headers = news.headers[: job.count]
        if not headers:
            self._retry(job, {news.peer}, now)
            return
        span = job.span
        self._finish(job)
        rest = span.count - len(headers)
        span.count = len(headers)
        self._link(span, headers)
        span.jobs += [
            Job(span, part, span.start, span.count, headers=headers, avoid=set(span.avoid))
            for part in BODIES
        ]
        if rest and span.is_repair and span.end < self._frontier:
            self._add_repair(span.end, rest, frozenset({news.peer}), now)

    def bodies_fetched(self, news: BodiesFetched, now: float) -> None:
        """Note how far an answer reached; ask another peer for the rest, and for the classes it names."""
        for suspect in self._suspects.pop(news.attempt, ()):
            self._repair_fault(suspect, now)  # the answer was used, so the fault is a later stage's
        job = self._by_attempt.get(news.attempt)
        if job is None or job.component is not news.component:
            return
        count = min(news.count, job.count)
        if count == 0:
            self._retry(job, {news.peer}, now)
            return
        if count < job.count:
            rest = self._cut(job, count)
            rest.avoid.add(news.peer)
        self._finish(job)
        if job.component is Component.STATE_DIFFS:
            wanted = news.classes[:count]
            classes = Job(job.span, Component.CLASSES, job.start, count, wanted=wanted)
            classes.peer = news.peer  # named as the sender where no class is wanted
            classes.avoid = set(job.span.avoid)
            job.span.jobs.append(classes)

    def fault(self, news: Fault, now: float) -> None:
        """Fetch anew what broke a rule, from other peers where there are any."""
        job = self._by_attempt.get(news.attempt)
        if job is None:
            self._repair_fault(news, now)
            return
        # The fetch stage dropped the whole answer, or else a later stage was quicker than the news of the cut.
        self._suspect(news)
        if job.attempt != news.attempt or job.state is not State.GIVEN:
            return
        job.faults += 1
        self._retry(job, set(news.peers), now)
        job.hold_until = now + HOLD_SECONDS
        blames_header = Component.HEADERS in news.components
        if job.component is not Component.HEADERS and (job.faults > 1 or blames_header):
            self._repair_fault(news, now)

    def fork_seen(self, news: ForkSeen, now: float) -> None:
        """Ask others for the headers that ``news.peer`` has of another chain."""
        job = self._by_attempt.get(news.attempt)
        if job is not None:
            self._retry(job, {news.peer}, now)

    def retreat(self, number: int, block_hash: bytes) -> int:
        """Go on after block ``number``, whatever was under way; return an attempt above all until now."""
        self.base = number + 1
        self._hashes = {number: block_hash}
        self._reset()
        self._oldest = self.new_attempt()
        return self._oldest

    def block_stored(self, news: BlockStored, now: float) -> None:
        """Move the window, unless the block belongs to a chain that was left."""
        if news.attempt >= self._oldest:
            self.stored(news.number, news.block_hash, now)

    def stored(self, number: int, block_hash: bytes, now: float) -> None:
        """Move the window: block ``number`` is durable."""
        if number < self.base:
            return
        self.base = number + 1
        if self._hashes.get(number, block_hash) != block_hash:
            self._truncate(self.base)
        self._hashes[number] = block_hash
        self._hashes = {n: h for n, h in self._hashes.items() if n >= number}
        self._suspects = {
            attempt: left
            for attempt, faults in self._suspects.items()
            if (left := [news for news in faults if news.start > number])
        }
        self._repaired = {n: r for n, r in self._repaired.items() if n > number}
        self._moved_at = self._checked_at = now
        self._stuck_after = STUCK_SECONDS
        self._stuck_times = 0
        for span in list(self._spans):
            for job in [j for j in span.jobs if j.end <= self.base]:
                self._finish(job)
            span.answers = [answer for answer in span.answers if answer.end > self.base]
            if span.end <= self.base:
                self._drop(span)
        if self._frontier < self.base:
            self._frontier = self.base
            if self._opening is not None:
                self._drop(self._opening)

    def watch(self, now: float) -> Stuck | None:
        """Say why the head does not move, and mend it where a part may have been lost inside the node."""
        if not self._spans:
            self._checked_at = self._moved_at = now
        if now - self._checked_at < self._stuck_after:
            return None
        self._checked_at = now
        self._stuck_after = min(2 * self._stuck_after, STUCK_SECONDS_MAX)
        waits = [
            job
            for job in self._jobs()
            if job.start <= self.base < job.end and job.state is not State.GIVEN
        ]
        seconds = int(now - self._moved_at)
        if waits:
            names = ", ".join(sorted(f"{job.component} ({job.state.value})" for job in waits))
            return Stuck(self.base, seconds, f"peers: {names}", "none")
        self._stuck_times += 1
        lowest = next((s for s in self._in_order() if s.start <= self.base < s.end), None)
        if lowest is None or self._stuck_times > 1:
            self._reset()
            return Stuck(self.base, seconds, "the stages", "the window is fetched anew")
        newest = self._next_attempt
        self._repair(self.base, lowest.end - self.base, frozenset(), newest, now)
        return Stuck(self.base, seconds, "the stages", "the lowest range is fetched anew")

    def new_attempt(self) -> int:
        """A number above those of all requests until now."""
        self._next_attempt += 1
        return self._next_attempt - 1

    def hash_of(self, number: int) -> bytes | None:
        """The hash of a block under way, as far as its header is verified, or of the stored head."""
        return self._hashes.get(number)

    # ---- what is under way ---------------------------------------------------------------------------------------

    @property
    def frontier(self) -> int:
        """The first block without a verified header."""
        return self._frontier

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._spans

    @property
    def used_bytes(self) -> int:
        """What the window holds or awaits: answers with a block that is not stored, and what is asked."""
        held = sum(answer.size for span in self._spans for answer in span.answers)
        coming = sum(
            max(job.received, self._expected(job) if job.state is State.ASKED else 0)
            for job in self._jobs()
        )
        return held + coming

    # ---- inside --------------------------------------------------------------------------------------------------

    def _open_spans(self, target: int) -> int:
        """Open the next range if its headers can be linked, it fits the window, and memory is left."""
        if self._opening is not None:
            return 0
        count = min(self._range_blocks, target - self._frontier + 1)
        if count <= 0 or self._frontier + count > self.base + self._window_blocks:
            return 0
        if self._spans and self.used_bytes > self._memory_bytes:
            return 0
        span = Span(self._frontier, count)
        parent = self._hashes[self._frontier - 1]
        span.jobs.append(Job(span, Component.HEADERS, span.start, count, parent_hash=parent))
        self._spans.append(span)
        self._opening = span
        return 1

    def _is_lowest(self, job: Job) -> bool:
        return job.start <= self.base

    def _fitting(self, job: Job, used: int, busy: Counter[str]) -> int:
        """How many blocks of a job may be asked for now: a slice that fits; of the lowest, one at least."""
        size = self._bytes_per_block[job.component]
        whole = max(1, min(job.count, int(self._memory_bytes / SLICES / size)))
        fitting = int((self._memory_bytes - used) / size)
        if job.component is Component.HEADERS:  # small, and what follows must link to them
            whole = job.count
        if self._is_lowest(job):
            return whole if job.component is Component.HEADERS else max(1, min(whole, fitting))
        return whole if fitting >= whole and busy.total() < self._requests_max else 0

    def _choose(
        self, job: Job, peers: Sequence[PeerState], busy: Counter[str], now: float
    ) -> PeerState | None:
        """The best peer, each request that it has making it worse; now and then any, so that none stays unknown.

        No peer gets every part of a range while there is another.
        """
        if job.needs_nobody:
            return PeerState(job.peer, job.end - 1)
        able = [
            p
            for p in peers
            if p.head >= job.start
            and (busy[p.peer] < REQUESTS_PER_PEER_MAX or self._is_lowest(job))
        ]
        fresh = [p for p in able if p.peer not in job.avoid]
        if not fresh and now >= job.retry_at:
            fresh = able
        if not fresh:
            return None
        whole = [p for p in fresh if p.head >= job.end - 1] or fresh
        used = job.span.used
        others = [p for p in whole if used[p.peer] < len(Component) - 1] or whole
        if self._rng.random() < EXPLORED:
            fewest = min(used[p.peer] for p in others)
            return self._rng.choice([p for p in others if used[p.peer] == fewest])
        return min(
            others,
            key=lambda p: (
                (1 + 2 * used[p.peer] + busy[p.peer]) / max(p.quality, QUALITY_MIN),
                self._rng.random(),
            ),
        )

    def _ask(self, job: Job, peer: PeerState) -> Request:
        if peer.head < job.end - 1:
            self._shorten(job, peer.head - job.start + 1)
        job.attempt = self.new_attempt()
        job.peer = peer.peer
        job.state = State.ASKED
        self._by_attempt[job.attempt] = job
        job.attempts.append(job.attempt)
        if len(job.attempts) > ATTEMPTS_KEPT:
            del self._by_attempt[job.attempts.pop(0)]
        if not job.needs_nobody:
            job.span.used[peer.peer] += 1
        return Request(
            job.attempt, peer.peer, job.component, job.start, job.count, job.needs_nobody
        )

    def _shorten(self, job: Job, count: int) -> None:
        if job.component is not Component.HEADERS:
            self._cut(job, count)
            return
        span, rest = job.span, job.count - count
        job.count = span.count = count
        if span.is_repair:
            self._add_repair(span.end, rest, span.avoid, job.hold_until)

    def _cut(self, job: Job, count: int) -> Job:
        """Leave ``count`` blocks to ``job``; the rest becomes a job of its own, which is returned."""
        if job.component is Component.HEADERS:
            return self._cut_headers(job, count)
        rest = Job(
            job.span,
            job.component,
            job.start + count,
            job.count - count,
            headers=job.headers[count:],
            wanted=job.wanted[count:],
            avoid=set(job.avoid),
            peer=job.peer,
        )
        job.count = count
        job.headers = job.headers[:count]
        job.wanted = job.wanted[:count]
        job.span.jobs.append(rest)
        return rest

    def _cut_headers(self, job: Job, count: int) -> Job:
        """The rest of a header range cannot be linked yet: the window opens it again later."""
        self._shorten(job, count)
        return job

    def _retry(self, job: Job, peers: set[str], now: float) -> None:
        job.state = State.WAITING
        job.received = 0
        job.avoid |= peers
        job.failures += 1
        wait = min(RETRY_SECONDS_MIN * 2 ** min(job.failures - 1, 16), RETRY_SECONDS_MAX)
        job.retry_at = now + wait

    def _link(self, span: Span, headers: Sequence[HeaderInfo]) -> None:
        """Remember the verified hashes; what followed another hash than a repaired one now has is dropped."""
        last = headers[-1]
        known = self._hashes.get(last.number)
        for header in headers:
            self._hashes[header.number] = header.block_hash
        if span is self._opening:
            self._opening = None
            self._frontier = span.end
        elif known is not None and known != last.block_hash:
            self._truncate(span.end)

    def _truncate(self, end: int) -> None:
        """Forget every block from ``end`` on: they do not link any more."""
        for span in [s for s in self._spans if s.start >= end]:
            self._drop(span)
        for span in [s for s in self._spans if s.end > end]:
            for job in [j for j in span.jobs if j.start >= end]:
                self._finish(job)
        self._hashes = {n: h for n, h in self._hashes.items() if n < end}
        self._frontier = min(self._frontier, end)
        if self._opening is not None:
            self._drop(self._opening)

    def _suspect(self, news: Fault) -> None:
        if sum(map(len, self._suspects.values())) >= SUSPECTS_MAX:
            del self._suspects[min(self._suspects)]
        self._suspects.setdefault(news.attempt, []).append(news)

    def _repair_fault(self, news: Fault, now: float) -> None:
        """Fetch anew what broke a rule; after a lie also what came after it in the same answer."""
        is_lie = news.rule not in WEAKNESS_POINTS
        guilty = set(zip(news.components, news.peers, strict=True)) if is_lie else set()
        ends = [
            answer.end
            for span in self._spans
            for answer in span.answers
            if (answer.component, answer.peer) in guilty and answer.start <= news.start < answer.end
        ]
        count = max([news.start + news.count, *ends]) - news.start
        self._repair(news.start, count, frozenset(news.peers), news.attempt, now)

    def _repair(
        self, start: int, count: int, avoid: frozenset[str], attempt: int, now: float
    ) -> None:
        """Fetch the part of the range that is in the window anew, up to where that has begun since ``attempt``."""
        numbers = range(max(start, self.base), min(start + count, self._frontier))
        begun = (n for n in numbers if attempt < self._repaired.get(n, (0, 0))[0])
        numbers = range(numbers.start, next(begun, numbers.stop))
        if not numbers:
            return
        times = 1 + max(self._repaired.get(n, (0, 0))[1] for n in numbers)
        for number in numbers:
            self._repaired[number] = (self._next_attempt, times)
        late = times - REPAIRS_AT_ONCE
        wait = 0.0 if late <= 0 else min(2.0 ** min(late - 1, 16), RETRY_SECONDS_MAX)
        for first in range(numbers.start, numbers.stop, self._range_blocks):
            size = min(self._range_blocks, numbers.stop - first)
            self._add_repair(first, size, avoid, now + wait)

    def _add_repair(self, start: int, count: int, avoid: frozenset[str], at: float) -> None:
        span = Span(start, count, is_repair=True, avoid=avoid)
        job = Job(span, Component.HEADERS, start, count, parent_hash=self._hashes[start - 1])
        span.jobs.append(replace(job, avoid=set(avoid), hold_until=at))
        self._spans.append(span)

    def _finish(self, job: Job) -> None:
        job.span.jobs.remove(job)
        if job.received:
            answer = Answer(job.component, job.peer, job.start, job.end, job.received)
            job.span.answers.append(answer)
        self._forget(job)

    def _drop(self, span: Span) -> None:
        for job in span.jobs:
            self._forget(job)
        self._spans.remove(span)
        if span is self._opening:
            self._opening = None

    def _forget(self, job: Job) -> None:
        for attempt in job.attempts:
            del self._by_attempt[attempt]
        job.attempts.clear()

    def _reset(self) -> None:
        for span in list(self._spans):
            self._drop(span)
        self._repaired.clear()
        self._suspects.clear()
        self._frontier = self.base
        self._hashes = {self.base - 1: self._hashes[self.base - 1]}

    def _expected(self, job: Job) -> int:
        return int(self._bytes_per_block[job.component] * job.count)

    def _in_order(self) -> list[Span]:
        return sorted(self._spans, key=lambda span: span.start)

    def _jobs(self) -> Iterator[Job]:
        return (job for span in self._spans for job in span.jobs)
