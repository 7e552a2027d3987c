"""What others look at: ``/status``, whether this lives, can do its work (``/ready``), and is near the newest block.

``/health`` says only that this process answers: a node that is behind, or whose broker starts anew, is alive.
``/live`` and ``/ready/synced`` are what other nodes call ``/health`` and ``/ready/sync``.
"""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from workers.rpc.watch import Watch

SILENCE_SECONDS = 15.0  # without the broker's figures; an idle node asks for them every 6 s


def routes(watch: Watch) -> list[Route]:
    """Return the routes of all of them."""

    def answers(path: str, answer: Callable[[Watch], tuple[dict[str, Any], bool]]) -> Route:
        async def endpoint(_: Request) -> Response:
            said, is_good = answer(watch)
            return JSONResponse(said, 200 if is_good else 503)

        return Route(path, endpoint)

    return [
        answers("/status", lambda watch: (watch.status(), True)),
        *(answers(path, lambda _: ({"status": "ok"}, True)) for path in ("/health", "/live")),
        answers("/ready", ready),
        *(answers(path, synced) for path in ("/ready/sync", "/ready/synced")),
    ]


def ready(watch: Watch) -> tuple[dict[str, Any], bool]:
    """Return the answer of ``/ready``, and whether every process is there."""
    why = _missing(watch)
    return _answer(watch, why), not why


def synced(watch: Watch) -> tuple[dict[str, Any], bool]:
    """Return the answer of ``/ready/sync``, and whether the head is within the tolerance of the best known block."""
    why, lag, most = _missing(watch), _lag(watch), watch.settings.readiness_block_tolerance
    if lag is None:
        why.append("no source has told of its newest block yet")
    elif lag > most:
        why.append(f"{lag} blocks behind, more than {most}")
    return _answer(watch, why), not why


def _answer(watch: Watch, why: list[str]) -> dict[str, Any]:
    watch.is_asked()
    head, progress = watch.head(), watch.progress()
    return {
        "status": "not ready" if why else "ready",
        "why": why,
        "head": None if head is None else head.number,
        "best": watch.target(),
        "lag": _lag(watch),
        "peers": 0 if progress is None else progress.peers,
        "stuck": None if progress is None else progress.stuck,
        "workers": {name: {"seen_seconds_ago": s} for name, s in watch.workers().items()},
    }


def _missing(watch: Watch) -> list[str]:
    age, progress = watch.age(), watch.progress()
    if age is None or progress is None:
        return ["the broker has not answered yet"]
    if age > SILENCE_SECONDS:
        return [f"the broker has not answered for {age:.0f} s"]
    return [f"{stage.name} does not run" for stage in progress.stages if not stage.processes]


def _lag(watch: Watch) -> int | None:
    """Blocks between the head and the best known one; None where no source has named one."""
    heard, head = watch.heard(), watch.head()
    return None if heard is None else max(0, heard - (-1 if head is None else head.number))
