"""The docker commands of a page, carried out by ``tests.ops.containers``, as far as these know them.

``$NAME`` is filled from ``words``. Images are not built; nothing is published on the machine's own ports.
"""

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template

from tests.ops.compose import image_env
from tests.ops.containers import Container, Machine, Mount
from tests.process.nodes import run as run_hera


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
    _kept: dict[str, _Kept] = field(default_factory=dict)

    def do(self, line: str) -> None:
        """Carry out one command; an assertion fails where the real one would."""
        program, *rest = shlex.split(Template(line).substitute(self.words))
        assert program == "docker", line
        match rest:
            case ["build", *_]:
                pass
            case ["network", "create", name]:
                self.networks.add(name)
            case ["network", "rm", name]:
                self.networks.remove(name)
            case ["run", *words]:
                self._run(words)
            case ["logs", name]:
                self.printed.append(self.running[name].text())
            case ["exec", name, *argv]:
                done = self.running[name].run(*argv)
                assert done.returncode == 0, done.stderr
                self.printed.append(done.stdout)
            case ["stop", *names]:
                for name in names:
                    assert self.running[name].stop() == 0, self.running[name].text()
            case ["start", name]:
                self._kept[name].starts += 1
                self._start(name)
            case ["rm", *names]:
                for name in names:
                    assert self.running.pop(name).process.poll() is not None
                    del self._kept[name]
            case ["volume", "rm", *names]:
                for name in names:
                    assert (self.machine.folder / name).is_dir()
            case _:
                raise AssertionError(f"not known: {line}")

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
            done = run_hera(*found.argv)
            assert done.returncode == 0, done.stderr
            self.printed.append(done.stdout)
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
