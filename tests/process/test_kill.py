"""Any one process may be killed at any moment: the store ends as in an undisturbed run, byte for byte."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.nodes import (
    EACH_BLOCK,
    Node,
    custom_network,
    feeding,
    gateway,
    nodes,
    wait_until,
)
from workers.store.reader import digest

BLOCKS = 150  # enough that a node is in mid-sync when it is killed
DEVNET = ("--devnet", "--blocks", str(BLOCKS))


@pytest.fixture(scope="module")
def feeder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Node]]:
    """A feeder node at the head of a generated chain: its gateway's URL, its address, itself."""
    options, address = feeding()
    with gateway(*DEVNET) as url, nodes(tmp_path_factory.mktemp("feeder")) as make:
        node = make("feeder", *custom_network(url), *options, "--verify-workers", "1")
        node.wait_head(BLOCKS - 1)
        yield url, address, node


@pytest.fixture(scope="module")
def undisturbed(feeder: tuple[str, str, Node], tmp_path_factory: pytest.TempPathFactory) -> str:
    url, address, _ = feeder
    with nodes(tmp_path_factory.mktemp("undisturbed")) as make:
        node = make("node", *custom_network(url), "--p2p", "--p2p-peers", address)
        node.wait_head(BLOCKS - 1)
        assert node.stop() == 0
        return digest(node.db_path)


VICTIMS = ["broker", "p2p", "assemble", "commit"]  # `make chaos` kills every kind


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_process_changes_nothing(
    feeder: tuple[str, str, Node], undisturbed: str, tmp_path: Path, victim: str
) -> None:
    url, address, _ = feeder
    with nodes(tmp_path) as make:
        node = make("node", *custom_network(url), "--p2p", "--p2p-peers", address)
        kill_in_mid_sync(node, victim)
        node.wait_head(BLOCKS - 1)
        assert node.stop() == 0
        assert digest(node.db_path) == undisturbed


def kill_in_mid_sync(node: Node, victim: str) -> None:
    node.wait_head(1)
    child = node.child(victim)
    assert child is not None, f"no process titled {victim}"
    child.kill()
    assert node.head() < BLOCKS - 1, "the node was done before the kill: make the chain longer"


def test_a_restarted_node_goes_on_from_its_head(
    feeder: tuple[str, str, Node], tmp_path: Path
) -> None:
    url, address, _ = feeder
    with nodes(tmp_path) as make:
        node = make("node", *custom_network(url), "--p2p", "--p2p-peers", address, *EACH_BLOCK)
        node.wait_head(BLOCKS - 1)
        assert node.stop() == 0
        before = node.text().count("Stored Block")
        node.restart()
        wait_until(lambda: node.head() == BLOCKS - 1, 60, node.text)
        assert node.stop() == 0
        assert before == BLOCKS
        assert node.text().count("Stored Block") == BLOCKS, (
            "blocks were stored anew after the restart"
        )


def test_a_whole_node_killed_in_mid_sync_ends_at_the_same_store(
    feeder: tuple[str, str, Node], undisturbed: str, tmp_path: Path
) -> None:
    url, address, _ = feeder
    with nodes(tmp_path) as make:
        node = make("node", *custom_network(url), "--p2p", "--p2p-peers", address)
        node.wait_head(1)
        node.process.kill()  # the supervisor only: its children must notice and stop
        node.process.wait()
        wait_until(
            lambda: node.status() is None, 20, lambda: "children live on without their supervisor"
        )
        node.restart()
        node.wait_head(BLOCKS - 1)
        assert node.stop() == 0
        assert digest(node.db_path) == undisturbed
