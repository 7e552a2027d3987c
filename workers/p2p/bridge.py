"""Where trio meets the broker: the link's file descriptor wakes the pump, full topics hold the giver back."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import trio

DRAIN_MAX = 256  # messages taken before other tasks get their turn
LOOK_SECONDS = 5.0  # at least: the descriptor is readable also once the broker is lost
FULL_SECONDS_MIN = 0.02
FULL_SECONDS_MAX = 0.5


class Delivered(Protocol):
    """A message that the broker handed out."""

    @property
    def ticket(self) -> int:
        """What completes it."""
        ...

    @property
    def message(self) -> Any:
        """The message."""
        ...


class Link(Protocol):
    """What is asked of ``broker.link.Link``."""

    def take_nowait(self) -> Delivered | None:
        """The next message, or None."""
        ...

    def done(self, tickets: Sequence[int], outputs: Sequence[object] = ()) -> None:
        """Complete messages."""
        ...

    def give(self, message: object) -> bool:
        """Hand a message over; False while its topic is full."""
        ...

    def status(self, values: Mapping[str, Any]) -> None:
        """Say how this process is."""
        ...

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        ...

    def close(self) -> None:
        """Say goodbye."""
        ...


class Bridge:
    """One link used from one trio thread."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._turns: defaultdict[type[object], trio.Lock] = defaultdict(trio.Lock)
        self._held_back = 0

    @property
    def is_full(self) -> bool:
        """Whether someone waits for room: then nothing more should be asked of peers."""
        return self._held_back > 0

    async def pump(self, handle: Callable[[Any], None]) -> None:
        """Hand every message to ``handle`` and complete it; runs until cancelled. ``BrokerLost`` passes."""
        while True:
            taken = self._drain(handle)
            if taken == DRAIN_MAX:
                await trio.lowlevel.checkpoint()
                continue
            with trio.move_on_after(LOOK_SECONDS):
                await trio.lowlevel.wait_readable(self._link.fileno())

    async def give(self, message: object) -> None:
        """Hand a message over; while its topic is full, wait, and with it whoever wants to give more of the kind."""
        async with self._turns[type(message)]:
            if not self._link.give(message):
                await self._give_later(message)

    def status(self, values: Mapping[str, Any]) -> None:
        """Say how this process is."""
        self._link.status(values)

    async def _give_later(self, message: object) -> None:
        wait = FULL_SECONDS_MIN
        self._held_back += 1
        try:
            await trio.sleep(wait)
            while not self._link.give(message):
                wait = min(2 * wait, FULL_SECONDS_MAX)
                await trio.sleep(wait)
        finally:
            self._held_back -= 1

    def _drain(self, handle: Callable[[Any], None]) -> int:
        tickets: list[int] = []
        while len(tickets) < DRAIN_MAX:
            delivery = self._link.take_nowait()
            if delivery is None:
                break
            handle(delivery.message)
            tickets.append(delivery.ticket)
        if tickets:
            self._link.done(tickets)
        return len(tickets)
