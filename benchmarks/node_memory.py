"""How much memory a whole node takes while it syncs blocks as large as mainnet's, with the default memory budget.

Run ``python -m benchmarks.node_memory`` in the root. A feeder node stores a generated chain, then a second node syncs
it from the feeder node alone. PSS counts a page that several processes share once in all; RSS counts it in each.
"""

import re
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks import Figure
from tests.process.nodes import (
    Node,
    custom_network,
    feeding,
    gateway,
    nodes,
)

BLOCKS = 160  # 1.2 MB each: more than the budget lets in flight
HEAVY_CALLS = 300
REACH_BYTES = 1 << 30
SAMPLE_SECONDS = 0.25
MIB = 1 << 20
_KIB = re.compile(r"^(Rss|Pss):\s+(\d+) kB$", re.MULTILINE)


@dataclass
class Memory:
    """The greatest sums over all processes of a node, in bytes, and the greatest RSS of each process."""

    rss: int = 0
    pss: int = 0
    each: dict[str, int] = field(default_factory=dict)

    def sample(self, node: Node) -> None:
        """Look at every process once."""
        rss = pss = 0
        for process in node.family():
            with suppress(psutil.Error, OSError):  # it may have ended meanwhile
                rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
                found = {name: int(kib) << 10 for name, kib in _KIB.findall(rollup)}
                name = process.cmdline()[0].removeprefix("hera: ")
                rss += found["Rss"]
                pss += found["Pss"]
                self.each[name] = max(self.each.get(name, 0), found["Rss"])
        self.rss = max(self.rss, rss)
        self.pss = max(self.pss, pss)

    def follow(self, node: Node, number: int, seconds_max: float = 600.0) -> float:
        """Sample until block ``number`` is stored; return how many seconds that took."""
        began = time.monotonic()
        while node.head() < number:
            assert time.monotonic() - began < seconds_max, node.text()[-2000:]
            self.sample(node)
            time.sleep(SAMPLE_SECONDS)
        return time.monotonic() - began


def run() -> list[Figure]:
    """A feeder node's and a peer node's greatest memory during their sync."""
    figures = []
    chain = ("--devnet", "--blocks", str(BLOCKS), "--heavy-calls", str(HEAVY_CALLS))
    with (
        tempfile.TemporaryDirectory() as name,
        gateway(*chain) as url,
        nodes(Path(name)) as make,
    ):
        arguments, address = feeding()
        network = custom_network(url)
        for role, told in (
            ("feeder node", (*network, *arguments)),
            ("peer node", (*network, "--p2p", "--p2p-peers", address)),
        ):
            node, memory = make(role.replace(" ", "-"), *told), Memory()
            seconds = memory.follow(node, BLOCKS - 1)
            figures.append(_figure(role, memory, seconds))
    return figures


def _figure(role: str, memory: Memory, seconds: float) -> Figure:
    most = sorted(memory.each.items(), key=lambda item: -item[1])
    each = ", ".join(f"{name} {rss // MIB}" for name, rss in most)
    note = (
        f"{memory.pss // MIB} MiB PSS, {memory.rss // MIB} MiB RSS at most; "
        f"{BLOCKS} blocks in {seconds:.0f} s; RSS of each: {each}"
    )
    return Figure(
        f"memory of a syncing {role}, GiB", memory.pss / REACH_BYTES, 1.0, "at most", note
    )


def main() -> None:
    """Print one line a node."""
    for figure in run():
        print(figure, flush=True)


if __name__ == "__main__":
    main()
