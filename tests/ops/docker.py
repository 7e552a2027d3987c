"""The docker commands of a page, carried out by ``tests.ops.containers``, as far as these know them.

``$NAME`` is filled from ``words``. Images are not built; nothing is published on the machine's own ports.
"""

import argparse
import shlex
import shutil
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from string import Template

from tests.ops.compose import NODE, Project, config, image_env
from tests.ops.containers import ROOT, Container, Machine, Mount
from tests.process.nodes import run as run_hera

STATUS = (0, 1)  # of `hera status`: synced, syncing


@dataclass
class _Kept:
    """What ``docker start`` needs of a container that was stopped."""

    argv: list[str]
    network: str
    mounts: list[Mount]
    starts: int = 1


@dataclass
class Docker:
    """An engine's state: containers by name, and networks and volumes that were not removed."""

    machine: Machine
    words: dict[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    running: dict[str, Container] = field(default_factory=dict)
    networks: set[str] = field(default_factory=set)
    printed: list[str] = field(default_factory=list)
    project: Project | None = None
    _kept: dict[str, _Kept] = field(default_factory=dict)

    def do(self, line: str) -> None:
        """Carry out one command; an assertion fails where the real one would."""
        program, verb, *rest = shlex.split(Template(line).substitute(self.words))
        assert program == "docker", line
        known: dict[str, Callable[[list[str]], None]] = {
            "build": lambda _: None,
            "network": self._network,
            "volume": self._volume,
            "run": self._run,
            "logs": self._logs,
            "exec": self._exec,
            "stop": self._stop,
            "start": self._start_again,
            "rm": self._rm,
            "compose": self._compose,
        }
        known[verb](rest)

    def _network(self, words: list[str]) -> None:
        verb, name = words
        {"create": self.networks.add, "rm": self.networks.remove}[verb](name)

    def _volume(self, words: list[str]) -> None:
        assert words[0] == "rm"
        for name in words[1:]:
            shutil.rmtree(self.machine.folder / name)

    def _logs(self, words: list[str]) -> None:
        self.printed.append(self.running[words[0]].text())

    def _exec(self, words: list[str]) -> None:
        self._say(self.running[words[0]].run(*words[1:]), codes=STATUS)

    def _stop(self, names: list[str]) -> None:
        for name in names:
            assert self.running[name].stop() == 0, self.running[name].text()

    def _start_again(self, words: list[str]) -> None:
        (name,) = words
        self._kept[name].starts += 1
        self._start(name)

    def _rm(self, names: list[str]) -> None:
        for name in names:
            assert self.running.pop(name).process.poll() is not None
            del self._kept[name]

    def _compose(self, words: list[str]) -> None:
        match words:
            case ["build"]:
                assert "build" in config(NODE)["services"]["keys"]
            case ["-f", file, "up", "-d"]:
                self.project = Project(self.machine, "compose", config(ROOT / file, env=self.env))
                self.project.up()
            case ["-f", _, "exec", service, *argv]:
                self._say(self._of_project().running[service][0].run(*argv), codes=STATUS)
            case ["-f", _, "down"]:
                codes = self._of_project().down()
                assert set(codes.values()) == {0}, self._of_project().story()
            case _:
                raise AssertionError(f"not known: docker compose {words}")

    def _of_project(self) -> Project:
        assert self.project is not None
        return self.project

    def _say(self, done: "subprocess.CompletedProcess[str]", codes: Collection[int] = (0,)) -> None:
        assert done.returncode in codes, done.stderr
        assert not done.stderr
        self.printed.append(done.stdout)

    def _run(self, words: list[str]) -> None:
        parser = argparse.ArgumentParser(exit_on_error=False)
        parser.add_argument("--rm", action="store_true")
        parser.add_argument("-d", action="store_true")
        parser.add_argument("--name")
        parser.add_argument("--network")
        parser.add_argument("-p", action="append")
        parser.add_argument("-v", action="append", default=[])
        parser.add_argument("image")
        parser.add_argument("argv", nargs=argparse.REMAINDER)
        found = parser.parse_args(words)
        assert found.image.startswith("hera:")
        if not found.d:
            self._say(run_hera(*found.argv))
            return
        assert found.network in self.networks
        mounts = [self._mount(volume) for volume in found.v]
        self._kept[found.name] = _Kept(["hera", *found.argv], found.network, mounts)
        self._start(found.name)

    def _mount(self, volume: str) -> Mount:
        name, target = volume.split(":")
        return Mount(target, self.machine.folder / name)

    def _start(self, name: str) -> None:
        kept = self._kept[name]
        self.running[name] = self.machine.start(
            f"{name}-{kept.starts}",
            kept.argv,
            env={**image_env(), **self.env},
            networks={kept.network: (name,)},
            mounts=kept.mounts,
        )
