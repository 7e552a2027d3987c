"""Workers on other machines: they join a running node, do its work, and leave or are cut off without harm."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from broker import curve
from starknet.devnet import Devnet
from tests.process.nodes import (
    EACH_BLOCK,
    HERA,
    Node,
    clean_env,
    custom_network,
    free_port,
    gateway,
    nodes,
    wait_until,
)
from tests.process.wire import FIRST

BLOCKS = 100  # enough that a worker leaves in mid-sync
FAR_BLOCKS = 40  # over a slow line
NOBODY = "http://127.0.0.1:1"
PUBLIC_KEY = hex(Devnet(seed=0, length=1).public_key)


class Machines:
    """Keys for a node and one worker, and processes that log into files of their own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.keys, self.far = folder / "keys", folder / "far"
        broker = curve.new(self.keys)
        public = curve.new(self.far, broker)
        curve.allow(self.keys, curve.worker(public, "far", ["verify"]))
        self._folder, self._stack = folder, stack

    def start(self, name: str, *arguments: str, at: Sequence[str] = ()) -> "Process":
        """Start ``hera``, in the namespace that the words ``at`` enter."""
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*at, *HERA, *arguments], stdout=output, stderr=output, env=clean_env()
            )
        started = Process(process, log)
        self._stack.callback(started.kill)
        return started

    def worker(self, name: str, endpoint: str, at: Sequence[str] = ()) -> "Process":
        """Start a worker that knows nothing but the network, its public key and the broker."""
        network = (*custom_network(NOBODY), "--public-key", PUBLIC_KEY)
        joins = ("--broker", endpoint, "--broker-keys", str(self.far))
        return self.start(name, "worker", "verify", *network, *joins, at=at)


class Process:
    """One of them."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process, self._log = process, log

    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def stored(self) -> int:
        """How many blocks the node says it has stored."""
        return self.text().count("Stored Block")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(tmp_path, stack)


def wait_for(holds: Callable[[], bool], *told: Process, seconds: float = 60) -> None:
    wait_until(holds, seconds, lambda: "\n".join(process.text()[-3000:] for process in told))


def test_a_worker_joins_takes_work_at_once_and_leaves_in_mid_sync(
    machines: Machines, tmp_path: Path
) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with gateway("--devnet", "--blocks", str(BLOCKS)) as url, nodes(tmp_path) as make:
        node = make(
            *("node", *custom_network(url), "--verify-workers", "0"),
            *("--broker-listen", endpoint, "--broker-keys", str(machines.keys)),
        )
        node.wait_log("Listening for workers of other machines")
        first = machines.worker("first", endpoint)
        node.wait_head(3)
        assert first.stop() == 0, first.text()
        left_at = node.head()
        assert left_at < BLOCKS - 1, "the node was done before the worker left: lengthen the chain"

        second = machines.worker("second", endpoint)
        node.wait_head(BLOCKS - 1)
        wait_until(lambda: work_done(node) > 0, 20, lambda: str(node.status()))
        assert second.stop() == 0, second.text()
        assert node.stop() == 0
        assert "Worker is lost" not in node.text()
    assert not list(tmp_path.glob("hera")), "a worker elsewhere made a database"


def work_done(node: Node) -> int:
    """How many messages the worker elsewhere has finished, as the node's status tells."""
    status = node.status()
    workers = {} if status is None else status["workers"]
    pattern = re.compile(r"verify-.+-\d+@[0-9a-f]{8}")
    return sum(told.get("done", 0) for name, told in workers.items() if pattern.fullmatch(name))


# ---- over a bad line ------------------------------------------------------------------------------------------------


class Line:
    """Two namespaces joined by ``tests.process.wire``; ``node`` and ``worker`` are the words that enter them."""

    def __init__(self, process: "subprocess.Popen[str]", descriptor: str) -> None:
        self._process = process
        of = f"/proc/{process.pid}"
        enter = ("nsenter", f"--user={of}/ns/user", "--preserve-credentials")
        self.node = (*enter, f"--net={of}/fd/{descriptor}")
        self.worker = (*enter, f"--net={of}/ns/net")

    def cut(self) -> None:
        """Cut the line, or mend it."""
        self._process.send_signal(signal.SIGUSR1)


@contextmanager
def bad_line() -> Iterator[Line]:
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"network namespaces cannot be made: there is no {tool} here")
    process = subprocess.Popen(
        [
            *("unshare", "--user", "--map-root-user", "--net"),
            *(sys.executable, "-m", "tests.process.wire"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        descriptor = process.stdout.readline().strip()
        if not descriptor:
            _, why = process.communicate()
            pytest.skip(f"network namespaces cannot be made here: {why.strip().splitlines()[-1]}")
        yield Line(process, descriptor)
    finally:
        process.kill()
        process.communicate()


def test_a_worker_over_a_slow_and_lossy_line_joins_is_cut_off_and_comes_back(
    machines: Machines, tmp_path: Path
) -> None:
    endpoint = f"tcp://{FIRST}:7788"
    with bad_line() as line:
        serve = ("gateway", "serve", "--devnet", "--blocks", str(FAR_BLOCKS))
        server = machines.start("gateway", *serve, at=line.node)
        node = machines.start(
            *("node", "--db-path", f"{tmp_path}/db", *custom_network("http://127.0.0.1:8085")),
            *EACH_BLOCK,
            *("--verify-workers", "0", "--broker-listen", endpoint),
            *("--broker-keys", str(machines.keys)),
            at=line.node,
        )
        wait_for(lambda: "Listening for workers" in node.text(), node, server)
        first = machines.worker("first", endpoint, at=line.worker)
        wait_for(lambda: node.stored() > 3, node, first)

        line.cut()
        assert first.process.wait(10) == 75, first.text()
        assert "Broker is lost" in first.text()
        wait_for(lambda: "Worker is lost" in node.text(), node, seconds=10)
        line.cut()

        stored = node.stored()
        assert stored < FAR_BLOCKS, "the node was done before the cut: lengthen the chain"
        second = machines.worker("second", endpoint, at=line.worker)
        wait_for(lambda: node.stored() == FAR_BLOCKS, node, second)
        assert second.stop() == 0, second.text()
        assert node.stop() == 0
        assert node.text().count("Worker is lost") == 1
