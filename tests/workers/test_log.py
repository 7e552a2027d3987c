"""One line an event, in the seed's console form or as JSON."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from workers.log import Console, Json, fields, log, setup


def record(
    message: str = "Stored Block", level: int = logging.INFO, **values: object
) -> logging.LogRecord:
    found = log.makeRecord(
        "hera", level, "/x/workers/commit/commit.py", 7, message, (), None, extra=fields(**values)
    )
    found.created = 1_708_689_600.0425
    return found


@pytest.fixture
def restored() -> Iterator[None]:
    root, before = logging.root, (logging.root.handlers[:], logging.root.level, log.level)
    yield
    root.handlers[:], level, own = before
    root.setLevel(level)
    log.setLevel(own)


def test_the_console_form_is_the_seeds() -> None:
    assert Console().format(record(number=3, hash=b"\x12\x34")) == (
        "12:00:00.042 23/02/2024 +00:00\tINFO\tcommit/commit.py:7\tStored Block\t"
        '{"number": 3, "hash": "0x1234"}'
    )


def test_levels_are_coloured_where_that_is_wanted() -> None:
    assert "\t\x1b[34mINFO\x1b[0m\t" in Console(colour=True).format(record())


def test_what_is_no_terminal_has_no_colours(
    restored: None, capfd: pytest.CaptureFixture[str]
) -> None:
    setup("info", "console", "p", colour=True)
    log.info("Hello")
    assert "\tINFO\t" in capfd.readouterr().err


def test_a_line_without_fields_ends_after_its_message() -> None:
    assert Console().format(record()).endswith("\tStored Block")


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (logging.DEBUG, "DEBUG"),
        (logging.INFO, "INFO"),
        (logging.WARNING, "WARN"),
        (logging.ERROR, "ERROR"),
    ],
)
def test_levels_have_the_seeds_names(level: int, name: str) -> None:
    assert f"\t{name}\t" in Console().format(record(level=level))


def test_what_a_peer_sent_cannot_begin_a_line_or_a_column() -> None:
    line = Console().format(record("bad\nline\tcolumn \x1b[31m", agent="x\ny"))
    assert "\n" not in line
    assert line.count("\t") == 4
    assert "\x1b" not in line


def test_json_is_one_object_a_line() -> None:
    found = json.loads(Json("commit").format(record(number=3, level_of="x")))
    assert found["time"] == "2024-02-23T12:00:00.042+00:00"
    assert found["level"] == "INFO"
    assert found["process"] == "commit"
    assert found["caller"] == "commit/commit.py:7"
    assert found["message"] == "Stored Block"
    assert found["number"] == 3


def test_fields_never_replace_what_the_line_says_of_itself() -> None:
    assert json.loads(Json("commit").format(record(process="other")))["process"] == "commit"


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_follows(form: str) -> None:
    formatter = Console() if form == "console" else Json("x")
    try:
        raise ZeroDivisionError("our bug")
    except ZeroDivisionError:
        failed = record("Stage failed")
        failed.exc_info = sys.exc_info()
    line = formatter.format(failed)
    assert "ZeroDivisionError: our bug" in line
    assert form == "console" or "\n" not in line


def test_setup_sends_the_chosen_levels_to_stderr(
    restored: None, capfd: pytest.CaptureFixture[str]
) -> None:
    setup("info", "console", "test")
    log.debug("unseen")
    log.info("seen", extra=fields(number=1))
    logging.getLogger("library").info("unseen")
    logging.getLogger("library").warning("a warning")
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 2
    assert re.match(
        r"\d\d:\d\d:\d\d\.\d{3} \d\d/\d\d/\d{4} \+00:00\tINFO\tworkers/test_log\.py:\d+\tseen",
        lines[0],
    )
    assert "a warning" in lines[1]


def test_setup_twice_prints_once(restored: None, capfd: pytest.CaptureFixture[str]) -> None:
    setup("info", "console", "test")
    setup("debug", "json", "test")
    log.debug("seen")
    assert len(capfd.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("level", "form", "why"),
    [("loud", "console", "log level 'loud'"), ("info", "xml", "log format 'xml'")],
)
def test_unknown_choices_are_named(restored: None, level: str, form: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        setup(level, form, "test")


def test_a_stderr_that_takes_nothing_ends_nothing() -> None:
    """As on a full disk: no traceback, no other exit code."""
    program = (
        "from workers.log import log, setup; setup('info', 'console', 'x'); log.info('a line')"
    )
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", program], stderr=full, check=False)
    assert done.returncode == 0
