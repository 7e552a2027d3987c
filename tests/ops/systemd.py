"""A real systemd: finds it, or installs Debian's, and runs a user manager in namespaces, where it can break nothing.

The manager is never the system's. Its units see this project as /opt/hera, a user ``hera`` and a store in
/var/lib/hera; all of it is gone with the first process of the namespaces. ``python -m tests.ops.systemd`` installs
what is missing.
"""

import os
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests import installing
from tests.process.nodes import wait_until

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "configs" / "systemd"
PROGRAMS = ("systemd-analyze", "systemctl", "systemd-sysusers", "unshare", "nsenter", "mount")
PACKAGES = ("systemd", "util-linux", "mount")
INSTALL_SECONDS = 300
MISSING = "systemd is missing: run `make ops` as root on Debian, or install " + ", ".join(PACKAGES)
HIERARCHIES = ("unified", "systemd", "")
PROPERTIES = "ActiveState,StatusText,MainPID,NRestarts,Result,ExecMainStatus"
START_SECONDS = 20.0
STEP_SECONDS = 45.0  # for whatever is waited for


def need() -> None:
    """Skip the test where systemd's programs are not; in CI that is a failure."""
    if not all(shutil.which(program) for program in PROGRAMS):
        refuse(MISSING)


def refuse(why: str) -> None:
    """Skip the test, saying why; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def run(*command: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    need()
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=env, cwd="/"
    )


class Manager:
    """A running user manager. ``out`` has a log of each unit, and is /opt/out to them."""

    def __init__(self, pid: int, out: Path) -> None:
        self._enter = ("nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--ipc")
        self._pid = pid
        self.out = out
        self.only_net = ("nsenter", f"--target={pid}", "--net")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program where the units run, as root."""
        plain = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": "/run/manager"}
        return run(*self._enter, *command, env=plain)

    def systemctl(self, *words: str) -> str:
        """Tell the manager something; fails where it refuses."""
        done = self.run("systemctl", "--user", "--no-pager", *words)
        assert done.returncode == 0, f"systemctl {' '.join(words)}: {done.stderr}{self.story()}"
        return done.stdout

    def show(self, unit: str) -> dict[str, str]:
        """Return properties of a unit."""
        told = self.systemctl("show", f"--property={PROPERTIES}", unit)
        pairs = (line.partition("=") for line in told.splitlines())
        return {name: value for name, _, value in pairs}

    def wait(self, unit: str, **wanted: str) -> dict[str, str]:
        """Wait until a unit has these properties; return all of them."""
        found: dict[str, str] = {}

        def holds() -> bool:
            found.update(self.show(unit))
            assert found["ActiveState"] != "failed", (
                f"{unit}: {found['ExecMainStatus']} {self.story()}"
            )
            return all(found[name] == value for name, value in wanted.items())

        wait_until(holds, STEP_SECONDS, lambda: f"{unit} is never {wanted}: {self.story()}")
        return found

    def wait_active(self, *units: str) -> None:
        """Wait until the units are up."""
        for unit in units:
            self.wait(unit, ActiveState="active")

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds; fail with the story of all units."""
        wait_until(holds, STEP_SECONDS, self.story)

    def change(self, unit: str, setting: str) -> None:
        """Change a unit as an operator would, before it starts."""
        folder = f"/opt/units/{unit}.d"
        done = self.run(
            "sh", "-c", f"mkdir {folder}; printf '[Service]\n{setting}\n' > {folder}/x.conf"
        )
        assert done.returncode == 0, done.stderr
        self.systemctl("daemon-reload")

    def wait_status(self, unit: str, words: str) -> None:
        """Wait until a unit says these words in its status."""
        wait_until(
            lambda: words in self.show(unit)["StatusText"],
            STEP_SECONDS,
            lambda: f"{unit} says {self.show(unit)['StatusText']!r}, not {words!r}",
        )

    def kill(self, unit: str, signal: str) -> None:
        """Send a signal to the main process of a unit."""
        self.systemctl("kill", f"--signal={signal}", "--kill-who=main", unit)

    def active(self) -> list[str]:
        """Return the services that are not at rest."""
        listed = self.systemctl("list-units", "--plain", "--no-legend", "hera*.service")
        return [line.split()[0] for line in listed.splitlines()]

    def processes(self) -> list[str]:
        """Return the command lines of Hera's processes that run."""
        found: list[str] = []
        for child in psutil.Process(self._pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found.append(" ".join(child.cmdline()))
        return [line for line in found if line.startswith("hera") or "-m node" in line]

    def logs(self) -> str:
        """Return what the units have logged."""
        return "\n".join(path.read_text(errors="replace") for path in self.out.glob("*.log"))

    def story(self) -> str:
        """Return the units' states and the end of their logs."""
        states = self.run("systemctl", "--user", "--no-pager", "--all", "list-units", "hera*")
        ends = [
            f"{p.name}: {p.read_text(errors='replace')[-1500:]}" for p in self.out.glob("*.log")
        ]
        return "\n".join([states.stdout, *ends])


@contextmanager
def manager(folder: Path, settings: Mapping[str, str]) -> Iterator[Manager]:
    """Run a user manager that knows the shipped units; ``settings`` are in its /etc/hera/hera.env."""
    need()
    if os.geteuid():
        refuse("a user manager in namespaces needs root")
    out = folder / "out"
    out.mkdir()
    _write(out / "hera", _program(), 0o755)
    _write(out / "hera.env", "".join(f"{k}={v}\n" for k, v in settings.items()), 0o600)
    with ExitStack() as stack:
        groups = stack.enter_context(_control_groups())
        log = stack.enter_context((folder / "manager.log").open("wb"))
        process = subprocess.Popen(
            [*_JOIN, *_UNSHARE, "bash", str(ROOT / "tests/ops/namespace.sh"), *_folders(out)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**_ENVIRONMENT, "PATH": os.environ["PATH"], "GROUPS_TO_JOIN": ":".join(groups)},
        )
        stack.callback(_end, process)
        assert process.stdout is not None
        if process.stdout.readline() != b"up\n":
            refuse(f"no user manager can run here: {(folder / 'manager.log').read_text()[-500:]}")
        (first,) = psutil.Process(process.pid).children()
        found = Manager(first.pid, out)
        answers = ("systemctl", "--user", "is-active", "default.target")
        wait_until(
            lambda: found.run(*answers).returncode == 0,
            START_SECONDS,
            (folder / "manager.log").read_text,
        )
        yield found


# the shell joins its control groups by itself, so that this process stays in its own
_JOIN = (
    "bash",
    "-c",
    'IFS=:; for group in $GROUPS_TO_JOIN; do echo $$ > "$group/cgroup.procs"; done; exec "$@"',
    "join",
)
_UNSHARE = (
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--ipc"),
    *("--propagation", "private"),
)
_ENVIRONMENT = {
    "XDG_RUNTIME_DIR": "/run/manager",
    "XDG_CONFIG_HOME": "/var/lib",  # %S
    "HOME": "/run/home",
    "SYSTEMD_UNIT_PATH": "/opt/units",  # without a ":" at its end, which would add the defaults
    "SYSTEMD_GENERATOR_PATH": "/run/generators",
    "SYSTEMD_LOG_TARGET": "console",
    "SYSTEMD_LOG_LEVEL": "warning",
}


def _program() -> str:
    """A ``hera`` of this project for a user who cannot enter root's home, where Python may be."""
    python = f"/opt/hera/python/bin/python{sysconfig.get_python_version()}"
    return f"""#!/bin/sh
export PYTHONPATH=/opt/hera/project:/opt/hera/packages PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=/opt/hera/python/lib
exec {python} -m node "$@"
"""


def _folders(out: Path) -> tuple[str, ...]:
    return str(ROOT), site.getsitepackages()[0], sys.base_prefix, str(UNITS), str(out)


def _write(path: Path, text: str, mode: int) -> None:
    path.write_text(text)
    path.chmod(mode)


@contextmanager
def _control_groups() -> Iterator[list[str]]:
    """Make a group of our own in each hierarchy, and remove all that is below it."""
    roots = [Path("/sys/fs/cgroup") / name for name in HIERARCHIES]
    made = [
        root / f"hera-test-{os.getpid()}"
        for root in roots
        if os.access(root / "cgroup.procs", os.W_OK)
    ]
    if not made:
        refuse("a user manager needs control groups that it may write: /sys/fs/cgroup is read-only")
    try:
        for group in made:
            group.mkdir()
        yield [str(group) for group in made]
    finally:
        for group in made:
            wait_until(lambda: _remove(group), 10, lambda: f"{group} is still in use")  # noqa: B023


def _remove(group: Path) -> bool:
    for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        if _is_used(folder):
            return False
        folder.rmdir()
    if group.is_dir() and not _is_used(group):
        group.rmdir()
    return not group.exists()


def _is_used(group: Path) -> bool:
    return bool((group / "cgroup.procs").read_text())


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Close its input, at which the first process of the namespaces ends, and with it all others."""
    process.communicate(timeout=20)


def install() -> None:
    """Install Debian's packages where a program is missing. Raises Missing."""
    installing.debian(PROGRAMS, PACKAGES, MISSING, INSTALL_SECONDS)


if __name__ == "__main__":
    installing.main(install)
