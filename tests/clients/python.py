"""starknet-py in an environment of its own: its pins are not ours. ``python -m tests.clients.python`` installs it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import installing
from tests.scripts import Script

HERE = Path(__file__).resolve().parent
FOLDER = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"
DONE = FOLDER / ".requirements.txt"
INSTALL_SECONDS = 180


@contextmanager
def script(*arguments: str, log: Path) -> Iterator[Script]:
    """Run ``ask_rpc.py`` inside the block. Skips the test where nothing was installed."""
    if not DONE.exists():
        pytest.skip("starknet-py is not here: run `make clients`")
    command = [str(FOLDER / "bin" / "python"), str(HERE / "ask_rpc.py"), *arguments]
    running = Script(command, log=log)
    try:
        yield running
    finally:
        running.kill()


def install() -> None:
    """Install exactly what ``requirements.txt`` names, unless it is there. Raises Missing."""
    wanted = REQUIREMENTS.read_text()
    if DONE.exists() and DONE.read_text() == wanted:
        return
    python = [sys.executable, "-m", "venv", "--clear", str(FOLDER)]
    installing.run(python, "an environment for starknet-py", INSTALL_SECONDS)
    pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps"]
    installing.run([*pip, "-r", str(REQUIREMENTS)], "starknet-py", INSTALL_SECONDS, cwd=HERE)
    DONE.write_text(wanted)


if __name__ == "__main__":
    installing.main(install)
