"""How many blocks a second the verify stage lets through with one process and with two.

Run ``python -m benchmarks.verify_scaling``. Everything is as in a node: a broker, the stage's own processes,
blocks as heavy as mainnet's (``benchmarks.blocks``); this process gives them and takes what comes out.
"""

import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import Figure
from benchmarks.blocks import heavy_block, network, public_key
from broker.link import Link
from broker.router import serve
from node.pipeline import BLOCKS_ASSEMBLED, BLOCKS_VERIFIED, FAULTS, VERIFY
from workers.messages import BlockAssembled
from workers.runtime import run_stage
from workers.settings import Settings

BLOCKS = 60
DIFFERENT = 6
WARM_UP = 8
ROUNDS = 3
FASTER_MIN = 1.8
SPAWN = multiprocessing.get_context("spawn")


def broker(endpoint: str, stop: Any) -> None:
    """Serve until told to stop."""
    serve(endpoint, (BLOCKS_ASSEMBLED, BLOCKS_VERIFIED, FAULTS), stop=stop.is_set)


def verify(settings: Settings, worker: str, stop: Any) -> None:
    """Run the stage until told to stop."""
    run_stage(VERIFY, settings, worker=worker, stop=stop.is_set)


def settings_for(folder: Path) -> Settings:
    """Settings of a node that checks signatures by the generator's key."""
    return Settings(
        network=network(),
        db_path=folder,
        broker=f"ipc://{folder}/broker",
        memory_bytes=1 << 30,
        log_level="warning",
        log_format="console",
        p2p=None,
        feeder_url="",
        feeder_poll_seconds=1.0,
        http_host="127.0.0.1",
        http_port=0,
        public_key=public_key(),
        version="benchmark",
    )


def through(endpoint: str, blocks: list[BlockAssembled], count: int) -> float:
    """Give ``count`` blocks and take as many verified ones; return blocks a second after a warm-up."""
    taken, given, started = 0, 0, 0.0
    with Link(
        endpoint, "bench", takes=(BLOCKS_VERIFIED, FAULTS), gives=(BLOCKS_ASSEMBLED,), credit=64
    ) as link:
        while taken < count + WARM_UP:
            while given < count + WARM_UP and given - taken < 2 * WARM_UP:
                if not link.give(blocks[given % len(blocks)]):
                    break
                given += 1
            delivery = link.take(1)
            if delivery is None:
                continue
            assert delivery.topic == BLOCKS_VERIFIED.name, delivery.message
            link.done((delivery.ticket,))
            taken += 1
            if taken == WARM_UP:
                started = time.perf_counter()
    return count / (time.perf_counter() - started)


def blocks_a_second(processes: int, blocks: list[BlockAssembled]) -> float:
    """Blocks a second through this many verify processes."""
    with tempfile.TemporaryDirectory() as name:
        settings = settings_for(Path(name))
        stop, stop_broker = SPAWN.Event(), SPAWN.Event()
        server = SPAWN.Process(target=broker, args=(settings.broker, stop_broker))
        workers = [
            SPAWN.Process(target=verify, args=(settings, f"verify-{number}", stop))
            for number in range(processes)
        ]
        for process in (server, *workers):
            process.start()
        try:
            return through(settings.broker, blocks, BLOCKS)
        finally:
            stop.set()
            for worker in workers:
                worker.join()
            stop_broker.set()
            server.join()


def run() -> list[Figure]:
    """Two processes beside one, in turns."""
    blocks = [heavy_block(number) for number in range(DIFFERENT)]
    one, two = [], []
    for _ in range(ROUNDS):
        one.append(blocks_a_second(1, blocks))
        two.append(blocks_a_second(2, blocks))
    ratio = statistics.median(b / a for a, b in zip(one, two, strict=True))
    note = f"{statistics.median(one):.1f} and {statistics.median(two):.1f} blocks/s"
    return [Figure("2 verify processes beside 1, blocks/s", ratio, FASTER_MIN, "at least", note)]


if __name__ == "__main__":
    for figure in run():
        print(figure)
