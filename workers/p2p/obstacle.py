"""Says in one line why the head does not move: in the log, and in ``line`` for the status."""

from workers.log import fields, log
from workers.p2p.peers import Peers
from workers.p2p.plan import Planner
from workers.p2p.verdicts import Verdicts

AGAIN_SECONDS = 60.0  # until the same is said again; then twice as long each time
AGAIN_SECONDS_MAX = 600.0


class Obstacle:
    """What keeps the node from its next block; ``line`` is empty while nothing does."""

    def __init__(self, peers: Peers, planner: Planner, verdicts: Verdicts) -> None:
        self.line = ""
        self._peers = peers
        self._planner = planner
        self._verdicts = verdicts
        self._block = planner.base  # that ``line`` is about
        self._said_at: float | None = None  # that nobody may be asked; None while somebody may
        self._again = AGAIN_SECONDS

    def look(self, now: float) -> None:
        """See whether the head moves, and have the plan mend what it can."""
        if self._planner.base != self._block:
            self._block, self.line = self._planner.base, ""
        self._watch_plan(now)
        self._watch_peers(now)

    def _watch_plan(self, now: float) -> None:
        stuck = self._planner.watch(now)
        if stuck is None:
            return
        last = self._verdicts.last_fault
        self.line = (
            f"block {stuck.number} has not come for {stuck.seconds} s: waiting for "
            f"{stuck.waits_for}; last fault: {last}"
        )
        log.warning(
            "The head does not move",
            extra=fields(
                block=stuck.number,
                seconds=stuck.seconds,
                waits_for=stuck.waits_for,
                action=stuck.action,
                peers=len(self._peers),
                left_alone=self._peers.left_alone(now),
                last_fault=last,
            ),
        )

    def _watch_peers(self, now: float) -> None:
        """Nobody to ask is known at once: there is no need to wait for the plan's patience."""
        if not self._peers.all_left_alone(now):
            if self._said_at is not None:
                self._said_at, self._again, self.line = None, AGAIN_SECONDS, ""
            return
        count, (peer, rule, again) = self._peers.left_alone(now), self._peers.first_back(now)
        self.line = (
            f"block {self._block} cannot be asked for: all {count} known peers are left alone; "
            f"{peer} for {rule}, {again}"
        )
        if self._said_at is not None:
            if now - self._said_at < self._again:
                return
            self._again = min(2 * self._again, AGAIN_SECONDS_MAX)
        self._said_at = now
        log.warning(
            "Nobody is left to ask: all known peers broke rules",
            extra=fields(
                block=self._block,
                peers=count,
                peer=peer,
                rule=rule,
                asked=again,
                last_fault=self._verdicts.last_fault,
            ),
        )
