"""Who may be asked: heads of the connected peers, quarantine of those that broke a rule, when to dial again. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from workers.p2p.plan import PeerState

QUARANTINE_SECONDS_MIN = 60.0
QUARANTINE_SECONDS_MAX = 3600.0
DIAL_SECONDS_MIN = 1.0
DIAL_SECONDS_MAX = 60.0
CHECK_SECONDS = 2.0  # between two questions for a peer's head
CHECK_FAILED_SECONDS_MAX = 60.0
REMEMBERED_MAX = 4096


@dataclass
class Back:
    """Waiting that doubles: ``until`` is when to try again."""

    seconds_min: float
    seconds_max: float
    until: float = 0.0
    times: int = 0

    def fail(self, now: float) -> float:
        """Wait twice as long as the last time; return how many seconds."""
        seconds = min(self.seconds_min * 2.0 ** min(self.times, 16), self.seconds_max)
        self.times += 1
        self.until = now + seconds
        return seconds

    def succeed(self) -> None:
        """Start over."""
        self.times = 0
        self.until = 0.0


@dataclass
class Connected:
    """A connected peer. ``head`` is the highest block it is known to have, None before it was asked."""

    head: int | None = None
    is_checking: bool = False
    check: Back = field(default_factory=lambda: Back(CHECK_SECONDS, CHECK_FAILED_SECONDS_MAX))


class Peers:
    """What this process knows of the peers it has met; every method that depends on time is told ``now``."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._connected: dict[str, Connected] = {}
        self._quarantine: dict[str, Back] = {}

    def update(self, connected: Iterable[str]) -> bool:
        """Note who is connected now; return whether that changed."""
        current = [peer for peer in connected if peer != self._own]
        if set(current) == set(self._connected):
            return False
        self._connected = {peer: self._connected.get(peer, Connected()) for peer in current}
        return True

    def __len__(self) -> int:
        return len(self._connected)

    def askable(self, now: float) -> list[PeerState]:
        """The connected peers that may be asked for blocks, with their heads."""
        return [
            PeerState(peer, state.head)
            for peer, state in self._connected.items()
            if state.head is not None and not self.is_quarantined(peer, now)
        ]

    def to_check(self, now: float, count_max: int) -> list[str]:
        """Peers whose head is to be asked for now; each is marked as being asked."""
        due = [
            peer
            for peer, state in self._connected.items()
            if not state.is_checking
            and now >= state.check.until
            and not self.is_quarantined(peer, now)
        ]
        due.sort(key=lambda peer: self._connected[peer].check.until)
        for peer in due[:count_max]:
            self._connected[peer].is_checking = True
        return due[:count_max]

    def checked(self, peer: str, head: int | None, now: float) -> None:
        """Note a peer's head; None where it could not be asked (then it is asked less often)."""
        state = self._connected.get(peer)
        if state is None:
            return
        state.is_checking = False
        if head is None:
            state.check.fail(now)
            return
        state.head = head
        state.check.succeed()
        state.check.until = now + CHECK_SECONDS

    def known_head(self, peer: str) -> int | None:
        """The head of a connected peer, if it was asked."""
        state = self._connected.get(peer)
        return None if state is None else state.head

    def ended_at(self, peer: str, number: int) -> None:
        """Note that ``peer`` had nothing after block ``number``; it is asked for its head anew."""
        state = self._connected.get(peer)
        if state is not None and state.head is not None and state.head > number:
            state.head = number
            state.check.until = 0.0

    def blame(self, peer: str, now: float) -> float:
        """Quarantine a peer that broke a rule, longer each time; return for how many seconds."""
        if peer not in self._quarantine and len(self._quarantine) >= REMEMBERED_MAX:
            oldest = min(self._quarantine, key=lambda name: self._quarantine[name].until)
            del self._quarantine[oldest]
        back = self._quarantine.setdefault(
            peer, Back(QUARANTINE_SECONDS_MIN, QUARANTINE_SECONDS_MAX)
        )
        if now < back.until:
            return back.until - now  # one lie may be found in many blocks
        return back.fail(now)

    def is_quarantined(self, peer: str, now: float) -> bool:
        """Whether nothing may be asked of ``peer`` now."""
        back = self._quarantine.get(peer)
        return back is not None and now < back.until
