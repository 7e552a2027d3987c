"""js-libp2p peers misbehave beside an honest Hera node: the sync ends at the honest head, with the honest store.

The liars are there first, alone: each is asked, and lies, before the door to the honest node opens.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import CHAIN_ID, Chain, Scripts
from tests.process.nodes import Node, custom_network, free_port, nodes, run, wait_until
from tests.scripts import Script
from workers.component import Component
from workers.store.reader import digest

BLAMED = "A peer broke a rule"

# What a liar does, and what the rule is called that it breaks by it: by default as the part that it is about.
LIES = {
    "a message after Fin": "fin.",
    "a length beyond the limit": "message.",
    "garbage": "",
    "another order": "",
}
ANOTHER_CHAIN = "another chain"  # of the same id, which another sequencer signed
# What may as well be the network's fault: it is asked of another peer.
WEAKNESSES = ("no Fin", "a reset in mid-answer", "an empty answer")


@pytest.fixture
def beside_liars(
    chain: Chain, scripts: Scripts, tmp_path: Path
) -> Callable[[list[Script], Callable[[Node], bool]], Node]:
    """Give a run of a node that knows liars, and the honest node once its second argument holds; return that node."""

    def sync(liars: list[Script], have_lied: Callable[[Node], bool]) -> Node:
        door = free_port()
        honest = chain.address.replace(f"/tcp/{port_of(chain.address)}/", f"/tcp/{door}/")
        peers = ",".join([honest, *(liar.hello["address"] for liar in liars)])
        with nodes(tmp_path) as make:
            node = make("node", *custom_network(chain.url), "--p2p", "--p2p-peers", peers)
            wait_until(lambda: have_lied(node), 90, lambda: f"not all lied:\n{node.text()[-6000:]}")
            assert node.head() < chain.head
            scripts("door.mjs", str(door), port_of(chain.address))
            node.wait_head(chain.head)
            told = run("status", "--url", f"http://127.0.0.1:{node.http_port}", "--json")
            assert node.stop() == 0
        status = json.loads(told.stdout)
        assert status["head"]["hash"] == f"0x{chain.hashes[-1].hex().lstrip('0')}"
        assert status["workers"]["p2p"]["faults"] >= len(blamed(node))  # weaknesses count as well
        assert digest(node.db_path) == digest(chain.node.db_path)
        assert chain.address.rpartition("/")[2] not in who_lied(node)
        assert "Traceback" not in node.text()
        return node

    return sync


def port_of(address: str) -> str:
    """Return the TCP port in a peer's address."""
    return address.split("/")[4]


def blamed(node: Node) -> list[dict[str, Any]]:
    """What the node has logged of peers that broke a rule."""
    lines = [line for line in node.text().splitlines() if BLAMED in line]
    return [json.loads(line[line.index("{") :]) for line in lines]


def who_lied(node: Node) -> set[str]:
    """The peers that are said to have broken a rule."""
    return {fault["peer"] for fault in blamed(node)}


@pytest.mark.parametrize("part", Component)
def test_each_js_peer_that_lies_about_a_part_is_left_alone_for_the_rule_it_broke(
    chain: Chain,
    other_chain: Path,
    scripts: Scripts,
    beside_liars: Any,
    tmp_path: Path,
    part: Component,
) -> None:
    """All lie about the same part: so they cannot make up a chain together, and each one's turn comes.

    Classes are known by their hashes, in whatever order they come.
    """
    lies = [lie for lie in LIES if part is not Component.CLASSES or lie != "another order"]
    liars = {lie: scripts("serve.mjs", str(chain.folder), CHAIN_ID, lie, part) for lie in lies}
    folder = mixed(tmp_path / "mixed", chain.folder, other_chain, part)
    liars[ANOTHER_CHAIN] = scripts("serve.mjs", str(folder), CHAIN_ID)
    names = {liar.hello["peer"]: lie for lie, liar in liars.items()}

    node = beside_liars([*liars.values()], lambda node: set(names) <= who_lied(node))
    for fault in blamed(node):
        broken = LIES.get(names[fault["peer"]]) or part.removesuffix("s")
        assert broken in fault["rule"], fault
        assert fault["component"] == part, fault
        assert fault["not_asked_s"] > 0


@pytest.mark.parametrize("part", [Component.HEADERS, Component.EVENTS])
def test_js_peers_that_answer_by_halves_do_not_hold_the_sync_up(
    chain: Chain, scripts: Scripts, beside_liars: Any, part: Component
) -> None:
    liars = [scripts("serve.mjs", str(chain.folder), CHAIN_ID, lie, part) for lie in WEAKNESSES]
    beside_liars(liars, lambda _: all(liar.call("counts")["lies"] for liar in liars))


def test_a_js_peer_that_dies_in_mid_answer_does_not_hold_the_sync_up(
    chain: Chain, scripts: Scripts, beside_liars: Any
) -> None:
    arguments = (str(chain.folder), CHAIN_ID, "death in mid-answer", "transactions")
    liar = scripts("serve.mjs", *arguments)
    beside_liars([liar], lambda _: liar.process.poll() is not None)


def test_a_js_peer_that_drips_without_end_does_not_hold_the_sync_up(
    chain: Chain, scripts: Scripts, beside_liars: Any
) -> None:
    liar = scripts("serve.mjs", str(chain.folder), CHAIN_ID, "an endless drip", "events")
    beside_liars([liar], lambda _: bool(liar.call("counts")["lies"]))


def mixed(folder: Path, chain: Path, other: Path, part: Component) -> Path:
    """Make a folder that has one part of another chain."""
    folder.mkdir()
    for entry in chain.iterdir():
        (folder / entry.name).symlink_to((other if entry.name == part else chain) / entry.name)
    return folder
