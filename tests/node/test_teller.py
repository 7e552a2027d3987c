"""The log's line on progress: every ten seconds while syncing, silent at the head, seldom while nothing changes."""

import json
import logging
from typing import Any

import pytest

from node.teller import Teller
from workers.log import Console, Json

STAGES = (("p2p", ""), ("verify", "blocks.assembled"))
LOOK_SECONDS = 2.5


class Scene:
    """A node as the broker sees it, its clock, and what is said of it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, logger="hera")
        self.now = 1000.0
        self.teller = Teller(STAGES, lambda: self.now)
        self._caplog = caplog

    def looks(
        self, seconds: float, head: int, target: int, *, speed: float = 0.0, **p2p: Any
    ) -> list[str]:
        """Let time pass from a head on; return the lines that were said."""
        self._caplog.clear()
        for at in range(1, int(seconds / LOOK_SECONDS) + 1):
            self.now += LOOK_SECONDS
            number = head + int(at * LOOK_SECONDS * speed)
            p2p_status = {"peers": 8, "stuck": "", "target": target} | p2p
            commit = {"stage": "commit", "series": {"hera_chain_head_block": {"": number}}}
            workers = {"p2p": {"status": p2p_status}, "commit": {"status": commit}}
            workers["verify-1"] = {"status": {"stage": "verify"}}
            self.teller.look({"workers": workers, "topics": {}})
        return [record.getMessage() for record in self._caplog.records]


@pytest.fixture
def scene(caplog: pytest.LogCaptureFixture) -> Scene:
    return Scene(caplog)


def test_a_syncing_node_says_one_line_every_ten_seconds(scene: Scene) -> None:
    lines = scene.looks(60, 0, 100_000, speed=40)

    assert len(lines) == 6
    assert lines[-1] == (
        "2.4 % | block 2 400/100 000 | 40 blk/s | ETA 40 m 40 s | 8 peers | slowest: peers"
    )


def test_a_service_manager_may_know_what_was_seen_last_at_any_time(scene: Scene) -> None:
    assert scene.teller.status() == "running"
    scene.looks(60, 1000, 1000)
    assert scene.teller.status() == "100.0 % | block 1 000/1 000 | at the head | 8 peers"


def test_the_head_is_said_once_when_it_is_reached_and_then_nothing(scene: Scene) -> None:
    scene.looks(30, 0, 1000, speed=30)

    assert scene.looks(60, 1000, 1000) == [
        "100.0 % | block 1 000/1 000 | at the head | 8 peers",
    ]


def test_a_node_at_its_head_stays_silent_though_a_new_block_is_under_way(scene: Scene) -> None:
    scene.looks(30, 1000, 1000)

    for head in range(1000, 1010):
        assert scene.looks(5, head, head + 2) == []
    assert scene.looks(60, 1010, 1010) == []
    assert scene.looks(5, 1010, 1011) == []


def test_a_node_that_starts_at_its_head_says_so_once(scene: Scene) -> None:
    assert scene.looks(7.5, 1000, 1000) == []  # it may not have asked anybody yet
    assert len(scene.looks(60, 1000, 1000)) == 1


def test_a_stall_says_why_and_then_ever_more_seldom(scene: Scene) -> None:
    lines = scene.looks(310, 5, 100, stuck="block 6 has not come for 30 s")

    assert [line.rpartition(" | ")[2] for line in lines] == [
        "stuck: block 6 has not come for 30 s"
    ] * 5  # after 10, 30, 70, 150 and 310 seconds


def test_a_node_that_finds_no_peer_says_so(scene: Scene) -> None:
    assert "stuck: no peers" in scene.looks(10, 5, 0, peers=0)[0]


def test_the_head_is_remembered_while_commit_is_started_again(scene: Scene) -> None:
    scene.looks(20, 1000, 2000, speed=1)

    scene.teller.look({"workers": {"p2p": {"status": {"peers": 8, "target": 2000}}}, "topics": {}})

    assert scene.teller.vitals()["progress"]["head"] == 1020


def test_a_block_behind_that_does_not_come_is_said(scene: Scene) -> None:
    scene.looks(60, 1000, 1000)

    lines = scene.looks(60, 1000, 1001)

    assert lines[0].startswith("99.9 % | block 1 000/1 001 | 0.0 blk/s | ETA ?")


def test_the_json_form_has_the_numbers_beside_the_line(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.looks(10, 0, 100_000, speed=40)
    record = caplog.records[0]

    found = json.loads(Json("broker").format(record))

    assert (found["head"], found["target"], found["peers"]) == (400, 100_000, 8)
    assert found["message"] == record.getMessage()
    assert Console().format(record).endswith(f"\t{record.getMessage()}")


def test_what_was_seen_last_is_there_for_who_asks(scene: Scene) -> None:
    assert scene.teller.vitals() == {}

    scene.looks(5, 0, 100, speed=40)

    found = scene.teller.vitals()["progress"]
    assert (found["head"], found["target"], found["syncing"]) == (200, 200, False)
