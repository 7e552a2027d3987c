"""Who may be asked, who is left alone, how heads are found, and the address book."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.flow.chains import another_devnet, devnet
from tests.workers.p2p.test_keys import JUNO_PEER_ID
from workers.p2p import addresses, keys, score
from workers.p2p.addresses import Address
from workers.p2p.book import ADDRESSES_MAX, FILE_NAME, PEERS_MAX, Book
from workers.p2p.files import FileBroken
from workers.p2p.heads import count_headers, find_head
from workers.p2p.peers import CHECK_SECONDS, OFF_CHAIN_SECONDS, Back, Peers
from workers.p2p.plan import PeerState
from workers.p2p.protocols import Range
from workers.p2p.score import WEAKNESS_SECONDS
from workers.p2p.streams import BadAnswer


def connected(*names: str) -> Peers:
    peers = Peers("own")
    peers.update(names)
    return peers


def test_waiting_doubles_up_to_its_bound_and_starts_over() -> None:
    back = Back(1.0, 60.0)
    assert [back.fail(100.0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    back.succeed()
    assert back.fail(0.0) == 1


def test_a_peer_is_askable_once_its_head_is_known() -> None:
    peers = connected("a", "b", "own")
    assert len(peers) == 2
    assert peers.askable(0.0) == []
    assert sorted(peers.to_check(0.0, 8)) == ["a", "b"]
    assert peers.to_check(0.0, 8) == []
    peers.checked("a", 41, 0.0)
    assert peers.askable(0.0) == [PeerState("a", 41)]
    assert peers.to_check(CHECK_SECONDS - 0.1, 8) == []
    assert peers.to_check(CHECK_SECONDS, 8) == ["a"]


def test_a_peer_that_cannot_be_asked_is_checked_ever_less_often() -> None:
    peers = connected("a")
    now, waits = 0.0, []
    for _ in range(8):
        assert peers.to_check(now, 8) == ["a"]
        peers.checked("a", None, now)
        began = now
        while not peers.to_check(now, 0) and "a" not in peers.to_check(now, 8):
            now += 1.0
        peers.checked("a", None, now)
        waits.append(now - began)
        now += 100
    assert waits == sorted(waits)
    assert waits[-1] <= 60


def test_a_peer_that_lied_is_not_asked_for_a_while() -> None:
    peers = connected("a", "b")
    peers.checked("a", 9, 0.0)
    peers.checked("b", 9, 0.0)
    assert peers.blame("a", "events.commitment", 1, 0.0).seconds == 60
    assert [state.peer for state in peers.askable(59.0)] == ["b"]
    assert "a" not in peers.to_check(59.0, 8)
    assert len(peers.askable(61.0)) == 2
    assert peers.left_alone(59.0) == 1
    assert peers.left_alone(61.0) == 0


def test_a_quarantine_outlives_the_connection_and_the_process() -> None:
    peers = connected("a")
    peers.blame("a", "events.commitment", 1, 0.0)
    peers.update([])
    peers.update(["a"])
    peers.checked("a", 9, 1.0)
    assert peers.askable(1.0) == []
    later = Peers("own", peers.standings, epoch=30.0)  # a clock that began 30 s later
    later.update(["a"])
    later.checked("a", 9, 1.0)
    assert later.askable(29.0) == []
    assert later.askable(31.0)


def test_the_faster_and_the_more_honest_peer_is_the_better_one() -> None:
    peers = connected("fast", "slow", "new", "shaky")
    for name in ("fast", "slow", "new", "shaky"):
        peers.checked(name, 9, 0.0)
    peers.answered("fast", 1_000_000, 0.1)
    peers.answered("slow", 1_000_000, 10.0)
    peers.answered("shaky", 1_000_000, 0.1)
    for n in range(1, 9):
        peers.blame("shaky", "stream.reset", 1, n * WEAKNESS_SECONDS)
    quality = {state.peer: state.quality for state in peers.askable(0.0)}
    assert quality["fast"] == quality["new"] > quality["shaky"] > quality["slow"]


def test_what_the_operator_bans_is_left_alone_and_what_is_pardoned_starts_over() -> None:
    peers = connected("a", "b")
    peers.checked("a", 9, 0.0)
    peers.checked("b", 9, 0.0)
    peers.blame("b", "events.commitment", 1, 10.0)
    peers.obey(["a"], {"b": 5.0})
    assert peers.is_banned("a", 11.0)
    assert peers.askable(11.0) == [], "a pardon of before the fault does not cover it"
    peers.obey([], {"b": 11.0})
    assert [state.peer for state in peers.askable(11.0)] == ["a", "b"]


def test_a_flood_of_new_names_pushes_out_no_ban() -> None:
    peers = connected("known")
    for _ in range(20):
        now = peers.standings["liar"].until if "liar" in peers.standings else 0.0
        peers.blame("liar", "events.commitment", 1, now)
    assert peers.is_banned("liar", now)
    peers.answered("known", 1, 1.0)
    for number in range(score.PEERS_MAX + 50):
        peers.blame(f"sybil{number}", "stream.slow", 1, now)
    assert len(peers.standings) == score.PEERS_MAX
    assert peers.is_banned("liar", now)
    assert "known" in peers.standings


def test_a_peer_on_another_chain_is_left_alone_for_a_while_but_not_blamed() -> None:
    peers = connected("a", "b")
    for name in ("a", "b"):
        peers.checked(name, 9, 0.0)
    peers.off_chain("a", 10.0)
    assert peers.with_block(9, 10.0) == ["b"]
    assert "a" not in peers.to_check(10.0 + OFF_CHAIN_SECONDS - 1, 8)
    assert "a" in peers.to_check(10.0 + OFF_CHAIN_SECONDS, 8)
    assert peers.left_alone(10.0) == 0
    peers.checked("a", 9, 80.0)
    peers.off_chain("a", 80.0)
    peers.check_all()
    assert "a" in peers.to_check(80.0, 8), "after a retreat everyone is looked at anew"


def test_that_nobody_is_left_to_ask_names_who_is_asked_again_first() -> None:
    peers = connected("a", "b")
    assert not peers.all_left_alone(0.0)
    peers.blame("a", "events.count", 1, 0.0)
    assert not peers.all_left_alone(0.0)
    peers.blame("b", "header.signature", 1, 10.0)
    assert peers.all_left_alone(10.0)
    assert peers.first_back(10.0) == ("a", "events.count", "again in 50 s")
    peers.update([])
    assert peers.all_left_alone(10.0), "who lied is sent away"
    peers.obey(["a", "b"], {})
    assert peers.first_back(10.0) == ("a", "the operator's ban", "until it is unbanned")
    peers.update(["c"])
    assert not peers.all_left_alone(10.0)
    assert not connected().all_left_alone(0.0), "nobody is known"


def test_a_peer_that_ended_early_has_a_lower_head_and_is_asked_anew() -> None:
    peers = connected("a")
    peers.checked("a", 500, 0.0)
    peers.ended_at("a", 99)
    assert peers.askable(0.0) == [PeerState("a", 99)]
    assert peers.to_check(0.0, 8) == ["a"]
    peers.ended_at("a", 400)
    assert peers.known_head("a") == 99
    peers.ended_at("gone", 1)


def heads_of(head: int, asked: list[Range]) -> Callable[[Range], Awaitable[int]]:
    async def headers_in(wanted: Range) -> int:
        assert isinstance(wanted.start, int)
        asked.append(wanted)
        return len(range(wanted.start, head + 1, wanted.step)[: wanted.limit])

    return headers_in


@given(known=st.integers(-1, 10**9), new=st.integers(-100, 4_000_000))
def test_the_head_is_found_in_three_questions(known: int, new: int) -> None:
    asked: list[Range] = []
    head = max(-1, known + new)
    assert trio.run(find_head, heads_of(head, asked), known) == max(head, known)
    assert len(asked) <= 3


def test_nothing_new_costs_one_question() -> None:
    asked: list[Range] = []
    assert trio.run(find_head, heads_of(41, asked), 41) == 41
    assert [wanted.start for wanted in asked] == [42]


def test_a_peer_that_claims_everything_does_not_keep_us_asking() -> None:
    asked: list[Range] = []
    trio.run(find_head, heads_of(1 << 62, asked), 0)
    assert len(asked) == 3


def test_a_claimed_head_must_be_signed_by_the_sequencer() -> None:
    chain, blocks = devnet(3)
    network, key = chain.network(), chain.public_key
    wanted = Range(0, 256, 1)
    body = b"".join(block.header for block in blocks)
    assert count_headers(network, key, wanted, body) == 3
    assert count_headers(network, key, Range(0, 9, 2), blocks[0].header + blocks[2].header) == 2
    for rule, asked, answer in (
        ("header.signature", wanted, another_devnet(1)[0].header),
        ("headers.number", wanted, blocks[1].header),
        ("headers.count", Range(0, 2), body),
        ("headers.malformed", wanted, b"\2\7\7"),
        ("headers.number", Range(1, 1), b"\2\x0a\0"),  # a header without content
    ):
        with pytest.raises(BadAnswer) as caught:
            count_headers(network, key, asked, bytes(answer))
        assert caught.value.rule == rule


# ---- the address book ----------------------------------------------------------------------------------------


def address(n: int) -> Address:
    return Address("ip4", f"10.0.{n // 250}.{n % 250}", 7777)


def test_the_book_is_there_at_the_next_start(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.load()
    other = keys.generate().peer_id
    book.note(JUNO_PEER_ID, [address(1), addresses.parse("/dns4/feeder/tcp/7777")])
    book.note(other, [address(2)])
    assert book.save()
    assert not book.save(), "nothing has changed since"
    again = Book(tmp_path)
    again.load()
    assert again.known() == book.known()
    assert list(again.known()) == [other, JUNO_PEER_ID]
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_the_book_holds_boundedly_many(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for n in range(PEERS_MAX + 5):
        book.note(f"peer{n}", [address(k) for k in range(ADDRESSES_MAX + 5)])
    assert len(book.known()) == PEERS_MAX
    assert "peer0" not in book.known()
    assert all(len(found) == ADDRESSES_MAX for found in book.known().values())


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": 2, "peers": {}}', '{"format": 1, "peers": 3}']
)
def test_a_file_that_is_no_book_is_said_so_and_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    book = Book(tmp_path)
    with pytest.raises(FileBroken):
        book.load()
    book.note(JUNO_PEER_ID, [address(1)])
    assert book.save()
    fresh = Book(tmp_path)
    fresh.load()
    assert list(fresh.known()) == [JUNO_PEER_ID]


def test_single_bad_entries_are_left_out(tmp_path: Path) -> None:
    peers = {
        JUNO_PEER_ID: ["/ip4/10.0.0.1/tcp/7777", "nonsense", 7],
        "no-id": ["/ip4/10.0.0.1/tcp/7777"],
        keys.generate().peer_id: "text",
    }
    (tmp_path / FILE_NAME).write_text(json.dumps({"format": 1, "peers": peers}))
    book = Book(tmp_path)
    book.load()
    assert book.known() == {JUNO_PEER_ID: (Address("ip4", "10.0.0.1", 7777),)}
