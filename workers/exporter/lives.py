"""Keeps counters growing: a process that was started again counts from nought, its series go on where they were.

What a process counted between the last scrape and its death is lost: it was told to nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.metrics import Value

LIVES_MAX = 512  # processes remembered; the one not seen for longest makes room

Key = tuple[str, tuple[str, ...]]
"""Name of a series, values of its labels."""


@dataclass
class _Life:
    started: float
    before: dict[Key, Value] = field(default_factory=dict)  # of all lives before this one
    last: dict[Key, Value] = field(default_factory=dict)


class Lives:
    """What was last seen of the counters and histograms of each process, by its name."""

    def __init__(self) -> None:
        self._lives: dict[str, _Life] = {}

    def through(self, name: str, started: float, seen: Mapping[Key, Value]) -> dict[Key, Value]:
        """Return what a process has counted in all its lives; ``started`` tells one life from the next."""
        life = self._lives.pop(name, None) or _Life(started)
        if life.started != started:
            life = _Life(started, before=_sum(life.before, life.last))
        life.last = dict(seen)
        self._lives[name] = life  # the last to make room
        if len(self._lives) > LIVES_MAX:
            del self._lives[next(iter(self._lives))]
        return _sum(life.before, life.last)


def _sum(some: Mapping[Key, Value], others: Mapping[Key, Value]) -> dict[Key, Value]:
    total = dict(some)
    for key, value in others.items():
        total[key] = _add(total[key], value) if key in total else value
    return total


def _add(one: Value, other: Value) -> Value:
    if isinstance(one, list) and isinstance(other, list):
        return [a + b for a, b in zip(one, other, strict=True)]
    assert not isinstance(one, list)
    assert not isinstance(other, list)
    return one + other
