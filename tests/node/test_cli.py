"""The command line as a person uses it: forms of flags, exact output, exit codes."""

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import node.run
from node import cli
from node.banner import VERSION, banner
from node.config import Config
from tests.node.test_config import PEER
from workers.p2p import keys


def hera(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli.cli, arguments, env=env, prog_name="hera")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Take the place of the node itself and keep the configuration it would run with."""
    configs: list[Config] = []

    def run(config: Config) -> int:
        configs.append(config)
        return 0

    monkeypatch.setattr(node.run, "run", run)
    return configs


@pytest.mark.parametrize(
    "arguments",
    [
        ["--network", "sepolia", "--http", "--p2p", "--http-port", "7000"],
        ["--network=sepolia", "--http=true", "--p2p=1", "--http-port=7000"],
        ["run", "--network", "sepolia", "--http", "--p2p", "--http-port=7000"],
        ["--network", "sepolia", "--http", "run", "--p2p=true", "--http-port", "7000"],
        [
            "--network",
            "mainnet",
            "--http=false",
            "run",
            "--network",
            "sepolia",
            "--http",
            "--p2p",
            "--http-port=7000",
        ],
    ],
)
def test_flags_are_taken_in_each_form_with_and_without_the_verb(
    started: list[Config], arguments: list[str]
) -> None:
    result = hera(*arguments)
    assert result.exit_code == 0, result.output
    (config,) = started
    assert (config.network.name, config.http, config.p2p) == ("sepolia", True, True)
    assert config.http_port == 7000


def test_a_quoted_value_is_a_value(started: list[Config], tmp_path: Path) -> None:
    assert hera(f"--db-path={tmp_path}/with space", "--network", "sepolia").exit_code == 0
    assert started[0].db_path == tmp_path / "with space"


def test_a_boolean_never_takes_the_next_word(started: list[Config]) -> None:
    assert hera("--p2p", "run").exit_code == 0
    assert started[0].p2p is True


def test_booleans_can_be_switched_off_over_the_environment(started: list[Config]) -> None:
    result = hera("--p2p=false", env={"HERA_P2P": "true", "HERA_HTTP": "true"})
    assert result.exit_code == 0, result.output
    assert (started[0].p2p, started[0].http) == (False, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--network", "nowhere"], "--network"),
        (["run", "--http-port", "http"], "--http-port"),
        (["--p2p-feeder-node", "--p2p-peers", PEER], "[p2p-feeder-node p2p-peers] were all set"),
        (["--config", "/nowhere/hera.toml"], "does not exist"),
        (["worker", "verify", "--p2p-private-key", "zz"], "hexadecimal"),
        (["broker", "--log-level", "loud"], "--log-level"),
        (["gateway", "serve", "--devnet", "--port", "http"], "--port"),
    ],
)
def test_bad_configuration_is_one_line_and_code_78(arguments: list[str], said: str) -> None:
    result = hera(*arguments)
    assert result.exit_code == 78
    assert said in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


def test_an_unknown_flag_is_refused_with_a_hint() -> None:
    result = hera("--netwrok", "sepolia")
    assert result.exit_code == 2
    assert "--network" in result.stderr


def test_an_unknown_worker_is_answered_with_the_valid_names() -> None:
    result = hera("worker", "verfy")
    assert result.exit_code == 78
    for name in ("p2p", "feeder", "fetch-headers", "assemble", "verify", "commit", "rpc"):
        assert name in result.stderr


def test_a_key_pair_is_three_lines_that_belong_together() -> None:
    result = hera("genp2pkeypair")
    private, public, peer = result.stdout.splitlines()
    match = re.fullmatch(r"P2P Private Key: ([0-9a-f]{128})", private)
    assert match is not None
    pair = keys.parse(match[1])
    assert public == f"P2P Public Key: {match[1][64:]}"
    assert peer == f"P2P PeerID: {pair.peer_id}"
    assert pair.peer_id.startswith("12D3KooW")


def test_the_version_is_that_of_the_package() -> None:
    assert hera("--version").stdout == f"hera {VERSION}\n"
    setup = Path(cli.__file__).resolve().parent.parent / "setup.cfg"
    assert f"version = {VERSION}\n" in setup.read_text()


def test_the_banner_ends_with_the_version_and_one_sentence() -> None:
    lines = banner().splitlines()
    assert lines[-3].endswith(VERSION)
    assert lines[-1].startswith("Hera is a ")


def test_status_of_no_node_is_one_line_and_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HERA_DB_PATH", raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can take it
        result = hera("status", "--url", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1
    assert "no node answers" in result.stderr
    result = hera("status", "--db-path", str(tmp_path), "--watch", "--json")
    assert result.exit_code == 3
    assert (
        result.stderr
        == f"Error: no node runs on {tmp_path}: start it, or give its --db-path or its --url\n"
    )


def test_help_comes_quickly_and_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from node.cli import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "heavy = 'zmq libp2p trio rocksdict httpx starlette uvicorn google.protobuf rich'.split()\n"
        "sys.exit(' '.join(name for name in heavy if name in sys.modules) or 0)\n"
    )
    began = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "genp2pkeypair" in result.stdout
    assert time.monotonic() - began < 5  # 0.15 s on an idle machine
