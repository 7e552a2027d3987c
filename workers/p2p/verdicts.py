"""Decides what follows from an answer and from a stage's news: who is blamed, what the plan is told. Pure."""

from typing import Any

from workers.component import Component
from workers.log import fields, log
from workers.messages import GATEWAY, BlockStored, BodiesFetched, Fault, HeadersFetched
from workers.metrics import Figures
from workers.p2p.peers import Peers
from workers.p2p.plan import Planner, Request
from workers.p2p.roster import LastFaults


class Verdicts:
    """Between what is heard and the two that act on it: the plan, and who may be asked."""

    def __init__(self, peers: Peers, planner: Planner, figures: Figures | None = None) -> None:
        self._figures = figures or Figures()
        self.faults = 0  # since the start
        self.last_fault = "none"
        self.last_faults = LastFaults()
        self._peers = peers
        self._planner = planner
        self._leaving: dict[str, None] = {}

    def is_usable(self, request: Request, body: bytes, now: float) -> bool:
        """Whether a whole answer goes to its fetch stage; another peer is asked where it holds no header."""
        if body or request.component is not Component.HEADERS:
            return True
        # It has no such block: no lie, but then it should not have had it when asked for its head.
        self._peers.ended_at(request.peer, request.start - 1)
        self.bad(request, "answer.empty", "no headers came", now)
        return False

    def bad(self, request: Request, rule: str, detail: str, now: float) -> None:
        """Blame the peer whose answer was none or is one that no honest peer sends, and ask another one."""
        self.blame(request.peer, request.component, request.start, rule, detail, now)
        self._planner.failed(request, now)

    def heard(self, message: Any, now: float) -> None:
        """Take what a stage says."""
        match message:
            case HeadersFetched():
                self._planner.headers_fetched(message, now)
            case BodiesFetched():
                if not message.count:  # it said that it has these blocks
                    self._blame_for_nothing(message, now)
                self._planner.bodies_fetched(message, now)
            case BlockStored():
                self._planner.block_stored(message, now)
            case Fault():
                self.blame_senders(message, now)
                self._planner.fault(message, now)

    def _blame_for_nothing(self, news: BodiesFetched, now: float) -> None:
        said = "nothing of the first block came"
        self.blame(news.peer, news.component, news.start, "answer.empty", said, now)

    def blame_for_headers(self, peer: str, block: int, rule: str, detail: str, now: float) -> None:
        """Count a fault of ``peer`` in headers that no request of the plan asked for."""
        self.blame(peer, Component.HEADERS, block, rule, detail, now)

    def blame_senders(self, fault: Fault, now: float) -> None:
        """Weigh a fault once for each peer that sent a guilty part."""
        parts = zip(fault.peers, fault.components, strict=True)
        guilty = {peer: component for peer, component in parts if peer != GATEWAY}
        for peer, component in guilty.items():
            self.blame(
                peer, component, fault.start, fault.rule, fault.detail, now, suspects=len(guilty)
            )

    def blame(
        self,
        peer: str,
        component: Component,
        block: int,
        rule: str,
        detail: str,
        now: float,
        *,
        suspects: int = 1,
    ) -> None:
        """Count a fault of ``peer``, or of one of several; let it go where it is not asked for a while."""
        if self._peers.is_left_alone(peer, now):  # one lie may be found in many blocks: it was said
            self._peers.blame(peer, rule, suspects, now)
            return
        self.faults += 1
        self._figures.count("hera_p2p_faults_total", rule=rule)
        self.last_fault = f"{rule} by {peer} in block {block}"
        self.last_faults.note(now + self._peers.epoch, peer, block, rule, component, detail)
        verdict = self._peers.blame(peer, rule, suspects, now)
        said = fields(peer=peer, block=block, rule=rule, component=component, detail=detail)
        if not verdict.seconds:
            log.info("A fault is counted: the block is fetched from others", extra=said)
            return
        said["fields"] |= {"not_asked_s": round(verdict.seconds), "banned": verdict.is_banned}
        log.warning(
            "A peer broke a rule: it is not asked for a while and the block is fetched from others",
            extra=said,
        )
        self._leaving[peer] = None

    def leaving(self) -> tuple[str, ...]:
        """Return, once, the peers whose connection is to end."""
        leaving = tuple(self._leaving)
        self._leaving.clear()
        return leaving
