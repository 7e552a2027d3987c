"""A worker that hangs is ended; its message goes elsewhere, and after three such deaths is set aside."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.link import Link
from broker.memory import MemoryBroker
from tests.broker.brokers import get, give, kill, line, python
from tests.workers.test_runtime import BROKER, FAULTS, PARTS, STORED, TOPICS, part, settings_in
from workers.exits import EX_SOFTWARE
from workers.messages import BlockStored
from workers.watchdog import watched

WORKER = """
import sys, time
from pathlib import Path
from node.processes import Stop
from tests.workers.test_runtime import PARTS, STORED, settings_in
from workers import log
from workers.messages import BlockStored
from workers.runtime import run_source, run_stage
from workers.stage import Source, Stage, pure

def work(settings, message):
    print("begun", message.number, flush=True)
    if message.number == 13:
        while True:
            time.sleep(0.01)
    if message.number == 14:
        10 ** 10 ** 9  # one instruction for hours: no other thread runs
    return [BlockStored(message.attempt, message.number, b"hash")]

def hang(settings, link):
    link.take(0)
    print("up", flush=True)
    while True:
        time.sleep(0.01)

log.setup("info", "json", sys.argv[2])
settings = settings_in(Path(sys.argv[1]))
if sys.argv[2] == "source":
    sys.exit(run_source(Source("source", hang, takes=(PARTS,), patience_s=1), settings, worker="source"))
stage = Stage("stage", PARTS, pure(work), (STORED,), credit=2, patience_s=1)
sys.exit(run_stage(stage, settings, worker=sys.argv[2], stop=Stop().asked))
"""
SUPERVISOR = """
import os, sys
from node.supervisor import Child, Signals, Supervisor
child = Child("worker", (sys.executable, "-c", sys.argv[1], sys.argv[2], "worker"), stops=0)
sys.exit(Supervisor([child], Signals(), environ=os.environ).run())
"""


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "run").mkdir(mode=0o700)
    found = settings_in(tmp_path).broker
    broker = python(BROKER, found)
    line(broker)
    yield found
    kill(broker)


def test_a_worker_that_hangs_is_ended_in_one_line_and_its_message_runs_elsewhere(
    endpoint: str, tmp_path: Path
) -> None:
    with Link(endpoint, "source", gives=(PARTS,)) as source:
        give(source, part(13))
        worker = python(WORKER, str(tmp_path), "worker")
        assert line(worker) == "begun 13"
        with Link(endpoint, "heir", takes=(PARTS,)) as heir:
            delivery = get(heir)
            assert (delivery.message.number, delivery.deliveries) == (13, 2)
        _, errors = worker.communicate(timeout=10)
    assert worker.returncode == EX_SOFTWARE
    (said,) = [json.loads(text) for text in errors.splitlines()]
    assert (said["level"], said["worker"]) == ("ERROR", "worker")
    assert (said["topic"], said["block"]) == ("parts", 13)
    assert 1 <= said["seconds"] < 2


def test_where_no_thread_runs_any_more_the_process_ends_and_prints_where_it_stood(
    endpoint: str, tmp_path: Path
) -> None:
    with Link(endpoint, "source", gives=(PARTS,)) as source:
        give(source, part(14))
        worker = python(WORKER, str(tmp_path), "worker")
        assert line(worker) == "begun 14"
        _, errors = worker.communicate(timeout=20)
        assert worker.returncode == 1
        assert "in work" in errors
        with Link(endpoint, "heir", takes=(PARTS,)) as heir:
            assert get(heir).deliveries == 2


def test_a_source_that_leaves_its_link_unused_is_ended(endpoint: str, tmp_path: Path) -> None:
    worker = python(WORKER, str(tmp_path), "source")
    assert line(worker) == "up"
    _, errors = worker.communicate(timeout=10)
    assert worker.returncode == EX_SOFTWARE
    assert json.loads(errors)["topic"] is None


def test_the_supervisor_restarts_it_until_the_message_is_set_aside_and_others_run(
    endpoint: str, tmp_path: Path
) -> None:
    with (
        Link(endpoint, "source", gives=(PARTS,)) as source,
        Link(endpoint, "end", takes=(STORED, FAULTS)) as end,
    ):
        give(source, part(13), part(20))
        supervisor = python(SUPERVISOR, WORKER, str(tmp_path))
        try:
            assert get(end, seconds=60).message == BlockStored(3, 20, b"hash")
            assert source.stats()["poisoned"] == 1
        finally:
            supervisor.send_signal(signal.SIGTERM)
            printed, errors = supervisor.communicate(timeout=20)
    assert printed.split("\n").count("begun 13") == 3
    assert errors.count("A worker hangs") == 3


def test_a_link_in_use_is_left_alone() -> None:
    broker = MemoryBroker(TOPICS)
    ended: list[int] = []
    with (
        broker.link("worker", takes=(PARTS,)) as link,
        watched(link, "worker", 0.3, end=ended.append),
    ):
        until = time.monotonic() + 1
        while time.monotonic() < until:
            link.take(0.01)
            threading.Event().wait(0.01)
    assert not ended
