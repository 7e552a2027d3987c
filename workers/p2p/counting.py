"""Counts one request of a sync protocol: how it ended and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from workers.component import Component
from workers.metrics import Figures
from workers.p2p.ask import NoAnswer, TooBig
from workers.p2p.host import CannotReach
from workers.p2p.streams import BadAnswer, StreamBroken

_OUTCOMES: tuple[tuple[type[Exception], str], ...] = (
    (BadAnswer, "bad"),
    (NoAnswer, "none"),
    (TooBig, "too_big"),
    (CannotReach, "unreachable"),
    (StreamBroken, "broken"),
    (trio.TooSlowError, "slow"),
)


@contextmanager
def counted(figures: Figures, component: Component, direction: str) -> Iterator[None]:
    """Count what the block does as one request; what it raises passes. A cancelled one is not counted."""
    began = time.monotonic()
    outcome = "ok"
    try:
        yield
    except trio.Cancelled:
        outcome = ""
        raise
    except Exception as error:
        outcome = next((name for kind, name in _OUTCOMES if isinstance(error, kind)), "failed")
        raise
    finally:
        if outcome:
            seconds = time.monotonic() - began
            figures.count(
                "hera_p2p_requests_total", protocol=component, direction=direction, outcome=outcome
            )
            figures.observe(
                "hera_p2p_request_duration_seconds",
                seconds,
                protocol=component,
                direction=direction,
            )


def refused(figures: Figures, component: Component) -> None:
    """Count a peer's request that is not answered."""
    figures.count("hera_p2p_requests_total", protocol=component, direction="in", outcome="refused")
