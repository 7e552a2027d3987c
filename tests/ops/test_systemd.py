"""The shipped units: systemd finds nothing wrong with them, they are locked well, a real manager runs a node."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node import units
from starknet.devnet import Devnet
from tests.ops.systemd import UNITS, Manager, manager, run
from tests.process.nodes import HERA, clean_env, custom_network, feeding
from workers.exits import EX_CONFIG

BLOCKS = 20
HEAD = f"100.0 % | block {BLOCKS - 1}/{BLOCKS - 1}"
THRESHOLD = "15"  # tenths
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
GATEWAY = "http://127.0.0.1:8085"
PUBLIC_KEY = hex(Devnet(seed=0, length=1).public_key)
WHOLE = {"HERA_P2P_FEEDER_NODE": "true", "HERA_HTTP": "true", "HERA_VERIFY_WORKERS": "2"}
LISTEN = "/ip4/0.0.0.0/tcp/7777"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units in a folder of their own, with a program that exists."""
    program = tmp_path / "hera"
    program.touch(mode=0o755)
    folder = tmp_path / "units"
    folder.mkdir()
    for path in UNITS.iterdir():
        (folder / path.name).write_text(path.read_text().replace(units.PROGRAM, str(program)))
    return folder


def test_systemd_finds_nothing_to_say_about_any_unit(installed: Path) -> None:
    names = sorted(path.name for path in installed.iterdir() if path.suffix != ".conf")
    names = [name.replace("@.", "@1.") for name in names if name != "hera.env"]
    shutil.copy(installed / "hera-verify@.service", installed / "hera-verify@1.service")
    done = run("systemd-analyze", "verify", "--man=no", *[str(installed / name) for name in names])
    assert (done.returncode, done.stderr) == (0, "")


def test_each_service_is_locked_as_well_as_promised(installed: Path) -> None:
    paths = [str(installed / name) for name in SERVICES]
    options = ("--offline=true", f"--threshold={THRESHOLD}", "--no-pager")
    done = run("systemd-analyze", "security", *options, *paths)
    overall = [line for line in done.stdout.splitlines() if "Overall" in line]
    assert (done.returncode, done.stderr) == (0, ""), "\n".join(overall)
    assert len(overall) == len(SERVICES)


def test_its_user_and_folders_are_made_as_the_units_need_them(tmp_path: Path) -> None:
    root = f"--root={tmp_path}"
    (tmp_path / "etc" / "hera").mkdir(parents=True)
    (tmp_path / "etc" / "hera" / "hera.env").touch(mode=0o644)
    for program, *options in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
        name = program.removeprefix("systemd-")
        done = run(program, *options, root, str(UNITS / f"hera.{name}.conf"))
        assert done.returncode == 0, done.stderr
    user = (tmp_path / "etc" / "passwd").read_text().split(":")
    assert (user[0], user[5]) == ("hera", "/var/lib/hera")
    store = (tmp_path / "var" / "lib" / "hera").stat()
    assert (store.st_mode & 0o777, store.st_uid) == (0o700, int(user[2]))
    assert (tmp_path / "etc" / "hera" / "hera.env").stat().st_mode & 0o777 == 0o600


@contextmanager
def node_of(folder: Path, **settings: str) -> Iterator[Manager]:
    """A manager whose node follows a generated chain: its gateway is the only thing outside."""
    flags = custom_network(GATEWAY)
    network = dict(zip(flags[::2], flags[1::2], strict=True))
    told = {f"HERA_{flag[2:].replace('-', '_').upper()}": value for flag, value in network.items()}
    told |= {"HERA_PUBLIC_KEY": PUBLIC_KEY, "HERA_P2P": "true", "HERA_P2P_ADDR": LISTEN}
    with manager(folder, told | settings) as found, _gateway(found):
        yield found


@contextmanager
def _gateway(at: Manager) -> Iterator[None]:
    with _beside(at, "gateway", "serve", "--devnet", "--blocks", str(BLOCKS), "--port", "8085"):
        yield


@contextmanager
def _beside(at: Manager, *words: str) -> Iterator[None]:
    """Run ``hera`` in the same network, but not under the manager."""
    log = at.out.parent / f"{words[0].strip('-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*at.only_net, *HERA, *words], stdout=output, stderr=output, env=clean_env()
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_a_target_runs_a_node_that_syncs_heals_itself_and_stops_clean(tmp_path: Path) -> None:
    options, address = feeding()
    with node_of(tmp_path, HERA_P2P_PEERS=address) as node:
        feeder = ("--db-path", str(tmp_path / "feeder"), *custom_network(GATEWAY), *options)
        with _beside(node, *feeder):
            names = services("hera.target")
            node.systemctl("start", "hera.target")  # returns once all have said READY
            assert sorted(node.active()) == sorted(names)
            node.wait_status("hera-commit.service", f"done: {BLOCKS}")
            node.wait_status("hera-p2p.service", f"best known block {BLOCKS - 1}; peers: 1")
            node.wait_status("hera-broker.service", f"{HEAD} | at the head | 1 peer")
            killed = ("hera-verify@1.service", "hera-fetch-headers.service", "hera-p2p.service")
            for name in killed:
                node.kill(name, "SIGKILL")
            for name in killed:
                node.wait(name, ActiveState="active", NRestarts="1")
            stop(node, "hera.target", *names)


def test_a_feeder_target_outlives_its_broker_and_gives_way_to_the_node_in_one_unit(
    tmp_path: Path,
) -> None:
    with node_of(tmp_path, **WHOLE) as node:
        names = services("hera-feeder.target")
        node.systemctl("start", "hera-feeder.target")
        node.wait_status("hera-feeder.service", f"head {BLOCKS - 1}")
        before = {name: node.show(name)["MainPID"] for name in names}
        node.kill("hera-broker.service", "SIGKILL")
        node.wait_until(
            lambda: all(node.show(name)["MainPID"] not in ("0", before[name]) for name in names)
        )
        node.wait_active(*names)
        node.systemctl("start", "hera.service")
        assert node.active() == ["hera.service"]
        node.wait_status("hera.service", f"{HEAD} | at the head")
        assert len(node.processes()) == len(names) + 1
        stop(node, "hera.service", "hera.service")


def test_a_worker_that_hangs_is_restarted_and_one_that_cannot_run_as_configured_is_not(
    tmp_path: Path,
) -> None:
    with manager(tmp_path, {"HERA_NETWORK": "sepolia"}) as node:
        node.change("hera-metrics.service", "WatchdogSec=2")
        node.change("hera-rpc.service", "Environment=HERA_HTTP_PORT=99999")
        node.systemctl("start", "--no-block", "hera-rpc.service")
        node.systemctl("start", "hera-metrics.service")
        node.kill("hera-metrics.service", "SIGSTOP")
        node.wait("hera-metrics.service", ActiveState="active", NRestarts="1")
        refused = node.show("hera-rpc.service")
        assert (refused["ActiveState"], refused["NRestarts"]) == ("failed", "0")
        assert refused["ExecMainStatus"] == str(EX_CONFIG)
        assert "HERA_HTTP_PORT" in node.logs()
        stop(node, "hera-metrics.service", "hera-metrics.service")


def services(target: str) -> list[str]:
    return [name for name in units.wanted(target) if name.endswith(".service")]


def stop(node: Manager, unit: str, *names: str) -> None:
    """Stop it; no process may be left, none may have been killed, and none may have failed."""
    node.systemctl("stop", unit, "hera-broker.service")
    node.wait_until(lambda: all(node.show(name)["ActiveState"] != "deactivating" for name in names))
    assert node.processes() == []
    assert {name: node.show(name)["Result"] for name in names} == dict.fromkeys(names, "success")
    assert "Traceback" not in node.logs()
