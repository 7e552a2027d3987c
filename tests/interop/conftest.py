"""One generated chain for all tests here: at a gateway, at a Hera node, and as files for js peers."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from starknet.devnet import Devnet
from starknet.felt import to_bytes32, value
from starknet.wire.delimited import split
from starknet.wire.sync_pb2 import BlockHeadersResponse
from tests.flow.chains import assembled, devnet
from tests.interop.javascript import script
from tests.process.nodes import Node, custom_network, feeding, gateway, nodes
from tests.scripts import Script
from workers.component import CLASS_BYTES_MAX, Component
from workers.messages import BlockAssembled

BLOCKS = 260  # two whole ranges and a partial one; their transactions are more than a window of Yamux holds
CHAIN_ID = "SN_HERA_DEVNET"

Scripts = Callable[..., Script]


@dataclass(frozen=True, repr=False)
class Chain:
    """The generated chain: what its gateway, a Hera node at its head, and js peers have of it."""

    url: str
    node: Node
    address: str
    folder: Path
    hashes: tuple[bytes, ...]
    parts: dict[Component, tuple[bytes, ...]]

    @property
    def head(self) -> int:
        """The number of the last block."""
        return len(self.hashes) - 1


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """The chain, with a feeder node that serves all of it."""
    folder = tmp_path_factory.mktemp("chain")
    blocks = devnet(BLOCKS)[1]
    options, address = feeding()
    with gateway("--devnet", "--blocks", str(BLOCKS)) as url, nodes(folder) as make:
        node = make("feeder", *custom_network(url), *options, "--verify-workers", "1")
        parts = {part: tuple(part_of(block, part) for block in blocks) for part in Component}
        hashes = write_files(folder / "files", parts)
        node.wait_head(BLOCKS - 1)
        yield Chain(url, node, address, folder / "files", hashes, parts)


@pytest.fixture(scope="session")
def other_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a chain of the same id whose blocks another sequencer signed."""
    folder = tmp_path_factory.mktemp("other")
    blocks = assembled(Devnet(length=BLOCKS, seed=1))
    parts = {part: tuple(part_of(block, part) for block in blocks) for part in Component}
    write_files(folder, parts)
    return folder


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[Scripts]:
    """Give a starter of scripts of ``js/``; all of them are gone at the end."""
    with ExitStack() as stack:

        def start(name: str, *arguments: str) -> Script:
            return stack.enter_context(script(name, *arguments, log=tmp_path / f"{name}.log"))

        yield start


def part_of(block: BlockAssembled, part: Component) -> bytes:
    """One part of a block as delimited messages."""
    names = {Component.HEADERS: "header", Component.STATE_DIFFS: "state_diff"}
    return bytes(getattr(block, names.get(part, part.value)))


def write_files(folder: Path, parts: dict[Component, tuple[bytes, ...]]) -> tuple[bytes, ...]:
    """Write a chain as ``js/serve.mjs`` reads it; return the hashes of its blocks."""
    for part, bodies in parts.items():
        (folder / part.value).mkdir(parents=True)
        for number, body in enumerate(bodies):
            (folder / part.value / str(number)).write_bytes(body)
    headers = [
        BlockHeadersResponse.FromString(bytes(next(split(body, CLASS_BYTES_MAX)))).header
        for body in parts[Component.HEADERS]
    ]
    hashes = tuple(to_bytes32(value(header.block_hash)) for header in headers)
    (folder / "hashes.json").write_text(json.dumps([name.hex() for name in hashes]))
    return hashes
