"""How fast the broker is: give, take, done between three processes, beside a bare PUSH/PULL pair.

Run ``python -m benchmarks.broker`` in the root. Each figure is a ratio of medians of ``ROUNDS`` runs.
"""

import multiprocessing
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from benchmarks import Figure
from broker.codec import Body
from broker.link import Link
from broker.router import serve
from broker.topic import Topic

ROUNDS = 5
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Block:
    """What a stage takes: a few plain fields and a body."""

    attempt: int
    number: int
    peer: str
    body: Body


@dataclass(frozen=True)
class Stored:
    """What the benchmark's stage gives for each block."""

    number: int


BLOCKS = Topic("blocks", Block, items_max=2000, bytes_max=256 << 20)
STORED = Topic("stored", Stored, items_max=2000, bytes_max=1 << 20)


def broker(endpoint: str, stop: Any) -> None:
    """Serve until told to stop."""
    serve(endpoint, (BLOCKS, STORED), stop=stop.is_set)


def produce(endpoint: str, count: int, size: int) -> None:
    """Give ``count`` blocks of ``size`` bytes."""
    body = Body(bytes(size))
    with Link(endpoint, "producer", gives=(BLOCKS,)) as link:
        for number in range(count):
            while not link.give(Block(1, number, "12D3KooW", body)):
                link.take(1)
        assert link.flush(60)


def consume(endpoint: str, count: int, credit: int) -> float:
    """Take and finish ``count`` blocks; return the seconds from the first to the last."""
    with Link(endpoint, "consumer", takes=(BLOCKS,), credit=credit) as link:
        started = 0.0
        for number in range(count):
            delivery = None
            while delivery is None:
                delivery = link.take(1)
            started = started or time.perf_counter()
            assert delivery.message.number == number
            link.done((delivery.ticket,))
        return time.perf_counter() - started


def through_broker(folder: Path, count: int, size: int, credit: int) -> float:
    """Return blocks a second, one producer and one consumer."""
    endpoint = f"ipc://{folder}/broker"
    stop = SPAWN.Event()
    server = SPAWN.Process(target=broker, args=(endpoint, stop))
    server.start()
    producer = SPAWN.Process(target=produce, args=(endpoint, count, size))
    producer.start()
    seconds = consume(endpoint, count, credit)
    producer.join()
    stop.set()
    server.join()
    return count / seconds


def push(endpoint: str, count: int, size: int) -> None:
    """Send ``count`` messages of two frames, as the broker's are."""
    body = bytes(size)
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.connect(endpoint)
    for _ in range(count):
        socket.send(b"head", zmq.SNDMORE)
        socket.send(body, copy=False)
    socket.close()
    context.term()


def bare(folder: Path, count: int, size: int) -> float:
    """Return messages a second over a bare PUSH/PULL pair."""
    endpoint = f"ipc://{folder}/bare"
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.bind(endpoint)
    producer = SPAWN.Process(target=push, args=(endpoint, count, size))
    producer.start()
    started = 0.0
    for _ in range(count):
        socket.recv(copy=True)
        started = started or time.perf_counter()
        socket.recv(copy=True)
    seconds = time.perf_counter() - started
    producer.join()
    socket.close()
    context.term()
    return count / seconds


@dataclass(frozen=True)
class Pair:
    """Medians of runs that took turns, in messages a second."""

    ours: float
    bare: float
    size: int

    def __str__(self) -> str:
        """Both sides, and the bytes."""
        ours = f"{self.ours:,.0f} messages/s, {self.ours * self.size / 1e6:,.0f} MB/s"
        return f"{ours}; bare pair {self.bare:,.0f} messages/s, ratio {self.ours / self.bare:.3f}"


def measure(folder: Path, count: int, size: int, credit: int) -> Pair:
    """Run both sides in turn: what else the machine does falls on both."""
    runs = [
        (through_broker(folder, count, size, credit), bare(folder, count, size))
        for _ in range(ROUNDS)
    ]
    ours, pair = (statistics.median(side) for side in zip(*runs, strict=True))
    return Pair(ours, pair, size)


def run() -> list[Figure]:
    """Messages a second through the broker, beside the bare pair. No stage of the page has a credit below 2."""
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for credit, reach in ((1, None), (2, 8.0), (4, 8.0), (64, None)):
            pair = measure(folder, 10_000, 1 << 10, credit)
            label = f"broker, 1 KiB, credit {credit}, 1,000 msg/s"
            figures.append(Figure(label, pair.ours / 1000, reach, "at least", str(pair)))
        for credit in (1, 4):
            pair = measure(folder, 1_000, 1 << 20, credit)
            label = f"broker, 1 MiB, credit {credit}, to bare pair"
            figures.append(Figure(label, pair.ours / pair.bare, 0.4, "at least", str(pair)))
    return figures


def main() -> None:
    """Print one line a measurement."""
    for figure in run():
        print(figure)


if __name__ == "__main__":
    main()
