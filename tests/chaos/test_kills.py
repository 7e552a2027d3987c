"""A hundred kills in one sync: whatever dies, and in whatever order, both nodes end at the undisturbed store.

Two real nodes, a feeder node and a peer that knows only it, sync a generated chain. Its gateway stays a little ahead
of the peer, so that both are at work to the end. Every few blocks that the peer has stored, one more process is
killed. Which ones, in what order, follows from the seed (``tests.chaos.seeds``).
"""

import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from node import processes
from node.banner import banner
from starknet.devnet import Devnet
from tests.chaos.gateways import Growing, serving
from tests.chaos.logs import KILLS, stored_twice, unexplained
from tests.chaos.seeds import drawn
from tests.chaos.stores import different
from tests.process.nodes import (
    EACH_BLOCK,
    Node,
    custom_network,
    free_port,
    key_pair,
    nodes,
    wait_until,
)
from workers.store.reader import Reader

BLOCKS = 600
BLOCKS_A_KILL = 5
AHEAD_BLOCKS = 100  # of the peer, all that its next request can ask for
SUPERVISOR = ""  # as a victim's title
# How often each dies. The supervisor gives up after 10 deaths of one process within a minute: none comes near it.
QUOTA = {
    "peer": {
        SUPERVISOR: 5,
        "broker": 5,
        "p2p": 6,
        "fetch-headers": 6,
        "fetch-state_diffs": 6,
        "fetch-classes": 6,
        "fetch-transactions": 6,
        "fetch-events": 6,
        "assemble": 6,
        "verify-1": 3,
        "verify-2": 3,
        "commit": 8,
        "rpc": 2,
        "metrics": 2,
    },
    "feeder": {
        SUPERVISOR: 3,
        "broker": 4,
        "feeder": 6,
        "p2p": 5,
        "verify-1": 5,
        "commit": 5,
        "rpc": 2,
    },
}
KILLS_TOTAL = 100
RESTART_SECONDS_MAX = 60.0
PROGRESS_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class Victim:
    """A process to kill: of which node, and its title."""

    node: str
    title: str


def victims(seed: int) -> list[Victim]:
    """Return the kills of one run in their order."""
    found = [
        Victim(node, title)
        for node, quota in QUOTA.items()
        for title, times in quota.items()
        for _ in range(times)
    ]
    random.Random(seed).shuffle(found)
    return found


def test_every_kind_of_process_is_among_the_victims() -> None:
    titles = {
        title.partition("-")[0] if title.startswith("verify") else title
        for quota in QUOTA.values()
        for title in quota
    }
    assert titles == {SUPERVISOR, processes.BROKER, *(row.name for row in processes.every_row())}


@pytest.mark.timeout(600)
def test_a_hundred_kills_in_one_sync_change_nothing(tmp_path: Path) -> None:
    order = victims(drawn())
    assert len(order) == KILLS_TOTAL
    source = Growing(Devnet(length=BLOCKS), AHEAD_BLOCKS)
    with serving(source) as url, nodes(tmp_path) as make:
        pair = start(make, url)
        kill_all(order, pair, source)
        source.grow_to(BLOCKS)
        for node in pair.values():
            node.wait_head(BLOCKS - 1)
        undisturbed = make("undisturbed", *custom_network(url))
        undisturbed.wait_head(BLOCKS - 1)
        assert [node.stop() for node in (*pair.values(), undisturbed)] == [0, 0, 0]
        for node in pair.values():
            assert different(node.db_path, undisturbed.db_path) == []
            assert stored_twice(node.log) == []
            assert unexplained(node.log, KILLS, banner()) == []


def start(make: Callable[..., Node], url: str) -> dict[str, Node]:
    """Start both nodes by the names of ``QUOTA``."""
    private_key, peer_id = key_pair()
    address = f"/ip4/127.0.0.1/tcp/{free_port()}"
    feeder = ("--p2p-feeder-node", "--p2p-private-key", private_key, "--p2p-addr", address)
    peer = ("--p2p-peers", f"{address}/p2p/{peer_id}")
    metrics = ("--metrics", "--metrics-port", str(free_port()))
    flags = (*custom_network(url), "--p2p", *EACH_BLOCK)
    return {
        "feeder": make("feeder", *flags, "--verify-workers", "1", *feeder),
        "peer": make("peer", *flags, "--verify-workers", "2", *peer, *metrics),
    }


def kill_all(order: list[Victim], pair: dict[str, Node], source: Growing) -> None:
    """Kill one victim after the other, each once the peer is a few blocks further and the victim is there again."""
    wait_until(lambda: pair["peer"].head() >= 0, PROGRESS_SECONDS_MAX, lambda: story(pair))
    reader = Reader(pair["peer"].db_path)  # the store itself: the node's rpc is killed as well
    try:
        for index, victim in enumerate(order):
            wanted = index * BLOCKS_A_KILL

            def far_enough(wanted: int = wanted) -> bool:
                reader.refresh()
                head = reader.head()
                number = -1 if head is None else head.number
                source.grow_to(number + AHEAD_BLOCKS)
                return number >= wanted

            wait_until(far_enough, PROGRESS_SECONDS_MAX, lambda: story(pair))
            kill(pair[victim.node], victim.title)
    finally:
        reader.close()


def kill(node: Node, title: str) -> None:
    """Kill -9 the process as soon as it runs."""
    if title == SUPERVISOR:
        kill_supervisor(node)
        return
    found: list[psutil.Process] = []

    def is_there() -> bool:
        child = node.child(title)
        found.extend([child] if child is not None else [])
        return bool(found)

    wait_until(is_there, RESTART_SECONDS_MAX, lambda: f"{node.name}: {title} is not started again")
    os.kill(found[0].pid, signal.SIGKILL)


def kill_supervisor(node: Node) -> None:
    """Kill the supervisor alone; its children must notice and stop; then start the node again."""
    family = psutil.Process(node.process.pid).children(recursive=True)
    node.process.kill()
    node.process.wait()
    wait_until(
        lambda: not any(child.is_running() for child in family),
        RESTART_SECONDS_MAX,
        lambda: f"{node.name}: children live on without their supervisor",
    )
    node.restart()


def story(pair: dict[str, Node]) -> str:
    """What both nodes said last."""
    return "\n".join(f"{name}:\n{node.text()[-3000:]}" for name, node in pair.items())
