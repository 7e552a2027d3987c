"""How a peer stands: what it did wrong, weighed by rule and forgotten with time, and how fast it answers. Pure.

A proven lie is worth a quarantine at once; of slow streams it takes many within ``HALF_LIFE_SECONDS``. Each quarantine
is twice as long as the one before, and too many lies are a ban: doubts and weaknesses never are. Having no data is
no fault.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

HALF_LIFE_SECONDS = 1800.0
QUARANTINE_POINTS = 100.0
QUARANTINE_SECONDS_MIN = 60.0
QUARANTINE_SECONDS_MAX = 3600.0
LIES_MAX = 6  # the next one is a ban
BAN_SECONDS = 24 * 3600.0
FORGET_SECONDS = 24 * 3600.0  # without a fault: quarantines are short again, and lies counted anew
PEERS_MAX = 2048  # whose standing is kept
REASONS_MAX = 16  # rules counted for one peer
RULE_CHARS_MAX = 64

LIE_POINTS = 100.0  # what no honest peer sends
DOUBT_POINTS = 30.0  # an era's hashes cannot tell which of several senders lied
WEAKNESS_POINTS = {
    "header.parent": 10.0,  # told by commit, of a header that is signed: the chain forked, or was just taken back
    "answer.empty": 10.0,  # for blocks it had when asked for its head
    "fin.missing": 15.0,
    "poison": 10.0,  # its message killed our workers: who is to blame is not known
    "request.stalled": 10.0,
    "stream.reset": 5.0,
    "stream.slow": 10.0,
}
"""What may also be the network's fault. Every rule that is not here is a lie."""
WEAKNESS_SECONDS = 5.0  # weaknesses within it are one: a connection that breaks ends many streams

RATE_KEPT = 0.7  # of the mean, with each answer
ANSWER_BYTES_MIN = (
    16 * 1024
)  # what a question costs besides its bytes: small answers show the delay
HONESTY_POINTS = 50.0  # halve how willingly a peer is asked


@dataclass(frozen=True)
class Verdict:
    """What follows from a fault: for how many seconds the peer is not asked (0: as before), and if it is banned."""

    seconds: float
    is_banned: bool = False


@dataclass
class Standing:
    """One peer's record. Times are seconds since 1970, so that they outlive the process."""

    points: float = 0.0
    blamed_at: float = 0.0
    quarantines: int = 0
    lies: int = 0
    until: float = 0.0  # not asked before
    banned_until: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    last: str = ""
    bytes_per_second: float = 0.0  # 0: never asked

    def score(self, now: float) -> float:
        """The points that are left now."""
        if not self.points:
            return 0.0
        age = max(0.0, now - self.blamed_at)  # a clock may have been set back
        return float(self.points * 0.5 ** (age / HALF_LIFE_SECONDS))

    def blame(self, rule: str, suspects: int, now: float) -> Verdict:
        """Count a fault that one of ``suspects`` peers committed."""
        self._note(rule)
        if self.is_left_alone(now):  # one lie may be found in many blocks, and we end its streams
            return Verdict(max(self.until, self.banned_until) - now, self.is_banned(now))
        self.last = rule
        if now - self.blamed_at > FORGET_SECONDS:
            self.quarantines = self.lies = 0
        if rule in WEAKNESS_POINTS and now - self.blamed_at < WEAKNESS_SECONDS:
            return Verdict(0.0)
        weight = WEAKNESS_POINTS.get(rule, LIE_POINTS if suspects == 1 else DOUBT_POINTS)
        self.lies += weight == LIE_POINTS
        self.points, self.blamed_at = self.score(now) + weight, now
        if self.lies > LIES_MAX:
            self.banned_until = now + BAN_SECONDS
            return Verdict(BAN_SECONDS, is_banned=True)
        if self.points < QUARANTINE_POINTS:
            return Verdict(0.0)
        self.points /= 2  # the quarantine pays for the rest
        seconds = min(QUARANTINE_SECONDS_MIN * 2.0**self.quarantines, QUARANTINE_SECONDS_MAX)
        self.quarantines += 1
        self.until = now + seconds
        return Verdict(seconds)

    def is_banned(self, now: float) -> bool:
        """Whether even a connection is refused."""
        return now < self.banned_until

    def is_left_alone(self, now: float) -> bool:
        """Whether nothing may be asked of the peer."""
        return now < self.until or self.is_banned(now)

    def answered(self, size: int, seconds: float) -> None:
        """Note how quickly an answer of ``size`` bytes came."""
        rate = (size + ANSWER_BYTES_MIN) / max(seconds, 0.001)
        known = self.bytes_per_second or rate
        self.bytes_per_second = RATE_KEPT * known + (1 - RATE_KEPT) * rate

    def wariness(self, now: float) -> float:
        """What an honest peer's speed is divided by: 1 without faults, more with each."""
        return float(2.0 ** (self.score(now) / HONESTY_POINTS))

    def _note(self, rule: str) -> None:
        if rule not in self.reasons and len(self.reasons) >= REASONS_MAX:
            del self.reasons[min(self.reasons, key=lambda name: self.reasons[name])]
        self.reasons[rule] += 1

    def to_json(self) -> dict[str, Any]:
        """The record for a file."""
        return asdict(self) | {"reasons": dict(self.reasons)}

    @classmethod
    def from_json(cls, values: Any) -> "Standing":
        """The record that `to_json` wrote; raises ValueError for anything else."""
        standing = cls()
        if not isinstance(values, dict):
            raise ValueError("a standing is not an object")
        for name in ("points", "blamed_at", "until", "banned_until", "bytes_per_second"):
            setattr(standing, name, _number(values.get(name, 0.0)))
        standing.quarantines = int(_number(values.get("quarantines", 0)))
        standing.lies = int(_number(values.get("lies", 0)))
        standing.last = str(values.get("last", ""))[:RULE_CHARS_MAX]
        reasons = values.get("reasons", {})
        if not isinstance(reasons, dict):
            raise ValueError("reasons are not an object")
        for rule, count in list(reasons.items())[:REASONS_MAX]:
            standing.reasons[str(rule)[:RULE_CHARS_MAX]] = int(_number(count))
        return standing


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    if value < 0:
        raise ValueError(f"{value} is below 0")
    return float(value)
