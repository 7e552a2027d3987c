"""docs/guide.md as what is run: its commands by setting, and a shell that runs them at paths and ports of a test.

A block of commands opens with ``sh SETTING`` behind the fence, a block of lines that are then seen with ``text``. There
``…`` stands for anything, and a word such as ``BROKER_KEY`` for what later commands are given in its place.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.process.nodes import clean_env

PAGE = Path(__file__).resolve().parent.parent / "docs" / "guide.md"
# Which file runs the commands of a setting.
AT_A_NODE = frozenset({"install", "node", "start", "stopped"})  # tests/ops/test_guide_typed.py
WITH_PROGRAMS = frozenset({"engine", "prometheus", "root"})  # tests/ops/test_guide.py
HELD = re.compile(r"\b[A-Z]+_(?:KEY|ID)\b")
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SECONDS_MAX = 240.0  # installing compiles the kernel


@dataclass(frozen=True)
class Block:
    """Commands of one setting, and the lines that are to be seen then, in any order."""

    setting: str
    commands: str
    seen: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the commands, one a line."""
        return self.commands.replace("\\\n", " ").splitlines()


def blocks(settings: frozenset[str]) -> list[Block]:
    """Return the blocks of these settings in the order of the page."""
    return [block for block in _every_block() if block.setting in settings]


def _every_block() -> Iterator[Block]:
    last: Block | None = None
    for kind, text in FENCE.findall(PAGE.read_text()):
        if kind.startswith("sh"):
            if last is not None:
                yield last
            last = Block(kind.partition(" ")[2], text)
        elif last is not None:
            yield Block(last.setting, last.commands, tuple(text.splitlines()))
            last = None
    if last is not None:
        yield last


class Shell:
    """A shell in ``folder``, whose home is ``home``; ``places`` maps words of the page to what stands for them here."""

    def __init__(
        self, folder: Path, home: Path, places: Mapping[str, str], env: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._places = dict(places)
        self._env = {**clean_env(), "HOME": str(home), **env}
        self._exports = home / ".exports"  # what one block exports the next ones have
        self._held: dict[str, str] = {}

    def run(self, block: Block) -> None:
        """Run a block to its end; fails where a command does, or where what is to be seen is not."""
        kept = f'. "{self._exports}"' if self._exports.exists() else ":"
        script = f'set -e\n{kept}\n{self.here(block.commands)}\nexport -p > "{self._exports}"'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, f"{block.commands}\n{done.stdout}{done.stderr}"
        missing = self.missing(block, done.stdout)
        assert missing is None, f"{block.commands}\nnever says {missing!r}:\n{done.stdout}"

    def start(self, block: Block, log: Path) -> "subprocess.Popen[bytes]":
        """Start a block's one command as the terminal's foreground job; what it says goes to ``log``."""
        (command,) = block.lines()
        with log.open("wb") as output:
            return subprocess.Popen(
                ["bash", "-c", f'. "{self._exports}"\nexec {self.here(command)}'],
                cwd=self._folder,
                env=self._env,
                stdout=output,
                stderr=output,
                process_group=0,
            )

    def here(self, text: str) -> str:
        """Return text of the page with what stands for its places here."""
        words = sorted({**self._places, **self._held}.items(), key=lambda pair: -len(pair[0]))
        pattern = "|".join(rf"(?<![\w.]){re.escape(word)}(?!\w)" for word, _ in words)
        known = dict(words)
        return re.sub(pattern, lambda found: known[found[0]], text)

    def missing(self, block: Block, output: str) -> str | None:
        """Return the first line that is to be seen and is not; None if all are."""
        text = "\n".join(_even(line) for line in output.splitlines())
        for line in block.seen:
            found = re.search(f"^{self._pattern(line)}$", text, re.MULTILINE)
            if found is None:
                return line
            self._held.update(found.groupdict())
        return None

    def _pattern(self, line: str) -> str:
        escaped = re.escape(_even(self.here(line))).replace("…", ".*")
        return HELD.sub(lambda word: rf"(?P<{word[0]}>\S+)", escaped)


def _even(line: str) -> str:
    return " ".join(line.split())
