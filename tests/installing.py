"""Installs what a suite needs beside Python: runs the installer within a time, and says in one line what went wrong."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Missing(Exception):
    """What cannot be found or installed; the text is one line that says what to do."""


def run(
    command: Sequence[str],
    what: str,
    seconds_max: float,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run an installer of ``what`` to its end. Raises Missing."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Missing(
            f"cannot install {what} in {seconds_max:.0f} s: is the package index slow?"
        ) from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reasons = [line for line in lines if "error" in line.lower()] or lines[-1:]
        why = reasons[0] if reasons else f"exit code {done.returncode}"
        raise Missing(f"cannot install {what}: {why} (is a package index reachable?)")


def debian(
    programs: Sequence[str], packages: Sequence[str], missing: str, seconds_max: float
) -> None:
    """Install packages of Debian unless the programs are there; no service is started.

    Raises Missing; the text is ``missing`` where nobody can.
    """
    if all(shutil.which(program) for program in programs):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise Missing(missing)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        run(command, " ".join(packages), seconds_max, env=quiet)


def main(install: Callable[[], None]) -> None:
    """Install as a program; one line and exit code 1 where that cannot be."""
    try:
        install()
    except Missing as error:
        sys.exit(f"Error: {error}")
