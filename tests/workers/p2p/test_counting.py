"""How a request of a sync protocol ended is counted under the name an operator looks for."""

from contextlib import nullcontext

import pytest
import trio

from workers.component import Component
from workers.metrics import JOIN, Figures
from workers.p2p.ask import NoAnswer, TooBig
from workers.p2p.counting import counted, refused
from workers.p2p.host import CannotReach
from workers.p2p.streams import BadAnswer, StreamBroken


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (BadAnswer("fin.after", "1 byte"), "bad"),
        (NoAnswer("stream.slow", "too slow"), "none"),
        (TooBig("large"), "too_big"),
        (CannotReach("gone"), "unreachable"),
        (StreamBroken("reset"), "broken"),
        (trio.TooSlowError(), "slow"),
        (ValueError("a bug"), "failed"),
    ],
)
def test_each_end_of_a_request_has_its_outcome(error: Exception | None, outcome: str) -> None:
    figures = Figures()
    passes = nullcontext() if error is None else pytest.raises(type(error))
    with passes, counted(figures, Component.EVENTS, "out"):
        if error is not None:
            raise error
    series = figures.report()["series"]
    assert series["hera_p2p_requests_total"] == {JOIN.join(("events", "out", outcome)): 1}
    durations = series["hera_p2p_request_duration_seconds"]
    assert sum(durations[JOIN.join(("events", "out"))][:-1]) == 1


def test_a_request_that_was_given_up_is_not_counted() -> None:
    figures = Figures()

    async def given_up() -> None:
        with trio.move_on_after(0), counted(figures, Component.EVENTS, "out"):
            await trio.sleep_forever()

    trio.run(given_up)
    assert figures.report()["series"] == {}


def test_a_refused_request_is_counted_without_a_duration() -> None:
    figures = Figures()
    refused(figures, Component.HEADERS)
    assert figures.report()["series"] == {
        "hera_p2p_requests_total": {JOIN.join(("headers", "in", "refused")): 1}
    }
