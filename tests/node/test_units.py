"""The shipped systemd units follow from the pipeline page: each row has one, and each knows what its row needs."""

import re
from pathlib import Path
from typing import Any

import pytest

from node import pipeline, processes, units
from node.config import NAMES, load
from node.run import MALLOC
from node.supervisor import FINAL
from workers.stage import Source, Stage

ROOT = Path(__file__).resolve().parents[2]
SERVICES = [name for name in units.texts() if name.endswith(".service")]


@pytest.mark.parametrize("name", units.texts())
def test_what_is_shipped_is_what_is_written_from_the_page(name: str) -> None:
    assert (ROOT / name).read_text() == units.texts()[name], "run: python -m node.units"


def test_nothing_else_is_shipped_as_a_unit() -> None:
    shipped = {f"{units.FOLDER}/{path.name}" for path in (ROOT / units.FOLDER).iterdir()}
    by_hand = {"hera.slice", "hera.sysusers.conf", "hera.tmpfiles.conf", "hera.env"}
    assert shipped == units.texts().keys() | {f"{units.FOLDER}/{name}" for name in by_hand}


@pytest.mark.parametrize("row", processes.every_row(), ids=lambda row: row.name)
def test_every_row_of_the_page_has_a_unit_that_runs_it(row: Source | Stage[Any]) -> None:
    text = (ROOT / units.FOLDER / units.unit_name(row)).read_text()
    words = values(text, "ExecStart")[0].split()
    assert words[:3] == [units.PROGRAM, "worker", row.name]
    watchdog = float(values(text, "WatchdogSec")[0])
    assert watchdog > row.patience_s, "our own watchdog is to come first: it names the block"
    started = {name for target in units.TARGETS for name in units.wanted(target)}
    assert units.unit_name(row).replace("@", "@1") in started or values(text, "WantedBy"), row.name


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_told_what_the_supervisor_knows(name: str) -> None:
    text = (ROOT / name).read_text()
    prevented = set(map(int, values(text, "RestartPreventExitStatus")[0].split()))
    assert prevented == FINAL.keys()
    told = values(text, "Environment")[0].split()
    assert {f"{name}={value}" for name, value in MALLOC.items()} <= set(told)
    assert values(text, "Type") == ["notify"]


def test_the_targets_start_the_rows_of_their_kind_of_node() -> None:
    peer, feeder = (set(units.wanted(target)) for target in ("hera.target", "hera-feeder.target"))
    stages = {units.unit_name(stage).replace("@", "@1") for stage in pipeline.PIPELINE}
    assert stages | {"hera-p2p.service", "hera-rpc.service", "hera-broker.service"} <= peer
    assert "hera-feeder.service" not in peer
    assert {"hera-feeder.service", "hera-p2p.service", "hera-commit.service"} <= feeder
    assert not any("fetch" in name or "assemble" in name for name in feeder)


def test_only_what_speaks_with_the_outside_has_a_network_and_only_who_needs_it_the_store() -> None:
    for row in processes.every_row():
        text = (ROOT / units.FOLDER / units.unit_name(row)).read_text()
        is_outside = row in (pipeline.P2P, pipeline.FEEDER, pipeline.RPC, pipeline.METRICS)
        assert values(text, "PrivateNetwork") == ([] if is_outside else ["yes"]), row.name
        assert bool(values(text, "StateDirectory")) is (row not in pipeline.ANYWHERE), row.name


def test_what_one_worker_alone_is_to_know_is_told_to_no_other() -> None:
    for row in processes.every_row():
        text = (ROOT / units.FOLDER / units.unit_name(row)).read_text()
        files = [units.ENVIRONMENT, f"-/etc/hera/{row.name}.env"]
        assert values(text, "EnvironmentFile") == files


def test_each_variable_of_the_settings_is_an_option_and_those_that_are_set_are_valid() -> None:
    text = (ROOT / units.FOLDER / "hera.env").read_text()
    named = re.findall(r"^#?(HERA_[A-Z0-9_]+)=", text, re.MULTILINE)
    assert set(named) <= {"HERA_" + name.upper().replace("-", "_") for name in NAMES}
    given = dict(re.findall(r"^(HERA_[A-Z0-9_]+)=(.*)$", text, re.MULTILINE))
    config = load({}, given)
    assert (config.p2p, config.http, config.network.name) == (True, True, "sepolia")


def values(text: str, name: str) -> list[str]:
    """What a unit says under a name, each time it does."""
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{name}=")]
