"""Status: asks a running node over HTTP how far it is, and shows the answer to a person or as JSON."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

import click

SECONDS_MAX = 5.0
ANSWER_BYTES_MAX = 4 << 20
EX_UNREACHABLE = 1


class Unreachable(Exception):
    """No node answered; the text is one line that says why and what to do."""


def show(url: str, *, as_json: bool) -> int:
    """Print the status of the node at ``url``; return the exit code."""
    try:
        status = fetch(url)
    except Unreachable as error:
        click.echo(f"Error: {error}", err=True)
        return EX_UNREACHABLE
    if as_json:
        click.echo(json.dumps(status, indent=2))
    else:
        _print_tables(status)
    return 0


def fetch(url: str, seconds_max: float = SECONDS_MAX) -> dict[str, Any]:
    """Return what ``/status`` of a node answers; raise Unreachable."""
    if not url.startswith(("http://", "https://")):
        raise Unreachable(
            f'"{url}" is no URL: give the node\'s --http-host and --http-port as http://HOST:PORT'
        )
    try:
        with urllib.request.urlopen(url.rstrip("/") + "/status", timeout=seconds_max) as answer:
            status = json.loads(answer.read(ANSWER_BYTES_MAX))
    except urllib.error.HTTPError as error:
        raise Unreachable(f"{url} answers {error.code}: is it a Hera node?") from None
    except urllib.error.URLError as error:
        raise Unreachable(
            f"no node answers at {url} ({_reason(error)}): start it with --http, or give its --url"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"the node at {url} broke off ({error}): try again") from None
    except ValueError:
        raise Unreachable(f"{url} does not answer in JSON: is it a Hera node?") from None
    if not isinstance(status, dict) or "head" not in status:
        raise Unreachable(f"{url} answers something else: is it a Hera node?")
    return status


def _reason(error: urllib.error.URLError) -> str:
    reason = error.reason
    return (reason.strerror or str(reason)) if isinstance(reason, OSError) else str(reason)


def _print_tables(status: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    head = status["head"] or {}
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("Hera", status["version"]),
        ("network", f"{status['network']} ({status['chain_id']})"),
        ("role", status["role"]),
        ("head", head.get("number", "none yet")),
        ("hash", head.get("hash", "-")),
        ("state root", head.get("state_root", "-")),
        ("target", "-" if status["target"] is None else status["target"]),
        ("syncing", "yes" if status["syncing"] else "no"),
        ("stuck", status.get("stuck") or "no"),
        ("peers", status["peers"]),
        ("blocks/s", status["blocks_per_second"]),
    ):
        table.add_row(name, str(value))
    queues = Table("queue", box=None, pad_edge=False)
    for column in ("items", "of", "bytes"):
        queues.add_column(column, justify="right")
    for name, queue in status["queues"].items():
        queues.add_row(name, str(queue["items"]), str(queue["items_max"]), str(queue["bytes"]))
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    if status["queues"]:
        console.print()
        console.print(queues)
