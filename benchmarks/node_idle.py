"""What a node costs that has nothing to do: at the head, connected with two peers, no new blocks.

Run ``python -m benchmarks.node_idle`` in the root. A feeder node and two nodes store a short generated chain; then the
CPU time of all processes of one node together is compared with the time that passes.
"""

import tempfile
import time
from pathlib import Path

from benchmarks import Figure
from tests.process.nodes import (
    Node,
    custom_network,
    feeding,
    gateway,
    listening,
    nodes,
    wait_until,
)

BLOCKS = 30
SETTLE_SECONDS = 10.0  # connections, first checks of heads, caches
MEASURE_SECONDS = 20.0
REACH = 0.02  # of one core


def run() -> list[Figure]:
    """The idle feeder node and the idle peer node."""
    with (
        tempfile.TemporaryDirectory() as name,
        gateway("--devnet", "--blocks", str(BLOCKS)) as url,
        nodes(Path(name)) as make,
    ):
        network = custom_network(url)
        to_feed, feeder_address = feeding()
        to_listen, first_address = listening()
        feeder = make("feeder", *network, *to_feed)
        first = make("first", *network, *to_listen, "--p2p-peers", feeder_address)
        addresses = f"{feeder_address},{first_address}"
        node = make("node", *network, "--p2p", "--p2p-peers", addresses)
        for each in (feeder, first, node):
            each.wait_head(BLOCKS - 1)
        wait_until(lambda: _peers(node) == 2, 60, node.text)
        time.sleep(SETTLE_SECONDS)
        before = {each.name: _seconds(each) for each in (feeder, node)}
        began = time.monotonic()
        time.sleep(MEASURE_SECONDS)
        took = time.monotonic() - began
        return [_figure(each, before[each.name], took) for each in (feeder, node)]


def _peers(node: Node) -> int:
    status = node.status()
    return 0 if status is None else int(status["peers"])


def _seconds(node: Node) -> dict[tuple[int, str], float]:
    """CPU seconds of each process, from counters in nanoseconds where the kernel has them."""
    found = {}
    for process in node.family():
        name = process.cmdline()[0].removeprefix("hera: ")
        found[process.pid, name] = sum(_thread_seconds(process.pid))
    return found


def _thread_seconds(pid: int) -> list[float]:
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return [int(task.read_text().split()[0]) / 1e9 for task in tasks]


def _figure(node: Node, before: dict[tuple[int, str], float], took: float) -> Figure:
    after = _seconds(node)
    spent = {name: after[pid, name] - before[pid, name] for pid, name in after}
    whole = sum(spent.values()) / took
    most = sorted(spent.items(), key=lambda item: -item[1])
    each = ", ".join(f"{name} {seconds / took:.2%}" for name, seconds in most)
    label = f"idle {'feeder' if node.name == 'feeder' else 'peer'} node, share of the reach"
    note = f"{whole:.2%} of one core, reach {REACH:.0%}: {each}"
    return Figure(label, whole / REACH, 1.0, "at most", note)


def main() -> None:
    """Print one line a node."""
    for figure in run():
        print(figure, flush=True)


if __name__ == "__main__":
    main()
