"""What all cases share: the chain, the thread of the peers, one node that all of them try, and one for the slow."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.hostile.lies import BODIES, SLOWNESSES, Lie
from tests.hostile.peers import Network, Peer
from tests.hostile.scene import FIRST_BLOCKS, Scene, chain, node_arguments
from tests.process.nodes import nodes

SLOW_BLOCKS = 100  # a whole range: many answers are waited for at once


@dataclass(frozen=True)
class Slow:
    """A node with slow peers that have the blocks up to ``last``, each under the name of what it does."""

    scene: Scene
    liars: dict[str, Peer]
    last: int


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """The thread that all peers live in."""
    with Network() as found:
        yield found


@pytest.fixture(scope="session")
def scene(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A node that has stored a few blocks from an honest peer."""
    public_key, blocks = chain()
    honest = network.start(Peer(blocks, FIRST_BLOCKS))
    arguments, address = node_arguments(public_key, honest.address)
    with nodes(tmp_path_factory.mktemp("scene")) as make:
        found = Scene(network, make("node", *arguments), address, honest)
        found.let_out(FIRST_BLOCKS - 1)
        yield found


@pytest.fixture(scope="session", autouse=True)
def slow(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    """A node whose only peers with new blocks are slow; started first, looked at last."""
    public_key, blocks = chain()
    last = FIRST_BLOCKS + SLOW_BLOCKS - 1
    honest = network.start(Peer(blocks, FIRST_BLOCKS))
    liars = {
        name: network.start(Peer(blocks, last + 1, Lie(name, BODIES, behaviour, "").act))
        for name, behaviour in SLOWNESSES.items()
    }
    peers = [peer.address for peer in (honest, *liars.values())]
    arguments, address = node_arguments(public_key, *peers)
    with nodes(tmp_path_factory.mktemp("slow")) as make:
        node = make("node", *arguments)
        yield Slow(Scene(network, node, address, honest), liars, last)
