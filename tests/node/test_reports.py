"""The service manager of a whole node hears that it is up once every process is, and how it goes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.reports import Reports
from tests.workers.test_notify import Clock, Systemd
from workers.notify import Notify

ME = os.getpid()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    found = Systemd(f"{tmp_path}/notify")
    yield found
    found.close()


@pytest.fixture
def reports(systemd: Systemd, tmp_path: Path, clock: Clock) -> Iterator[Reports]:
    found = Reports(tmp_path / "reports", Notify(systemd.environ, clock=clock), "broker")
    yield found
    found.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_node_is_up_once_each_process_has_said_so(reports: Reports, systemd: Systemd) -> None:
    Notify(reports.environment()).turn(lambda: "workers: 2")
    reports.turn({ME: "broker"}, ["broker", "commit"])
    assert systemd.heard() == []
    Notify(reports.environment()).turn(lambda: "done: 3")
    reports.turn({ME: "commit"}, ["broker", "commit"])
    assert systemd.heard() == [["READY=1", "STATUS=workers: 2"]]


def test_a_report_of_a_process_that_is_not_ours_is_not_heard(
    reports: Reports, systemd: Systemd
) -> None:
    Notify(reports.environment()).turn(lambda: "up")
    reports.turn({ME + 1: "broker"}, ["broker"])
    assert systemd.heard() == []


def test_its_socket_is_gone_afterwards_and_one_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "reports"
    path.touch()
    reports = Reports(path, Notify(), "broker")
    assert path.is_socket()
    reports.close()
    assert not path.exists()
