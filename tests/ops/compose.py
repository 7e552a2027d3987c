"""The compose files as the real Compose reads them, and a project of one run in ``tests.ops.containers``.

``make ops`` installs the programs from PyPI (the extra ``ops`` in setup.cfg).
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.ops.containers import ROOT, Container, Machine, Mount
from tests.process.nodes import clean_env, wait_until

NODE = ROOT / "docker-compose.yml"
NETWORK = ROOT / "configs" / "compose" / "network.yml"
FEEDER = ROOT / "configs" / "compose" / "feeder.env"
OUTSIDE = "outside"
PATIENCE_SECONDS = 120.0


def tool(name: str) -> str:
    """Return the path of a program that ``make ops`` installs; without it the test is skipped, in CI it fails."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is not None:
        return found
    missing = f"{name} is not here: run `make ops`, or pip install -e '.[ops]'"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def run(name: str, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run one of them to its end; return exit code, output and errors."""
    done = subprocess.run(
        [tool(name), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={**clean_env(), **(env or {})},
    )
    return done.returncode, done.stdout, done.stderr


def config(
    file: Path, *options: str, env: Mapping[str, str] | None = None, profiles: Sequence[str] = ()
) -> dict[str, Any]:
    """Return a compose file as Compose understands it."""
    wanted = [word for profile in profiles for word in ("--profile", profile)]
    code, out, errors = run(
        "docker-compose", "-f", str(file), *wanted, *options, "config", "--format=json", env=env
    )
    assert (code, errors) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def image_env() -> dict[str, str]:
    """Return the variables of Hera that the Dockerfile sets."""
    text = (ROOT / "Dockerfile").read_text()
    return dict(re.findall(r"^(?:ENV|   ) (HERA_[A-Z_]+)=(\S+)", text, re.MULTILINE))


@dataclass
class Project:
    """One project: its services run on ``machine``, whose network OUTSIDE is that of all projects."""

    machine: Machine
    name: str
    config: dict[str, Any]
    running: dict[str, list[Container]] = field(default_factory=dict)

    def up(self, **scale: int) -> None:
        """Start every service in the order that ``depends_on`` demands, as ``docker compose up`` does."""
        for service in self._ordered():
            for condition in self._conditions(service):
                self._wait(*condition)
            count = scale.get(service, 1)
            self.running[service] = [self._start(service, number) for number in range(1, count + 1)]

    def folder(self, volume: str) -> Path:
        """Return the folder that is a named volume."""
        return self.machine.folder / f"{self.name}-volumes" / volume

    def containers(self) -> Iterator[tuple[str, Container]]:
        for service, found in self.running.items():
            yield from ((service, container) for container in found)

    def ailing(self) -> list[str]:
        """Return the containers whose health check does not pass; a one-shot service has none."""
        return [
            container.name
            for service, container in self.containers()
            if "test" in self.config["services"][service]["healthcheck"]
            and not self.is_healthy(service, container)
        ]

    def is_healthy(self, service: str, container: Container) -> bool:
        """Whether the service's health check passes in the container."""
        return (
            container.run(*self.config["services"][service]["healthcheck"]["test"][1:]).returncode
            == 0
        )

    def status(self, service: str, url: str) -> dict[str, Any] | None:
        """Return what ``hera status`` says in a service's container; None while nothing answers."""
        told = self.running[service][0].run("hera", "status", "--json", "--url", url)
        try:
            found: dict[str, Any] = json.loads(told.stdout)
        except ValueError:
            return None
        return found

    def wait_head(self, number: int, service: str, url: str) -> dict[str, Any]:
        """Wait until the node has stored block ``number``; return its head."""
        heads: list[dict[str, Any]] = []

        def reached() -> bool:
            status = self.status(service, url)
            heads.append((status or {}).get("head") or {"number": -1})
            return bool(heads[-1]["number"] >= number)

        wait_until(reached, PATIENCE_SECONDS, self.story)
        return heads[-1]

    def story(self) -> str:
        """Return the last words of every container."""
        return "\n".join(
            f"---- {container.name}: {container.process.poll()}\n{container.text()[-700:]}"
            for _, container in self.containers()
        )

    def down(self) -> dict[str, int]:
        """Stop every container, dependents first; return their exit codes by name."""
        return {
            container.name: container.stop()
            for service in reversed(list(self.running))
            for container in self.running[service]
        }

    def _ordered(self) -> list[str]:
        services = self.config["services"]
        ordered: list[str] = []
        while len(ordered) < len(services):
            ready = [
                name
                for name, service in services.items()
                if name not in ordered and set(service.get("depends_on", {})) <= set(ordered)
            ]
            assert ready, "services depend on each other in a circle"
            ordered += ready
        return ordered

    def _conditions(self, service: str) -> Iterator[tuple[str, str]]:
        for name, needs in self.config["services"][service].get("depends_on", {}).items():
            yield name, needs["condition"]

    def _wait(self, service: str, condition: str) -> None:
        for container in self.running[service]:
            if condition == "service_completed_successfully":
                assert container.process.wait(PATIENCE_SECONDS) == 0, container.text()
            elif condition == "service_healthy":
                wait_until(
                    lambda: self.is_healthy(service, container),  # noqa: B023
                    PATIENCE_SECONDS,
                    container.text,
                )

    def _start(self, service: str, number: int) -> Container:
        found = self.config["services"][service]
        given = {key: value for key, value in found.get("environment", {}).items() if value}
        return self.machine.start(
            f"{self.name}-{service}-{number}",
            ["hera", *found["command"]],
            env={**image_env(), **given},
            networks={
                self._network(network): self._names(service, network)
                for network in found.get("networks", {})
            },
            mounts=[*self._volumes(found), *_tmpfs(found)],
        )

    def _network(self, network: str) -> str:
        return network if network == OUTSIDE else f"{self.name}-{network}"

    def _names(self, service: str, network: str) -> tuple[str, ...]:
        return (f"{self.name}-{service}",) if network == OUTSIDE else (service,)

    def _volumes(self, service: Mapping[str, Any]) -> Iterator[Mount]:
        for volume in service.get("volumes", ()):
            yield Mount(
                volume["target"], self.folder(volume["source"]), volume.get("read_only", False)
            )


def _tmpfs(service: Mapping[str, Any]) -> Iterator[Mount]:
    """The fresh folders of a service, but for /tmp: the checkout may lie there."""
    for each in service.get("tmpfs", ()):
        target = each.partition(":")[0]
        if target != "/tmp":
            yield Mount(target)
