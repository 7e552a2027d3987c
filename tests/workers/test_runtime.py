"""The one loop of every stage: what follows from outputs, faults, later, bugs, signals and a lost broker."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from broker.codec import Body
from broker.link import Link
from broker.memory import MemoryBroker
from broker.protocol import MESSAGE_VERSION
from broker.topic import Topic
from node.supervisor import EX_GIVEN_UP, die_with_parent
from starknet.network import Network
from tests.broker.brokers import get, give, kill, line, python
from tests.settings import settings_of
from workers import exits
from workers.component import Component
from workers.errors import PeerFault, TryLater
from workers.messages import BlockAssembled, BlockPart, BlockStored, Fault
from workers.runtime import run_stage
from workers.settings import Settings
from workers.stage import Finished, Stage, pure
from workers.store import DiskFull

PARTS = Topic("parts", BlockPart, items_max=100, bytes_max=1 << 20)
BLOCKS = Topic("blocks", BlockAssembled, items_max=100, bytes_max=1 << 20)
STORED = Topic("stored", BlockStored, items_max=100, bytes_max=1 << 20)
FAULTS = Topic("faults", Fault, items_max=100, bytes_max=1 << 20)
TOPICS = (PARTS, BLOCKS, STORED, FAULTS)
BODY = Body(b"")


def part(number: int) -> BlockPart:
    return BlockPart(3, number, bytes(32), Component.EVENTS, "peer", BODY)


def run_part(settings: Settings, message: BlockPart) -> Iterable[object]:
    """One behaviour for each block number."""
    match message.number:
        case 13:
            raise PeerFault("events.count", 13, (Component.EVENTS,), "one \ud800" + "x" * 1000)
        case 14:
            raise TryLater("not yet")
        case 15:
            raise ZeroDivisionError("our bug")
        case 17:
            raise DiskFull(Path("store"))
        case _:
            return [BlockStored(3, message.number, b"hash")]


STAGE = Stage("stage", takes=PARTS, start=pure(run_part), gives=(STORED, FAULTS))


def run_block(settings: Settings, message: BlockAssembled) -> Iterable[object]:
    raise PeerFault("block.hash", message.number, (Component.EVENTS, Component.HEADERS))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def settings_in(folder: Path) -> Settings:
    network = Network.__new__(Network)  # no stage here looks at it
    return settings_of(
        network,
        folder,
        broker=f"ipc://{folder}/run/broker",
        memory_bytes=1 << 20,
        log_level="debug",
    )


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(TOPICS)


@pytest.fixture
def source(broker: MemoryBroker) -> Iterator[Link]:
    with broker.link("source", gives=(PARTS, BLOCKS)) as link:
        yield link


@pytest.fixture
def end(broker: MemoryBroker) -> Iterator[Link]:
    with broker.link("end", takes=(STORED, FAULTS), credit=10) as link:
        yield link


def turns(count: int) -> Callable[[], bool]:
    """Stop before the loop's turn number ``count``."""
    left = iter([False] * count)
    return lambda: next(left, True)


def run(broker: MemoryBroker, settings: Settings, count: int, worker: str = "worker") -> int:
    link = broker.link(worker, takes=(PARTS,), gives=(STORED, FAULTS))
    return run_stage(STAGE, settings, worker=worker, stop=turns(count), link=link)


def test_outputs_are_given_and_the_message_is_finished(
    broker: MemoryBroker, settings: Settings, source: Link, end: Link
) -> None:
    give(source, part(1), part(2))
    assert run(broker, settings, 2) == 0
    assert [get(end).message for _ in range(2)] == [BlockStored(3, n, b"hash") for n in (1, 2)]
    assert source.stats()["topics"]["parts"]["items"] == 0


def test_a_peer_fault_finishes_the_message_and_blames_its_sender(
    broker: MemoryBroker, settings: Settings, source: Link, end: Link
) -> None:
    give(source, part(13))
    assert run(broker, settings, 1) == 0
    fault = get(end).message
    assert (fault.attempt, fault.start, fault.count) == (3, 13, 1)
    assert (fault.components, fault.peers) == ((Component.EVENTS,), ("peer",))
    assert fault.rule == "events.count"
    assert fault.detail.startswith("one \\ud800")
    assert source.stats()["topics"]["parts"]["items"] == 0


def test_a_fault_in_a_whole_block_names_the_sender_of_each_guilty_part(
    broker: MemoryBroker, settings: Settings, source: Link, end: Link
) -> None:
    give(source, BlockAssembled(3, 5, ("h", "d", "c", "t", "e"), BODY, BODY, BODY, BODY, BODY))
    stage = Stage("verify", takes=BLOCKS, start=pure(run_block), gives=(FAULTS,))
    link = broker.link("verify", takes=(BLOCKS,), gives=(FAULTS,))
    assert run_stage(stage, settings, worker="verify", stop=turns(1), link=link) == 0
    fault = get(end).message
    assert (fault.components, fault.peers) == (
        (Component.EVENTS, Component.HEADERS),
        ("e", "h"),
    )


def test_try_later_brings_the_message_again(
    broker: MemoryBroker, settings: Settings, source: Link
) -> None:
    give(source, part(14))
    assert run(broker, settings, 4) == 0
    with broker.link("other", takes=(PARTS,)) as other:
        assert get(other).deliveries > 2
    assert source.stats()["poisoned"] == 0


def test_our_own_bug_ends_the_process_and_counts_against_the_message(
    broker: MemoryBroker, settings: Settings, source: Link, end: Link
) -> None:
    give(source, part(15), part(16))
    for life in range(3):
        assert run(broker, settings, 1, f"worker-{life}") == exits.EX_SOFTWARE
    assert source.stats()["poisoned"] == 1
    assert run(broker, settings, 1, "worker-3") == 0
    assert get(end).message == BlockStored(3, 16, b"hash")


class Holder:
    """Finishes two messages at a time, and notes that it was closed."""

    def __init__(self) -> None:
        self.held: list[int] = []
        self.closed = 0

    def take(self, ticket: int, message: BlockPart) -> Iterable[Finished]:
        self.held.append(ticket)
        if len(self.held) == 2:
            yield Finished(tuple(self.held), (BlockStored(3, message.number, b""),))
            self.held = []

    def close(self) -> None:
        self.closed += 1


def test_held_messages_go_back_at_the_end_and_the_keeper_is_closed(
    broker: MemoryBroker, settings: Settings, source: Link, end: Link
) -> None:
    keeper = Holder()
    give(source, part(1), part(2), part(3))
    stage = Stage("hold", takes=PARTS, start=lambda _: keeper, gives=(STORED,), credit=3)
    link = broker.link("hold", takes=(PARTS,), gives=(STORED,), credit=3)
    assert run_stage(stage, settings, worker="hold", stop=turns(3), link=link) == 0
    assert keeper.closed == 1
    assert get(end).message == BlockStored(3, 2, b"")
    with broker.link("heir", takes=(PARTS,)) as heir:
        delivery = get(heir)
        assert (delivery.message.number, delivery.deliveries) == (3, 2)


def test_a_lost_broker_is_a_reason_to_start_again(broker: MemoryBroker, settings: Settings) -> None:
    keeper = Holder()
    stage = Stage("hold", takes=PARTS, start=lambda _: keeper, gives=(STORED,))
    link = broker.link("hold", takes=(PARTS,), gives=(STORED,))
    broker.restart()
    code = run_stage(stage, settings, worker="hold", stop=turns(100), link=link)
    assert code == exits.EX_TEMPFAIL
    assert keeper.closed == 1


def test_an_unusable_endpoint_is_no_reason_to_start_again(settings: Settings) -> None:
    code = run_stage(STAGE, settings, worker="worker", stop=turns(1))
    assert code == exits.EX_CONFIG


def test_the_status_tells_of_work_done(
    broker: MemoryBroker, settings: Settings, source: Link
) -> None:
    give(source, part(1), part(13))
    seen: list[dict[str, object]] = []

    def stop() -> bool:
        status = source.stats()["workers"].get("worker", {}).get("status", {})
        seen.append(status)
        return status.get("done") == 2 or len(seen) > 50

    link = broker.link("worker", takes=(PARTS,), gives=(STORED, FAULTS))
    assert run_stage(STAGE, settings, worker="worker", stop=stop, link=link) == 0
    last = seen[-1]
    assert (last["stage"], last["done"], last["faults"], last["since"]) == ("stage", 2, 1, 0.0)


WORKER = """
import sys
from pathlib import Path
from node.processes import Stop
from tests.workers.test_runtime import STAGE, settings_in
from workers.runtime import run_stage
stop = Stop()
print("up", flush=True)
sys.exit(run_stage(STAGE, settings_in(Path(sys.argv[1])), worker="worker", stop=stop.asked))
"""
BROKER = """
import sys
from broker.router import serve
from node.processes import Stop
from tests.workers.test_runtime import TOPICS
stop = Stop()
print("up", flush=True)
serve(sys.argv[1], TOPICS, stop=stop.asked)
"""
PARENT = """
import os, subprocess, sys, time
from node.supervisor import die_with_parent
child = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1], sys.argv[2]],
    stdout=subprocess.PIPE,
    preexec_fn=die_with_parent(os.getpid()),
)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def test_sigterm_ends_a_worker_process_cleanly(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    endpoint = settings_in(tmp_path).broker
    broker, worker = python(BROKER, endpoint), python(WORKER, str(tmp_path))
    line(broker)
    line(worker)
    with (
        Link(endpoint, "source", gives=(PARTS,)) as source,
        Link(endpoint, "end", takes=(STORED,)) as end,
    ):
        give(source, part(1))
        assert get(end).message == BlockStored(3, 1, b"hash")
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=5)
        assert (worker.returncode, errors) == (0, "")
        assert "worker" not in source.stats()["workers"]
    broker.send_signal(signal.SIGTERM)
    broker.communicate(timeout=5)
    assert broker.returncode == 0


OTHER_VERSION = """
import os, sys
from pathlib import Path
from broker import protocol
from node.supervisor import Child, Signals, Supervisor
from tests.workers.test_runtime import STAGE, settings_in
from workers import log
from workers.runtime import run_stage
log.setup("info", "json", "process")
if sys.argv[2] == "worker":
    protocol.MESSAGE_VERSION = 99
    sys.exit(run_stage(STAGE, settings_in(Path(sys.argv[1])), worker="old", stop=lambda: False))
child = Child("old", (sys.executable, "-c", sys.argv[3], sys.argv[1], "worker"), stops=0)
sys.exit(Supervisor([child], Signals(), environ=os.environ).run())
"""


def test_a_worker_of_another_version_is_refused_in_one_line_and_not_started_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    broker = python(BROKER, settings_in(tmp_path).broker)
    line(broker)
    supervisor = python(OTHER_VERSION, str(tmp_path), "supervisor", OTHER_VERSION)
    _, errors = supervisor.communicate(timeout=20)
    kill(broker)
    assert supervisor.returncode == exits.EX_CONFIG
    refused, stopping = [json.loads(text) for text in errors.splitlines()]
    assert refused["message"] == "Broker cannot be used"
    assert f"message version 99 instead of {MESSAGE_VERSION}: run one version" in refused["cause"]
    assert stopping["message"] == "A process cannot run as configured: stopping"


def test_a_worker_ends_with_the_parent_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    broker = python(BROKER, settings_in(tmp_path).broker)
    line(broker)
    parent = python(PARENT, WORKER, str(tmp_path))
    child = psutil.Process(int(line(parent)))
    kill(parent)
    try:
        child.wait(timeout=8)
    except psutil.TimeoutExpired:
        child.kill()
        raise
    kill(broker)


def test_a_parent_that_died_before_is_noticed() -> None:
    program = [sys.executable, "-c", ""]
    living = subprocess.Popen(program, preexec_fn=die_with_parent(os.getpid()))
    orphan = subprocess.Popen(program, preexec_fn=die_with_parent(os.getpid() + 1))
    assert (living.wait(), orphan.wait()) == (0, EX_GIVEN_UP)


def test_a_full_disk_ends_the_stage_and_is_not_held_against_the_message(
    broker: MemoryBroker, settings: Settings, source: Link, end: Link
) -> None:
    give(source, part(17))
    for _ in range(5):  # more often than a message may kill
        with pytest.raises(DiskFull, match="store: the disk is full; make room"):
            run(broker, settings, 1)
    assert end.stats()["poisoned"] == 0
