"""What the status says of single peers is right, bounded, and no more than text."""

from pathlib import Path
from typing import Any

import trio

from broker.link import Link
from tests.workers.p2p.support import Chain, run
from tests.workers.p2p.test_service import (
    broker,
    following,
    links,
    servers,
    settings_of,
    until_stored,
)
from workers.component import Component
from workers.p2p import keys
from workers.p2p.host import Host
from workers.p2p.peers import Peers
from workers.p2p.roster import (
    FAULTS_MAX,
    ROWS_MAX,
    STREAMS_MAX,
    TEXT_CHARS_MAX,
    LastFaults,
    Streams,
    clipped,
    peer_rows,
)

BLOCKS = 120


def test_an_open_stream_is_told_of_and_for_a_while_one_that_has_ended() -> None:
    now = [0.0]
    streams = Streams(lambda: now[0])
    with (
        streams.of("a", Component.EVENTS, range(149, 99, -1)),
        streams.of("a", Component.HEADERS, range(200, 300)),
    ):
        now[0] = 60.0
        assert streams.with_peer("a") == [["headers", 200, 299], ["events", 100, 149]]
        assert streams.with_peer("b") == []
    with streams.of("a", Component.CLASSES, range(0)):  # a question about blocks that are not there
        assert len(streams.with_peer("a")) == 2
    now[0] = 62.0
    assert len(streams.with_peer("a")) == 2
    now[0] = 64.0
    assert streams.with_peer("a") == []


def test_streams_of_many_peers_are_forgotten_but_for_the_open_ones() -> None:
    now = [0.0]
    streams = Streams(lambda: now[0])
    with streams.of("open", Component.EVENTS, range(1)):
        for number in range(2 * STREAMS_MAX):
            now[0] = number / 1000
            with streams.of(f"peer {number}", Component.HEADERS, range(1)):
                pass
        assert streams.with_peer("open") == [["events", 0, 0]]
        assert streams.with_peer("peer 0") == []
        assert streams.with_peer(f"peer {number}") == [["headers", 0, 0]]
    assert len(streams._streams) <= STREAMS_MAX


def test_the_last_faults_come_first_and_are_bounded_in_number_and_length() -> None:
    faults = LastFaults()
    for block in range(2 * FAULTS_MAX):
        faults.note(1000.0 + block, "peer", block, "rule", "events", "x" * 1000)
    rows = faults.rows()
    assert [row["block"] for row in rows] == list(range(2 * FAULTS_MAX - 1, FAULTS_MAX - 1, -1))
    assert {len(row["detail"]) for row in rows} == {TEXT_CHARS_MAX + 1}


def test_words_of_peers_are_printable_and_short() -> None:
    assert clipped("juno/0.15\n\x1b[31m\u202e") == "juno/0.15  [31m "
    assert clipped("é" * 200) == "é" * TEXT_CHARS_MAX + "…"


def test_rows_are_bounded_and_connected_peers_come_before_those_left_alone() -> None:
    host = Host(keys.generate(), "hera/test")
    names = [keys.generate().peer_id for _ in range(2 * ROWS_MAX)]
    connected, liars = names[:ROWS_MAX], names[ROWS_MAX:]
    peers = Peers("own")
    for liar in liars:
        peers.blame(liar, "header.signature", 1, 0.0)
    peers.update(connected[:3])
    given = Streams(lambda: 0.0)
    with given.of(connected[0], Component.EVENTS, range(100)):
        rows = peer_rows(host, peers, given, Streams(lambda: 0.0), 10.0)
    assert len(rows) == ROWS_MAX
    assert [row["peer"] for row in rows[:3]] == sorted(connected[:3])
    told = {row["peer"]: row for row in rows}
    assert told[connected[0]]["gives"] == [["events", 0, 99]]
    assert told[connected[1]] == {
        "peer": connected[1],
        "score": 0,
        "state": "good",
        "for_seconds": 0,
        "last": "",
        "bytes_per_second": 0,
        "agent": "",
        "direction": "",
        "head": None,
        "gives": [],
        "takes": [],
    }
    left = rows[3]
    assert (left["state"], left["for_seconds"], left["last"]) == (
        "quarantined",
        50,
        "header.signature",
    )
    peers.update(connected)
    with given.of(connected[-1], Component.EVENTS, range(100)):  # the busy are not left out
        rows = peer_rows(host, peers, given, Streams(lambda: 0.0), 10.0)
    assert len(rows) == ROWS_MAX
    assert connected[-1] in {row["peer"] for row in rows}


def test_the_status_of_a_syncing_node_names_who_gives_what(tmp_path: Path) -> None:
    store, source = Chain(0), Chain(BLOCKS)

    async def test() -> None:
        with broker(tmp_path, store) as (endpoint, _):
            async with servers(source) as hosts:
                settings = settings_of(tmp_path, endpoint, links(hosts))
                async with following(settings, store):
                    await until_stored(store, BLOCKS)
                    (row,) = await rows_of(endpoint)
        assert row["peer"] == hosts[0].peer_id
        assert (row["direction"], row["head"], row["state"]) == ("outbound", BLOCKS - 1, "good")
        assert row["agent"].startswith("hera/")
        assert {part for part, _, _ in row["gives"]} >= {"headers", "transactions", "events"}

    run(test)


async def rows_of(endpoint: str) -> list[dict[str, Any]]:
    """Ask the broker until p2p has told of a peer that gave something."""
    with Link(endpoint, "asker") as asker:
        while True:
            stats = await trio.to_thread.run_sync(asker.stats)
            rows: list[dict[str, Any]] = stats["workers"]["p2p"]["status"].get("peer_rows", [])
            if any(row["gives"] for row in rows):
                return rows
            await trio.sleep(0.05)
