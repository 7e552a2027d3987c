"""Containers without an engine: processes, each in network, mount and host name namespaces of its own.

A container sees its volumes at their paths, a read-only root, the host names of its networks, and is user 10001 without
capabilities. Nothing has a name in the system: what is left of a test that was killed is gone with its processes.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.process.nodes import HERA, clean_env, wait_until

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("ip", "unshare", "nsenter", "setpriv", "mount", "hostname")
USER = "10001"
STOP_SECONDS = 30.0  # as stop_grace_period
# Standard input closes when the test ends, however it ends. Its first line says that the network is there.
HOLD = "ip link set lo up; read -r _; read -r _"
ENTER = f"""
set -eu
read -r addresses
ip link set lo up
at=0
for address in $addresses; do
    ip address add "$address/24" dev "eth$at"
    ip link set "eth$at" up
    at=$((at + 1))
done
hostname "$1"
mount --bind "$2" /etc/hosts
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /run
shift 2
while [ "$1" != -- ]; do
    mkdir -p "$2"
    if [ "$1" = tmpfs ]; then mount -t tmpfs tmpfs "$2"; chmod 0700 "$2"; else mount --bind "$1" "$2"; fi
    if [ "$3" = ro ]; then mount -o remount,bind,ro "$2"; fi
    shift 3
done
shift
mount -o remount,bind,ro /
exec unshare --user --map-user={USER} --map-group={USER} setpriv --no-new-privs --pdeathsig=TERM -- "$@"
"""


def need() -> None:
    """Skip the test where namespaces cannot be made; in CI that is a failure."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    why = f"{', '.join(missing)} not on PATH" if missing else ""
    if os.geteuid():
        why = "it needs root"
    if not why:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"no network namespaces: {why}")
    pytest.skip(f"no network namespaces: {why}")


@dataclass(frozen=True)
class Mount:
    """What a container sees at ``target``: a folder of this machine, or a fresh tmpfs if ``source`` is None."""

    target: str
    source: Path | None = None
    read_only: bool = False

    def words(self) -> tuple[str, str, str]:
        return str(self.source or "tmpfs"), self.target, "ro" if self.read_only else "rw"


class Container:
    """One process and its log. ``argv`` beginning with ``hera`` runs this checkout's."""

    def __init__(
        self,
        name: str,
        log: Path,
        argv: Sequence[str],
        env: Mapping[str, str],
        mounts: Sequence[Mount],
    ) -> None:
        self.name, self._log = name, log
        self._env = {**clean_env(), **env, "PYTHONDONTWRITEBYTECODE": "1"}
        self.hosts = log.with_suffix(".hosts")
        self.hosts.write_text("127.0.0.1 localhost\n")
        words = [word for mount in mounts for word in mount.words()]
        for mount in mounts:
            if mount.source is not None:
                mount.source.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [
            "sh",
            "-c",
            ENTER,
            "sh",
            name.replace("_", "-"),
            str(self.hosts),
            *words,
            "--",
            *program(argv),
        ]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                ["unshare", "--net", "--mount", "--uts", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=self._env,
                cwd=ROOT,
            )
        wait_until(lambda: is_apart(self.process), 20, self.text)

    def begin(self, addresses: Sequence[str]) -> None:
        """Let the process run, now that its network is there."""
        assert self.process.stdin is not None
        self.process.stdin.write((" ".join(addresses) + "\n").encode())
        self.process.stdin.flush()

    def text(self) -> str:
        """All that it has logged."""
        return self._log.read_text(errors="replace")

    def run(self, *argv: str, seconds: float = 30) -> subprocess.CompletedProcess[str]:
        """Run something else in the container, as ``docker exec`` does."""
        enter = ("nsenter", f"--target={self.process.pid}", "--net", "--mount", "--uts")
        return subprocess.run(
            [*enter, f"--wd={ROOT}", *program(argv)],
            capture_output=True,
            text=True,
            timeout=seconds,
            env=self._env,
            check=False,
        )

    def stop(self) -> int:
        """SIGTERM, then its exit code; it is killed where it takes longer than compose allows."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            assert self.process.stdin is not None
            self.process.stdin.close()


@dataclass
class _Bridge:
    """A network: its device, the first three numbers of its addresses, and who is on it by which names."""

    device: str
    prefix: str
    members: list[tuple[Container, str, tuple[str, ...]]] = field(default_factory=list)


class Machine:
    """What an engine does: networks, containers on them, and names for both."""

    def __init__(self, folder: Path, switch: "subprocess.Popen[bytes]") -> None:
        self.folder = folder
        self._switch = switch
        self._bridges: dict[str, _Bridge] = {}
        self._links = 0
        self.containers: list[Container] = []

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        networks: Mapping[str, Sequence[str]] | None = None,
        mounts: Sequence[Mount] = (),
    ) -> Container:
        """Start a container; ``networks`` are those it joins, each with the names it has there."""
        log = self.folder / f"{name}.log"
        container = Container(name, log, argv, env or {}, mounts)
        self.containers.append(container)
        joined = [
            self._join(container, at, network, tuple(names))
            for at, (network, names) in enumerate((networks or {}).items())
        ]
        container.begin(joined)
        return container

    def _join(self, container: Container, at: int, network: str, names: tuple[str, ...]) -> str:
        bridge = self._bridges.get(network) or self._bridge(network)
        address = f"{bridge.prefix}.{len(bridge.members) + 2}"
        link = f"link{self._links}"
        self._links += 1
        self._ip(
            f"link add {link} type veth peer name eth{at} netns {container.process.pid}",
            f"link set {link} master {bridge.device} up",
        )
        bridge.members.append((container, address, names))
        for each, _, _ in bridge.members:
            each.hosts.write_text(self._hosts(each))
        return address

    def _bridge(self, network: str) -> _Bridge:
        number = len(self._bridges)
        bridge = _Bridge(f"bridge{number}", f"10.77.{number}")
        self._bridges[network] = bridge
        self._ip(f"link add {bridge.device} type bridge", f"link set {bridge.device} up")
        return bridge

    def _hosts(self, container: Container) -> str:
        lines = ["127.0.0.1 localhost"]
        for bridge in self._bridges.values():
            if any(each is container for each, _, _ in bridge.members):
                lines += [f"{address} {' '.join(names)}" for _, address, names in bridge.members]
        return "\n".join(lines) + "\n"

    def _ip(self, *commands: str) -> None:
        enter = ("nsenter", f"--target={self._switch.pid}", "--net")
        subprocess.run(
            [*enter, "ip", "-batch", "-"],
            input="\n".join(commands).encode(),
            check=True,
            capture_output=True,
            timeout=20,
        )


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Give a machine to start containers on; all of them are stopped at the end, the last one first."""
    need()
    switch = subprocess.Popen(["unshare", "--net", "sh", "-c", HOLD], stdin=subprocess.PIPE)
    made = Machine(folder, switch)
    try:
        wait_until(lambda: is_apart(switch), 20, lambda: "no network namespace")
        yield made
    finally:
        for container in reversed(made.containers):
            if container.process.poll() is None:
                container.process.send_signal(signal.SIGTERM)
        for container in made.containers:
            container.stop()
        assert switch.stdin is not None
        switch.stdin.close()
        switch.wait(20)


def is_apart(process: "subprocess.Popen[bytes]") -> bool:
    """Whether the process has a network of its own, and the shell runs that waits for it; fails if it ended."""
    assert process.poll() is None, f"exit code {process.returncode}"
    of = Path("/proc", str(process.pid))
    other = (of / "ns" / "net").readlink() != Path("/proc/self/ns/net").readlink()
    return other and (of / "comm").read_text() == "sh\n"


def program(argv: Sequence[str]) -> list[str]:
    """Return what runs for a container's words: ``hera`` and ``python`` are of the image."""
    known = {"hera": HERA, "python": HERA[:1]}
    return [*known.get(argv[0], [argv[0]]), *argv[1:]]
