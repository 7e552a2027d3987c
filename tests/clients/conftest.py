"""Two nodes with a chain each, recorded and generated, and the real clients that ask them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from starknet.devnet import Devnet
from starknet.felt import short_string
from tests.clients import python
from tests.clients.askers import Asker, Json, StarknetJs, StarknetPy
from tests.interop import javascript
from tests.process.nodes import Node, custom_network, feeding, gateway, nodes

RECORDED_BLOCKS = 7  # of Sepolia; the next one lacks classes
GENERATED_BLOCKS = 24
GENERATED_VERSION = "0.14.1"

SOCKETS = ("--experimental-websocket",)  # Node.js 20 needs to be told

CLIENTS = {
    "starknet.js-v0_10": "v0_10",
    "starknet.js-v0_9": "v0_9",
    "starknet-py-v0_10": "v0_10",
}


@dataclass(frozen=True, repr=False)
class Chain:
    """A chain as its gateway says it, and a node that has all of it."""

    name: str
    chain_id: int
    blocks: tuple[tuple[Json, Json], ...]
    definition: Callable[[str], Json | None]
    node: Node

    @property
    def head(self) -> int:
        """The number of the last block."""
        return len(self.blocks) - 1

    def transactions(self) -> Iterator[tuple[Json, int, Json, Json]]:
        """Yield block, index, transaction and receipt of all transactions."""
        for block, _ in self.blocks:
            listed = zip(block["transactions"], block["transaction_receipts"], strict=True)
            for index, (transaction, receipt) in enumerate(listed):
                yield block, index, transaction, receipt


@contextmanager
def asking(name: str, node: Node, folder: Path) -> Iterator[Asker]:
    """Run a client beside a node."""
    url = f"http://127.0.0.1:{node.http_port}/rpc/{CLIENTS[name]}"
    if name.startswith("starknet-py"):
        with python.script(url, log=folder / f"{name}.log") as running:
            yield StarknetPy(running)
    else:
        log = folder / f"{name}.log"
        with javascript.script("ask_rpc.mjs", url, log=log, options=SOCKETS) as running:
            yield StarknetJs(running)


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A generated chain with all that a block of today may hold."""
    devnet = Devnet(length=GENERATED_BLOCKS, version=GENERATED_VERSION)
    blocks = tuple(devnet.block(number)[:2] for number in range(GENERATED_BLOCKS))
    served = ("--blocks", str(GENERATED_BLOCKS), "--protocol-version", GENERATED_VERSION)
    with (
        gateway("--devnet", *served) as url,
        nodes(tmp_path_factory.mktemp("generated")) as make,
    ):
        node = make("generated", *custom_network(url), *feeding()[0], "--verify-workers", "1")
        node.wait_head(GENERATED_BLOCKS - 1)
        yield Chain(
            "generated",
            short_string("SN_HERA_DEVNET"),
            blocks,
            lambda name: devnet.class_definition(int(name, 16)),
            node,
        )


@pytest.fixture(scope="session")
def recorded(fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """The first blocks of Sepolia, as its gateway gave them."""
    folder = fixtures / "sepolia"

    def read(part: str, name: str) -> Any:
        path = folder / part / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    blocks = tuple(
        (read("block", str(number)), read("state_update", str(number)))
        for number in range(RECORDED_BLOCKS)
    )
    with gateway(str(folder)) as url, nodes(tmp_path_factory.mktemp("recorded")) as make:
        told = ("--network", "sepolia", "--feeder-url", url, "--verify-workers", "1")
        node = make("recorded", *told, *feeding()[0])
        node.wait_head(RECORDED_BLOCKS - 1)
        yield Chain(
            "recorded",
            short_string("SN_SEPOLIA"),
            blocks,
            lambda name: read("class", name),
            node,
        )


@pytest.fixture(scope="session", params=["recorded", "generated"])
def chain(request: pytest.FixtureRequest) -> Chain:
    """Each chain in its turn."""
    found: Chain = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session", params=CLIENTS)
def asker(
    request: pytest.FixtureRequest, chain: Chain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asker]:
    """Each client in its turn, beside the node of ``chain``."""
    with asking(request.param, chain.node, tmp_path_factory.mktemp("client")) as client:
        yield client
