"""Starts real nodes and gateways as a person would, and waits for what they say of themselves."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

HERA = [sys.executable, "-m", "node"]
PATIENCE_SECONDS = 120.0
EACH_BLOCK = ("--log-level", "debug")  # a "Stored Block" for each block, also while syncing


class Node:
    """One ``hera`` process with a log file of its own."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.name = name
        self.db_path = folder / name
        self.http_port = free_port()
        self.log = folder / f"{name}.log"
        self._arguments = arguments
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [
            *HERA,
            "--db-path",
            str(self.db_path),
            "--http",
            "--http-port",
            str(self.http_port),
        ]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*command, *self._arguments], stdout=log, stderr=log, env=clean_env()
            )

    def status(self) -> dict[str, Any] | None:
        """What ``/status`` answers; None while nothing answers."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.http_port}/status", timeout=5
            ) as answer:
                status: dict[str, Any] = json.load(answer)
                return status
        except (urllib.error.URLError, ConnectionError, TimeoutError, json.JSONDecodeError):
            return None

    def head(self) -> int:
        """The stored head's number; -1 for an empty store."""
        status = self.status()
        return -1 if status is None or status["head"] is None else int(status["head"]["number"])

    def wait_head(self, number: int, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait until block ``number`` is stored; return the status then."""
        wait_until(lambda: self.head() >= number, seconds, lambda: self._story(f"head {number}"))
        status = self.status()
        assert status is not None
        return status

    def wait_log(self, text: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the log says ``text``."""
        wait_until(lambda: text in self.text(), seconds, lambda: self._story(f"log line {text!r}"))

    def text(self) -> str:
        """All that the node has logged."""
        return self.log.read_text(errors="replace")

    def child(self, title: str) -> psutil.Process | None:
        """The node's process whose title is ``hera: <title>``, if it runs."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if f"hera: {title}" in " ".join(child.cmdline()):
                    return child
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return None

    def family(self) -> list[psutil.Process]:
        """The node's processes, the supervisor first."""
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def stop(self) -> int:
        """SIGTERM, then its exit code; fails where it takes more than 10 seconds."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)

    def restart(self) -> None:
        """Start the same node again on the same store."""
        assert self.process.poll() is not None
        self.process = self._start()

    def kill(self) -> None:
        """Leave nothing of it running."""
        if self.process.poll() is None:
            family = [*psutil.Process(self.process.pid).children(recursive=True)]
            self.process.kill()
            self.process.wait()
            for process in family:
                if process.is_running():
                    process.kill()

    def _story(self, what: str) -> str:
        return f"{self.name} never reached {what}; status {self.status()}; log ends:\n{self.text()[-4000:]}"


@contextmanager
def nodes(folder: Path) -> Iterator[Callable[..., Node]]:
    """Give a maker of nodes; all of them are gone at the end."""
    made: list[Node] = []

    def make(name: str, *arguments: str) -> Node:
        made.append(Node(folder, name, *arguments))
        return made[-1]

    try:
        yield make
    finally:
        for node in made:
            node.kill()


@contextmanager
def gateway(*arguments: str, port: int = 0) -> Iterator[str]:
    """Serve a local feeder gateway, on a free port unless one is given; give its base URL."""
    port = port or free_port()
    process = subprocess.Popen(
        [*HERA, "gateway", "serve", *arguments, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_env(),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/feeder_gateway/is_alive"), 60, lambda: "no gateway")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def answers(url: str) -> bool:
    """Whether a GET of ``url`` is answered."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def wait_until(holds: Callable[[], bool], seconds: float, story: Callable[[], str]) -> None:
    """Poll until ``holds``; fail with ``story`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, story()
        time.sleep(0.05)


def clean_env() -> dict[str, str]:
    """Return the environment without any of Hera's own variables."""
    return {key: value for key, value in os.environ.items() if not key.startswith("HERA_")}


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(*arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run ``hera`` with ``arguments`` to its end."""
    return subprocess.run(
        [*HERA, *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=clean_env(),
        check=False,
    )


def feeding() -> tuple[list[str], str]:
    """The options of a feeder node on loopback, and its address for other nodes."""
    options, address = listening()
    return [*options, "--p2p-feeder-node"], address


def listening() -> tuple[list[str], str]:
    """The options of a node with p2p on loopback, and its address for other nodes."""
    private_key, peer_id = key_pair()
    address = f"/ip4/127.0.0.1/tcp/{free_port()}"
    options = ["--p2p", "--p2p-private-key", private_key, "--p2p-addr", address]
    return options, f"{address}/p2p/{peer_id}"


def key_pair() -> tuple[str, str]:
    """Make a key: (private key in hex, PeerID), by ``hera genp2pkeypair``."""
    lines = run("genp2pkeypair").stdout.splitlines()
    return lines[0].split(": ")[1], lines[2].split(": ")[1]


def custom_network(url: str) -> list[str]:
    """Return the flags of a generated chain's network whose gateway is at ``url``."""
    return [
        *(
            "--cn-name",
            "devnet",
            "--cn-feeder-url",
            f"{url}/feeder_gateway/",
            "--cn-gateway-url",
            f"{url}/gateway/",
        ),
        *("--cn-l1-chain-id", "1", "--cn-l2-chain-id", "SN_HERA_DEVNET"),
        *("--cn-core-contract-address", "0x1", "--cn-unverifiable-range", "0,0"),
    ]
