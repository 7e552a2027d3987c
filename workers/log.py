"""The node's log: one line an event, in the seed's console form or as JSON, always on stderr, always UTC."""

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

log = logging.getLogger("hera")

LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
FORMATS = ("console", "json")
_STDERR = 2
_COLOURS = {"DEBUG": 35, "INFO": 34, "WARN": 33, "ERROR": 31}  # as those of the terminal's palette
_NAMES = {logging.WARNING: "WARN", logging.CRITICAL: "ERROR"}


def setup(level: str, format: str, process: str, *, colour: bool = False) -> None:
    """Send the whole process's log to stderr; libraries below it speak from WARN up. ValueError names a bad choice.

    ``colour`` is for terminals only.
    """
    if level.lower() not in LEVELS:
        raise ValueError(f"log level {level!r} is none of {', '.join(LEVELS)}")
    if format not in FORMATS:
        raise ValueError(f"log format {format!r} is none of {', '.join(FORMATS)}")
    handler = _Stderr()
    is_coloured = colour and os.isatty(_STDERR)
    handler.setFormatter(Console(colour=is_coloured) if format == "console" else Json(process))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    log.setLevel(LEVELS[level.lower()])


def details(**values: Any) -> dict[str, dict[str, Any]]:
    """Name fields of one line that only the JSON form has, because a person finds them in its message."""
    return {"details": values}


def fields(**values: Any) -> dict[str, dict[str, Any]]:
    """Name the structured fields of one line: ``log.info("Stored block", extra=fields(number=7))``."""
    return {"fields": values}


class _Stderr(logging.Handler):
    """Writes each line to stderr by itself, and drops what stderr does not take.

    A log on a full disk must neither end the process nor change its exit code, as a buffer that cannot be emptied does.
    """

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record) + "\n"
        with suppress(OSError):
            os.write(_STDERR, line.encode(errors="backslashreplace"))


class Console(logging.Formatter):
    """``HH:MM:SS.mmm DD/MM/YYYY +00:00<tab>LEVEL<tab>folder/file.py:line<tab>Message<tab>{json}``."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback, if any, follows it on lines of its own."""
        at = datetime.fromtimestamp(record.created, UTC)
        stamp = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} {at:%d/%m/%Y} +00:00"
        columns = [stamp, self._level(record), _where(record), _one_line(record.getMessage())]
        values = _fields(record)
        if values:
            columns.append(_json(values))
        line = "\t".join(columns)
        return (
            line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"
        )

    def _level(self, record: logging.LogRecord) -> str:
        name = _level(record)
        return f"\x1b[{_COLOURS.get(name, 0)}m{name}\x1b[0m" if self._colour else name


class Json(logging.Formatter):
    """One JSON object a line; the structured fields stand beside ``message``."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the object as one line, a traceback included as text."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": _level(record),
            "process": self._process,
            "caller": _where(record),
            "message": record.getMessage(),
        }
        more = {**_fields(record), **_fields(record, "details")}
        line.update((name, value) for name, value in more.items() if name not in line)
        if record.exc_info is not None:
            line["traceback"] = self.formatException(record.exc_info)
        return _json(line)


def _level(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelno, record.levelname)


def _where(record: logging.LogRecord) -> str:
    return f"{'/'.join(PurePath(record.pathname).parts[-2:])}:{record.lineno}"


def _one_line(text: str) -> str:
    """Keep what a peer sent from starting a line or a column of its own."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _fields(record: logging.LogRecord, kind: str = "fields") -> Mapping[str, Any]:
    values = getattr(record, kind, None)
    return values if isinstance(values, Mapping) else {}


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, default=_plain)


def _plain(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
