"""Status: shows a person, a script or a probe how far a running node is; the exit code says it, too."""

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from node.asking import Unreachable, is_served, over_broker, over_http
from workers.progress import Progress, progress_of

if TYPE_CHECKING:
    from rich.console import Group

URL_DEFAULT = "http://localhost:6060"
EVERY_SECONDS = 2.0
EX_SYNCED, EX_SYNCING, EX_UNHEALTHY, EX_NOT_RUNNING = range(4)

Ask = Callable[[], dict[str, Any]]


def asking(url: str | None, db_path: Path | None, default: Path) -> Ask:
    """Return how the node is asked: as told, or over the socket of ``default`` if it is served, or over HTTP."""
    if db_path is None and url is None and is_served(default):
        db_path = default
    if db_path is not None:
        folder = db_path
        return lambda: over_broker(folder)
    return lambda: over_http(url or URL_DEFAULT)


def show(ask: Ask, *, as_json: bool) -> int:
    """Print the status once; return the exit code."""
    try:
        status = ask()
    except Unreachable as error:
        return _unreachable(error)
    if as_json:
        click.echo(json.dumps(status, indent=2))
    else:
        from rich.console import Console

        Console(soft_wrap=True, highlight=False).print(_tables(status))
    return code(status)


def watch(ask: Ask, *, as_json: bool, every_seconds: float = EVERY_SECONDS) -> int:
    """Show the status again and again until Ctrl-C or the node's end; return the exit code of the last one.

    A terminal shows tables that change; what is no terminal gets one line, or one JSON object, each time.
    """
    from rich.console import Console
    from rich.live import Live

    last = EX_NOT_RUNNING
    ended = Event()
    console = Console(soft_wrap=True, highlight=False)
    shows_tables = console.is_terminal and not as_json
    try:
        with (
            _interrupts(ended),
            Live(console=console, auto_refresh=False, vertical_overflow="crop") as live,
        ):
            while not ended.is_set():
                status = ask()
                last = code(status)
                if shows_tables:
                    live.update(_tables(status), refresh=True)
                else:
                    click.echo(json.dumps(status) if as_json else progress_of(status).line())
                ended.wait(every_seconds)
    except Unreachable as error:
        return _unreachable(error)
    return last


@contextmanager
def _interrupts(ended: Event) -> Iterator[None]:
    """Have Ctrl-C set ``ended``: raised in the midst of a question it could be lost in the libraries' clean-up."""
    before = signal.signal(signal.SIGINT, lambda *_: ended.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def code(status: Mapping[str, Any]) -> int:
    """Return the exit code for a node that answered: 0 synced, 1 syncing, 2 unhealthy."""
    if status.get("stuck"):
        return EX_UNHEALTHY
    is_known = status.get("target") is not None
    return EX_SYNCED if is_known and not status.get("syncing") else EX_SYNCING


def _unreachable(error: Unreachable) -> int:
    click.echo(f"Error: {error}", err=True)
    return EX_UNHEALTHY if error.runs else EX_NOT_RUNNING


def _tables(status: Mapping[str, Any]) -> "Group":
    from rich.console import Group
    from rich.table import Table

    head, seen = status.get("head") or {}, progress_of(status)
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("Hera", status.get("version")),
        ("network", f"{status.get('network')} ({status.get('chain_id')})"),
        ("role", status.get("role")),
        ("head", head.get("number", "none yet")),
        ("hash", head.get("hash")),
        ("state root", head.get("state_root")),
        ("target", status.get("target")),
        ("syncing", "yes" if status.get("syncing") else "no"),
        ("progress", seen.line()),
        ("stuck", status.get("stuck") or "no"),
        ("peers", status.get("peers")),
        ("blocks/s", status.get("blocks_per_second")),
    ):
        if value is not None:
            table.add_row(name, str(value))
    parts = [table, _stages(seen), _queues(status)]
    return Group(*(part for part in parts if part.row_count))


def _stages(seen: Progress) -> Any:
    from rich.table import Table

    table = Table("\nstage", box=None, pad_edge=False)
    for column in ("processes", "busy", "done/s"):
        table.add_column(f"\n{column}", justify="right")
    for stage in seen.stages:
        busy = f"{stage.busy:.0%}".replace("%", " %")
        table.add_row(stage.name, str(stage.processes), busy, f"{stage.rate:g}")
    return table


def _queues(status: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table("\nqueue", box=None, pad_edge=False)
    for column in ("items", "of", "bytes"):
        table.add_column(f"\n{column}", justify="right")
    for name, queue in status.get("queues", {}).items():
        table.add_row(name, str(queue["items"]), str(queue["items_max"]), str(queue["bytes"]))
    return table
