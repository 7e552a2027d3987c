"""What all cases share: the chain, the thread of the peers, and one node that all of them try."""

from collections.abc import Iterator

import pytest

from tests.hostile.peers import Network, Peer
from tests.hostile.scene import FIRST_BLOCKS, Scene, chain, node_arguments
from tests.process.nodes import nodes


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
