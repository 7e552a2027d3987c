"""docs/private-network.md: its commands as typed, and the compose file that does the same."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.config import load
from node.sources import variable
from tests.ops.compose import NETWORK, config
from tests.ops.containers import ROOT, Container, Machine, Mount, machine
from tests.ops.docker import Docker
from tests.process.nodes import wait_until

PAGE = ROOT / "docs" / "private-network.md"
HEAD = 6  # of the recorded blocks
BLOCKS = 40  # of the generated chain
URL = "http://localhost:6061"
SECONDS_MAX = 120.0


def commands(heading: str) -> Iterator[str]:
    """The commands below a heading, a line each, without those that only name what is filled in."""
    section = PAGE.read_text().split(f"\n## {heading}")[1].split("\n## ")[0]
    for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("docker"):
                yield line


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        yield made


def wait_for_line(container: Container, text: str) -> None:
    wait_until(lambda: text in container.text(), SECONDS_MAX, container.text)


def wait_head(container: Container) -> dict[str, Any]:
    """Wait until the node has all recorded blocks; return its head."""
    heads: list[dict[str, Any]] = []

    def reached() -> bool:
        told = container.run("hera", "status", "--json", "--url", URL).stdout
        heads.append((json.loads(told)["head"] if told else None) or {"number": -1})
        return bool(heads[-1]["number"] == HEAD)

    wait_until(reached, SECONDS_MAX, container.text)
    return heads[-1]


def test_the_private_network_works_as_typed(here: Machine, fixtures: Path) -> None:
    docker = Docker(here, env={"HERA_FEEDER_URL": "http://gateway:8085"})
    for line in commands("1."):
        docker.do(line)
    serve = ("hera", "gateway", "serve", "/var/lib/recorded", "--host", "0.0.0.0", "--port", "8085")
    recorded = Mount("/var/lib/recorded", fixtures / "sepolia", read_only=True)
    here.start("gateway", serve, networks={"hera_network": ("gateway",)}, mounts=[recorded])

    for line in commands("2."):
        docker.do(line)
    pairs = [dict(line.split(": ") for line in text.splitlines()) for text in docker.printed]
    assert len(pairs) == 2
    docker.words = {
        "FEEDER_P2P_PRIVATE_KEY": pairs[0]["P2P Private Key"],
        "FEEDER_P2P_PEER_ID": pairs[0]["P2P PeerID"],
        "NODE1_P2P_PRIVATE_KEY": pairs[1]["P2P Private Key"],
    }
    for line in commands("3."):
        if line.startswith("docker logs"):
            wait_for_line(docker.running["hera_feeder_node"], "Listening on")
        docker.do(line)
    address = rf'"/ip4/10\.77\.0\.\d+/tcp/7777/p2p/{pairs[0]["P2P PeerID"]}"'
    assert re.search(rf'Listening on\s+{{"addr": {address}}}', docker.printed[-1])

    for line in commands("4."):
        if line.startswith("docker exec"):
            node = docker.running["hera_node1"]
            block = json.loads((fixtures / "sepolia" / "block" / f"{HEAD}.json").read_text())
            assert int(wait_head(node)["hash"], 16) == int(block["block_hash"], 16)
            assert node.run("hera", "healthcheck").returncode == 0
        docker.do(line)

    for line in commands("5."):
        docker.do(line)
        if line.startswith("docker start"):
            wait_head(docker.running["hera_node1"])
    assert not docker.running
    assert not docker.networks


def test_the_compose_file_starts_a_network_whose_nodes_end_at_one_head(here: Machine) -> None:
    docker = Docker(here, env={"HERA_BLOCKS": str(BLOCKS)})
    nodes = ("feeder", "node1", "node2")
    for line in commands("With Compose"):
        if " exec " in line:
            project = docker.project
            assert project is not None
            heads = [project.wait_head(BLOCKS - 1, node, "http://localhost:6060") for node in nodes]
            assert heads[0] == heads[1] == heads[2]
            for node in nodes:
                assert project.running[node][0].run("hera", "healthcheck").returncode == 0
        docker.do(line)


def test_the_flags_of_a_chain_of_ones_own_are_those_of_the_compose_file() -> None:
    text = PAGE.read_text().split("\n## A chain of your own")[1].split("Each node asks")[0]
    words = shlex.split(text.partition("\n\n")[2].partition("\n\n")[2].replace("\\\n", " "))
    flags = dict(zip(words[::2], words[1::2], strict=True))
    assert load({flag[2:]: value for flag, value in flags.items()}, {}).network.name == "mynet"
    environment = config(NETWORK)["services"]["node1"]["environment"]
    assert {variable(flag[2:]) for flag in flags} == {n for n in environment if "_CN_" in n}
