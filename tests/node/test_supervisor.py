"""The supervisor with real, small child processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from node.supervisor import EX_GIVEN_UP, Child, Limits, Signals, Supervisor, describe

QUICK = Limits(back_off_min=0.01, back_off_max=0.05, restarts_max=4, restarts_seconds=30)
SECONDS_MAX = 15.0

# Notes its start and, on SIGTERM, its end in a file that all children share.
POLITE = """
import signal, sys, threading
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with open(sys.argv[1], "a") as notes: print("start", sys.argv[2], file=notes)
while not stop.wait(0.02): pass
with open(sys.argv[1], "a") as notes: print("stop", sys.argv[2], file=notes)
"""
DEAF = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[1], "a") as notes: print("start", sys.argv[2], file=notes)
while True: time.sleep(1)
"""
EXITS = """
import sys
with open(sys.argv[1], "a") as notes: print("start", sys.argv[2], file=notes)
sys.exit(int(sys.argv[3]))
"""


@pytest.fixture
def signals() -> Iterator[Signals]:
    taken = Signals()
    yield taken
    taken.close()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


def child(notes: Path, name: str, program: str, *arguments: str, stops: int = 0) -> Child:
    return Child(name, (sys.executable, "-c", program, str(notes), name, *arguments), stops)


def lines(notes: Path) -> list[str]:
    return notes.read_text().splitlines() if notes.exists() else []


def supervisor(children: Sequence[Child], signals: Signals, limits: Limits = QUICK) -> Supervisor:
    return Supervisor(children, signals, environ=os.environ, limits=limits)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def when(holds: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Act in another thread as soon as something holds; the supervisor has the main thread."""

    def run() -> None:
        wait_for(holds)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_children_stop_group_by_group(signals: Signals, notes: Path) -> None:
    children = [
        child(notes, "broker", POLITE, stops=9),
        child(notes, "source", POLITE, stops=0),
        child(notes, "commit", POLITE, stops=5),
        child(notes, "verify", POLITE, stops=4),
    ]
    thread = when(lambda: len(lines(notes)) == 4, terminate)

    assert supervisor(children, signals).run() == 0

    thread.join()
    assert lines(notes)[4:] == ["stop source", "stop verify", "stop commit", "stop broker"]


def test_a_child_that_was_killed_is_started_again(signals: Signals, notes: Path) -> None:
    program = POLITE.replace('print("start", sys', 'import os; print("start", os.getpid(), sys')
    found = [child(notes, "verify-1", program)]

    def kill_then_terminate() -> None:
        os.kill(int(lines(notes)[0].split()[1]), signal.SIGKILL)
        wait_for(lambda: len(lines(notes)) == 2)
        terminate()

    thread = when(lambda: len(lines(notes)) == 1, kill_then_terminate)

    assert supervisor(found, signals).run() == 0

    thread.join()
    assert [line.split()[0] for line in lines(notes)] == ["start", "start", "stop"]


def test_it_tells_how_often_each_child_was_started_again(signals: Signals, notes: Path) -> None:
    told: list[Mapping[str, int]] = []
    found = [child(notes, "verify-1", EXITS, "3"), child(notes, "commit", POLITE)]
    kept = Supervisor(
        found, signals, environ=os.environ, limits=QUICK, tell=lambda counted: told.append(counted)
    )
    assert kept.run() == EX_GIVEN_UP
    assert told[0] == {"verify-1": 0, "commit": 0}
    assert told[-1]["verify-1"] >= QUICK.restarts_max
    assert [counted["verify-1"] for counted in told] == list(range(len(told)))
    assert told[-1]["commit"] == 0


def test_a_child_that_keeps_dying_stops_everything(
    signals: Signals, notes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = child(notes, "other", POLITE, stops=1)
    assert supervisor([other, child(notes, "bad", EXITS, "3")], signals).run() == 1
    starts = [line for line in lines(notes) if line == "start bad"]
    assert len(starts) == 1 + QUICK.restarts_max
    assert "stop other" in lines(notes) or "start other" not in lines(notes)
    assert [r for r in caplog.records if "keeps dying" in r.getMessage()]


def test_the_back_off_doubles_up_to_its_limit(signals: Signals, notes: Path) -> None:
    limits = Limits(back_off_min=0.1, back_off_max=0.2, restarts_max=3, restarts_seconds=30)
    began = time.monotonic()
    assert supervisor([child(notes, "bad", EXITS, "3")], signals, limits).run() == 1
    assert time.monotonic() - began > 0.1 + 0.2 + 0.2


def test_a_configuration_that_cannot_run_stops_everything_at_once(
    signals: Signals, notes: Path
) -> None:
    other = child(notes, "other", POLITE, stops=1)
    assert supervisor([other, child(notes, "commit", EXITS, "78")], signals).run() == 78
    assert lines(notes).count("start commit") == 1


def test_a_full_disk_stops_everything_at_once(
    signals: Signals, notes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert supervisor([child(notes, "commit", EXITS, "74")], signals).run() == 74
    assert lines(notes) == ["start commit"]
    assert [r for r in caplog.records if "no disk space left" in r.getMessage()]


def test_losing_the_broker_is_not_held_against_a_child(signals: Signals, notes: Path) -> None:
    wanted = QUICK.restarts_max + 3
    thread = when(lambda: len(lines(notes)) >= wanted, terminate)
    assert supervisor([child(notes, "verify-1", EXITS, "75")], signals).run() == 0
    thread.join()


def test_a_deaf_child_is_killed_in_time(signals: Signals, notes: Path) -> None:
    limits = Limits(stop_seconds=1.0)
    children = [child(notes, "deaf", DEAF, stops=0), child(notes, "commit", POLITE, stops=1)]
    thread = when(lambda: len(lines(notes)) == 2, terminate)
    began = time.monotonic()

    assert supervisor(children, signals, limits).run() == 0

    thread.join()
    assert time.monotonic() - began < SECONDS_MAX
    assert lines(notes)[-1] == "stop commit"


def test_a_second_signal_kills(signals: Signals, notes: Path) -> None:
    limits = Limits(stop_seconds=60.0)
    children = [child(notes, "deaf", DEAF, stops=0), child(notes, "later", POLITE, stops=1)]

    def twice() -> None:
        terminate()
        time.sleep(0.3)  # two signals at once would be one
        terminate()

    thread = when(lambda: len(lines(notes)) == 2, twice)
    began = time.monotonic()

    assert supervisor(children, signals, limits).run() == 1

    thread.join()
    assert time.monotonic() - began < SECONDS_MAX
    assert "stop later" not in lines(notes)


def test_children_end_with_a_supervisor_that_was_killed(notes: Path) -> None:
    program = (
        "import os, sys\n"
        "from node.supervisor import Child, Signals, Supervisor\n"
        "child = Child('a', (sys.executable, '-c', sys.argv[2], sys.argv[1], 'a'), 0)\n"
        "Supervisor([child], Signals(), environ=os.environ).run()\n"
    )
    argv = [sys.executable, "-c", program, str(notes), POLITE]
    with subprocess.Popen(argv) as parent:
        wait_for(lambda: lines(notes) == ["start a"])
        parent.kill()
    wait_for(lambda: lines(notes) == ["start a", "stop a"])


def test_the_end_of_a_process_is_told_in_words() -> None:
    assert describe(-9) == "killed by SIGKILL"
    assert describe(3) == "exit code 3"
