"""How soon the message of a verify worker that was killed runs elsewhere: real broker, real workers, ``kill -9``.

Run ``python -m benchmarks.recovery`` in the root. The workers run the pipeline's verify row, with a function in the
place of the checks that tells when it begins and never ends: any instant of it is an instant to be killed at.
"""

import logging
import multiprocessing
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

from benchmarks import Figure
from benchmarks.verify_scaling import settings_for
from broker.codec import Body
from broker.link import Link
from broker.router import serve
from node import pipeline, processes
from workers.log import log
from workers.messages import BlockAssembled
from workers.runtime import run_stage
from workers.settings import Settings
from workers.stage import pure

ROUNDS = 9
REACH_S = 2.0
BODY_BYTES = 1 << 20  # each of the five parts
WAIT_S = 30.0
SPAWN = multiprocessing.get_context("spawn")


def broker(endpoint: str) -> None:
    """Serve the pipeline's topics until killed; that workers are lost is no news here."""
    log.setLevel(logging.ERROR)
    serve(endpoint, processes.topics(), stop=lambda: False)


def worker(settings: Settings, name: str, begun: Connection) -> None:
    """Run the verify row; tell ``begun`` which worker has begun which block, and when."""

    def begin(_: Settings, block: BlockAssembled) -> Iterable[object]:
        begun.send((name, block.number, time.monotonic()))
        _for_ever()

    stage = replace(pipeline.VERIFY, start=pure(begin))
    run_stage(stage, settings, worker=name, stop=lambda: False)


def _for_ever() -> NoReturn:
    while True:
        signal.pause()


def one_death(settings: Settings) -> float:
    """Return the seconds from ``kill -9`` of the worker at work to its message's begin in the other one."""
    with ExitStack() as running:
        start(running, broker, settings.broker)
        told, tell = SPAWN.Pipe(duplex=False)
        workers = {
            name: start(running, worker, settings, name, tell) for name in ("verify-1", "verify-2")
        }
        source = running.enter_context(
            Link(settings.broker, "feeder", gives=(pipeline.BLOCKS_ASSEMBLED,))
        )
        wait_for_workers(source, workers)
        source.give(BlockAssembled(1, 7, ("peer",) * 5, *[Body(os.urandom(BODY_BYTES))] * 5))
        first, _, _ = receive(told)
        killed = time.monotonic()
        workers[first].kill()
        second, number, began = receive(told)
        assert (second != first, number) == (True, 7)
        return began - killed


def start(running: ExitStack, target: Any, *arguments: Any) -> BaseProcess:
    """Start a process that is killed when the round is over."""
    process = SPAWN.Process(target=target, args=arguments)
    process.start()
    running.callback(process.join)
    running.callback(process.kill)
    return process


def wait_for_workers(link: Link, names: Iterable[str]) -> None:
    """Return when all of them have joined; an idle worker's way in is not what is measured."""
    deadline = time.monotonic() + WAIT_S
    while not set(names) <= set(link.stats()["workers"]):
        assert time.monotonic() < deadline, "the workers did not join"
        link.take(0.05)


def receive(told: Connection) -> tuple[str, int, float]:
    """Return the next begin of a block."""
    assert told.poll(WAIT_S), "nobody began the block"
    found: tuple[str, int, float] = told.recv()
    return found


def seconds() -> Sequence[float]:
    """Return the seconds of each of ``ROUNDS`` deaths."""
    found = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            found.append(one_death(settings_for(Path(name))))
    return found


def run() -> list[Figure]:
    """The median, with the longest beside it."""
    found = seconds()
    median = statistics.median(found)
    note = f"{median * 1000:.0f} ms, longest {max(found) * 1000:.0f} ms of {len(found)} deaths"
    return [Figure("kill -9 of verify to message elsewhere, s", median, REACH_S, "at most", note)]


def main() -> None:
    """Print the figure."""
    for figure in run():
        print(figure)


if __name__ == "__main__":
    main()
