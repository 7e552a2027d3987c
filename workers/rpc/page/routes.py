"""Where the page and its events are, and what browsers are told of them: nothing from outside, nothing but its own."""

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workers.rpc.page.stream import Streams

EVENTS = "/events"
_INLINE = {tag: re.compile(f"<{tag}>(.*?)</{tag}>", re.DOTALL) for tag in ("style", "script")}


def routes(streams: Streams) -> list[Route]:
    """Return the routes of the page, which is read once, and of its events."""
    html = (files(__package__) / "page.html").read_text("utf-8")
    headers = {
        "Content-Security-Policy": policy(html),
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }

    async def page(_: Request) -> Response:
        return Response(html, 200, headers, "text/html; charset=utf-8")

    async def events(request: Request) -> Response:
        return Response() if request.method == "HEAD" else streams.response()

    return [Route("/", page), Route(EVENTS, events)]


def policy(html: str) -> str:
    """Return a policy that lets a browser run and show what is written in ``html`` and ask this server, no more."""
    inline = {tag: " ".join(map(_hash, found.findall(html))) for tag, found in _INLINE.items()}
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {inline['script']}",
            f"style-src {inline['style']}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
