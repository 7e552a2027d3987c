"""A real feeder node whose gateway fails, drips, limits, babbles, lies and goes back in time ends with a good store."""

from pathlib import Path

from node.banner import banner
from starknet.devnet import Devnet
from tests import faulty
from tests.chaos.gateways import Growing, serving
from tests.chaos.logs import lines_of
from tests.faulty import Do
from tests.process.nodes import Node, custom_network, nodes, wait_until
from workers.gateway.generated import Generated
from workers.store.reader import digest

BLOCKS, STEP, FORK_AT, BACK_TO = 32, 4, 24, 20
SECONDS_MAX = 60.0
FAST = ("--gw-timeout", "1s,", "--pending-poll-interval", "200ms", "--verify-workers", "1")


def retimed(answer: dict[str, object]) -> None:
    """Lie about a block: another time than the sequencer signed."""
    block = answer.get("block")
    if isinstance(block, dict):
        block["timestamp"] += 1


MISDEEDS: tuple[tuple[Do, str], ...] = (
    (faulty.status(502, b"<html>"), "fails with HTTP status 502, trying again"),
    (faulty.hanging_up, "does not answer: peer closed connection"),
    (faulty.dripping_head, "gave no whole answer within 1 s; raise --gw-timeout if the line"),
    (faulty.status(429, Retry_After="1"), "wants to be asked less (HTTP status 429); waiting 1."),
    (faulty.body(b"<html>"), "is not JSON; staying at block "),
    (faulty.altered(retimed), "breaks rule header.block_hash: "),
)


def test_a_feeder_node_says_what_its_gateway_does_and_ends_with_a_good_store(
    tmp_path: Path,
) -> None:
    devnet, fork = Devnet(length=BLOCKS), Devnet(length=BLOCKS, fork_at=FORK_AT)
    chain = Growing(devnet, STEP)
    with (
        serving(chain) as ours,
        serving(Growing(devnet, BACK_TO)) as shorter,
        serving(Generated(fork)) as other,
        faulty.faulty(ours) as gateway,
        nodes(tmp_path) as make,
    ):
        options = (*FAST, "--public-key", hex(devnet.public_key))
        node = make("node", *custom_network(gateway.url), *options)
        node.wait_head(STEP - 1)
        for steps, (do, said) in enumerate(MISDEEDS, 2):
            gateway.do = do
            chain.grow_to(steps * STEP)
            assert said in next_complaint(node, steps - 2)
            gateway.do = None
            node.wait_head(steps * STEP - 1)

        gateway.gateway = shorter
        assert f"went back: its last block is {BACK_TO - 1}, ours" in next_complaint(node)
        gateway.gateway = other
        assert next_complaint(node, len(MISDEEDS) + 1) == "The gateway left our chain: we follow"
        node.wait_head(BLOCKS - 1)
        undisturbed = make("undisturbed", *custom_network(other), *options)
        undisturbed.wait_head(BLOCKS - 1)
        assert (node.stop(), undisturbed.stop()) == (0, 0)
    assert complaints(node)[len(MISDEEDS) + 2 :] == ["Took blocks back"]
    assert complaints(undisturbed) == []
    assert digest(node.db_path) == digest(undisturbed.db_path)


def next_complaint(node: Node, before: int = len(MISDEEDS)) -> str:
    """Wait for one more warning or error of a node than ``before``; return it."""
    wait_until(lambda: len(complaints(node)) > before, SECONDS_MAX, node.text)
    return complaints(node)[before]


def complaints(node: Node) -> list[str]:
    """What the node warned of so far."""
    lines, strays = lines_of(node.log)
    assert set(strays) <= set(banner().splitlines())
    return [line.message for line in lines if line.level in ("WARN", "ERROR")]
