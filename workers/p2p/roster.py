"""What the status says of single peers: how each stands, what it gives us and what we give it. Bounded, and pure."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from workers.component import Component
from workers.p2p.host import Host
from workers.p2p.peers import NEWCOMER, Peers

ROWS_MAX = 32  # of a status: it travels with every heartbeat
FAULTS_MAX = 16
TEXT_CHARS_MAX = 120
RECENT_SECONDS = (
    3.0  # so long a stream that has ended is still told of: most are shorter than a status is old
)
STREAMS_MAX = 1024


@dataclass
class Stream:
    """Streams of one component with one peer: how many are open, the blocks of the last one, when one last was."""

    blocks: range = range(0)
    open: int = 0
    seen_at: float = 0.0


class Streams:
    """Who gives what just now, in one direction."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._streams: dict[tuple[str, Component], Stream] = {}

    @contextmanager
    def of(self, peer: str, component: Component, blocks: range) -> Iterator[None]:
        """Tell of a stream inside the block, unless it is one without blocks."""
        if not blocks:
            yield
            return
        if len(self._streams) >= STREAMS_MAX:
            self._forget()
        stream = self._streams.setdefault((peer, component), Stream())
        stream.blocks = blocks
        stream.open += 1
        try:
            yield
        finally:
            stream.open -= 1
            stream.seen_at = self._clock()

    def with_peer(self, peer: str) -> list[list[Any]]:
        """Return ``[component, lowest block, highest block]`` for each component, in the order of the pipeline."""
        now = self._clock()
        known = ((part, self._streams.get((peer, part))) for part in Component)
        return [
            [
                part.value,
                min(stream.blocks[0], stream.blocks[-1]),
                max(stream.blocks[0], stream.blocks[-1]),
            ]
            for part, stream in known
            if stream is not None and (stream.open or now - stream.seen_at < RECENT_SECONDS)
        ]

    def _forget(self) -> None:
        """Keep what is open; the oldest of the rest makes room."""
        ended = [key for key, stream in self._streams.items() if not stream.open]
        if ended:
            del self._streams[min(ended, key=lambda key: self._streams[key].seen_at)]


class LastFaults:
    """The last faults of peers, newest first. Their words are cut to ``TEXT_CHARS_MAX``."""

    def __init__(self) -> None:
        self._rows: deque[dict[str, Any]] = deque(maxlen=FAULTS_MAX)

    def note(self, at: float, peer: str, block: int, rule: str, part: str, detail: str) -> None:
        """Add one; ``at`` is in seconds since 1970."""
        self._rows.appendleft(
            {
                "at": round(at, 1),
                "rule": clipped(rule),
                "peer": peer,
                "block": block,
                "component": part,
                "detail": clipped(detail),
            }
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return them."""
        return list(self._rows)


def peer_rows(
    host: Host, peers: Peers, given: Streams | None, taken: Streams, now: float
) -> list[dict[str, Any]]:
    """Return a row for each peer, the connected ones first; ``ROWS_MAX`` at most.

    ``given`` are streams by which peers give us blocks (None on a node that asks nobody), ``taken`` those by which
    we give them some.
    """
    rows = [
        {
            **_standing(peers, peer, now),
            "agent": clipped(host.agent_of(peer)),
            "direction": host.direction_of(peer),
            "head": peers.known_head(peer),
            "gives": [] if given is None else given.with_peer(peer),
            "takes": taken.with_peer(peer),
        }
        for peer in peers.connected()
    ]
    gone = [peer for peer in peers.names_left_alone(now) if peer not in set(peers.connected())]
    rows.sort(key=lambda row: len(row["gives"]) + len(row["takes"]), reverse=True)
    shown = sorted(rows[:ROWS_MAX], key=lambda row: str(row["peer"]))  # who reads it sees none jump
    return shown + [_standing(peers, peer, now) for peer in gone[: ROWS_MAX - len(shown)]]


def _standing(peers: Peers, peer: str, now: float) -> dict[str, Any]:
    standing = peers.standings.get(peer, NEWCOMER)
    at = now + peers.epoch
    return {
        "peer": peer,
        "score": round(standing.score(at), 1),
        "state": _state(peers, peer, now),
        "for_seconds": max(0, round(max(standing.until, standing.banned_until) - at)),
        "last": clipped(standing.last),
        "bytes_per_second": round(standing.bytes_per_second),
    }


def _state(peers: Peers, peer: str, now: float) -> str:
    if peers.is_banned(peer, now):
        return "banned"
    return "quarantined" if peers.is_left_alone(peer, now) else "good"


def clipped(text: str) -> str:
    """Return the printable part of what a peer may have chosen, not too long."""
    shown = "".join(c if c.isprintable() else " " for c in text[:TEXT_CHARS_MAX])
    return shown if len(text) <= TEXT_CHARS_MAX else shown + "…"
