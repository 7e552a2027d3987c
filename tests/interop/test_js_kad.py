"""js-libp2p and Hera find each other by Kademlia, each by way of a Hera node that both know."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.conftest import CHAIN_ID, Chain, Scripts
from tests.process.nodes import custom_network, listening, nodes, wait_until
from tests.scripts import Script
from workers.p2p.protocols import kad_ids

NAME, _, OLD_NAME = kad_ids(CHAIN_ID)
SECONDS = 60


def known(script: Script, peer: str) -> Callable[[], bool]:
    """Whether the script's queries lead to ``peer`` yet."""
    return lambda: script.call("find", peer=peer) is not None


@pytest.mark.parametrize("name", [NAME, OLD_NAME], ids=["chain's name", "older name"])
def test_a_js_peer_finds_and_dials_a_node_of_which_only_our_feeder_node_knows(
    chain: Chain, scripts: Scripts, tmp_path: Path, name: str
) -> None:
    options, address = listening()
    peer = address.rsplit("/", 1)[1]
    with nodes(tmp_path) as make:
        node = make("node", *custom_network(chain.url), *options, "--p2p-peers", chain.address)
        node.wait_head(chain.head)
        js = scripts("kad.mjs", chain.address, name)
        wait_until(lambda: js.call("table") > 0, SECONDS, lambda: "our node is in no js table")
        wait_until(known(js, peer), SECONDS, node.text)
        assert address.rpartition("/p2p/")[0] in js.call("find", peer=peer)
        assert js.call("dial", peer=peer) == peer


def test_a_node_finds_and_dials_a_js_peer_of_which_only_our_feeder_node_knows(
    chain: Chain, scripts: Scripts, tmp_path: Path
) -> None:
    js = scripts("kad.mjs", chain.address, NAME)
    wait_until(lambda: js.call("table") > 0, SECONDS, lambda: "our node is in no js table")
    options, address = listening()
    with nodes(tmp_path) as make:
        node = make("node", *custom_network(chain.url), *options, "--p2p-peers", chain.address)
        peer = address.rsplit("/", 1)[1]
        wait_until(lambda: peer in js.call("callers"), SECONDS, node.text)
        assert node.stop() == 0
        assert js.hello["peer"] in (node.db_path / "peers.json").read_text()


def test_a_node_without_discovery_finds_nobody_and_is_not_found(
    chain: Chain, scripts: Scripts, tmp_path: Path
) -> None:
    js = scripts("kad.mjs", chain.address, NAME)
    options, address = listening()
    alone = ("--p2p-peers", chain.address, "--p2p-discovery=false")
    with nodes(tmp_path) as make:
        node = make("node", *custom_network(chain.url), *options, *alone)
        node.wait_head(chain.head)
        peer = address.rsplit("/", 1)[1]
        assert not known(js, peer)()
        assert peer not in js.call("callers")
