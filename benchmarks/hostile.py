"""How long a sync takes where four of five peers lie, against five honest ones: real nodes, real libp2p peers.

Run ``python -m benchmarks.hostile`` in the root. Each liar lies about one part of every block that it is asked for.
"""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import Figure
from tests.flow import chains
from tests.flow.peers import Chain
from tests.hostile.lies import Lie, all_lies
from tests.hostile.peers import Network, Peer
from tests.hostile.scene import node_arguments
from tests.process.nodes import Node, nodes

BLOCKS = 500
PEERS = 5
LIES = (
    "headers: wrong signature",
    "state_diffs: value changed",
    "transactions: fee changed",
    "events: data changed",
)
REACH = 2.0
ROUNDS = 3
SECONDS_MAX = 600.0


def sync(network: Network, public_key: int, blocks: Chain, lies: list[Lie]) -> float:
    """Return the seconds from the node's first look at the network to its last block, beside these liars."""
    liars = [Peer(blocks, BLOCKS, lie.act) for lie in lies]
    honest = [Peer(blocks, BLOCKS) for _ in range(PEERS - len(lies))]
    peers = [network.start(peer) for peer in (*liars, *honest)]
    with tempfile.TemporaryDirectory() as name, nodes(Path(name)) as make:
        arguments, _ = node_arguments(public_key, *(peer.address for peer in peers))
        node = make("node", *arguments)
        node.wait_log("Listening on")
        began = time.monotonic()
        node.wait_head(BLOCKS - 1, SECONDS_MAX)
        seconds = time.monotonic() - began
        _check(node, honest)
    for peer in peers:
        network.stop(peer)
    return seconds


def _check(node: Node, honest: list[Peer]) -> None:
    blamed = [line for line in node.text().splitlines() if "not_asked_s" in line]
    assert not any(peer.name in line for peer in honest for line in blamed), "an honest peer"


def run() -> list[Figure]:
    """The ratio of the medians of both times."""
    generated, assembled = chains.devnet(BLOCKS)
    blocks = Chain(assembled)
    named = {lie.name: lie for lie in all_lies()}
    with Network() as network:
        key = generated.public_key
        lies = [named[name] for name in LIES]
        times = [
            (sync(network, key, blocks, []), sync(network, key, blocks, lies))
            for _ in range(ROUNDS)
        ]
    without, with_liars = (statistics.median(found) for found in zip(*times, strict=True))
    note = f"{BLOCKS} blocks in {with_liars:.1f} s beside 4 liars, in {without:.1f} s without"
    label = "sync with 1 honest of 5 peers to 5 honest"
    return [Figure(label, with_liars / without, REACH, "at most", note)]


def main() -> None:
    """Print the figure."""
    for figure in run():
        print(figure)


if __name__ == "__main__":
    main()
