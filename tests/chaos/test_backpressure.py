"""A slow stage holds back everything before it, as far as the peer that sends: memory stays within its budget."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import accumulate
from pathlib import Path

import psutil

from tests.process.nodes import (
    Node,
    custom_network,
    feeding,
    gateway,
    nodes,
    wait_until,
)
from workers.component import Component
from workers.store.reader import Reader

MIB = 1 << 20
BLOCKS = 45
HEAVY_CALLS = 150  # 0.6 MB a block, 27 MB in all
SLOW_BLOCKS = 10  # stored while verify is slow
BUDGET_MIB = 16
# A tenth of the speed, and never near the broker's five seconds of silence.
RUN_SECONDS, STOP_SECONDS = 0.05, 0.45
# A process with its libraries and the store's buffers, and the budget.
RSS_BYTES_MAX = (128 + BUDGET_MIB) * MIB
NOISE_BYTES = 10_000  # questions for heads


def test_a_slow_verify_keeps_memory_flat_and_holds_the_sending_peer_back(tmp_path: Path) -> None:
    chain = ("--devnet", "--blocks", str(BLOCKS), "--heavy-calls", str(HEAVY_CALLS))
    with gateway(*chain) as url, nodes(tmp_path) as make:
        options, address = feeding()
        feeder = make("feeder", *custom_network(url), *options)
        feeder.wait_head(BLOCKS - 1)
        stored = stored_bytes(feeder)
        budget = ("--memory-budget", str(BUDGET_MIB), "--verify-workers", "1")
        node = make("node", *custom_network(url), "--p2p", "--p2p-peers", address, *budget)
        wait_until(lambda: node.child("verify-1") is not None, 30, node.text)
        verify = node.child("verify-1")
        assert verify is not None
        rss: dict[str, int] = {}

        def in_flight() -> int:
            served = served_bytes(feeder)  # first: what is stored meanwhile must not count for it
            return served - stored[node.head()]

        def look() -> bool:
            sample(node, rss)
            assert in_flight() <= BUDGET_MIB * MIB
            return node.head() >= SLOW_BLOCKS

        with slowed(verify):
            wait_until(look, 120, node.text)
        assert max(rss.values()) <= RSS_BYTES_MAX, rss

        verify.suspend()
        wait_until(lambda: is_still(feeder), 30, lambda: "the feeder node goes on sending")
        assert served_bytes(feeder) < stored[BLOCKS - 1] - NOISE_BYTES
        verify.resume()
        node.wait_head(BLOCKS - 1)
        wait_until(lambda: served_bytes(feeder) >= stored[BLOCKS - 1], 10, feeder.text)


def stored_bytes(node: Node) -> dict[int, int]:
    """How many bytes all parts of the blocks up to each number have; 0 for -1."""
    with closing(Reader(node.db_path)) as reader:
        sizes = [
            sum(len(reader.part(component, number) or b"") for component in Component)
            for number in range(BLOCKS)
        ]
    return dict(enumerate(accumulate(sizes, initial=0), start=-1))


def served_bytes(node: Node) -> int:
    """What the node has sent to peers, as it says."""
    status = node.status()
    return 0 if status is None else int(status["p2p"]["bytes_out"])


def is_still(node: Node) -> bool:
    """Whether a node sends nothing but answers about its head for three seconds."""
    before = served_bytes(node)
    with suppress(psutil.TimeoutExpired):
        psutil.Process(node.process.pid).wait(3)
    return served_bytes(node) - before < NOISE_BYTES


def sample(node: Node, rss: dict[str, int]) -> None:
    """Keep the greatest RSS of each process."""
    for process in node.family():
        with suppress(psutil.Error):
            name = process.cmdline()[0]
            rss[name] = max(rss.get(name, 0), process.memory_info().rss)


@contextmanager
def slowed(process: psutil.Process) -> Iterator[None]:
    """Let a process run a tenth of the time."""
    ended = threading.Event()

    def cycle() -> None:
        while not ended.wait(RUN_SECONDS):
            process.suspend()
            ended.wait(STOP_SECONDS)
            process.resume()

    thread = threading.Thread(target=cycle, name="slowing")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
