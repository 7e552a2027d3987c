"""Decides what follows from an answer and from a stage's news: who is blamed, what the plan is told. Pure."""

from typing import Any

from workers.component import Component
from workers.log import fields, log
from workers.messages import GATEWAY, BlockStored, BodiesFetched, Fault, HeadersFetched
from workers.p2p.peers import Peers
from workers.p2p.plan import Planner, Request


class Verdicts:
    """Between what is heard and the two that act on it: the plan, and who may be asked."""

    def __init__(self, peers: Peers, planner: Planner) -> None:
        self.faults = 0  # since the start
        self._peers = peers
        self._planner = planner
        self._leaving: dict[str, None] = {}

    def is_usable(self, request: Request, body: bytes, now: float) -> bool:
        """Whether a whole answer goes to its fetch stage; another peer is asked where it holds no header."""
        if body or request.component is not Component.HEADERS:
            return True
        self._peers.ended_at(request.peer, request.start - 1)  # no lie: it has no such block
        self._planner.failed(request, now)
        return False

    def bad(self, request: Request, rule: str, detail: str, now: float) -> None:
        """Blame the peer whose answer no honest peer sends, and ask another one."""
        self.blame(request.peer, request.component, request.start, rule, detail, now)
        self._planner.failed(request, now)

    def heard(self, message: Any, now: float) -> None:
        """Take what a stage says."""
        match message:
            case HeadersFetched():
                self._planner.headers_fetched(message, now)
            case BodiesFetched():
                self._planner.bodies_fetched(message, now)
            case BlockStored():
                self._planner.stored(message.number, message.block_hash, now)
            case Fault():
                for component, peer in zip(message.components, message.peers, strict=True):
                    self.blame(peer, component, message.start, message.rule, message.detail, now)
                self._planner.fault(message, now)

    def blame(
        self, peer: str, component: Component, block: int, rule: str, detail: str, now: float
    ) -> None:
        """Ask ``peer`` for nothing for a while, and let it go."""
        self.faults += 1
        seconds = 0.0 if peer == GATEWAY else self._peers.blame(peer, now)
        log.warning(
            "A peer broke a rule: it is not asked for a while and the block is fetched from others",
            extra=fields(
                peer=peer,
                block=block,
                rule=rule,
                component=component,
                detail=detail,
                not_asked_s=round(seconds),
            ),
        )
        self._leaving[peer] = None

    def leaving(self) -> tuple[str, ...]:
        """Return, once, the peers whose connection is to end."""
        leaving = tuple(self._leaving)
        self._leaving.clear()
        return leaving
