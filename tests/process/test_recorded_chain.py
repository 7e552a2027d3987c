"""Nodes sync real blocks from each other: gateway -> feeder -> A -> B, then C from A and B."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.process.nodes import Node, free_port, gateway, key_pair, nodes, run, wait_until

CASES = [("sepolia", 6), ("mainnet", 9)]


def recorded_head(fixtures: Path, network: str, number: int) -> tuple[int, int]:
    block = json.loads((fixtures / network / "block" / f"{number}.json").read_text())
    return int(block["block_hash"], 16), int(block["state_root"], 16)


def stored_head(status: dict[str, Any]) -> tuple[int, int]:
    return int(status["head"]["hash"], 16), int(status["head"]["state_root"], 16)


def served(node: Node) -> int:
    status = node.status()
    return 0 if status is None else int(status["p2p"]["served"])


@pytest.mark.parametrize(("network", "head"), CASES)
def test_blocks_travel_from_the_gateway_through_two_nodes(
    fixtures: Path, tmp_path: Path, network: str, head: int
) -> None:
    expected = recorded_head(fixtures, network, head)
    keys = {name: key_pair() for name in ("feeder", "a", "b", "c")}
    ports = {name: free_port() for name in keys}

    def address(name: str) -> str:
        return f"/ip4/127.0.0.1/tcp/{ports[name]}/p2p/{keys[name][1]}"

    def arguments(name: str, *more: str) -> list[str]:
        return [
            *(
                "--network",
                network,
                "--p2p",
                "--p2p-private-key",
                keys[name][0],
                "--verify-workers",
                "1",
            ),
            *("--p2p-addr", f"/ip4/127.0.0.1/tcp/{ports[name]}", "--log-level", "debug", *more),
        ]

    with gateway(str(fixtures / network)) as url, nodes(tmp_path) as make:
        feeder = make("feeder", *arguments("feeder", "--p2p-feeder-node", "--feeder-url", url))
        a = make("a", *arguments("a", "--p2p-peers", address("feeder")))
        only_a = (f"--p2p-peers={address('a')}", "--p2p-discovery=false")
        b = make("b", *arguments("b", *only_a))
        for node in (feeder, a, b):
            assert stored_head(node.wait_head(head)) == expected
        told = run("status", "--url", f"http://127.0.0.1:{b.http_port}", "--json")
        assert told.returncode == 0
        assert json.loads(told.stdout)["head"]["number"] == head

        assert feeder.stop() == 0
        before = served(a), served(b)
        c = make("c", *arguments("c", "--p2p-peers", f"{address('a')},{address('b')}"))
        assert stored_head(c.wait_head(head)) == expected
        # Both of them served C; a process tells of itself every second.
        wait_until(
            lambda: served(a) > before[0] and served(b) > before[1],
            15,
            lambda: "one served C alone",
        )

        if network == "sepolia":
            assert "staying at block 6" in feeder.text()
        for node in (a, b, c):
            assert node.stop() == 0
            assert "Traceback" not in node.text()
