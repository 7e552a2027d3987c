"""The window: which blocks beyond the stored head are asked for, held, or handed on; bounds their count and bytes.

Pure bookkeeping: no clock, thread or socket. Times are seconds of one monotonic clock, given by the caller.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from workers.feeder.block import Fetched
from workers.feeder.client import backoff
from workers.messages import BlockAssembled

WINDOW_BLOCKS = 64
RETRY_SECONDS = 1.0  # after a fault or a missing part, doubled each time
RETRY_SECONDS_MAX = 60.0


class Step(Enum):
    """How far one block of the window is."""

    WANTED = auto()
    ASKED = auto()
    FETCHED = auto()
    CLASSES_ASKED = auto()
    READY = auto()
    GIVEN = auto()


@dataclass
class Entry:
    """One block of the window. ``classes`` holds the frames fetched so far, in the order of ``wanted``."""

    number: int
    step: Step = Step.WANTED
    attempt: int = 0
    not_before: float = 0.0
    failures: int = 0
    size: int = 0  # bytes held, here or further down the pipeline
    fetched: Fetched | None = None
    wanted: tuple[int, ...] = ()
    classes: dict[int, bytes] = field(default_factory=dict)
    ready: BlockAssembled | None = None


class Window:
    """The blocks after ``head``, the number of the last stored block (-1: none)."""

    def __init__(self, head: int, bytes_max: int) -> None:
        self.head = head
        self._bytes_max = bytes_max
        self._entries: dict[int, Entry] = {}
        self._absent_from: int | None = None
        self._ask_again_at = 0.0
        self._mean_size = 0

    def get(self, number: int) -> Entry | None:
        """Return the entry of a block, if it is in the window and was ever asked for."""
        return self._entries.get(number)

    def stored(self, number: int) -> None:
        """Move the window: ``number`` is durable."""
        self.head = max(self.head, number)
        for passed in [known for known in self._entries if known <= self.head]:
            del self._entries[passed]

    def retreat(self, number: int) -> None:
        """Begin anew after block ``number``: the gateway left the chain that was followed."""
        self.head = number
        self._entries.clear()
        self._absent_from = None

    def absent(self, number: int, ask_again_at: float) -> None:
        """Note that the gateway's head lies below ``number``."""
        known = number if self._absent_from is None else self._absent_from
        self._absent_from = min(number, known)
        self._ask_again_at = ask_again_at
        self._entries.pop(number, None)

    def best_known(self) -> int:
        """Return the highest block that the gateway is known to have, -1 for none."""
        seen = [e.number for e in self._entries.values() if e.step not in (Step.WANTED, Step.ASKED)]
        return max(self.head, *seen, -1)

    def at_head(self) -> bool:
        """Whether the gateway has nothing beyond the stored head."""
        return self._absent_from == self.head + 1

    def present(self, number: int) -> None:
        """Note that the gateway has this block."""
        if self._absent_from is not None and number >= self._absent_from:
            self._absent_from = None

    def failed(self, entry: Entry, now: float) -> None:
        """Begin a block anew after a growing while."""
        entry.failures += 1
        entry.not_before = now + backoff(entry.failures, RETRY_SECONDS, RETRY_SECONDS_MAX)
        self.again(entry)

    def again(self, entry: Entry) -> None:
        """Begin a block anew; classes that were fetched are kept."""
        entry.step = Step.WANTED
        entry.size = 0
        entry.fetched = None
        entry.ready = None

    def interrupted(self, entry: Entry) -> None:
        """Go on with a block where a silent gateway left it; what was fetched of it is kept."""
        if entry.fetched is not None:
            entry.step = Step.FETCHED
        else:
            self.again(entry)

    def next_to_ask(self, now: float) -> Entry | None:
        """Return the lowest block that may be asked for now, within the bounds of count and bytes.

        The block after the head is always let through, so that one huge block cannot stop the chain.
        """
        held = self.bytes_held()
        for number in range(self.head + 1, self.head + 1 + WINDOW_BLOCKS):
            entry = self._entries.get(number)
            if entry is None and not self._may_be_there(number, now):
                return None
            if entry is None or entry.step is Step.WANTED:
                if number > self.head + 1 and held + self._mean_size > self._bytes_max:
                    return None
                if entry is None or entry.not_before <= now:
                    return self._entries.setdefault(number, Entry(number))
        return None

    def next_due(self, now: float) -> float:
        """Return in how many seconds more may be asked for; what is free already waits for room."""
        wanted = (entry for entry in self._entries.values() if entry.step is Step.WANTED)
        due = [entry.not_before for entry in wanted]
        if self._absent_from is not None:
            due.append(self._ask_again_at)
        return min((time - now for time in due if time > now), default=math.inf)

    def unresolved(self) -> Iterator[Entry]:
        """Yield, lowest first, the fetched blocks whose lower blocks of the window are all fetched too.

        Only in this order is it known which block brings a class first.
        """
        for number in range(self.head + 1, self.head + 1 + WINDOW_BLOCKS):
            entry = self._entries.get(number)
            if entry is None or entry.step in (Step.WANTED, Step.ASKED):
                return
            if entry.step is Step.FETCHED:
                yield entry

    def brought_before(self, number: int) -> set[int]:
        """Return the classes that unstored blocks below ``number`` bring."""
        lower = (entry for entry in self._entries.values() if entry.number < number)
        return {class_hash for entry in lower for class_hash in entry.wanted}

    def is_class_coming(self, entry: Entry) -> bool:
        """Whether a lower block asks the gateway for a class that this one wants too."""
        asking = (
            lower
            for lower in self._entries.values()
            if lower.number < entry.number and lower.step is Step.CLASSES_ASKED
        )
        wanted = set(entry.wanted) - entry.classes.keys()
        return any(not wanted.isdisjoint(lower.wanted) for lower in asking)

    def class_frame(self, class_hash: int) -> bytes | None:
        """Return a class that was fetched for any block of the window."""
        found = (entry.classes.get(class_hash) for entry in self._entries.values())
        return next((frame for frame in found if frame is not None), None)

    def lowest_missing(self) -> int:
        """Return the lowest block that is not whole yet."""
        number = self.head + 1
        while (entry := self._entries.get(number)) and entry.step in (Step.READY, Step.GIVEN):
            number += 1
        return number

    def ready(self) -> list[Entry]:
        """Return the blocks that may be handed on, lowest first."""
        ready = (entry for entry in self._entries.values() if entry.step is Step.READY)
        return sorted(ready, key=lambda entry: entry.number)

    def keep(self, entry: Entry, size: int) -> None:
        """Note how many bytes a block holds."""
        entry.size = size
        known = [held.size for held in self._entries.values() if held.size]
        self._mean_size = sum(known) // len(known) if known else 0

    def bytes_held(self) -> int:
        """Return the bytes of all blocks in the window; those still asked for count as average ones."""
        return sum(
            entry.size or (self._mean_size if entry.step is Step.ASKED else 0)
            for entry in self._entries.values()
        )

    def blocks_held(self) -> int:
        """Return how many blocks are asked for, held or handed on and not stored yet."""
        return len(self._entries)

    def _may_be_there(self, number: int, now: float) -> bool:
        if self._absent_from is None or number < self._absent_from:
            return True
        return number == self._absent_from and now >= self._ask_again_at
