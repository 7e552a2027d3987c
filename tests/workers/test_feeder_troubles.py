"""Whatever the gateway does, the feeder says it in one line and goes on with good blocks once there are any.

The parts are those of ``test_feeder``: a real gateway, broker and store, and the test as the stages behind.
"""

import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from starknet.devnet import Devnet
from starknet.felt import to_bytes32
from tests import faulty
from tests.faulty import Do
from tests.workers.test_feeder import (
    LENGTH,
    Bench,
    Odd,
    Prepared,
    bench,
    classes_of,
    complaints,
    served,
    store,
    until,
)
from workers.feeder.client import TIMEOUTS_SECONDS
from workers.feeder.window import Step, Window
from workers.gateway.generated import Generated
from workers.messages import BlocksUndone, Retreat
from workers.metrics import Figures
from workers.store.writer import Writer

FORK_AT = 4


@pytest.fixture(scope="module")
def devnet() -> Devnet:
    made = Devnet(length=LENGTH)
    made.block(LENGTH - 1)
    return made


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "hera")
    return caplog


# ---- one line each, and recovery ------------------------------------------------------------------------------------

MISDEEDS: dict[str, tuple[Do, str]] = {
    "garbage": (faulty.body(b"<html>"), "block 0: get_state_update is not JSON; staying before"),
    "half a gzip": (
        faulty.body(b"\x1f\x8b", Content_Encoding="gzip"),
        "block 0: get_state_update ends in the middle of its gzip data; staying before",
    ),
    "another site": (
        faulty.status(404, b"no"),
        "block 0: get_state_update got HTTP status 404; staying before",
    ),
    "slow": (faulty.dripping_body, " gave no whole answer within 1 s; raise --gw-timeout if"),
    "failing": (faulty.status(500), " fails with HTTP status 500, trying again"),
    "refusing": (faulty.status(401), " refuses us (HTTP status 401); check --gw-api-key, trying"),
    "limiting": (
        faulty.status(429, Retry_After="1"),
        "The gateway wants to be asked less (HTTP status 429); waiting 1.",
    ),
}


@pytest.mark.parametrize("name", MISDEEDS)
def test_a_bad_gateway_is_one_line_and_its_blocks_come_once_it_is_good(
    name: str, devnet: Devnet, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    do, said = MISDEEDS[name]
    with served(Generated(devnet)) as url, faulty.faulty(url) as gateway:
        gateway.do = do
        settings = {"gateway_timeouts_s": (1.0,) if name == "slow" else TIMEOUTS_SECONDS}
        with bench(gateway.url, tmp_path, devnet.network(), **settings) as behind:
            until(lambda: bool(complaints(told)) and len(gateway.asked) >= 4)
            (line,) = complaints(told)
            gateway.do = None
            behind.receive_all(range(LENGTH))
    assert said in line
    assert [each for each in complaints(told) if each != line] == []


def test_a_key_that_the_gateway_wants_is_sent(devnet: Devnet, tmp_path: Path) -> None:
    def guarded(request: faulty.Request) -> None:
        is_known = request.headers["X-Throttling-Bypass"] == "sesame"
        (faulty.honestly if is_known else faulty.status(403))(request)

    with served(Generated(devnet)) as url, faulty.faulty(url) as gateway:
        gateway.do = guarded
        with bench(gateway.url, tmp_path, devnet.network(), gateway_api_key="sesame") as behind:
            behind.receive_all(range(LENGTH))


def test_blocks_that_wait_for_one_that_is_missing_are_not_complained_about(
    devnet: Devnet, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    chain = Odd(Generated(devnet))
    chain.hidden = {("signature", number) for number in range(2, LENGTH)}
    with bench(chain, tmp_path, devnet.network()) as behind:
        until(lambda: all(chain.asked["signature", number] > 1 for number in range(2, LENGTH)))
        (line,) = complaints(told)
        chain.hidden.clear()
        behind.receive_all(range(LENGTH))
    assert line == "block 2: the signature is not at the gateway; staying at block 1"


# ---- the gateway goes back in time ----------------------------------------------------------------------------------


@pytest.fixture
def writer(devnet: Devnet, tmp_path: Path) -> Any:
    (tmp_path / "db").mkdir()
    made = Writer(tmp_path / "db", devnet.network().chain_id)
    yield made
    made.close()


def test_a_gateway_that_lost_blocks_is_said_and_waited_for(
    devnet: Devnet, tmp_path: Path, writer: Writer, told: pytest.LogCaptureFixture
) -> None:
    chain = Odd(Generated(devnet))
    chain.end = 8
    with bench(chain, tmp_path, devnet.network()) as behind:
        store(behind, writer, range(8))
        chain.end = 5
        until(lambda: bool(complaints(told)))
        assert behind.nothing_comes(0.5)
        chain.end = None
        store(behind, writer, range(8, LENGTH))
        until(lambda: "The gateway is as far as we are again" in told.messages)
    assert complaints(told) == [
        "The gateway went back: its last block is 4, ours is 7; staying at ours"
    ]


def test_a_shorter_chain_that_is_signed_too_is_followed_at_once(
    devnet: Devnet, tmp_path: Path, writer: Writer, told: pytest.LogCaptureFixture
) -> None:
    other = Devnet(length=FORK_AT + 2, fork_at=FORK_AT)
    with faulty.faulty() as gateway, served(Generated(devnet)) as first:
        gateway.gateway = first
        with bench(gateway.url, tmp_path, devnet.network()) as behind:
            store(behind, writer, range(LENGTH))
            with served(Generated(other)) as second:
                gateway.gateway = second
                retreat = receive_retreat(behind)
                assert (retreat.number, retreat.block_hash) == (
                    FORK_AT - 1,
                    hash_of(other, FORK_AT - 1),
                )
                behind.tell(BlocksUndone(FORK_AT - 1, retreat.block_hash))
                assert {behind.receive().number for _ in range(2)} == {FORK_AT, FORK_AT + 1}
    assert complaints(told) == ["The gateway left our chain: we follow"]


def receive_retreat(behind: Bench) -> Retreat:
    found: list[Retreat] = []

    def came() -> bool:
        delivery = behind.link.take(0.1)
        if delivery is not None:
            behind.link.done([delivery.ticket])
            assert isinstance(delivery.message, Retreat)
            found.append(delivery.message)
        return bool(found)

    until(came)
    return found[0]


def hash_of(devnet: Devnet, number: int) -> bytes:
    return to_bytes32(int(devnet.block(number)[0]["block_hash"], 16))


# ---- classes --------------------------------------------------------------------------------------------------------


def test_a_class_that_is_declared_again_is_fetched_once(devnet: Devnet, tmp_path: Path) -> None:
    declared = devnet.block(0)[1]["state_diff"]["old_declared_contracts"]
    again = (2, 3, 5)
    made = {number: devnet.block(number) for number in range(LENGTH)}
    for number in again:
        block, update, signature = made[number]
        diff = {**update["state_diff"], "old_declared_contracts": declared}
        made[number] = (block, {**update, "state_diff": diff}, signature)
    chain = Odd(Prepared(devnet, made))
    figures = Figures()
    with bench(chain, tmp_path, devnet.network(), figures=figures) as behind:
        came = behind.receive_all(range(LENGTH), stored=False)
    wanted = classes_of(came[0])
    assert len(wanted) == len(declared)
    for number in again:
        assert classes_of(came[number])[: len(wanted)] == wanted
    assert {count for (kind, _), count in chain.asked.items() if kind == "class"} == {1}
    counts = figures.report()["series"]["hera_feeder_classes_total"]
    assert counts["window"] == len(again) * len(declared)


def test_a_class_that_is_stored_is_not_fetched(
    devnet: Devnet, tmp_path: Path, writer: Writer
) -> None:
    declared = devnet.block(0)[1]["state_diff"]["old_declared_contracts"]
    made = {number: devnet.block(number) for number in range(LENGTH)}
    block, update, signature = made[6]
    diff = {**update["state_diff"], "old_declared_contracts": declared}
    made[6] = (block, {**update, "state_diff": diff}, signature)
    chain = Odd(Prepared(devnet, made))
    chain.end = 6
    with bench(chain, tmp_path, devnet.network()) as behind:
        store(behind, writer, range(6))
    before = sum(count for (kind, _), count in chain.asked.items() if kind == "class")
    chain.end = 7
    with bench(chain, tmp_path, devnet.network()) as behind:
        assert len(classes_of(behind.receive())) >= len(declared)
    assert sum(count for (kind, _), count in chain.asked.items() if kind == "class") == before


def test_a_class_that_a_lower_block_asks_for_is_waited_for() -> None:
    window = Window(-1, 1 << 30)
    first, second = (window.next_to_ask(0.0), None)
    assert first is not None
    first.step, first.wanted = Step.CLASSES_ASKED, (7, 8)
    second = window.next_to_ask(0.0)
    assert second is not None
    second.wanted = (8, 9)
    assert window.is_class_coming(second)
    assert not window.is_class_coming(first)
    first.classes[8] = b"class"
    first.step = Step.READY
    assert not window.is_class_coming(second)
    assert (window.class_frame(8), window.class_frame(9)) == (b"class", None)


def test_a_block_that_comes_between_two_questions_is_no_trouble(
    devnet: Devnet, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    came = threading.Event()

    def late(request: faulty.Request) -> None:
        if "get_state_update?blockNumber=5&" in request.path and not came.is_set():
            came.set()
            not_there = {"code": "StarknetErrorCode.BLOCK_NOT_FOUND", "message": "Block 5"}
            request.answer(400, json.dumps(not_there).encode())
        else:
            faulty.honestly(request)

    with served(Generated(devnet)) as url, faulty.faulty(url) as gateway:
        gateway.do = late
        with bench(gateway.url, tmp_path, devnet.network()) as behind:
            behind.receive_all(range(LENGTH))
    assert came.is_set()
    assert complaints(told) == []
