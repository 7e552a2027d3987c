"""docs/guide.md: what needs an engine, a service manager or Prometheus, as far as these can be had here."""

import fnmatch
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.guide import WITH_PROGRAMS, Block, Shell, blocks
from tests.ops import compose, prometheus, systemd
from tests.ops.containers import ROOT
from tests.process.nodes import answers, free_port, wait_until
from tests.process.nodes import run as hera

OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
WITH_A_VALUE = ("--scale", "--tail")
MANAGED = Path("etc/systemd/system")
VERBS = ("start", "stop", "restart", "status")


def of(setting: str) -> list[Block]:
    """The blocks of one setting."""
    assert setting in WITH_PROGRAMS
    return blocks(frozenset({setting}))


# ---- an engine: the real Compose reads files, profiles and options --------------------------------------------------


@pytest.mark.parametrize("line", [line for block in of("engine") for line in block.lines()])
def test_compose_knows_what_it_is_told(line: str) -> None:
    words = shlex.split(line)
    program = words.index("docker")
    assert words[program + 1] == "compose"
    env = dict(word.split("=", 1) for word in words[:program])
    assert all(f"{name}:" in compose.NODE.read_text() for name in env)
    given, verb, rest = _verb(words[program + 2 :])
    every = ("--profile", "feeder", "--profile", "monitoring")
    code, told, errors = compose.run(
        "docker-compose", *given, *every, "config", "--services", env=env
    )
    assert (code, errors) == (0, "")
    services = set(told.split())
    if verb == "exec":
        service, *argv = rest
        assert service in services
        assert argv[:2] == ["hera", "status"]
        assert set(OPTION.findall(" ".join(argv))) <= set(
            OPTION.findall(hera("status", "--help").stdout)
        )
        return
    usage = compose.run("docker-compose", verb, "--help")[1]
    assert f"docker compose {verb} " in usage.splitlines()[0], f"Compose knows no {verb}"
    known = set(OPTION.findall(usage))
    while rest:
        word = rest.pop(0)
        assert word in (known if word.startswith("-") else services), line
        if word in WITH_A_VALUE:
            value = rest.pop(0)
            assert value.isdecimal() or value.split("=")[0] in services, line


def _verb(words: list[str]) -> tuple[list[str], str, list[str]]:
    """Part the words in options for all of Compose, its command, and the command's own."""
    at = 0
    while words[at].startswith("-"):
        at += 2  # each has a value
    return words[:at], words[at], words[at + 1 :]


# ---- systemd: its own programs, on a folder in the place of / -------------------------------------------------------


def test_the_units_are_installed_and_enabled_as_typed(tmp_path: Path) -> None:
    systemd.need()
    if os.geteuid():
        systemd.refuse("to give files to another user needs root")
    (tmp_path / MANAGED).mkdir(parents=True)
    shell = Shell(ROOT, tmp_path, {"/etc": f"{tmp_path}/etc"}, _managed(tmp_path))
    for block in of("root"):
        for line in block.lines():
            _check_units(tmp_path / MANAGED, shlex.split(line))
        shell.run(block)
    wanted = tmp_path / MANAGED / "multi-user.target.wants"
    assert (wanted / "hera.target").is_symlink()
    assert (tmp_path / MANAGED / "hera.target.wants" / "hera-verify@4.service").is_symlink()
    key = tmp_path / "etc" / "hera" / "p2p.env"
    assert key.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"HERA_P2P_PRIVATE_KEY=[0-9a-f]{128}\n", key.read_text())
    assert (tmp_path / "var" / "lib" / "hera").stat().st_mode & 0o777 == 0o700


def _managed(root: Path) -> dict[str, str]:
    """Put programs on a PATH that work on ``root``: systemd's own, and ``hera``."""
    folder = root / "bin"
    folder.mkdir()
    real = {name: shutil.which(name) for name in ("systemd-sysusers", "systemd-tmpfiles")}
    for name, path in real.items():
        _script(folder / name, f'exec {path} --root={root} "$@"')
    # a unit is enabled for real; there is no manager to be told more
    _script(
        folder / "systemctl",
        f'[ "$1" != enable ] || exec {shutil.which("systemctl")} --root={root} enable "${{@:3}}"',
    )
    _script(folder / "journalctl", ":")
    _script(folder / "hera", f'PYTHONPATH={ROOT} exec {sys.executable} -m node "$@"')
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def _check_units(folder: Path, words: list[str]) -> None:
    """Fails where a command names a unit that was not installed, or is one that no test knows."""
    match words:
        case ["systemctl", "daemon-reload"]:
            return
        case ["systemctl", "enable", "--now", *units] | ["journalctl", "-u", *units]:
            pass
        case ["systemctl", verb, *units]:
            assert verb in VERBS
        case _:
            return
    there = [re.sub(r"@\.", "@1.", path.name) for path in folder.iterdir()]
    for unit in units:
        pattern = re.sub(r"@\d+", "@1", unit)
        assert fnmatch.filter(there, pattern) or fnmatch.filter(there, f"{pattern}.service"), unit


# ---- Prometheus -----------------------------------------------------------------------------------------------------


def test_prometheus_starts_as_typed(tmp_path: Path) -> None:
    prometheus.need()
    places = {"9091": str(free_port()), "9090": str(free_port())}
    shell = Shell(ROOT, tmp_path, places, {})
    for block in of("prometheus"):
        *before, serve = block.lines()
        shell.run(Block(block.setting, "\n".join(before)))
        log = tmp_path / "log"
        process = shell.start(Block(block.setting, serve), log)
        try:
            url = f"http://127.0.0.1:{places['9091']}"
            wait_until(lambda: answers(f"{url}/-/ready"), 30, log.read_text)  # noqa: B023
            assert answers(f"{url}/api/v1/alerts")
        finally:
            process.terminate()
            process.wait(20)
        assert (tmp_path / "prometheus").is_dir()
