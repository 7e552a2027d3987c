"""How fast the broker is: give, take, done between three processes, beside a bare PUSH/PULL pair.

Run ``python -m benchmarks.broker`` in the root. Each figure is the median of ``ROUNDS`` runs.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from benchmarks import Figure
from broker.codec import Body
from broker.link import Link
from broker.router import serve
from broker.topic import Topic

ROUNDS = 3
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


def median(run: Callable[[], float]) -> float:
    """Return the median of ``ROUNDS`` runs."""
    return statistics.median(run() for _ in range(ROUNDS))


def run() -> list[Figure]:
    """Messages a second through the broker, beside the bare pair."""
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, count, size, credit in (
            ("1 KiB, credit 1", 10_000, 1 << 10, 1),
            ("1 KiB, credit 64", 20_000, 1 << 10, 64),
            ("1 MiB, credit 1", 1_000, 1 << 20, 1),
            ("1 MiB, credit 8", 1_000, 1 << 20, 8),
        ):
            ours = median(lambda: through_broker(folder, count, size, credit))  # noqa: B023 (called at once)
            pair = median(lambda: bare(folder, count, size))  # noqa: B023
            note = f"{ours:,.0f} messages/s, {ours * size / 1e6:,.0f} MB/s; bare pair {pair:,.0f} messages/s"
            figures.append(Figure(f"broker, {label}", ours / pair, None, "at least", note))
    return figures


def main() -> None:
    """Print one line a measurement."""
    for figure in run():
        print(figure)


if __name__ == "__main__":
    main()
