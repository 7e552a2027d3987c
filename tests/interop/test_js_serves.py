"""A js-libp2p peer, which nobody here wrote, serves the chain: a Hera node that knows no other peer syncs from it."""

from pathlib import Path

from tests.interop.conftest import CHAIN_ID, Chain, Scripts
from tests.process.nodes import custom_network, nodes
from workers.component import Component
from workers.store.reader import digest


def test_a_node_that_knows_only_a_js_peer_ends_at_the_right_head(
    chain: Chain, scripts: Scripts, tmp_path: Path
) -> None:
    server = scripts("serve.mjs", str(chain.folder), CHAIN_ID)
    peers = ("--p2p", "--p2p-peers", server.hello["address"])
    with nodes(tmp_path) as make:
        node = make("node", *custom_network(chain.url), *peers)
        told = chain.node.status()
        assert told is not None
        assert node.wait_head(chain.head)["head"] == told["head"]
        asked = server.call("counts")["asked"]
        assert all(asked[part] >= 3 for part in Component), asked  # one a range
        assert "A peer broke a rule" not in node.text()
        assert node.stop() == 0
        assert "Traceback" not in node.text()
        assert digest(node.db_path) == digest(chain.node.db_path)
