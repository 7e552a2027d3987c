"""The image and the compose files: what the real programs say of them, and each container's command line at work."""

import json
import re
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node import processes
from node.banner import VERSION
from node.monitoring.dashboards import SOURCE_UID
from node.sources import variable
from starknet.devnet import Devnet
from tests.ops.compose import FEEDER, NETWORK, NODE, Project, config, image_env, run
from tests.ops.containers import ROOT, Machine, Mount, machine
from tests.ops.prometheus import amtool, promtool
from tests.process.nodes import custom_network, wait_until
from workers.p2p import keys

ROWS = {row.name for row in processes.every_row()}
MONITORING = {"prometheus", "alertmanager", "grafana"}
PROFILES = ("feeder", "monitoring")
RECORDED_HEAD = 6  # of what is recorded: the classes of block 7 are not
BLOCKS = 40  # of a generated chain
RPC = "http://rpc:6060"
FILES = (NODE, NETWORK)
COMPOSE = ROOT / "configs" / "compose"
# What compose-lint finds and is meant to be so: images by tag, no limit of CPU (hashing takes what is there), and a
# port for peers that is open to all.
MEANT = {"CL-0019", "CL-0026", "CL-0005"}


def everything(file: Path) -> dict[str, Any]:
    return config(file, profiles=PROFILES)


# ---- what the files say ---------------------------------------------------------------------------------------------


def test_every_row_of_the_page_has_its_service_and_no_service_has_no_row() -> None:
    services = everything(NODE)["services"]
    assert services.keys() == ROWS | {"keys", processes.BROKER} | MONITORING
    for row in ROWS:
        assert services[row]["command"][:2] == ["worker", row]
        assert services[row]["environment"]["HERA_BROKER_KEYS"] == f"/var/lib/hera-keys/{row}"
        assert services[row]["healthcheck"]["test"] == ["CMD", "hera", "healthcheck", row]


def test_the_store_is_mounted_where_a_worker_needs_it_and_nowhere_else() -> None:
    services = everything(NODE)["services"]
    with_store = {
        name
        for name, service in services.items()
        if "data" in {volume["source"] for volume in service.get("volumes", ())}
    }
    assert with_store == ROWS - processes.ANYWHERE


def test_without_a_profile_there_is_no_feeder_and_a_feeder_node_has_one() -> None:
    plain = config(NODE)["services"]
    assert plain.keys() == (ROWS - {"feeder"}) | {"keys", processes.BROKER}
    assert plain["p2p"]["environment"]["HERA_P2P_FEEDER_NODE"] == "false"
    feeding = config(NODE, "--env-file", str(FEEDER))["services"]
    assert feeding.keys() == plain.keys() | {"feeder"}
    for service in ("p2p", "feeder"):
        assert feeding[service]["environment"]["HERA_P2P_FEEDER_NODE"] == "true"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_container_is_confined(file: Path) -> None:
    for name, service in everything(file)["services"].items():
        told = (name, service)
        assert service["read_only"] is True, told
        assert service["cap_drop"] == ["ALL"], told
        assert service["security_opt"] == ["no-new-privileges:true"], told
        assert int(service["user"].partition(":")[0]) > 0, told
        assert int(service["deploy"]["resources"]["limits"]["memory"]) > 0, told
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, told
        open_to_all = {
            each["target"] for each in service.get("ports", ()) if not each.get("host_ip")
        }
        assert open_to_all <= {7777}, told
        image = service["image"]
        assert image == f"hera:{VERSION}" or re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", image), told


def test_only_who_has_business_outside_can_get_there() -> None:
    found = everything(NODE)
    assert found["networks"]["default"]["internal"] is True
    outside = {
        name
        for name, service in found["services"].items()
        if "outside" in service.get("networks", {})
    }
    assert outside == {"p2p", "feeder", "rpc"} | MONITORING


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_linter_finds_nothing_but_what_is_meant(file: Path) -> None:
    _, out, _ = run("compose-lint", "check", "--format=json", str(file))
    assert {each["rule_id"] for each in findings(json.loads(out))} <= MEANT


def findings(told: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told if isinstance(told, list) else told["findings"]
    return found


def test_the_dockerfile_is_clean_and_copies_every_room() -> None:
    assert run("hadolint", "Dockerfile") == (0, "", "")
    copied = " ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile(), re.MULTILINE)).split()
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    rooms = [name.rstrip("*") for name in setup["options.packages.find"]["include"].split()]
    assert {name.split("/")[0] for name in copied} >= {*rooms, "setup.py", "setup.cfg"}
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in allowed if line.startswith("!")} == set(copied)
    assert "*" in allowed


def test_the_image_has_what_the_compose_files_count_on() -> None:
    text = dockerfile()
    made = re.findall(r"-m 0700 (.*)$", text, re.MULTILINE)[0].split()
    mounted = {
        volume["target"]
        for file in FILES
        for name, service in everything(file)["services"].items()
        for volume in service.get("volumes", ())
        if name not in MONITORING
    }
    assert mounted <= set(made)
    assert image_env() == {"HERA_DB_PATH": "/var/lib/hera"}
    for line in ("USER 10001:10001", 'ENTRYPOINT ["hera"]', "STOPSIGNAL SIGTERM"):
        assert f"\n{line}\n" in text
    assert 'CMD ["hera", "healthcheck"]' in text


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def test_what_watches_the_node_is_configured_for_it(tmp_path: Path) -> None:
    services = everything(NODE)["services"]
    for name in MONITORING:
        for volume in services[name]["volumes"]:
            assert volume["type"] == "volume" or Path(volume["source"]).exists(), volume
    for file in (COMPOSE / "prometheus.yml", ROOT / "configs" / "prometheus" / "rules.yml"):
        (tmp_path / file.name).write_text(file.read_text())
    for done in (
        promtool("check", "config", str(tmp_path / "prometheus.yml")),
        amtool("check-config", str(COMPOSE / "alertmanager.yml")),
    ):
        assert done.returncode == 0, done.stdout + done.stderr
    scraping = (COMPOSE / "prometheus.yml").read_text()
    assert {"metrics", "alertmanager"} == set(re.findall(r'targets: \["([a-z]+):', scraping))
    source = (COMPOSE / "datasource.yml").read_text()
    assert f"uid: {SOURCE_UID}\n" in source
    assert "url: http://prometheus:9090\n" in source


# ---- at work --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine")) as made:
        yield made


@dataclass(frozen=True)
class Chain:
    """What a gateway serves, and what nodes must be told to follow it."""

    serve: tuple[str, ...]
    mounts: tuple[Mount, ...]
    env: dict[str, str]
    head: int
    block_hash: int | None  # None: not known beforehand


@pytest.fixture
def chain(request: pytest.FixtureRequest) -> Chain:
    """The recorded Sepolia blocks; a generated chain where these are not."""
    try:
        recorded: Path = request.getfixturevalue("fixtures") / "sepolia"
    except pytest.skip.Exception:
        return generated()
    block = json.loads((recorded / "block" / f"{RECORDED_HEAD}.json").read_text())
    return Chain(
        serve=("/var/lib/recorded",),
        mounts=(Mount("/var/lib/recorded", recorded, read_only=True),),
        env={"HERA_FEEDER_URL": "http://gateway:8085"},
        head=RECORDED_HEAD,
        block_hash=int(block["block_hash"], 16),
    )


def generated() -> Chain:
    flags = custom_network("http://gateway:8085")
    told = {variable(flag[2:]): text for flag, text in zip(flags[::2], flags[1::2], strict=True)}
    key = {"HERA_NETWORK": "", "HERA_PUBLIC_KEY": hex(Devnet(seed=0, length=1).public_key)}
    return Chain(("--devnet", "--blocks", str(BLOCKS)), (), told | key, BLOCKS - 1, None)


def test_every_service_syncs_in_a_network_of_its_own(here: Machine, chain: Chain) -> None:
    here.start(
        "gateway",
        ("hera", "gateway", "serve", *chain.serve, "--host", "0.0.0.0", "--port", "8085"),
        networks={"outside": ("gateway",)},
        mounts=chain.mounts,
    )
    feeder = Project(here, "feeder", config(NODE, "--env-file", str(FEEDER), env=chain.env))
    feeder.up()
    private_key = tomllib.loads((feeder.folder("keys") / "p2p.toml").read_text())["p2p-private-key"]
    peer = f"/dns4/feeder-p2p/tcp/7777/p2p/{keys.parse(private_key).peer_id}"
    node = Project(here, "node", config(NODE, env={**chain.env, "HERA_P2P_PEERS": peer}))
    node.up(verify=4)
    heads = [int(each.wait_head(chain.head, "rpc", RPC)["hash"], 16) for each in (feeder, node)]
    assert heads == [chain.block_hash or heads[0]] * 2
    for project in (feeder, node):
        wait_until(lambda: not project.ailing(), 60, project.story)  # noqa: B023
    for project in (node, feeder):
        codes = project.down()
        assert set(codes.values()) == {0}, (codes, project.story())
        assert "Traceback" not in project.story()
