"""Who may be asked: heads of the connected peers, the standing of those met before, when to dial again. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from workers.p2p.plan import PeerState
from workers.p2p.score import PEERS_MAX, Standing, Verdict

DIAL_SECONDS_MIN = 1.0
DIAL_SECONDS_MAX = 60.0
CHECK_SECONDS = 3.0  # between two questions for a peer's head
CHECK_FAILED_SECONDS_MAX = 60.0
OFF_CHAIN_SECONDS = 60.0  # so often a fork that most peers did not take is looked into
NEWCOMER = Standing()


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
    """What this process knows of the peers it has met; every method that depends on time is told ``now``.

    ``epoch`` is how many seconds lie between ``now`` and the seconds since 1970, in which standings are kept.
    """

    def __init__(
        self, own: str, standings: Mapping[str, Standing] | None = None, epoch: float = 0.0
    ) -> None:
        self._own = own
        self.epoch = epoch
        self._connected: dict[str, Connected] = {}
        self._refused: frozenset[str] = frozenset()
        self.standings: dict[str, Standing] = dict(standings or {})

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
        """The connected peers that may be asked for blocks, with their heads and how well they answer."""
        known = [s.bytes_per_second for s in self.standings.values() if s.bytes_per_second]
        newcomer = max(known, default=1.0)  # taken for as fast as the best, until it has been tried
        found = []
        for peer, state in self._connected.items():
            if state.head is not None and not self.is_left_alone(peer, now):
                standing = self.standings.get(peer, NEWCOMER)
                speed = standing.bytes_per_second or newcomer
                wariness = standing.wariness(now + self.epoch)
                found.append(PeerState(peer, state.head, speed / wariness))
        return found

    def connected(self) -> tuple[str, ...]:
        """Who is connected."""
        return tuple(self._connected)

    def names_left_alone(self, now: float) -> list[str]:
        """The peers, connected or not, that may not be asked; who comes back first is the first."""
        names = {*self.standings, *self._refused}
        left = [peer for peer in names if self.is_left_alone(peer, now)]
        known = {peer: self.standings.get(peer, NEWCOMER) for peer in left}
        return sorted(
            left, key=lambda peer: (max(known[peer].until, known[peer].banned_until), peer)
        )

    def left_alone(self, now: float) -> int:
        """How many peers, connected or not, may not be asked."""
        return sum(self.is_left_alone(peer, now) for peer in {*self.standings, *self._refused})

    def banned(self, now: float) -> int:
        """How many peers are banned, by their faults or by the operator."""
        return sum(self.is_banned(peer, now) for peer in {*self.standings, *self._refused})

    def all_left_alone(self, now: float) -> bool:
        """Whether peers are known, and none that is connected may be asked."""
        connected = all(self.is_left_alone(peer, now) for peer in self._connected)
        return connected and self.left_alone(now) > 0

    def first_back(self, now: float) -> tuple[str, str, str]:
        """Which of the peers that are left alone is asked again first: its name, the last rule it broke, when."""
        waits = {
            peer: max(standing.until, standing.banned_until) - now - self.epoch
            for peer, standing in self.standings.items()
            if self.is_left_alone(peer, now) and peer not in self._refused
        }
        if not waits:
            return min(self._refused, default="none"), "the operator's ban", "until it is unbanned"
        peer = min(waits, key=lambda name: waits[name])
        return peer, self.standings[peer].last, f"again in {waits[peer]:.0f} s"

    def to_check(self, now: float, count_max: int) -> list[str]:
        """Peers whose head is to be asked for now; each is marked as being asked."""
        due = [
            peer
            for peer, state in self._connected.items()
            if not state.is_checking
            and now >= state.check.until
            and not self.is_left_alone(peer, now)
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

    def off_chain(self, peer: str, now: float) -> None:
        """Ask ``peer``, which is on another chain than ours, for nothing until its head is looked at anew."""
        state = self._connected.get(peer)
        if state is not None:
            state.head = None
            state.check.until = now + OFF_CHAIN_SECONDS

    def with_block(self, number: int, now: float) -> list[str]:
        """The peers that may be asked and are known to have a block of that number."""
        return [state.peer for state in self.askable(now) if state.head >= number]

    def check_all(self) -> None:
        """Have the head of every peer looked at again soon."""
        for state in self._connected.values():
            state.check.succeed()

    def answered(self, peer: str, size: int, seconds: float) -> None:
        """Note that ``peer`` gave ``size`` bytes in so many seconds."""
        self._standing(peer).answered(size, seconds)

    def blame(self, peer: str, rule: str, suspects: int, now: float) -> Verdict:
        """Weigh a fault of ``peer``, or of one of several ``suspects``; return what follows."""
        return self._standing(peer).blame(rule, suspects, now + self.epoch)

    def obey(self, refused: Iterable[str], pardoned: Mapping[str, float]) -> None:
        """Do as the operator says: refuse some peers; forget what others did before they were pardoned."""
        self._refused = frozenset(refused)
        for peer, at in pardoned.items():
            standing = self.standings.get(peer)
            if standing is not None and standing.blamed_at < at:
                self.standings[peer] = Standing(bytes_per_second=standing.bytes_per_second)

    def is_banned(self, peer: str, now: float) -> bool:
        """Whether not even a connection with ``peer`` is wanted."""
        standing = self.standings.get(peer, NEWCOMER)
        return peer in self._refused or standing.is_banned(now + self.epoch)

    def is_left_alone(self, peer: str, now: float) -> bool:
        """Whether nothing may be asked of ``peer`` now."""
        standing = self.standings.get(peer, NEWCOMER)
        return peer in self._refused or standing.is_left_alone(now + self.epoch)

    def _standing(self, peer: str) -> Standing:
        if peer not in self.standings and len(self.standings) >= PEERS_MAX:
            del self.standings[min(self.standings, key=self._worth_keeping)]
        return self.standings.setdefault(peer, Standing())

    def _worth_keeping(self, peer: str) -> tuple[float, bool, float]:
        """Bans longest, then whom we speak with, then what was last heard of; floods of new names push out the rest."""
        standing = self.standings[peer]
        until = max(standing.banned_until, standing.until)
        return until, peer in self._connected, standing.blamed_at
