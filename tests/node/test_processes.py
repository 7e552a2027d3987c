"""Which processes a configuration needs, in which order they stop, and that each is a row of the page."""

from pathlib import Path

import pytest

from broker.topic import Topic
from node import pipeline, processes
from node.config import Config, ConfigError, load
from tests.node.test_config import PEER

FETCH = [
    f"fetch-{part}" for part in ("headers", "state_diffs", "classes", "transactions", "events")
]


def config_of(**flags: str) -> Config:
    given = {name.replace("_", "-"): text for name, text in flags.items()}
    return load({"verify-workers": "2"} | given, {}, cwd=Path("/nowhere"))


def names(config: Config) -> list[str]:
    return [child.name for child in processes.children(config)]


def test_a_peer_node_runs_every_stage() -> None:
    verify = ["verify-1", "verify-2"]
    config = config_of(p2p="true", p2p_peers=PEER, http="true")
    assert names(config) == ["broker", "p2p", *FETCH, "assemble", *verify, "commit", "rpc"]


def test_a_feeder_node_takes_whole_blocks_and_serves_peers() -> None:
    config = config_of(p2p="true", p2p_feeder_node="true")
    assert names(config) == ["broker", "feeder", "p2p", "verify-1", "verify-2", "commit"]


def test_a_node_without_p2p_follows_the_gateway() -> None:
    config = config_of(verify_workers="1", http="true")
    assert names(config) == ["broker", "feeder", "verify-1", "commit", "rpc"]


def test_a_node_with_metrics_runs_one_process_more_for_all_of_them() -> None:
    config = config_of(verify_workers="1", metrics="true")
    assert names(config) == ["broker", "feeder", "verify-1", "commit", "metrics"]


def test_processes_stop_in_the_order_of_the_page() -> None:
    config = config_of(p2p="true", http="true")
    stops = {child.name: child.stops for child in processes.children(config)}
    order = ["p2p", "fetch-headers", "assemble", "verify-1", "commit", "broker"]
    assert [stops[name] for name in order] == sorted({stops[name] for name in order})
    assert len({stops[name] for name in FETCH}) == 1
    assert stops["verify-1"] == stops["verify-2"]
    assert stops["rpc"] == stops["p2p"]


def test_progress_is_shown_of_the_rows_that_a_block_meets() -> None:
    shown = processes.stages(config_of(p2p="true", http="true", metrics="true"))
    assert [name for name, _ in shown] == ["p2p", *FETCH, "assemble", "verify", "commit"]
    assert dict(shown) | {"p2p": "", "verify": "blocks.assembled"} == dict(shown)
    assert [name for name, _ in processes.stages(config_of())] == ["feeder", "verify", "commit"]


def test_each_child_is_started_by_the_verb_a_person_could_use() -> None:
    for child in processes.children(config_of(p2p="true", http="true"))[1:]:
        verb, row, flag, instance = child.argv[3:]
        assert (verb, flag, instance) == ("worker", "--name", child.name)
        assert row in {each.name for each in processes.every_row()}


def test_the_broker_serves_every_topic_of_the_page() -> None:
    on_page = {value.name for value in vars(pipeline).values() if isinstance(value, Topic)}
    assert {topic.name for topic in processes.topics()} == on_page


def test_an_unknown_worker_is_answered_with_the_valid_names() -> None:
    with pytest.raises(ConfigError, match="p2p, feeder, fetch-headers"):
        processes.run_worker(config_of(), "verfy", "verfy")


def test_the_p2p_worker_alone_needs_p2p() -> None:
    with pytest.raises(ConfigError, match="--p2p"):
        processes.run_worker(config_of(), "p2p", "p2p")


def test_the_feeder_worker_beside_p2p_needs_to_be_a_feeder_nodes() -> None:
    with pytest.raises(ConfigError, match="--p2p-feeder-node"):
        processes.run_worker(config_of(p2p="true"), "feeder", "feeder")


def test_rpc_processes_are_numbered_where_there_are_several() -> None:
    assert names(config_of(verify_workers="1", http="true", rpc_workers="3"))[-3:] == [
        *("rpc-1", "rpc-2", "rpc-3")
    ]
    assert names(config_of(verify_workers="1", rpc_workers="3"))[-1] == "commit"
