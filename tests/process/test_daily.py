"""What an operator sees of a node that serves nothing over HTTP: its log, and `hera status` over its socket."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node import asking, status
from tests.process.nodes import HERA, clean_env, custom_network, gateway, run, wait_until

BLOCKS = 60
AT_HEAD = f"100.0 % | block {BLOCKS - 1}/{BLOCKS - 1} | at the head"


class Quiet:
    """A node without HTTP that follows a gateway."""

    def __init__(self, folder: Path, url: str, *more: str) -> None:
        self.db_path = folder / "db"
        self._log = folder / "log"
        words = ["--db-path", str(self.db_path), "--verify-workers", "1", *custom_network(url)]
        words += more
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*HERA, *words], stdout=log, stderr=log, env=clean_env()
            )

    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def status(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run("status", "--db-path", str(self.db_path), *words)

    def code(self) -> int:
        """The exit code that ``hera status`` would have, without its start."""
        return status.show(lambda: asking.over_broker(self.db_path), as_json=True)


@contextmanager
def quiet(folder: Path, url: str, *more: str) -> Iterator[Quiet]:
    node = Quiet(folder, url, *more)
    try:
        yield node
    finally:
        node.process.terminate()
        node.process.wait(20)


def two_looks(node: Quiet) -> tuple[list[str], int]:
    """Return the first two lines of a watch that is no terminal, and its exit code after Ctrl-C."""
    words = ("status", "--db-path", str(node.db_path), "--watch")
    with subprocess.Popen(
        [*HERA, *words], stdout=subprocess.PIPE, text=True, env=clean_env()
    ) as watching:
        assert watching.stdout is not None
        lines = [watching.stdout.readline().strip() for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        return lines, watching.wait(10)


def test_log_and_status_tell_of_a_sync_and_of_its_end(tmp_path: Path) -> None:
    with gateway("--devnet", "--blocks", str(BLOCKS)) as url, quiet(tmp_path, url) as node:
        wait_until(lambda: node.code() in (1, 2), 20, node.text)
        wait_until(lambda: AT_HEAD in node.text(), 60, node.text)
        assert node.text().count("Stored Block") < BLOCKS, "a line for each block of a sync"
        wait_until(lambda: node.code() == 0, 10, node.text)
        answer = node.status("--json")
        assert answer.returncode == 0
        told = json.loads(answer.stdout)
        assert (told["head"]["number"], told["syncing"], told["role"]) == (59, False, "gateway")
        assert [stage["name"] for stage in told["progress"]["stages"]] == [
            *("feeder", "verify", "commit")
        ]
        assert not any(name.startswith("status-") for name in told["workers"])
        assert two_looks(node) == ([AT_HEAD, AT_HEAD], 0)
    assert node.process.returncode == 0
    gone = node.status()
    assert (gone.returncode, gone.stderr.count("\n")) == (3, 1)


def test_a_node_without_its_gateway_is_unhealthy_and_says_why(tmp_path: Path) -> None:
    with quiet(tmp_path, "http://127.0.0.1:1", "--public-key", "0x1") as node:
        wait_until(lambda: node.code() == 2, 30, node.text)
        told = json.loads(node.status("--json").stdout)
        assert "127.0.0.1:1" in told["stuck"]
        wait_until(lambda: "| stuck: http://127.0.0.1:1/" in node.text(), 30, node.text)
