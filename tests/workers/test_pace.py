"""Which stored blocks are news at the level ``info``."""

import logging

import pytest

from workers.commit.pace import Pace

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("age", "pauses", "levels"),
    [
        (5.0, (0.0, 0.1, 0.1), ("INFO", "INFO", "INFO")),  # at the head of a public network
        (1e6, (0.0, 0.1, 0.1), ("INFO", "DEBUG", "DEBUG")),  # syncing
        (
            1e6,
            (0.0, 2.0, 2.0),
            ("INFO", "INFO", "INFO"),
        ),  # at the head of an old chain of one's own
    ],
)
def test_only_blocks_of_a_sync_have_no_line(
    age: float, pauses: tuple[float, ...], levels: tuple[str, ...]
) -> None:
    pace, now, found = Pace(), NOW, []
    for pause in pauses:
        now += pause
        found.append(logging.getLevelName(pace.level(now - age, now)))

    assert tuple(found) == levels
