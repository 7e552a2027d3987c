"""The gateway's client takes only whole, sane answers, within bounds of size and time, and asks as often as it may."""

import gzip
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests import faulty
from tests.faulty import Do, Faulty
from workers.feeder import limit
from workers.feeder.client import BadAnswer, Gateway, NotThere, Unreachable, fetch_public_key
from workers.feeder.limit import Limit, seconds_of
from workers.feeder.transfer import BODY_BYTES_MAX
from workers.metrics import JOIN, Figures

SIGNATURE = b'{"block_hash": "0x1", "signature": ["0x1", "0x2"]}'
SOON = (0.3,)
"""Seconds that a silent gateway is waited for."""


@pytest.fixture
def server() -> Iterator[Faulty]:
    with faulty.faulty() as state:
        state.do = faulty.body(SIGNATURE)
        yield state


@pytest.fixture
def figures() -> Figures:
    return Figures()


@pytest.fixture
def gateway(server: Faulty, figures: Figures) -> Iterator[Gateway]:
    with Gateway(server.url, threading.Event(), figures, tries_max=2) as made:
        yield made


def counted(figures: Figures, name: str) -> dict[str, object]:
    return dict(figures.report()["series"].get(name, {}))


# ---- asking --------------------------------------------------------------------------------------------------------


def test_connections_are_kept_and_answers_may_come_packed(server: Faulty, gateway: Gateway) -> None:
    server.do = faulty.body(gzip.compress(SIGNATURE), Content_Encoding="gzip")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(gateway.signature, range(40)))
    assert found == [{"block_hash": "0x1", "signature": ["0x1", "0x2"]}] * 40
    assert server.connections <= 4
    assert {headers["accept-encoding"] for _, headers in server.asked} == {"gzip"}


def test_the_api_key_goes_with_every_request_and_to_no_other_host(server: Faulty) -> None:
    with faulty.faulty() as other:
        server.do = faulty.status(302, Location=f"{other.url}/feeder_gateway/get_signature")
        with (
            Gateway(server.url, threading.Event(), api_key="sesame") as gateway,
            pytest.raises(BadAnswer, match=r"get_signature is moved to http.*correct --feeder-url"),
        ):
            gateway.signature(1)
        assert other.asked == []
    assert server.asked[0][1]["x-throttling-bypass"] == "sesame"
    server.do = faulty.body(b'"0x7"')
    assert fetch_public_key(server.url, "sesame") == 7
    assert server.asked[1][1]["x-throttling-bypass"] == "sesame"
    assert fetch_public_key(server.url) == 7
    assert "x-throttling-bypass" not in server.asked[2][1]


# ---- garbage -------------------------------------------------------------------------------------------------------

GARBAGE: dict[str, tuple[Do, str]] = {
    "no JSON": (faulty.body(b"<html>welcome</html>"), "get_signature is not JSON"),
    "no text": (faulty.body(b"\xff\xfe\x00"), "get_signature is not JSON"),
    "a list": (faulty.body(b"[1]"), "get_signature is not a JSON object"),
    "deep": (faulty.body(b"[" * 500_000), "get_signature is not JSON"),
    "a long number": (faulty.body(b"1" * 10_000), "get_signature is not JSON"),
    "values": (faulty.body(b"[" + b"{}," * (1 << 19) + b"{}]"), "has more than 1048576 values"),
    "endless": (faulty.endless, "get_signature is longer than 32 MiB"),
    "a gzip bomb": (faulty.bomb(64 << 20), "get_signature is longer than 32 MiB"),
    "half a gzip": (
        faulty.body(gzip.compress(SIGNATURE)[:-9], Content_Encoding="gzip"),
        "get_signature ends in the middle of its gzip data",
    ),
    "no gzip": (
        faulty.body(SIGNATURE, Content_Encoding="gzip"),
        "get_signature is no gzip data",
    ),
    "another packing": (
        faulty.body(SIGNATURE, Content_Encoding="br"),
        "get_signature is packed as br, which was not asked for",
    ),
    "another site": (faulty.status(404, b"no such page"), "get_signature got HTTP status 404"),
    "its own error": (
        faulty.status(400, b'{"code": "StarkErrorCode.MALFORMED_REQUEST", "message": "no"}'),
        "get_signature got StarkErrorCode.MALFORMED_REQUEST: no",
    ),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused_in_one_line_at_once(server: Faulty, name: str) -> None:
    server.do, said = GARBAGE[name]
    with (
        Gateway(server.url, threading.Event(), timeouts_s=(20.0,)) as gateway,
        pytest.raises(BadAnswer) as caught,
    ):
        gateway.signature(1)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [b"{}", b'{"block_number": -1}', b'{"block_number": "1", "block_hash": "0x1"}']
    + [b'{"block_number": 1, "block_hash": %s}' % text for text in (b'"zz"', b"null", b'"-0x1"')],
)
def test_a_last_block_without_number_or_hash_is_refused(
    server: Faulty, gateway: Gateway, answer: bytes
) -> None:
    server.do = faulty.body(answer)
    with pytest.raises(BadAnswer, match="get_block of the latest block has no usable block_"):
        gateway.latest()


def test_the_last_block_is_known_by_number_and_hash(server: Faulty, gateway: Gateway) -> None:
    server.do = faulty.body(b'{"block_number": 7, "block_hash": "0x9"}')
    assert gateway.latest() == (7, (9).to_bytes(32, "big"))
    server.do = faulty.status(400, b'{"code": "StarknetErrorCode.BLOCK_NOT_FOUND", "message": ""}')
    assert gateway.latest() is None
    with pytest.raises(NotThere):
        gateway.signature(1)


# ---- slow, broken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("do", [faulty.silently, faulty.dripping_head, faulty.dripping_body])
def test_a_gateway_that_drips_is_not_waited_for(server: Faulty, figures: Figures, do: Do) -> None:
    server.do = do
    began = time.monotonic()
    with (
        Gateway(server.url, threading.Event(), figures, timeouts_s=SOON, tries_max=2) as gateway,
        pytest.raises(Unreachable, match=r"gave no whole answer within 0\.3 s") as caught,
    ):
        gateway.signature(1)
    assert time.monotonic() - began < 10.0
    assert caught.value.hint == "raise --gw-timeout if the line is slow"
    assert counted(figures, "hera_feeder_failures_total") == {"timeout": 2}
    assert counted(figures, "hera_feeder_requests_total") == {JOIN.join(("get_signature", "0")): 2}


def test_a_time_out_that_is_too_short_grows(server: Faulty) -> None:
    def late(request: faulty.Request) -> None:
        server.over.wait(0.5)
        request.answer(200, SIGNATURE)

    server.do = late
    with Gateway(server.url, threading.Event(), timeouts_s=(0.1, 0.2, 5.0)) as gateway:
        assert gateway.signature(1)["block_hash"] == "0x1"
    assert len(server.asked) == 3


def test_a_stop_ends_the_waiting_for_an_answer(server: Faulty) -> None:
    server.do = faulty.silently
    stop = threading.Event()
    with Gateway(server.url, stop) as gateway, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(gateway.signature, 1)
        while not server.asked:
            assert not asked.done()
        stop.set()
        with pytest.raises(Unreachable):
            asked.result(timeout=2.0)


@pytest.mark.parametrize("do", [faulty.status(502, b"<html>"), faulty.hanging_up])
def test_what_breaks_once_is_asked_for_again(server: Faulty, gateway: Gateway, do: Do) -> None:
    def once(request: faulty.Request) -> None:
        (do if len(server.asked) == 1 else faulty.body(SIGNATURE))(request)

    server.do = once
    assert gateway.signature(1)["block_hash"] == "0x1"
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("code", "said", "hint", "tries", "reason"),
    [
        (500, "fails with HTTP status 500", "", 2, "server"),
        (403, "refuses us (HTTP status 403)", "check --gw-api-key", 1, "refused"),
    ],
)
def test_a_gateway_that_fails_or_refuses_is_named_by_its_status(
    server: Faulty,
    gateway: Gateway,
    figures: Figures,
    code: int,
    said: str,
    hint: str,
    tries: int,
    reason: str,
) -> None:
    server.do = faulty.status(code)
    with pytest.raises(Unreachable) as caught:
        gateway.signature(1)
    assert str(caught.value) == f"{server.url}/feeder_gateway/ {said}"
    assert caught.value.hint == hint
    assert counted(figures, "hera_feeder_failures_total") == {reason: tries}


# ---- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [429, 503])
def test_no_thread_asks_before_the_time_the_gateway_named_and_it_is_said_once(
    server: Faulty, figures: Figures, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    times: list[float] = []

    def limited(request: faulty.Request) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            request.answer(code, b"", Retry_After="1")
        else:
            request.answer(200, SIGNATURE)

    server.do = limited
    with (
        Gateway(server.url, threading.Event(), figures) as gateway,
        ThreadPoolExecutor(4) as pool,
    ):
        first = pool.submit(gateway.signature, 0)
        while gateway.limit.left() == 0.0:
            assert not first.done()
        others = [pool.submit(gateway.signature, number) for number in range(1, 4)]
        assert all(asked.result()["block_hash"] == "0x1" for asked in (first, *others))
    assert len(times) == 5
    assert all(at - times[0] >= 1.0 for at in times[1:])
    (line,) = [record.getMessage() for record in caplog.records if record.name == "hera"]
    assert line.startswith(f"The gateway wants to be asked less (HTTP status {code}); waiting 1.")
    assert ("--gw-api-key" in line) == (code == 429)
    (waited,) = counted(figures, "hera_feeder_limited_seconds_total").values()
    assert isinstance(waited, float)
    assert 1.0 <= waited <= limit.SPREAD


def test_a_limit_without_a_time_is_waited_for_longer_each_try(
    server: Faulty, gateway: Gateway
) -> None:
    server.do = faulty.status(429)
    with pytest.raises(Unreachable, match=r"wants to be asked less \(HTTP status 429\)"):
        gateway.signature(1)
    assert len(server.asked) == 2
    assert 0.5 < gateway.limit.left() <= 2.0 * limit.SPREAD


def test_no_gateway_is_left_alone_for_ever() -> None:
    held = Limit(threading.Event(), Figures())
    held.hold(1e12, 429)
    assert held.left() <= limit.WAIT_SECONDS_MAX * limit.SPREAD


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert seconds_of("17") == 17.0
    assert 90 < (seconds_of(soon) or 0) <= 100
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    for nonsense in (None, "", "soon", "-1", "1.5.2", "١", "Wed, 21 Oct 99999999999 07:28:00 GMT"):
        assert seconds_of(nonsense) is None


def test_a_gzip_bomb_is_unpacked_no_further_than_the_bound(server: Faulty) -> None:
    server.do = faulty.bomb(64 << 20)
    with Gateway(server.url, threading.Event(), timeouts_s=(20.0,)) as gateway:
        tracemalloc.start()
        try:
            with pytest.raises(BadAnswer):
                gateway.signature(1)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < BODY_BYTES_MAX * 5 // 4
