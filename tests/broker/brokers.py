"""A broker to test against, in memory or behind a real socket, with the same few words for both."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from broker import codec
from broker.door import Listen
from broker.endpoint import held
from broker.link import Delivery, Link
from broker.memory import MemoryBroker
from broker.router import Router
from broker.topic import Topic
from tests.broker.samples import RECORDS, TOPICS, Part, Record

ROOT = Path(__file__).resolve().parents[2]


def poison(topic: str, head: bytes, deliveries: int) -> list[bytes] | None:
    if topic == RECORDS.name:
        return None
    message = codec.decode(Part, [head, b""])
    return codec.encode(Record(message.number, deliveries))


class Broker(Protocol):
    def link(
        self,
        worker: str,
        *,
        takes: Sequence[Topic[Any]] = (),
        gives: Sequence[Topic[Any]] = (),
        credit: int = 1,
    ) -> Link: ...

    def close(self) -> None: ...


class InMemory(MemoryBroker):
    def __init__(self) -> None:
        super().__init__(TOPICS, poison=poison, poison_topic=RECORDS.name)

    def close(self) -> None:
        """Nothing is open."""


class OnSocket:
    """The real router in a thread of the test, so that coverage and debuggers see it."""

    def __init__(self, folder: Path, listen: Listen | None = None) -> None:
        self.endpoint = f"ipc://{folder}/broker"
        self._listen = listen
        self._stop = threading.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,))
        self._thread.start()
        assert ready.wait(10)

    def link(
        self,
        worker: str,
        *,
        takes: Sequence[Topic[Any]] = (),
        gives: Sequence[Topic[Any]] = (),
        credit: int = 1,
    ) -> Link:
        return Link(self.endpoint, worker, takes=takes, gives=gives, credit=credit)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self, ready: threading.Event) -> None:
        with (
            held(self.endpoint),
            Router(
                self.endpoint,
                TOPICS,
                poison=poison,
                poison_topic=RECORDS.name,
                listen=self._listen,
            ) as router,
        ):
            ready.set()
            while not self._stop.is_set():
                router.turn(0.02)


def get(link: Link, seconds: float = 10) -> Delivery[Any]:
    """Take one message that must come."""
    for _ in range(round(10 * seconds)):
        found = link.take(0.1)
        if found is not None:
            return found
    raise AssertionError("nothing came")


def give(link: Link, *messages: object) -> None:
    """Give messages that must be kept."""
    for message in messages:
        assert link.give(message)
    assert link.flush(10)


def python(source: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that runs ``source`` with the rooms on its path."""
    return subprocess.Popen(
        [sys.executable, "-c", source, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line a process prints; what it said on stderr if there is none."""
    assert process.stdout is not None
    assert process.stderr is not None
    found = process.stdout.readline().strip()
    assert found, process.stderr.read()
    return found


def kill(process: subprocess.Popen[str]) -> None:
    """Kill -9, and let go of its pipes."""
    process.kill()
    process.communicate()
