"""Connections of a simulated node: the broker in memory, with messages under way on both sides of it.

A connection keeps its order, as ZeroMQ does, and loses what it holds when its worker is killed or the broker is.
Nothing moves by itself: whoever holds the schedule says which connection moves how many messages.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from broker.link import Link
from broker.memory import MemoryBroker
from broker.queues import PoisonHandler
from broker.topic import Topic


class Killed(BaseException):
    """The process ends here, as by kill -9: nothing of ours may catch it."""


class Wire:
    """The transport of one link. ``dies_in`` more messages are sent, then the process is killed in the act."""

    threaded = False

    def __init__(self, broker: MemoryBroker, identity: bytes) -> None:
        self._broker = broker
        self._identity = identity
        self.up: deque[list[bytes]] = deque()  # to the broker
        self.down = broker.connect(identity)  # sent by the broker, still on its way
        self.here: deque[list[bytes]] = deque()
        self.dies_in: int | None = None

    def now(self) -> float:
        return self._broker.now()

    def send(self, head: bytes, frames: Sequence[bytes]) -> bool:
        if self.dies_in is not None:
            if self.dies_in == 0:
                raise Killed
            self.dies_in -= 1
        self.up.append([head, *frames])
        return True

    def receive(self) -> list[bytes] | None:
        return self.here.popleft() if self.here else None

    def wait(self, timeout_s: float) -> None:
        """Let both directions through: only a link that says hello waits."""
        self.send_up(len(self.up))
        self.bring_down(len(self.down))

    def fileno(self) -> int:
        raise OSError("a simulated link has no descriptor: ask take_nowait")

    def obstacle(self) -> str:
        return ""

    def close(self, linger_s: float) -> None:
        """End the connection; a link that lingers has sent all before."""
        if linger_s:
            self.send_up(len(self.up))
        self.up.clear()
        self._broker.disconnect(self._identity)

    def send_up(self, count: int) -> None:
        """Let ``count`` messages reach the broker."""
        for _ in range(count):
            self._broker.send(self._identity, self.up.popleft())

    def bring_down(self, count: int) -> None:
        """Let ``count`` messages reach the worker."""
        for _ in range(count):
            self.here.append(self.down.popleft())

    def kill(self, arrives: int) -> None:
        """End the connection as with its process: the broker still reads ``arrives`` of what was sent."""
        self.send_up(min(arrives, len(self.up)))
        self.close(linger_s=0)

    def cut(self) -> None:
        """Let the broker take the worker for dead, which lives on and finds out when it speaks."""
        self._broker.disconnect(self._identity)
        self.down = self._broker.connect(self._identity)

    def lose(self) -> None:
        """Lose what is under way, as with the broker's process."""
        self.up.clear()
        self.down.clear()


class Network:
    """The broker and every connection to it."""

    def __init__(self, topics: Sequence[Topic[Any]], poison: PoisonHandler, faults: str) -> None:
        self.broker = MemoryBroker(topics, poison=poison, poison_topic=faults)
        self._bounds = {topic.name: topic for topic in topics}
        self._connections = 0
        self._wires: list[Wire] = []

    def connect(
        self,
        worker: str,
        *,
        takes: Sequence[Topic[Any]] = (),
        gives: Sequence[Topic[Any]] = (),
        credit: int = 1,
    ) -> tuple[Link, Wire]:
        """Connect one worker to the living broker."""
        self._connections += 1
        wire = Wire(self.broker, self._connections.to_bytes(4, "big"))
        self._wires.append(wire)
        link = Link("simulated", worker, takes=takes, gives=gives, credit=credit, transport=wire)
        return link, wire

    def forget(self, wire: Wire) -> None:
        """Drop a connection that has ended."""
        self._wires.remove(wire)

    def restart_broker(self) -> None:
        """Kill the broker and start it again: queues, leases and what was under way are gone."""
        for wire in self._wires:
            wire.lose()
        self.broker.restart()
