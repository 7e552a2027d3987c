"""The broker within one process, for tests: the same queues and the same link, with neither sockets nor threads.

Its clock stands still but while a link waits, so that a run with the same calls is the same run.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from broker.link import Link
from broker.protocol import new_instance
from broker.queues import Frames, PoisonHandler, Queues
from broker.topic import Topic


class MemoryBroker:
    """What ``router.serve`` is for processes, for the links made by ``link``."""

    def __init__(
        self,
        topics: Sequence[Topic[Any]],
        *,
        poison: PoisonHandler | None = None,
        poison_topic: str | None = None,
    ) -> None:
        self._topics = tuple(topics)
        self._poison = poison
        self._poison_topic = poison_topic
        self._inboxes: dict[bytes, deque[list[bytes]]] = {}
        self._connections = 0
        self._now = 0.0
        self._queues = self._new_queues()

    def link(
        self,
        worker: str,
        *,
        takes: Sequence[Topic[Any]] = (),
        gives: Sequence[Topic[Any]] = (),
        credit: int = 1,
    ) -> Link:
        """Connect one worker."""
        self._connections += 1
        transport = _MemoryTransport(self, self._connections.to_bytes(4, "big"))
        return Link("memory", worker, takes=takes, gives=gives, credit=credit, transport=transport)

    def restart(self) -> None:
        """Lose everything, as a broker that was killed and started again."""
        self._queues = self._new_queues()

    def advance(self, seconds: float) -> None:
        """Let time pass for everyone. Links that are open count as alive, since nobody else can beat for them."""
        self._now += seconds
        self._queues.tick(self._now, all_read=False)
        self._queues.flush()

    def due_s(self, most_s: float) -> float:
        """Return for how many seconds nothing happens by itself, at most ``most_s``."""
        return self._queues.due_s(self._now, most_s)

    def now(self) -> float:
        """Return the seconds that have passed since the broker was made."""
        return self._now

    def figures(self) -> dict[str, Any]:
        """Return the state of every topic and worker (``Queues.figures``)."""
        return self._queues.figures(self._now)

    def connect(self, identity: bytes) -> deque[list[bytes]]:
        """Return where messages for this connection will lie."""
        return self._inboxes.setdefault(identity, deque())

    def send(self, identity: bytes, frames: Frames) -> None:
        """Take one message from a connection."""
        self._queues.handle(identity, frames, self._now)
        self._queues.flush()

    def disconnect(self, identity: bytes) -> None:
        """Take a connection for closed; without a goodbye before, its worker has died."""
        self._inboxes.pop(identity, None)
        self._queues.lost(identity, "its connection closed")

    def _new_queues(self) -> Queues:
        return Queues(
            self._topics,
            self._deliver,
            instance=new_instance(),
            now=self._now,
            poison=self._poison,
            poison_topic=self._poison_topic,
        )

    def _deliver(self, identity: bytes, head: bytes, frames: Frames) -> None:
        if identity in self._inboxes:
            self._inboxes[identity].append([head, *frames])


class _MemoryTransport:
    threaded = False

    def __init__(self, broker: MemoryBroker, identity: bytes) -> None:
        self._broker = broker
        self._identity = identity
        self._inbox = broker.connect(identity)

    def now(self) -> float:
        return self._broker.now()

    def send(self, head: bytes, frames: Sequence[bytes]) -> bool:
        self._broker.send(self._identity, [head, *frames])
        return True

    def receive(self) -> list[bytes] | None:
        return self._inbox.popleft() if self._inbox else None

    def wait(self, timeout_s: float) -> None:
        if not self._inbox:
            self._broker.advance(self._broker.due_s(timeout_s))

    def fileno(self) -> int:
        raise OSError("a link in memory has no descriptor: ask take_nowait")

    def close(self, linger_s: float) -> None:
        self._broker.disconnect(self._identity)
