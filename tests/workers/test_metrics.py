"""What processes count reaches the exporter's page: over a real broker, through deaths, and no rubbish with it."""

import pickle
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.link import BrokerLost, Link
from broker.memory import MemoryBroker
from broker.topic import Topic
from starknet.network import Network
from tests.settings import settings_of
from workers import restarts
from workers.exporter import exporter
from workers.exporter.collect import Collector
from workers.exporter.lives import LIVES_MAX, Lives
from workers.exporter.server import CLIENTS_MAX, Server
from workers.feeder.client import Gateway, Unreachable
from workers.listening import bind
from workers.messages import BlockStored
from workers.metrics import JOIN, OTHER, SETS_MAX, Figures
from workers.series import ALL, BUCKETS_S
from workers.settings import Settings

TOPIC = Topic("blocks.stored", BlockStored, items_max=10, bytes_max=1000)
BLOCKS, RULE = "hera_sync_blocks_total", "hera_verify_failures_total"
COMMIT = "hera_store_commit_duration_seconds"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    network = Network("devnet", "SN_HERA_DEVNET", "", "", 1, "0x0", 7)
    return settings_of(network, tmp_path, version="1.2.3", restarts=tmp_path / "restarts.json")


def figures_of(**workers: dict[str, Any]) -> dict[str, Any]:
    """What a broker with one topic answers; ``workers`` are their statuses."""
    figures = MemoryBroker([TOPIC]).figures()
    for name, status in workers.items():
        figures["workers"][name] = {"status": status, "last_seen_s": 0.5, "leased": 2}
    return figures


def found(settings: Settings, figures: dict[str, Any]) -> dict[Any, Any]:
    return Collector(settings, lambda _: figures, lambda: 100.0).found()


# ---- counting ------------------------------------------------------------------------------------------------------


def test_only_declared_series_are_counted_and_only_with_their_labels() -> None:
    figures = Figures()
    with pytest.raises(KeyError):
        figures.count("hera_unheard_of_total")
    with pytest.raises(AssertionError):
        figures.count(BLOCKS, rule="x")
    with pytest.raises(AssertionError):
        figures.count(RULE)
    with pytest.raises(AssertionError):
        figures.set(BLOCKS, 1)
    with pytest.raises(AssertionError):
        figures.observe(BLOCKS, 1)


def test_a_report_has_counts_durations_and_the_signs_of_life() -> None:
    figures = Figures()
    figures.count(BLOCKS, 0)
    figures.count(BLOCKS)
    figures.count(BLOCKS, 2)
    figures.observe(COMMIT, BUCKETS_S[0])
    figures.observe(COMMIT, 99.0)
    with pytest.raises(ZeroDivisionError), figures.timed(COMMIT):
        _ = 1 // 0
    report = figures.report()
    assert report["series"][BLOCKS] == {"": 3}
    counts = report["series"][COMMIT][""]
    assert (counts[0], counts[len(BUCKETS_S)], sum(counts[:-1])) == (2, 1, 3)
    assert counts[-1] == pytest.approx(99.0, abs=0.1)
    assert report["rss_bytes"] > 1 << 20
    assert report["cpu_seconds"] > 0


def test_ever_new_label_values_end_as_other() -> None:
    figures = Figures()
    for number in range(SETS_MAX + 5):
        figures.count(RULE, rule=f"r{number}")
    sets = figures.report()["series"][RULE]
    assert len(sets) == SETS_MAX + 1
    assert sets[OTHER] == 5


def test_what_was_counted_does_not_travel_with_settings() -> None:
    figures = Figures()
    figures.count(BLOCKS)
    assert pickle.loads(pickle.dumps(figures)).report()["series"] == {}


def test_requests_to_a_gateway_that_is_not_there_are_counted_as_status_0() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
    url, figures, stop = f"http://127.0.0.1:{port}", Figures(), threading.Event()
    with Gateway(url, stop, figures, tries_max=1) as gateway, pytest.raises(Unreachable):
        gateway.signature(1)
    series = figures.report()["series"]
    assert series["hera_feeder_requests_total"] == {JOIN.join(("get_signature", "0")): 1}
    assert sum(series["hera_feeder_request_duration_seconds"]["get_signature"][:-1]) == 1


# ---- collecting ----------------------------------------------------------------------------------------------------


def test_what_a_process_says_gets_its_name_for_a_label(settings: Settings) -> None:
    figures = Figures()
    figures.count(RULE, 4, rule="block.hash")
    figures.set("hera_chain_head_block", 7)
    status = {"stage": "verify", "done": 3, "faults": 1, "again": 0, "busy_seconds": 1.5}
    seen = found(settings, figures_of(**{"verify-1": status | figures.report()}))
    assert seen[RULE, ("verify-1", "block.hash")] == 4
    assert seen["hera_stage_messages_total", ("verify-1", "verify", "done")] == 3
    assert seen["hera_stage_busy_seconds_total", ("verify-1", "verify")] == 1.5
    assert seen["hera_worker_last_heartbeat_timestamp_seconds", ("verify-1",)] == 99.5
    assert seen["hera_queue_capacity_items", ("blocks.stored",)] == 10
    assert seen["hera_build_info", ("1.2.3", "devnet")] == 1
    assert seen["sync_blockchain_height", ()] == 7


def test_who_only_looks_at_the_node_has_no_series(settings: Settings) -> None:
    seen = found(settings, figures_of(**{"status-77": Figures().report(), "commit": {}}))
    assert {labels for name, labels in seen if name == "hera_worker_up"} == {
        *(("broker",), ("commit",))
    }


def test_a_process_that_the_supervisor_knows_and_the_broker_does_not_is_missed(
    settings: Settings,
) -> None:
    assert settings.restarts is not None
    restarts.write(settings.restarts, {"broker": 0, "commit": 2, "p2p": 0})
    seen = found(settings, figures_of(commit={}))
    up = {labels[0]: value for (name, labels), value in seen.items() if name == "hera_worker_up"}
    assert up == {"broker": 1, "commit": 1, "p2p": 0}
    assert seen["hera_worker_restarts_total", ("commit",)] == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"commit": "often"}'])
def test_a_file_of_restarts_that_is_none_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    assert restarts.read(tmp_path / "file") == {}
    assert restarts.read(tmp_path / "none") == restarts.read(None) == {}


@pytest.mark.parametrize(
    "series",
    [
        7,
        {"hera_unheard_of_total": {"": 1}},
        {"hera_build_info": {"9.9\x1fmainnet": 1}},
        {BLOCKS: 3},
        {BLOCKS: {"": "many"}},
        {BLOCKS: {b"": 1}},
        {BLOCKS: {"": True}},
        {BLOCKS: {"more\x1flabels": 1}},
        {BLOCKS: {"": [1, 2]}},
        {COMMIT: {"": [1, 2]}},
        {COMMIT: {"": ["a"] * (len(BUCKETS_S) + 2)}},
        {COMMIT: {"": 5}},
    ],
)
def test_rubbish_from_a_process_is_left_out(settings: Settings, series: object) -> None:
    rubbish = {"series": series, "started": "now", "cpu_seconds": None, "stage": 5}
    clean, other = (found(settings, figures_of(commit=said)) for said in ({}, rubbish))
    for one in (clean, other):
        del one["hera_store_disk_free_bytes", ()]  # changes meanwhile
    assert other == clean


def test_a_process_that_was_started_again_counts_on() -> None:
    lives = Lives()
    key, other = (BLOCKS, ("commit",)), (COMMIT, ("commit",))
    assert lives.through("commit", 1.0, {key: 5, other: [1, 2]}) == {key: 5, other: [1, 2]}
    assert lives.through("commit", 1.0, {key: 7, other: [1, 3]}) == {key: 7, other: [1, 3]}
    assert lives.through("commit", 2.0, {}) == {key: 7, other: [1, 3]}
    assert lives.through("commit", 2.0, {key: 9}) == {key: 16, other: [1, 3]}
    assert lives.through("commit", 3.0, {key: 1, other: [1, 1]}) == {key: 17, other: [2, 4]}
    assert lives.through("other", 1.0, {key: 1}) == {key: 1}


def test_only_so_many_processes_are_remembered() -> None:
    lives = Lives()
    key = (BLOCKS, ("w",))
    for number in range(LIVES_MAX + 1):
        lives.through(f"w{number}", 1.0, {key: 5})
    assert lives.through("w0", 2.0, {key: 1}) == {key: 1}
    assert lives.through(f"w{LIVES_MAX}", 2.0, {key: 1}) == {key: 6}


# ---- serving -------------------------------------------------------------------------------------------------------


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Source:
    """Stands for a link: counts how often it is asked, and may fail."""

    def __init__(self) -> None:
        self.asked = 0
        self.failure: Exception | None = None

    def stats(self, _: float) -> dict[str, Any]:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return figures_of(commit=Figures().report())


@pytest.fixture
def serving(settings: Settings) -> Iterator[tuple[int, Source]]:
    source = Source()
    bound = bind("127.0.0.1", 0)
    with Server(bound, Collector(settings, source.stats)):
        yield bound.getsockname()[1], source


def test_the_broker_is_asked_once_a_scrape_and_never_between(serving: tuple[int, Source]) -> None:
    port, source = serving
    assert source.asked == 0
    for count, path in enumerate(("/metrics", "/", "/metrics?x=1"), 1):
        status, text = get(port, path)
        assert (status, source.asked) == (200, count)
        assert 'hera_build_info{network="devnet",version="1.2.3"} 1.0' in text
    assert get(port, "/nowhere")[0] == 404
    assert source.asked == 3


@pytest.mark.parametrize("failure", [BrokerLost("gone"), TimeoutError("late")])
def test_a_broker_that_does_not_answer_is_status_503(
    serving: tuple[int, Source], failure: Exception
) -> None:
    port, source = serving
    source.failure = failure
    assert get(port, "/metrics") == (503, f"{failure}\n")
    source.failure = None
    assert get(port, "/metrics")[0] == 200


def test_clients_that_say_nothing_are_few_and_keep_nobody_out_for_ever(
    serving: tuple[int, Source],
) -> None:
    port, _ = serving
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS_MAX)]
    one_more = socket.create_connection(("127.0.0.1", port), timeout=10)
    assert one_more.recv(1) == b"", "it is sent away"
    for each in (one_more, *silent):
        each.close()
    for _ in range(100):
        try:
            status, _ = get(port, "/metrics")
        except OSError:
            continue
        assert status == 200
        return
    raise AssertionError("the places of clients that left are not given back")


def test_a_busy_port_is_one_line_and_code_78(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        told = Settings(**{**settings.__dict__, "metrics_host": "127.0.0.1", "metrics_port": port})
        with pytest.raises(SystemExit) as left:
            exporter.main(told, MemoryBroker([TOPIC]).link("metrics"))
    assert left.value.code == 78
    (record,) = caplog.records
    assert "--metrics-port" in record.getMessage()


def test_a_heartbeat_carries_the_signs_of_life_beside_the_status(tmp_path: Path) -> None:
    from broker import router

    stop = threading.Event()
    endpoint = f"ipc://{tmp_path}/broker"
    tmp_path.chmod(0o700)
    broker = threading.Thread(
        target=router.serve,
        args=(endpoint, [TOPIC]),
        kwargs={"stop": stop.is_set, "vitals": lambda: {"rss_bytes": 5}},
    )
    broker.start()
    figures = Figures()
    figures.count(BLOCKS, 3)
    try:
        with Link(endpoint, "commit", gives=(TOPIC,), vitals=figures.report) as link:
            link.status({"done": 1})
            assert link.give(BlockStored(1, 0, bytes(32)))
            for _ in range(100):
                seen = link.stats()
                status = seen["workers"]["commit"]["status"]
                if status.get("done"):
                    break
                link.take(0.1)
            assert status["series"] == {BLOCKS: {"": 3}}
            assert seen["broker"] == {"rss_bytes": 5}
            assert seen["flows"]["blocks.stored"]["added"] == 1
    finally:
        stop.set()
        broker.join()


def test_the_waits_of_messages_are_counted_until_they_are_first_handed_out() -> None:
    broker = MemoryBroker([TOPIC])
    giver = broker.link("giver", gives=(TOPIC,))
    assert giver.give(BlockStored(1, 0, bytes(32)))
    broker.advance(2.0)
    first = broker.link("first", takes=(TOPIC,))
    assert first.take(0) is not None
    broker.advance(2.0)
    first.abandon()
    assert broker.link("second", takes=(TOPIC,)).take(0) is not None
    waits = broker.figures()["flows"]["blocks.stored"]["waits"]
    assert waits[BUCKETS_S.index(2.5)] == sum(waits[:-1]) == 1
    assert waits[-1] == 2.0


def test_broker_and_workers_count_in_the_same_buckets() -> None:
    from broker.queues import WAITS_S

    assert WAITS_S == BUCKETS_S
    assert all(name == series.name for name, series in ALL.items())
