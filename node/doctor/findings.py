"""What a check finds, and what checks are told."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.config import Config


class Level(StrEnum):
    """How bad it is: with ``fail`` a node would not start, or get nowhere."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line: what is there or missing, and, unless the text says it, what to do about it."""

    check: str
    level: Level
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Patient:
    """The node that is looked at. ``refused`` are the lines that its start would say of options."""

    config: Config
    refused: tuple[str, ...]
    file: Path | None  # of options
    has_key_on_command_line: bool


def ok(check: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(check, Level.OK, text)


def warn(check: str, text: str, hint: str = "") -> Finding:
    """Return what works, but not well."""
    return Finding(check, Level.WARN, text, hint)


def fail(check: str, text: str, hint: str = "") -> Finding:
    """Return what does not work."""
    return Finding(check, Level.FAIL, text, hint)
