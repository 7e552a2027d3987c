"""What the page shows: the five stages of a block's way, how far the chain is, the peers, the last faults.

The rows of the pipeline page are folded into the five stages here; everything else is passed on from
``workers.progress`` and from what the processes say of themselves.
"""

from time import time
from typing import Any

from workers.progress import Progress, StageProgress
from workers.rpc.watch import Watch

START_SECONDS = 5.0  # without a word from a source: after it the node is stuck
FETCH = "fetch-"
OWN = ("assemble", "verify", "commit")  # rows that are a stage by themselves
STAGES = ("io", "fetch", *OWN)
BADGES = {
    "peers": "Waits for peers",
    "gateway": "Waits for the gateway",
}  # ``Progress.slowest``: none of our stages
SENDERS = {"peers": "peers", "gateway": "the gateway"}
TITLES = {
    "io": "P2P I/O",
    "fetch": "Fetch",
    "assemble": "Assemble",
    "verify": "Verify",
    "commit": "Ordered commit",
}
WORK = {
    "io": "Asks peers for the five parts of up to 100 blocks at a time, each from whom it suits best.",
    "fetch": "Cuts each answer into blocks and holds it against the signed headers.",
    "assemble": "Keeps what came until all five parts of a block are there.",
    "verify": "Computes every hash and commitment anew, on every core.",
    "commit": "Stores one block after the other, once its parent and state root are right.",
}
GATEWAY_TITLE = "Gateway I/O"
GATEWAY_WORK = "Asks the feeder gateway for whole blocks, some of them ahead."
UNITS = {"fetch": "answers/s", "assemble": "parts/s", "verify": "blocks/s", "commit": "blocks/s"}


def board(watch: Watch) -> dict[str, Any]:
    """Return all that the page shows, as what JSON knows."""
    watch.is_asked()
    status, progress = watch.status(), watch.progress()
    p2p = watch.said("p2p")
    return {
        "version": status["version"],
        "network": status["network"],
        "role": status["role"],
        "head": status["head"],
        "state": _state(status, progress, watch),
        "says": _says(status, progress, watch),
        "target": watch.heard(),
        "percent": None if progress is None else progress.percent,
        "eta_seconds": None if progress is None else progress.eta_seconds,
        "blocks_per_second": 0.0 if progress is None else progress.blocks_per_second,
        "peers": status["peers"],
        "stages": _stages(watch, progress),
        "at": round(time(), 1),
        "peer_rows": _rows(p2p, "peer_rows"),
        "no_peers": "No peer is connected."
        if p2p
        else "This node runs without --p2p: it has no peers.",
        "faults": _rows(p2p, "last_faults"),
    }


def _state(status: dict[str, Any], progress: Progress | None, watch: Watch) -> str:
    """One of starting, stuck, syncing, head."""
    if progress is None or (watch.heard() is None and watch.uptime() < START_SECONDS):
        return "starting"
    if progress.stuck:
        return "stuck"
    if watch.heard() is None:
        return "starting"
    return "syncing" if status["syncing"] else "head"


def _says(status: dict[str, Any], progress: Progress | None, watch: Watch) -> str:
    """The state in a sentence; it changes with the state, or with the reason, and not with each block."""
    is_peer = status["role"] == "peer"
    match _state(status, progress, watch):
        case "stuck":
            why = "" if progress is None else progress.stuck or ""
            return why[:1].upper() + why[1:]
        case "syncing":
            return _slow(progress)
        case "head":
            who = "any peer" if is_peer else "the gateway"
            return f"Every block that {who} knows of is checked and stored."
        case _:
            who = "a peer" if is_peer else "the gateway"
            return f"Waiting for {who} to say how long the chain is."


def _slow(progress: Progress | None) -> str:
    slowest = None if progress is None else progress.slowest
    if slowest is None:
        return "Blocks are checked and stored."
    if slowest in BADGES:
        return f"Blocks are checked and stored as fast as they come from {SENDERS[slowest]}."
    return f"Blocks are checked and stored; the slowest stage is {TITLES[stage_of(slowest)]}."


def stage_of(row: str) -> str:
    """Return which of the five stages a row of the pipeline page belongs to."""
    if row.startswith(FETCH):
        return "fetch"
    return row if row in OWN else "io"


def _stages(watch: Watch, progress: Progress | None) -> list[dict[str, Any]]:
    slowest = None if progress is None else progress.slowest
    runs = {stage_of(name) for name, _ in watch.settings.stages}
    return [
        _stage(watch, name, progress) | {"badge": _badge(name, slowest), "used": name in runs}
        for name in STAGES
    ]


def _badge(name: str, slowest: str | None) -> str:
    """What is said of a stage that blocks wait for, or whose source they wait for."""
    if slowest is None or stage_of(slowest) != name:
        return ""
    return BADGES.get(slowest, "Bottleneck")


def _stage(watch: Watch, name: str, progress: Progress | None) -> dict[str, Any]:
    rows = [] if progress is None else [r for r in progress.stages if stage_of(r.name) == name]
    busiest = max((row.busy for row in rows), default=0.0)
    found = {
        "name": name,
        "title": TITLES[name],
        "work": WORK[name],
        "processes": sum(row.processes for row in rows),
        "missing": [row.name for row in rows if not row.processes],
        "items": sum(row.items for row in rows),
        "items_max": sum(row.items_max for row in rows),
        "bytes": sum(row.bytes for row in rows),
        "busy": busiest,
        "rate": round(sum(row.rate for row in rows), 1),
        "unit": UNITS.get(name, ""),
        "parts": [_part(row) for row in rows] if name == "fetch" else [],
    }
    return found | _io(watch, progress) if name == "io" else found


def _part(row: StageProgress) -> dict[str, Any]:
    name = row.name.removeprefix(FETCH).replace("_", " ")
    return {"name": name, "items": row.items, "items_max": row.items_max, "busy": row.busy}


def _io(watch: Watch, progress: Progress | None) -> dict[str, Any]:
    """The stage that speaks with the outside: its queue is the window, what is asked for or not yet stored."""
    is_peer = "p2p" in dict(watch.settings.stages) and "feeder" not in dict(watch.settings.stages)
    came, gave = watch.bytes_per_second()
    said = watch.said("p2p" if is_peer else "feeder")
    found = {
        "bytes": _count(said, "window_bytes" if is_peer else "bytes"),
        "bytes_max": watch.settings.in_flight_bytes,
        "items": _count(said, "requests_under_way" if is_peer else "requests"),
        "rate": round(came),
        "unit": "B/s",
        "gives": round(gave),
    }
    if is_peer:
        return found
    speed = 0.0 if progress is None else progress.blocks_per_second
    return found | {
        "title": GATEWAY_TITLE,
        "work": GATEWAY_WORK,
        "rate": speed,
        "unit": "blocks/s",
    }


def _count(said: dict[str, Any], name: str) -> int:
    value = said.get(name)
    return value if isinstance(value, int) and value >= 0 else 0


def _rows(said: dict[str, Any], name: str) -> list[Any]:
    value = said.get(name)
    return value if isinstance(value, list) else []
