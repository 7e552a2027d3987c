"""The sequencer takes blocks back: the feeder node follows its gateway, and another node follows its peers."""

from pathlib import Path

from tests.process.nodes import Node, custom_network, feeding, gateway, nodes, wait_until

BLOCKS, FORK_AT, LONGER = 40, 31, 60


def test_nodes_follow_the_chain_that_the_sequencer_signed_instead(tmp_path: Path) -> None:
    options, address = feeding()
    with nodes(tmp_path) as make:
        with gateway("--devnet", "--blocks", str(BLOCKS)) as url:
            port = int(url.rsplit(":", 1)[1])
            feeder = make(
                "feeder",
                *custom_network(url),
                *options,
            )
            node = make(
                "node",
                *custom_network(url),
                *(
                    "--p2p",
                    "--p2p-addr",
                    "/ip4/127.0.0.1/tcp/0",
                    "--p2p-peers",
                    address,
                ),
            )
            before = node.wait_head(BLOCKS - 1)["head"]["hash"]
        fork = ("--devnet", "--blocks", str(LONGER), "--fork-at", str(FORK_AT))
        with gateway(*fork, port=port):
            feeder.wait_head(LONGER - 1)
            node.wait_head(LONGER - 1)
            wait_until(
                lambda: heads(feeder) == heads(node), 30, lambda: f"{heads(feeder)} {heads(node)}"
            )
        assert heads(node)[0] == LONGER - 1
        assert before not in heads(node)
        assert "The gateway left our chain: we follow" in feeder.text()
        assert "The sequencer signed two blocks of one number" in node.text()
        assert "The network left our chain: we follow" in node.text()
        for each in (feeder, node):
            assert "Traceback" not in each.text()
            assert "not_asked_s" not in each.text(), "an honest peer was blamed"


def heads(node: Node) -> tuple[object, ...]:
    """The head's number, hash and root."""
    status = node.status()
    assert status is not None
    head = status["head"]
    return head["number"], head["hash"], head["state_root"]
