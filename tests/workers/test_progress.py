"""Progress: what two looks at the broker's figures say of the node, for a person and as JSON."""

import json
from typing import Any

import pytest

from workers.progress import Sample, progress, progress_of, sample

STAGES = (("p2p", ""), ("verify", "blocks.assembled"), ("commit", "blocks.verified"))


def stats(
    head: int = 412_345,
    *,
    busy: float = 0.0,
    done: int = 0,
    items: int = 3,
    **p2p: Any,
) -> dict[str, Any]:
    """What the broker answers of a node with two verify processes, one of them busy."""
    said: dict[str, Any] = {"peers": 8, "stuck": "", "target": 672_899} | p2p
    return {
        "topics": {
            "blocks.assembled": {"items": items, "items_max": 800, "bytes": 10, "bytes_max": 99},
            "blocks.verified": {"items": 0, "items_max": 800, "bytes": 0, "bytes_max": 99},
        },
        "workers": {
            "p2p": {"status": said},
            "verify-1": {"status": {"stage": "verify", "done": done, "busy_seconds": busy}},
            "verify-2": {"status": {"stage": "verify", "done": done, "busy_seconds": busy}},
            "commit": {
                "status": {
                    "stage": "commit",
                    "done": done,
                    "busy_seconds": 0.1,
                    "series": {"hera_chain_head_block": {"": head}},
                }
            },
        },
    }


def looks(before: dict[str, Any], now: dict[str, Any]) -> tuple[Sample, Sample]:
    return sample(before, 100.0), sample(now, 110.0)


def test_a_syncing_node_is_one_line() -> None:
    before, now = looks(stats(411_965), stats(412_345, busy=9.1, done=380))

    found = progress(before, now, STAGES)

    assert found.line() == (
        "61.2 % | block 412 345/672 899 | 38 blk/s | ETA 1 h 54 m | 8 peers | slowest: verify 91 %"
    )


def test_each_stage_has_its_queue_its_rate_and_how_busy_its_processes_are() -> None:
    before, now = looks(stats(1), stats(381, busy=9.1, done=190))

    verify = progress(before, now, STAGES).stages[1]

    assert (verify.name, verify.topic, verify.processes) == ("verify", "blocks.assembled", 2)
    assert (verify.items, verify.items_max, verify.bytes, verify.bytes_max) == (3, 800, 10, 99)
    assert (verify.rate, verify.busy) == (38.0, 0.91)


def test_a_source_is_as_busy_as_its_process() -> None:
    before, now = looks(stats(1, cpu_seconds=4.0), stats(2, cpu_seconds=12.5))

    found = progress(before, now, STAGES)

    assert found.stages[0].busy == 0.85
    assert found.slowest == "p2p"


def test_a_stage_is_busy_while_one_message_takes_long() -> None:
    before, now = stats(1), stats(2)
    before["workers"]["commit"]["status"]["cpu_seconds"] = 1.0
    now["workers"]["commit"]["status"]["cpu_seconds"] = 10.5

    found = progress(*looks(before, now), STAGES)

    assert (found.stages[2].busy, found.slowest) == (0.95, "commit")


@pytest.mark.parametrize(("row", "source"), [("p2p", "peers"), ("feeder", "gateway")])
def test_where_no_stage_is_busy_blocks_wait_for_those_who_send_them(row: str, source: str) -> None:
    found = progress(*looks(stats(1), stats(2)), ((row, ""), *STAGES[1:]))

    assert (found.source, found.slowest) == (source, source)
    assert found.line().endswith(f"slowest: {source}")


def test_peers_are_not_spoken_of_where_there_are_to_be_none() -> None:
    found = progress(*looks(stats(1, peers=0), stats(2, peers=0)), (("feeder", ""),))

    assert "peer" not in found.line()


def test_at_the_head_nothing_is_slow_and_nothing_is_left() -> None:
    before, now = looks(stats(672_899), stats(672_899))

    found = progress(before, now, STAGES)

    assert (found.percent, found.eta_seconds, found.slowest) == (100.0, 0.0, None)
    assert not found.is_syncing
    assert found.line() == "100.0 % | block 672 899/672 899 | at the head | 8 peers"


def test_one_block_before_the_head_is_not_yet_all() -> None:
    before, now = looks(stats(672_897), stats(672_898))

    assert progress(before, now, STAGES).percent == 99.9


def test_the_target_is_never_below_the_head() -> None:
    before, now = looks(stats(700_000), stats(700_000))

    assert progress(before, now, STAGES).target == 700_000


def test_who_reads_the_store_knows_the_head_best() -> None:
    now = sample(stats(5), 1.0, head=7, target=9)

    assert (now.head, now.target) == (7, 672_899)


def test_a_stall_says_what_its_source_says() -> None:
    before, now = looks(stats(5), stats(5, stuck="block 6 has not come for 30 s"))

    found = progress(before, now, STAGES)

    assert found.stuck == "block 6 has not come for 30 s"
    assert "stuck: block 6 has not come" in found.line()


def test_a_node_without_peers_says_so_if_its_head_stands_still() -> None:
    standing = progress(*looks(stats(5, peers=0), stats(5, peers=0)), STAGES)
    moving = progress(*looks(stats(5, peers=0), stats(6, peers=0)), STAGES)

    assert (standing.stuck or "").startswith("no peers")
    assert moving.stuck is None


def test_a_full_queue_is_why_a_head_stands_still() -> None:
    found = progress(*looks(stats(5), stats(5, items=800)), STAGES)

    assert found.stuck == "queue full: blocks.assembled"


def test_a_process_that_began_anew_counts_from_nought() -> None:
    found = progress(*looks(stats(5, done=900, busy=50.0), stats(6, done=100, busy=2.0)), STAGES)

    assert (found.stages[1].rate, found.stages[1].busy) == (20.0, 0.2)


def test_a_process_that_was_not_there_before_is_not_measured_yet() -> None:
    before, now = stats(5), stats(6, done=900, busy=50.0)
    del before["workers"]["verify-1"], before["workers"]["verify-2"]

    verify = progress(*looks(before, now), STAGES).stages[1]

    assert (verify.processes, verify.rate, verify.busy) == (2, 0.0, 0.0)


def test_an_empty_node_knows_nothing_and_says_so() -> None:
    found = progress(sample({}, 0.0), sample({}, 10.0), STAGES)

    assert progress(sample({}, 0.0), sample({}, 1.0), STAGES).stuck is None  # it only just began
    assert (found.head, found.target, found.percent, found.eta_seconds) == (None, None, None, None)
    assert found.line() == (
        "? | block none/? | 0 peers | stuck: no process runs for p2p, verify, commit: the log says why"
    )


def test_a_process_that_is_just_started_anew_is_not_missed() -> None:
    before, now = stats(5), stats(5)
    del now["workers"]["commit"]

    assert progress(*looks(before, now), STAGES).stuck is None
    assert "commit" in (progress(*looks(now, now), STAGES).stuck or "")


def test_what_was_told_as_json_is_read_again() -> None:
    found = progress(*looks(stats(5), stats(6, busy=1.0)), STAGES)
    told = found.as_json()
    status = {
        "head": {"number": found.head},
        "target": found.target,
        "blocks_per_second": found.blocks_per_second,
        "peers": found.peers,
        "stuck": found.stuck,
        "progress": told,
    }

    assert progress_of(status) == found
    assert progress_of({**status, "progress": None}).line().startswith(found.line()[:20])


def test_what_has_another_form_than_expected_is_not_believed() -> None:
    said = {"peers": "many", "target": True, "stuck": 7, "stage": 3, "busy_seconds": "x"}
    odd = {"workers": {"p2p": {"status": said}, "verify-1": None}, "topics": {"t": {"items": -1}}}

    found = progress(sample(odd, 0.0), sample(odd, 1.0), STAGES)

    assert (found.head, found.target, found.peers) == (None, None, 0)


def test_it_is_json_through_and_through() -> None:
    found = progress(*looks(stats(5), stats(6, busy=1.0)), STAGES).as_json()

    assert json.loads(json.dumps(found)) == found
    assert found["syncing"] is True
    assert [stage["name"] for stage in found["stages"]] == ["p2p", "verify", "commit"]


@pytest.mark.parametrize(
    ("left", "words"),
    [(59, "6 s"), (650, "1 m 05 s"), (73_800, "2 h 03 m"), (1_000_000, "1 d 03 h")],
)
def test_the_time_to_come_is_said_in_two_units(left: int, words: str) -> None:
    before, now = looks(stats(0, target=100 + left), stats(100, target=100 + left))

    assert f"ETA {words}" in progress(before, now, STAGES).line()
