"""A real Prometheus: finds it, or installs Debian's, runs it on loopback and asks it.

``python -m tests.ops.prometheus`` installs it where it is missing.
"""

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import installing
from tests.process.nodes import answers, free_port, wait_until

PROGRAMS = ("prometheus", "promtool", "amtool")
PACKAGES = ("prometheus", "prometheus-alertmanager")
INSTALL_SECONDS = 300
MISSING = (
    f"not all of {', '.join(PROGRAMS)} are on PATH: run `make ops` as root on Debian, "
    f"or install {' and '.join(PACKAGES)}"
)


def need() -> None:
    """Skip the test where Prometheus is not; in CI that is a failure."""
    if all(shutil.which(program) for program in PROGRAMS):
        return
    if os.environ.get("CI") == "true":
        pytest.fail(MISSING)
    pytest.skip(MISSING)


def promtool(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run promtool to its end."""
    return _run("promtool", arguments, given)


def amtool(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run Alertmanager's tool to its end."""
    return _run("amtool", arguments, b"")


def _run(
    program: str, arguments: Sequence[str], given: bytes
) -> subprocess.CompletedProcess[bytes]:
    need()
    return subprocess.run(
        [program, *arguments], input=given, capture_output=True, timeout=60, check=False
    )


class Prometheus:
    """A running one. ``folder`` has the shipped configuration, with other targets and a shorter interval."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expr: str) -> list[Any]:
        """Return the samples of an expression now; fails where it cannot be evaluated."""
        answer = self._get("query", query=expr)
        assert answer["status"] == "success", answer
        result: list[Any] = answer["data"]["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its health."""
        groups = self._get("rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _get(self, what: str, **values: str) -> dict[str, Any]:
        url = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(values)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


@contextmanager
def prometheus(config: Path, data: Path) -> Iterator[Prometheus]:
    """Run Prometheus on a free port with ``config``, its database in ``data``."""
    need()
    url = f"http://127.0.0.1:{(port := free_port())}"
    log = data.with_suffix(".log")
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={data}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=lines,
            stderr=lines,
        )
    try:
        wait_until(lambda: answers(f"{url}/-/ready"), 30, lambda: log.read_text()[-2000:])
        yield Prometheus(url)
    finally:
        process.terminate()
        process.wait(timeout=20)


def install() -> None:
    """Install Debian's packages where the programs are not there; their services are not started. Raises Missing."""
    installing.debian(PROGRAMS, PACKAGES, MISSING, INSTALL_SECONDS)


if __name__ == "__main__":
    installing.main(install)
