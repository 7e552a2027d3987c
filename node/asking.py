"""Asking: gets the status of a running node, over HTTP or over its broker's socket, or says in one line why not."""

import http.client
import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from node.config import run_folder
from workers.progress import OBSERVER, flat

SECONDS_MAX = 5.0
ANSWER_BYTES_MAX = 4 << 20


class Unreachable(Exception):
    """No node answered; the text is one line that says why and what to do. ``runs``: something is there, but unwell."""

    def __init__(self, text: str, *, runs: bool = False) -> None:
        super().__init__(text)
        self.runs = runs


def over_http(url: str, seconds_max: float = SECONDS_MAX) -> dict[str, Any]:
    """Return what ``/status`` of a node answers; raise Unreachable."""
    if not url.startswith(("http://", "https://")):
        raise Unreachable(
            f'"{url}" is no URL: give the node\'s --http-host and --http-port as http://HOST:PORT'
        )
    try:
        with urllib.request.urlopen(url.rstrip("/") + "/status", timeout=seconds_max) as answer:
            status = json.loads(answer.read(ANSWER_BYTES_MAX))
    except urllib.error.HTTPError as error:
        raise Unreachable(f"{url} answers {error.code}: is it a Hera node?", runs=True) from None
    except urllib.error.URLError as error:
        raise Unreachable(
            f"no node answers at {url} ({_reason(error)}): start it with --http, or give its --url"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"the node at {url} broke off ({error}): try again", runs=True) from None
    except ValueError:
        raise Unreachable(f"{url} does not answer in JSON: is it a Hera node?", runs=True) from None
    if not isinstance(status, dict) or "head" not in status:
        raise Unreachable(f"{url} answers something else: is it a Hera node?", runs=True)
    return status


def over_broker(db_path: Path) -> dict[str, Any]:
    """Return what the broker of the node on ``db_path`` knows, in the form of ``/status``; raise Unreachable."""
    if not is_served(db_path):
        raise Unreachable(
            f"no node runs on {db_path}: start it, or give its --db-path or its --url"
        )
    from broker.endpoint import EndpointError  # here, for a quick start
    from broker.link import BrokerLost, Link, Refused

    try:
        with Link(f"ipc://{_socket(db_path)}", f"{OBSERVER}{os.getpid()}") as link:
            return _status(link.stats(SECONDS_MAX))
    except (BrokerLost, Refused, EndpointError, TimeoutError) as error:
        raise Unreachable(f"the node on {db_path} does not answer: {error}", runs=True) from None


def is_served(db_path: Path) -> bool:
    """Whether a broker listens for the node on ``db_path``."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(SECONDS_MAX)
        try:
            probe.connect(str(_socket(db_path)))
        except OSError:
            return False
    return True


def _socket(db_path: Path) -> Path:
    return run_folder(Path(os.path.abspath(db_path))) / "broker"


def _status(stats: Mapping[str, Any]) -> dict[str, Any]:
    own = stats["broker"]
    progress = own.get("progress") or {}
    head = progress.get("head")
    workers = {
        name: flat(record)
        for name, record in stats["workers"].items()
        if not name.startswith(OBSERVER)
    }
    return {
        **own.get("node", {}),
        "head": None if head is None else {"number": head},
        "target": progress.get("target"),
        "syncing": progress.get("syncing", False),
        "stuck": progress.get("stuck"),
        "peers": progress.get("peers", 0),
        "blocks_per_second": progress.get("blocks_per_second", 0.0),
        "progress": progress or None,
        "queues": stats["topics"],
        "workers": workers,
    }


def _reason(error: urllib.error.URLError) -> str:
    reason = error.reason
    return (reason.strerror or str(reason)) if isinstance(reason, OSError) else str(reason)
