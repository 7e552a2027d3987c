"""docs/guide.md: what needs no other programs is typed as it stands there, by somebody who begins with nothing."""

import importlib.metadata
import os
import shutil
import signal
import site
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from starknet.devnet import Devnet
from tests.guide import AT_A_NODE, Block, Shell, blocks
from tests.process.nodes import custom_network, feeding, free_port, gateway, nodes, wait_until

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = 40  # more than the guide's `hera db revert` leaves
PUBLIC_KEY = hex(Devnet(seed=0, length=1).public_key)
PEER = "/ip4/203.0.113.7/tcp/7777/p2p/12D3KooW…"
PORTS = ("6060", "7777", "7788", "9090")
SETUPTOOLS_MIN = 71  # makes wheels by itself; a new Python environment may have an older one, and then pip fetches one
START_SECONDS = 90.0
STOP_SECONDS = 15.0
NOT_COPIED = (".*", "build", "*.egg-info", "__pycache__", "node_modules", "tests", "benchmarks")


class Operator:
    """Types the guide's commands, and waits for what it says is seen then."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        self._shell = shell
        self._folder = folder
        self._running: list[tuple[subprocess.Popen[bytes], Path]] = []

    def type(self, block: Block) -> None:
        """Do one block."""
        if block.setting == "start":
            self._start(block)
            return
        if block.setting == "stopped":
            self.stop()
        self._shell.run(block)

    def stop(self) -> None:
        """Press Ctrl-C in each terminal, the last one first."""
        while self._running:
            process, log = self._running.pop()
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(STOP_SECONDS) == 0, log.read_text()

    def leave(self) -> None:
        """Leave nothing running, whatever happened."""
        for process, _ in self._running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, block: Block) -> None:
        log = self._folder / f"{len(list(self._folder.glob('*.log')))}.log"
        process = self._shell.start(block, log)
        self._running.append((process, log))

        def is_seen() -> bool:
            assert process.poll() is None, log.read_text()
            return self._shell.missing(block, self._terminals()) is None

        wait_until(is_seen, START_SECONDS, self._terminals)

    def _terminals(self) -> str:
        return "".join(log.read_text(errors="replace") for _, log in self._running)


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    """Somebody with the project's files, beside a feeder node of a generated chain."""
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(*NOT_COPIED))
    home, logs = tmp_path / "home", tmp_path / "logs"
    home.mkdir()
    logs.mkdir()
    with ExitStack() as stack:
        url = stack.enter_context(gateway("--devnet", "--blocks", str(BLOCKS)))
        make = stack.enter_context(nodes(tmp_path))
        options, address = feeding()
        make("feeder", *custom_network(url), *options).wait_head(BLOCKS - 1)
        shell = Shell(project, home, places(tmp_path, url, address), packages())
        yield stack.enter_context(leaving(Operator(shell, logs)))


@contextmanager
def leaving(operator: Operator) -> Iterator[Operator]:
    try:
        yield operator
    finally:
        operator.leave()


def places(folder: Path, url: str, peer: str) -> dict[str, str]:
    """Return what stands here for paths, names and ports of the guide."""
    flags = [*custom_network(url), "--public-key", PUBLIC_KEY]
    pairs = zip(flags[::2], flags[1::2], strict=True)
    return {
        "/opt/hera": str(folder / "opt" / "hera"),
        "--network sepolia": " ".join(flags),
        'network = "sepolia"': "\n".join(f'{flag[2:]} = "{value}"' for flag, value in pairs),
        PEER: peer,
        "/ip4/0.0.0.0": "/ip4/127.0.0.1",
        "node.example.org": "127.0.0.1",
        **{port: str(free_port()) for port in PORTS},
    }


def packages() -> dict[str, str]:
    """Return the environment in which pip finds what Hera needs among this Python's packages, and fetches nothing."""
    told = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": site.getsitepackages()[0],
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    if setuptools() >= SETUPTOOLS_MIN:
        told["PIP_NO_BUILD_ISOLATION"] = "0"  # pip's way to say yes
    return told


def setuptools() -> int:
    """Return the main version of setuptools here, 0 if there is none."""
    try:
        return int(importlib.metadata.version("setuptools").partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return 0


@pytest.mark.timeout(600)  # it compiles the kernel, as whoever installs does
def test_the_guide_leads_from_nothing_to_a_node_and_back_as_typed(operator: Operator) -> None:
    for block in blocks(AT_A_NODE):
        operator.type(block)
    operator.stop()
