"""Where another chain left ours is found with few questions; more peers decide which one is followed."""

from collections.abc import Sequence

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from workers.messages import RETREAT_BLOCKS_MAX, HeaderInfo
from workers.p2p.forks import Forged, Fork, find_fork, most_go_there


def info(number: int, chain: str) -> HeaderInfo:
    return HeaderInfo(number, f"{chain}{number}".encode(), "0.13.4", 0, 0, 0)


class Peers:
    """Peers that left the common chain after a block, or did not."""

    def __init__(self, forks: dict[str, int], height: int = 10_000) -> None:
        self._forks = forks
        self._height = height
        self.asked: list[tuple[str, int, int]] = []

    async def probe(self, peer: str, start: int, count: int) -> Sequence[HeaderInfo]:
        self.asked.append((peer, start, count))
        forked = self._forks[peer]
        return [
            info(n, "ours" if n <= forked else "theirs")
            for n in range(start, min(start + count, self._height))
        ]


async def ours(number: int) -> bytes | None:
    return info(number, "ours").block_hash


def found(peers: Peers, number: int) -> Fork | None:
    async def search() -> Fork | None:
        return await find_fork(peers.probe, ours, "a", number)

    return trio.run(search)


@given(st.integers(1, 6000), st.integers(0, 5000))
def test_the_last_common_block_is_found_within_the_bound(number: int, depth: int) -> None:
    last = max(0, number - 1 - depth)
    peers = Peers({"a": last})
    if last == number - 1:
        with pytest.raises(Forged):
            found(peers, number)
        return
    fork = found(peers, number)
    if number - last > RETREAT_BLOCKS_MAX + 100:
        assert fork is None
    elif fork is not None or number - last <= RETREAT_BLOCKS_MAX:
        assert fork == Fork(
            last,
            info(last, "ours").block_hash,
            info(last + 1, "theirs").block_hash,
            info(last + 1, "ours").block_hash,
        )
    assert all(count <= 100 for _, _, count in peers.asked)
    assert len(peers.asked) <= 5 + (number - last) // 99


def test_a_peer_that_answers_no_more_ends_the_search() -> None:
    assert found(Peers({"a": 3}, height=100), 500) is None


def test_answers_that_do_not_link_end_the_search() -> None:
    class Shifty(Peers):
        async def probe(self, peer: str, start: int, count: int) -> Sequence[HeaderInfo]:
            await super().probe(peer, start, count)
            return [info(n, f"chain{len(self.asked)}-") for n in range(start, start + count)]

    peers = Shifty({"a": 0})
    assert found(peers, 500) is None
    assert len(peers.asked) == 2


FORK = Fork(10, b"ours10", b"theirs11", b"ours11")


@pytest.mark.parametrize(
    ("forks", "followed"),
    [
        ({"a": 10}, True),
        ({"a": 10, "b": 99}, False),
        ({"a": 10, "b": 10, "c": 99}, True),
        ({"a": 10, "b": 99, "c": 99}, False),
        ({"a": 10, "b": 5, "c": 10}, True),
    ],
)
def test_more_peers_decide(forks: dict[str, int], followed: bool) -> None:
    async def vote() -> bool:
        return await most_go_there(Peers(forks).probe, FORK, list(forks))

    assert trio.run(vote) is followed
