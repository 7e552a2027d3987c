"""What systemd is told: at which turn of the loop, in which words, at any kind of socket, and nothing where none is."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.link import Link
from tests.broker.brokers import give, kill, line, python
from tests.workers.test_runtime import BROKER, PARTS, STAGE, part, settings_in
from workers.notify import SOCKET, STATUS, TEXT_CHARS_MAX, WATCHDOG, WATCHDOG_PID, Notify
from workers.runtime import run_stage


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Systemd:
    """A socket that keeps what it is told."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(address.replace("@", "\0", 1))
        self.environ = {SOCKET: address}

    def heard(self) -> list[list[str]]:
        """The lines of each datagram since the last look."""
        found: list[list[str]] = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    found = Systemd(f"@hera-{tmp_path}" if request.param == "abstract" else f"{tmp_path}/notify")
    yield found
    found.close()


def notify_of(systemd: Systemd, clock: Clock, **environ: str) -> Notify:
    return Notify(systemd.environ | environ, clock=clock)


def test_the_first_turn_says_ready_and_later_ones_what_changed_at_most_once_a_second(
    systemd: Systemd,
) -> None:
    clock = Clock()
    notify = notify_of(systemd, clock)
    assert systemd.heard() == []
    notify.turn(lambda: "block 1")
    notify.turn(lambda: "block 2")
    assert systemd.heard() == [["READY=1", "STATUS=block 1"]]
    for now, text in ((100.9, "block 3"), (101.0, "block 4"), (102.0, "block 4")):
        clock.now = now
        notify.turn(lambda: text)  # noqa: B023
    assert systemd.heard() == [["STATUS=block 4"]]


def test_the_watchdog_hears_of_each_turn_that_is_due_and_of_nothing_else(systemd: Systemd) -> None:
    clock = Clock()
    notify = notify_of(systemd, clock, **{WATCHDOG: "20000000", WATCHDOG_PID: str(os.getpid())})
    notify.turn(lambda: "")
    assert systemd.heard() == [["READY=1", "WATCHDOG=1"]]
    for now in (101.0, 104.0, 105.0, 106.0, 110.0):
        clock.now = now
        notify.turn(lambda: "")
    assert systemd.heard() == [["WATCHDOG=1"]] * 2
    clock.now = 200.0
    assert systemd.heard() == [], "a loop that does not turn says nothing"


def test_a_watchdog_of_another_process_is_not_ours(systemd: Systemd) -> None:
    notify = notify_of(systemd, Clock(), **{WATCHDOG: "20000000", WATCHDOG_PID: "1"})
    notify.turn(lambda: "")
    assert systemd.heard() == [["READY=1"]]


def test_what_was_not_taken_is_said_again(tmp_path: Path) -> None:
    clock = Clock()
    notify = Notify({SOCKET: f"{tmp_path}/notify"}, clock=clock)
    notify.turn(lambda: "block 1")
    late = Systemd(f"{tmp_path}/notify")
    clock.now += 1
    notify.turn(lambda: "block 2")
    assert late.heard() == [["READY=1", "STATUS=block 2"]]
    late.close()


def test_a_manager_that_does_not_read_is_not_waited_for(systemd: Systemd) -> None:
    clock = Clock()
    notify = notify_of(systemd, clock)
    for number in range(2000):
        clock.now += 1
        notify.turn(lambda: f"block {number}")  # noqa: B023
    heard = systemd.heard()
    assert heard[0] == ["READY=1", "STATUS=block 0"]
    assert len(heard) < 2000


@pytest.mark.parametrize("address", ["", "vsock:2:9999", "relative"])
def test_where_no_manager_is_nothing_is_said(address: str) -> None:
    notify = Notify({SOCKET: address})
    assert not notify.is_heard
    notify.turn(lambda: pytest.fail("nobody wants to know"))
    notify.stopping()


def test_while_the_gateway_is_waited_for_the_manager_is_to_wait_as_well(systemd: Systemd) -> None:
    wait = notify_of(systemd, Clock()).patiently(lambda seconds: seconds == 30.0)
    assert wait(30.0)
    ((extended, status),) = systemd.heard()
    assert extended == "EXTEND_TIMEOUT_USEC=90000000"
    assert "public key" in status


def test_a_status_is_one_short_line_whatever_a_peer_called_itself(systemd: Systemd) -> None:
    notify = notify_of(systemd, Clock())
    notify.turn(lambda: "stuck\nSTOPPING=1" + "x" * 1000)
    ((_, status),) = systemd.heard()
    assert status.startswith("STATUS=stuck?STOPPING=1x")
    assert len(status) == len(STATUS) + TEXT_CHARS_MAX


def test_a_stage_is_up_once_it_has_joined_and_says_its_progress_and_its_end(
    systemd: Systemd, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    settings = settings_in(tmp_path)
    heard: list[list[str]] = []
    until = time.monotonic() + 20

    def stop() -> bool:
        heard.extend(systemd.heard())
        assert time.monotonic() < until, heard
        return any("done: 2" in line for lines in heard for line in lines)

    broker = python(BROKER, settings.broker)
    try:
        line(broker)
        with Link(settings.broker, "source", gives=(PARTS,)) as source:
            give(source, part(7), part(8))
        notify = Notify(systemd.environ)
        assert run_stage(STAGE, settings, worker="worker", stop=stop, notify=notify) == 0
    finally:
        kill(broker)
    assert heard[0][0] == "READY=1"
    assert "STATUS=block 8; done: 2; faults: 0" in heard[-1]
    assert systemd.heard() == [["STOPPING=1", "STATUS=stopping"]]


def test_without_a_broker_a_stage_is_never_up(systemd: Systemd, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)  # its folder is not there
    notify = Notify(systemd.environ)
    assert run_stage(STAGE, settings, worker="worker", stop=lambda: False, notify=notify) != 0
    assert systemd.heard() == []
