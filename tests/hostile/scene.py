"""One real node, one honest peer that is always there, and liars that come and go. Blocks are let out case by case."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.flow import chains
from tests.flow.peers import Chain
from tests.hostile.lies import Lie
from tests.hostile.peers import Network, Peer
from tests.process.nodes import Node, custom_network, listening, wait_until
from workers import verify
from workers.component import Component
from workers.p2p import addresses
from workers.store.reader import Reader, digest
from workers.store.writer import Writer

BLOCKS = 320
FIRST_BLOCKS = 3
CLASS_DIGITS = (1, 8)  # the last digits of blocks that bring classes
PROCESS_BYTES_MAX = 256 << 20  # of RSS, of each process of the node
PATIENCE_SECONDS = 60.0
NO_GATEWAY = "http://127.0.0.1:1"


class Scene:
    """A node that syncs from ``honest``, which has no more blocks than a case has let out."""

    def __init__(self, network: Network, node: Node, address: str, honest: Peer) -> None:
        self.network = network
        self.node = node
        self.address = addresses.parse_peer(address)
        self.honest = honest

    @property
    def head(self) -> int:
        """The last block that was let out."""
        return self.honest.length - 1

    def next_block(self, *, classes: bool) -> int:
        """The block up to which the next case goes: three further, or to the second one that brings classes."""
        if not classes:
            return self._in_chain(self.head + 3)
        bringing = [n for n in range(self.head + 1, self.head + 11) if n % 10 in CLASS_DIGITS]
        return self._in_chain(bringing[1])

    def _in_chain(self, number: int) -> int:
        assert number < BLOCKS, "the chain is too short for so many cases"
        return number

    def liar(self, lie: Lie, last: int) -> Peer:
        """A peer that has the blocks up to ``last``, lies about them, and has connected to the node."""
        peer = Peer(self.honest.chain, last + 1, lie.act)
        return self.network.start(peer, self.address)

    def let_out(self, last: int) -> None:
        """Let the honest peer have the blocks up to ``last``; wait until the node has stored them as they are."""
        first = self.honest.length
        self.honest.length = last + 1
        self.node.wait_head(last, PATIENCE_SECONDS)
        self.assert_stored(range(first, last + 1))
        assert not self.faults(self.honest), "the honest peer was blamed"

    def assert_stored(self, numbers: Sequence[int]) -> None:
        """The parts that are stored are those of the chain, byte by byte."""
        reader = Reader(self.node.db_path)
        try:
            for part in Component:
                for number in numbers:
                    stored = reader.part(part, number)
                    assert stored == self.honest.chain.body(part, number, 1), (part, number)
        finally:
            reader.close()

    def faults(self, peer: Peer) -> list[dict[str, Any]]:
        """What the node has said that ``peer`` did wrong, in order."""
        return [
            json.loads(line[line.index("{") :])
            for line in self.node.text().splitlines()
            if f'"peer": "{peer.name}"' in line and '"rule"' in line
        ]

    def is_left_alone(self, peer: Peer) -> bool:
        """Whether the node has said that it asks ``peer`` for nothing any more."""
        return any("not_asked_s" in fault for fault in self.faults(peer))

    def wait_left_alone(self, peer: Peer, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until ``peer`` is left alone."""

        def story() -> str:
            said = "\n".join(self.node.text().splitlines()[-30:])
            return f"{peer.name} is still asked: {dict(peer.requests)} {self.faults(peer)}\n{said}"

        wait_until(lambda: self.is_left_alone(peer), seconds, story)

    def used_bytes(self) -> int:
        """The RSS of all processes of the node together."""
        return sum(process.memory_info().rss for process in self.node.family())

    def assert_memory_is_flat(self) -> None:
        """No process of the node takes more than its share."""
        assert self.node.process.poll() is None
        for process in self.node.family():
            rss = process.memory_info().rss
            assert rss < PROCESS_BYTES_MAX, (process.cmdline(), rss >> 20)


def node_arguments(public_key: int, *peers: str) -> tuple[list[str], str]:
    """The options of a node of the generated chain that knows ``peers`` and no gateway, and its address."""
    options, address = listening()
    known = ["--p2p-peers", ",".join(peers)] if peers else []
    key = ["--public-key", f"{public_key:#x}", "--verify-workers", "1"]
    return [*custom_network(NO_GATEWAY), *options, *known, *key], address


def undisturbed(folder: Path, length: int) -> str:
    """The digest of the store of a node that nobody lied to, with the first ``length`` blocks."""
    generated, blocks = chains.devnet(BLOCKS)
    settings = chains.settings(generated.network(), folder)
    writer = Writer(folder, generated.network().chain_id)
    try:
        for block in blocks[:length]:
            writer.store(next(verify.verify(settings, block)))
    finally:
        writer.close()
    return digest(folder)


def chain() -> tuple[int, Chain]:
    """The sequencer's key and the chain that all peers here serve."""
    generated, blocks = chains.devnet(BLOCKS)
    return generated.public_key, Chain(blocks)
