"""js-libp2p as a client of all five sync protocols: a Hera node answers each request as the specification says."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from starknet.wire.delimited import split
from tests.interop.conftest import CHAIN_ID, Chain
from tests.interop.javascript import script
from tests.scripts import Refused, Script
from workers.component import CLASS_BYTES_MAX, Component
from workers.p2p.protocols import protocol_id

UINT64_MAX = (1 << 64) - 1
STALL_SECONDS = 9  # longer than what muxers that give up after 5 s stand

Iteration = dict[str, Any]


@pytest.fixture(scope="module")
def client(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    log = tmp_path_factory.mktemp("client") / "ask.log"
    with script("ask.mjs", chain.address, CHAIN_ID, log=log) as running:
        yield running


def asked(start: int | bytes, limit: int, step: int = 1, *, backward: bool = False) -> Iteration:
    """Return an iteration as protobufjs takes it: 64-bit numbers as text, bytes in base64."""
    begin: Iteration = (
        {"block_number": str(start)}
        if isinstance(start, int)
        else {"header": {"elements": b64encode(start).decode()}}
    )
    return begin | {"direction": int(backward), "limit": str(limit), "step": str(step)}


def whole(told: dict[str, Any], chain: Chain, part: Component, numbers: Sequence[int]) -> bool:
    """Whether an answer holds exactly these blocks' messages in this order, then one Fin, then nothing."""
    body = b"".join(chain.parts[part][number] for number in numbers)
    assert told["finished"], told
    assert told["afterFin"] == 0
    assert told["messages"] == sum(1 for _ in split(body, CLASS_BYTES_MAX)), told
    if part is Component.HEADERS:
        assert told["numbers"] == list(numbers)
    return bool(told["sha256"] == sha256(body).hexdigest())


Case = Callable[[Chain], tuple[Iteration, Sequence[int]]]
CASES: dict[str, Case] = {
    "forward": lambda c: (asked(5, 10), range(5, 15)),
    "one block": lambda c: (asked(0, 1), [0]),
    "backward": lambda c: (asked(14, 10, backward=True), range(14, 4, -1)),
    "each fifth block": lambda c: (asked(3, 7, 5), range(3, 38, 5)),
    "each seventh block backward, to below block 0": lambda c: (
        asked(20, 100, 7, backward=True),
        (20, 13, 6),
    ),
    "beyond the head": lambda c: (asked(c.head - 3, 50), range(c.head - 3, c.head + 1)),
    "a step beyond the head": lambda c: (asked(c.head, 3, UINT64_MAX), [c.head]),
    "by hash": lambda c: (asked(c.hashes[7], 4), range(7, 11)),
    "by hash, backward": lambda c: (asked(c.hashes[7], 4, backward=True), range(7, 3, -1)),
    "the greatest limit": lambda c: (asked(0, UINT64_MAX), range(c.head + 1)),
    "limit 0": lambda c: (asked(5, 0), ()),
    "an unknown hash": lambda c: (asked(b"\x01" * 32, 4), ()),
    "a start beyond the head": lambda c: (asked(c.head + 1, 4), ()),
    "a start beyond the head, backward": lambda c: (asked(c.head + 9, 100, backward=True), ()),
    "the greatest start": lambda c: (asked(UINT64_MAX, UINT64_MAX, UINT64_MAX), ()),
}


@pytest.mark.parametrize("part", Component)
@pytest.mark.parametrize("case", CASES)
def test_a_js_client_gets_exactly_the_blocks_it_asks_for_and_fin(
    chain: Chain, client: Script, case: str, part: Component
) -> None:
    iteration, numbers = CASES[case](chain)
    assert whole(client.call("ask", part=part, iteration=iteration), chain, part, numbers)


@pytest.mark.parametrize("part", Component)
def test_a_request_without_meaning_gets_no_answer_and_the_connection_lives(
    chain: Chain, client: Script, part: Component
) -> None:
    with pytest.raises(Refused, match="Reset"):
        client.call("ask", part=part, iteration=asked(5, 10, 0))  # step 0
    with pytest.raises(Refused, match="Reset"):
        client.call("sendRaw", part=part, hex="ff" * 40)
    with pytest.raises(Refused, match="Reset"):
        client.call("sendRaw", part=part, hex="")
    assert whole(client.call("ask", part=part, iteration=asked(5, 2)), chain, part, (5, 6))


def test_a_js_client_sees_who_the_node_is_and_what_it_speaks(client: Script) -> None:
    known = client.call("identify")
    assert known["agent"].startswith("hera/")
    assert {protocol_id(CHAIN_ID, part) for part in Component} <= set(known["protocols"])
    assert client.call("ping")["milliseconds"] >= 0


@pytest.mark.parametrize("part", Component)
def test_nothing_is_answered_before_the_half_close(
    chain: Chain, client: Script, part: Component
) -> None:
    told = client.call("askInPieces", part=part, iteration=asked(9, 5))
    assert told["early"] == 0
    assert whole(told, chain, part, range(9, 14))


@pytest.mark.parametrize("part", Component)
def test_a_client_that_does_not_wait_for_the_negotiation_is_answered(
    chain: Chain, client: Script, part: Component
) -> None:
    told = client.call("askLazily", part=part, iteration=asked(9, 5))
    assert told["agreed"]
    assert whole(told, chain, part, range(9, 14))


def test_thirty_streams_at_once_are_all_answered_whole(chain: Chain, client: Script) -> None:
    questions = [(part, start) for part in Component for start in range(0, 180, 30)]
    answers = client.call(
        "askAtOnce",
        questions=[{"part": part, "iteration": asked(start, 30)} for part, start in questions],
    )
    for told, (part, start) in zip(answers, questions, strict=True):
        assert whole(told["value"], chain, part, range(start, start + 30))


def test_of_a_hundred_streams_at_once_each_is_answered_whole_or_refused(
    chain: Chain, client: Script
) -> None:
    questions = [{"part": "transactions", "iteration": asked(i, 60)} for i in range(100)]
    answers = client.call("askAtOnce", questions=questions, seconds=60)
    whole_ones = 0
    for start, told in enumerate(answers):
        if "value" in told:
            assert whole(told["value"], chain, Component.TRANSACTIONS, range(start, start + 60))
            whole_ones += 1
        else:
            assert told["error"] in ("StreamResetError", "StreamStateError")
    assert whole_ones >= 30
    again = client.call("ask", part="headers", iteration=asked(5, 2))
    assert whole(again, chain, Component.HEADERS, (5, 6))


def test_a_reader_that_pauses_for_long_gets_everything_after_it(
    chain: Chain, client: Script
) -> None:
    told = client.call(
        "askSlowly",
        part="transactions",
        iteration=asked(0, UINT64_MAX),
        pauseSeconds=STALL_SECONDS,
    )
    assert told["held"] >= 200_000, "nothing came during the pause: the window was never full"
    assert told["held"] < told["bytes"], "the answer fits the window: make the chain longer"
    assert whole(told, chain, Component.TRANSACTIONS, range(chain.head + 1))


def test_a_client_that_resets_in_mid_answer_is_answered_the_next_time(
    chain: Chain, client: Script
) -> None:
    for _ in range(40):
        client.call("abandon", part="events", iteration=asked(0, UINT64_MAX))
    told = client.call("ask", part="events", iteration=asked(0, UINT64_MAX))
    assert whole(told, chain, Component.EVENTS, range(chain.head + 1))


def test_the_node_logged_no_error_of_its_own(chain: Chain, client: Script, tmp_path: Path) -> None:
    assert client.call("ping") is not None
    assert "Traceback" not in chain.node.text()
    assert " ERROR " not in chain.node.text()
