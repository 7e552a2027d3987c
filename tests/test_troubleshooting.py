"""docs/troubleshooting.md has a row for every line of warning or error that the product can print, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("broker", "node", "starknet", "workers")
PAGE = ROOT / "docs" / "troubleshooting.md"
LEVELS = ("warning", "error", "exception")
REFUSALS = (  # what ends in one line for a person, whose first argument is that line
    "BadAddress",
    "BadKey",
    "BadNetwork",
    "BadPeerId",
    "CannotListen",
    "ConfigError",
    "EndpointError",
    "FileBroken",
    "GatewayError",
    "KeysError",
    "NetworkError",
    "StoreError",
    "TableError",
    "Unreachable",
    "WrongLibp2p",
)
PARSERS = (
    "broker/curve.py",
    "node/config.py",
    "node/durations.py",
)  # what they refuse is a ValueError
HOLE = "…"  # stands for what differs from time to time
OWN_WORDS_MIN = 2  # a line with fewer only passes on what another one says
ROW = re.compile(r"^\| `(.+?)` \| (.+) \|$", re.MULTILINE)


def printed() -> dict[str, str]:
    """Every line, with the first place that prints it."""
    found: dict[str, str] = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and call.args and is_said(call.func, name):
                    for line in texts(call.args[0]):
                        if len(re.findall(r"[A-Za-z]{2,}", line)) >= OWN_WORDS_MIN:
                            found.setdefault(line, f"{name}:{call.lineno}")
    return found


def is_said(function: ast.expr, path: str) -> bool:
    """Whether what is called says its first argument to a person."""
    match function:
        case ast.Attribute(value=ast.Name("log"), attr=level):
            return level in LEVELS
        case ast.Name("ValueError"):
            return path in PARSERS
        case ast.Name(name):
            return name in REFUSALS
    return False


def texts(value: ast.expr) -> Iterator[str]:
    """The line, or the lines, that an expression is; nothing for one that is made elsewhere."""
    match value:
        case ast.Constant(str(text)):
            yield plain(text)
        case ast.JoinedStr(parts):
            pieces = (part.value if isinstance(part, ast.Constant) else HOLE for part in parts)
            yield plain("".join(map(str, pieces)))
        case ast.IfExp(body=one, orelse=other):
            yield from texts(one)
            yield from texts(other)


def plain(text: str) -> str:
    """As a cell of the page can show it."""
    return text.replace("`", "").replace("|", "/")


def test_every_line_that_can_be_printed_has_a_row_and_every_row_a_line() -> None:
    rows = dict(ROW.findall(PAGE.read_text("utf-8")))
    lines = printed()
    missing = [f"| `{line}` |  | ({place})" for line, place in lines.items() if line not in rows]
    assert not missing, "give these a row:\n" + "\n".join(missing)
    stale = sorted(set(rows) - set(lines))
    assert not stale, "nothing prints these any more:\n" + "\n".join(stale)


def test_no_line_has_two_rows_and_each_row_says_something() -> None:
    rows = ROW.findall(PAGE.read_text("utf-8"))
    assert len(rows) == len({line for line, _ in rows})
    assert all(len(cure.split()) >= OWN_WORDS_MIN for _, cure in rows)
