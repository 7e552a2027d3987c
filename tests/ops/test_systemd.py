"""The shipped units: systemd finds nothing wrong with them, they are locked well, a real manager runs a node."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node import processes, units
from starknet.devnet import Devnet
from tests.ops.systemd import STEP_SECONDS, UNITS, Manager, manager, run
from tests.process.nodes import HERA, clean_env, custom_network, feeding, wait_until

BLOCKS = 60
THRESHOLD = "15"  # tenths
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
GATEWAY = "http://127.0.0.1:8085"
PUBLIC_KEY = hex(Devnet(seed=0, length=1).public_key)
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


def wait_head(node: Manager) -> None:
    """Wait until the node has stored the whole chain, by what ``hera status`` says."""
    seen: list[str] = []

    def is_there() -> bool:
        done = node.run("/opt/hera/bin/hera", "status", "--json")
        seen[:] = [done.stdout + done.stderr]
        head = json.loads(done.stdout)["head"] if done.returncode == 0 else None
        return head is not None and head["number"] == BLOCKS - 1

    wait_until(is_there, STEP_SECONDS, lambda: f"{seen} {node.story()}")


def services(target: str) -> list[str]:
    return [name for name in units.wanted(target) if name.endswith(".service")]


def stop(node: Manager, unit: str) -> None:
    """Stop it; no process may be left, none may have been killed, and none may have failed."""
    active = node.active()
    node.systemctl("stop", unit, "hera-broker.service")
    wait_until(lambda: not node.active(), STEP_SECONDS, node.story)
    assert node.processes() == []
    assert {name: node.show(name)["Result"] for name in active} == dict.fromkeys(active, "success")


def test_a_target_runs_a_node_that_syncs_heals_itself_and_stops_clean(tmp_path: Path) -> None:
    options, address = feeding()
    with node_of(tmp_path, HERA_P2P_PEERS=address) as node:
        feeder = ("--db-path", str(tmp_path / "feeder"), *custom_network(GATEWAY), *options)
        with _beside(node, *feeder):
            node.systemctl("start", "hera.target")
            for name in services("hera.target"):
                node.wait(name, ActiveState="active", NotifyAccess="main")
            wait_head(node)
            assert sorted(node.active()) == sorted(services("hera.target"))
            node.wait_status("hera-commit.service", f"done: {BLOCKS}")
            node.wait_status("hera-p2p.service", f"best known block {BLOCKS - 1}; peers: 1")
            for name in ("hera-verify@1.service", "hera-fetch-headers.service"):
                node.kill(name, "SIGKILL")
                node.wait(name, ActiveState="active", SubState="running", NRestarts="1")
            stop(node, "hera.target")
            assert "Traceback" not in node.logs()


def test_a_feeder_target_syncs_from_the_gateway_and_outlives_its_broker(tmp_path: Path) -> None:
    with node_of(tmp_path, HERA_P2P_FEEDER_NODE="true") as node:
        node.systemctl("start", "hera-feeder.target", "hera-metrics.service")
        names = [*services("hera-feeder.target"), "hera-metrics.service"]
        for name in names:
            node.wait(name, ActiveState="active")
        wait_head(node)
        before = {name: node.show(name)["MainPID"] for name in names}
        node.kill("hera-broker.service", "SIGKILL")
        for name in names:
            wait_until(lambda: node.show(name)["MainPID"] != before[name], STEP_SECONDS, node.story)  # noqa: B023
            node.wait(name, ActiveState="active")
        stop(node, "hera-feeder.target")
        assert "Traceback" not in node.logs()


def test_every_row_of_the_page_is_started_by_a_target_or_enabled_for_both() -> None:
    started = {name for target in units.TARGETS for name in units.wanted(target)}
    for row in processes.every_row():
        name = units.unit_name(row)
        text = (UNITS / name).read_text()
        assert name.replace("@", "@1") in started or "WantedBy=" in text, name
