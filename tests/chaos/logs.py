"""What a node may say while its processes are killed: every other warning, error or stray line fails the test."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAMP = re.compile(r"\d\d:\d\d:\d\d\.\d{3} \d\d/\d\d/\d{4} \+00:00\t")


@dataclass(frozen=True)
class Expected:
    """A line that a kill explains: its message's beginning, its fields' pattern, and why it comes."""

    message: str
    fields: str
    cause: str


@dataclass(frozen=True)
class Line:
    """One line of a node's log; ``fields`` is the text of its JSON object."""

    level: str
    message: str
    fields: str

    @property
    def values(self) -> dict[str, Any]:
        """The structured fields."""
        found: dict[str, Any] = json.loads(self.fields or "{}")
        return found


STARTED = Expected(
    "P2P features enabled. Please note P2P is in experimental stage",
    "",
    "said at every start of a node",
)
KILLS = (
    STARTED,
    Expected(
        "A process died: starting it again",
        r'"how": "killed by SIGKILL"',
        "the supervisor saw our kill and makes up for it",
    ),
    Expected(
        "Broker is lost",
        r'"cause": "(the broker was restarted|the broker does not know this worker'
        r"|the broker is silent|no broker answers)",
        "we killed the broker: its workers notice, end, and are started again",
    ),
    Expected(
        "Worker is lost",
        r'"cause": "(its connection closed|cannot be reached|silent)',
        "the broker saw the end of a process that we killed, or tried to send it a message",
    ),
    Expected(
        "no peer answers; trying again",
        "",
        "we killed the p2p process, or the whole node, of the only other node",
    ),
)


def lines_of(log: Path) -> tuple[list[Line], list[str]]:
    """Return a node's log lines, and what is none of its lines: the banner, a traceback, a library's word."""
    lines, strays = [], []
    for text in log.read_text(errors="replace").splitlines():
        if STAMP.match(text):
            _, level, _, message, *fields = text.split("\t")
            lines.append(Line(level, message, fields[0] if fields else ""))
        else:
            strays.append(text)
    return lines, strays


def unexplained(log: Path, expected: tuple[Expected, ...], banner: str) -> list[str]:
    """Return what nothing in ``expected`` explains, traceback or line, each with how often it came."""
    lines, strays = lines_of(log)
    known = set(banner.splitlines())
    found = [text for text in strays if text not in known]
    found += [
        f"{line.level} {line.message} {line.fields}"
        for line in lines
        if line.level in ("WARN", "ERROR") and not _explained(line, expected)
    ]
    return [f"{times} x {text}" for text, times in Counter(found).items()]


def _explained(line: Line, expected: tuple[Expected, ...]) -> bool:
    return any(
        line.message.startswith(one.message) and re.search(one.fields, line.fields)
        for one in expected
    )


def stored_twice(log: Path) -> list[int]:
    """Return the numbers of blocks that commit says to have stored more than once."""
    lines, _ = lines_of(log)
    times = Counter(int(line.values["number"]) for line in lines if line.message == "Stored Block")
    return [number for number, count in times.items() if count > 1]
