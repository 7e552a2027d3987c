"""Client and server over real TCP, Noise and Yamux: ranges, directions, Fin, and what dishonest peers send."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from starknet.wire.sync_pb2 import BlockHeadersRequest, Iteration
from tests.workers.p2p.support import (
    CHAIN,
    Chain,
    Pair,
    block_hash,
    delimited,
    expected,
    pair,
    run,
    serving,
)
from workers.component import Component
from workers.p2p import protocols
from workers.p2p.ask import NoAnswer, Patience, TooBig, ask
from workers.p2p.host import CannotReach, Host, HostStream
from workers.p2p.protocols import Range
from workers.p2p.streams import BadAnswer, Stream, StreamBroken
from workers.p2p.yamux import Limits

FIN = protocols.fin(Component.HEADERS)
QUICK = Patience(seconds=1.0, idle_seconds=0.3)


def test_every_component_is_served_whole_and_as_stored() -> None:
    chain = Chain(250)

    async def test() -> None:
        async with pair(serving(chain)) as two:
            for component in Component:
                body = await two.ask(component, Range(0, 100))
                assert body == expected(chain, component, range(100)), component

    run(test)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Range(10, 3), [10, 11, 12]),
        (Range(10, 3, step=3), [10, 13, 16]),
        (Range(10, 3, step=3, backward=True), [10, 7, 4]),  # the specification's own example
        (Range(2, 100, backward=True), [2, 1, 0]),
        (Range(5, 100, step=4, backward=True), [5, 1]),
        (Range(195, 100), [195, 196, 197, 198, 199]),
        (Range(0, 0), []),
        (Range(200, 1), []),
        (Range(200, 5, backward=True), []),
        (Range(5, 2, step=1 << 63), [5]),
        (Range((1 << 64) - 1, (1 << 64) - 1, step=(1 << 64) - 1, backward=True), []),
        (Range(0, (1 << 64) - 1, step=50), [0, 50, 100, 150]),
        (Range(block_hash(7), 2), [7, 8]),
        (Range(block_hash(7), 2, backward=True), [7, 6]),
        (Range(b"\x09" * 32, 2), []),
    ],
)
def test_a_range_names_exactly_these_blocks(wanted: Range, numbers: list[int]) -> None:
    chain = Chain(200)

    async def test() -> None:
        async with pair(serving(chain)) as two:
            body = await two.ask(Component.HEADERS, wanted)
            assert body == expected(chain, Component.HEADERS, numbers)

    run(test)


def test_one_request_gets_at_most_a_thousand_blocks() -> None:
    chain = Chain(1500)

    async def test() -> None:
        async with pair(serving(chain)) as two:
            body = await two.ask(Component.HEADERS, Range(0, 5000))
            assert body == expected(chain, Component.HEADERS, range(1000))

    run(test)


def test_an_empty_store_answers_with_fin() -> None:
    async def test() -> None:
        async with pair(serving(Chain(0))) as two:
            assert await two.ask(Component.EVENTS, Range(0, 10)) == b""

    run(test)


def test_an_answer_ends_with_fin_at_the_first_missing_block() -> None:
    class Holed(Chain):
        def part(self, component: Component, number: int) -> bytes | None:
            return None if number == 40 else super().part(component, number)

    chain = Holed(100)

    async def test() -> None:
        async with pair(serving(chain)) as two:
            for wanted, numbers in (
                (Range(0, 100), list(range(40))),
                (Range(50, 100, step=5, backward=True), [50, 45]),
                (Range(40, 10), []),
            ):
                body = await two.ask(Component.TRANSACTIONS, wanted)
                assert body == expected(chain, Component.TRANSACTIONS, numbers)

    run(test)


def test_twenty_megabytes_come_through_many_streams_at_once() -> None:
    chain = Chain(20, message_bytes=500_000, messages=2)

    async def test() -> None:
        async with pair(serving(chain)) as two, trio.open_nursery() as nursery:
            for component in Component:
                nursery.start_soon(_ask_and_compare, two, chain, component)

    run(test)


async def _ask_and_compare(two: Pair, chain: Chain, component: Component) -> None:
    body = await two.ask(component, Range(0, 20))
    assert body == expected(chain, component, range(20))


def _request(**fields: object) -> bytes:
    return BlockHeadersRequest(iteration=Iteration(**fields)).SerializeToString()  # type: ignore[arg-type]  # any field


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\xff\xff\xff",
        b"",
        _request(limit=1, step=1),
        _request(block_number=1, limit=1, step=0),
        _request(block_number=1, limit=1, step=1, direction=7),
        _request(header={"elements": b"\1" * 33}, limit=1, step=1),
        b"\0" * (protocols.REQUEST_BYTES_MAX + 1),
    ],
)
def test_what_is_no_request_is_reset_and_the_server_lives_on(request_bytes: bytes) -> None:
    chain = Chain(5)

    async def test() -> None:
        async with pair(serving(chain)) as two:
            stream = await two.opener(Component.HEADERS)()
            with pytest.raises(StreamBroken):
                await _send_and_read(stream, request_bytes)
            await stream.reset()
            assert await two.ask(Component.HEADERS, Range(0, 5))

    run(test)


def test_a_protocol_of_another_chain_is_not_spoken() -> None:
    async def test() -> None:
        async with pair(serving(Chain(5))) as two:
            with pytest.raises(CannotReach):
                await two.client.open(
                    two.server.peer_id, protocols.protocol_id("SN_OTHER", Component.HEADERS)
                )

    run(test)


async def _send_and_read(stream: Stream, request_bytes: bytes) -> None:
    await stream.write(request_bytes)
    await stream.close_write()
    while await stream.read(1000):
        pass


# ---- dishonest and slow servers ------------------------------------------------------------------------------


def answering(
    answer: Callable[[Stream], Awaitable[None]],
) -> Callable[[Host], None]:
    """Serve headers by ``answer`` once the request has been read."""

    async def handle(stream: Stream) -> None:
        while await stream.read(1000):
            pass
        await answer(stream)

    def serve(host: Host) -> None:
        for component in Component:
            host.serve(protocols.protocol_id(CHAIN, component), handle)

    return serve


def writing(*chunks: bytes) -> Callable[[Stream], Awaitable[None]]:
    """Write these chunks, then FIN."""

    async def answer(stream: Stream) -> None:
        for chunk in chunks:
            await stream.write(chunk)
            await trio.sleep(0.02)
        await stream.close()

    return answer


HEADER = delimited(b"\x0aheader")


@pytest.mark.parametrize(
    "chunks", [(HEADER + HEADER + FIN,), tuple(bytes([b]) for b in HEADER * 2 + FIN)]
)
def test_messages_may_come_in_any_pieces(chunks: tuple[bytes, ...]) -> None:
    async def test() -> None:
        async with pair(answering(writing(*chunks))) as two:
            assert await two.ask(Component.HEADERS, Range(0, 2)) == HEADER * 2

    run(test)


@pytest.mark.parametrize(
    ("component", "field"),
    [
        (Component.HEADERS, 2),
        (Component.STATE_DIFFS, 3),
        (Component.CLASSES, 2),
        (Component.TRANSACTIONS, 2),
        (Component.EVENTS, 2),
    ],
)
def test_fin_is_known_by_the_field_of_its_protocol(component: Component, field: int) -> None:
    fin = bytes((2, field << 3 | 2, 0))
    assert protocols.fin(component) == fin

    async def test() -> None:
        async with pair(answering(writing(HEADER + fin))) as two:
            assert await two.ask(component, Range(0, 1)) == HEADER

    run(test)


@pytest.mark.parametrize(
    ("chunks", "rule"),
    [
        ((HEADER + FIN + HEADER,), "fin.after"),
        ((HEADER + FIN, HEADER), "fin.after"),
        ((FIN + FIN,), "fin.after"),
        ((delimited(b"\x0a" + b"x" * (1 << 20)),), "message.oversize"),
        ((b"\xff\xff\xff\xff\x0f",), "message.oversize"),
        ((b"\x80" * 10,), "message.oversize"),
        ((HEADER + b"\0" + FIN,), "message.empty"),
    ],
)
def test_a_dishonest_answer_names_the_rule_it_broke(chunks: tuple[bytes, ...], rule: str) -> None:
    async def test() -> None:
        async with pair(answering(writing(*chunks))) as two:
            with pytest.raises(BadAnswer) as caught:
                await two.ask(Component.HEADERS, Range(0, 1))
            assert caught.value.rule == rule

    run(test)


def test_a_class_may_have_four_megabytes_and_others_one() -> None:
    big = delimited(b"\x0a" + b"x" * (4 * (1 << 20) - 1))

    async def test() -> None:
        async with pair(answering(writing(big + FIN))) as two:
            assert await two.ask(Component.CLASSES, Range(0, 1)) == big
            with pytest.raises(BadAnswer, match=r"message\.oversize"):
                await two.ask(Component.TRANSACTIONS, Range(0, 1))

    run(test)


@pytest.mark.parametrize("chunks", [(), (HEADER,), (HEADER[:3],), (HEADER + FIN[:2],)])
def test_an_answer_without_fin_is_no_answer(chunks: tuple[bytes, ...]) -> None:
    async def test() -> None:
        async with pair(answering(writing(*chunks))) as two:
            with pytest.raises(NoAnswer, match="no Fin"):
                await two.ask(Component.HEADERS, Range(0, 1))

    run(test)


def test_a_reset_is_no_answer() -> None:
    async def answer(stream: Stream) -> None:
        await stream.write(HEADER)
        await stream.reset()

    async def test() -> None:
        async with pair(answering(answer)) as two:
            with pytest.raises(NoAnswer):
                await two.ask(Component.HEADERS, Range(0, 1))

    run(test)


def test_a_silent_peer_is_left_after_the_idle_time() -> None:
    async def test() -> None:
        async with pair(answering(lambda stream: trio.sleep_forever())) as two:
            with trio.fail_after(3), pytest.raises(NoAnswer, match="too slow"):
                await two.ask(Component.HEADERS, Range(0, 1), QUICK)

    run(test)


def test_a_trickling_peer_is_left_for_its_speed() -> None:
    async def trickle(stream: Stream) -> None:
        while True:
            await stream.write(HEADER)
            await trio.sleep(0.05)

    async def test() -> None:
        async with pair(answering(trickle)) as two:
            with trio.fail_after(5), pytest.raises(NoAnswer, match="too slow"):
                await two.ask(Component.HEADERS, Range(0, 1), QUICK)

    run(test)


def test_more_bytes_than_wanted_ends_the_answer() -> None:
    async def flood(stream: Stream) -> None:
        while True:
            await stream.write(HEADER * 10_000)

    async def test() -> None:
        async with pair(answering(flood)) as two:
            with pytest.raises(TooBig):
                await two.ask(Component.HEADERS, Range(0, 1), Patience(bytes_max=200_000))

    run(test)


def test_an_answer_that_is_not_read_on_holds_its_sender_back_and_then_comes_whole() -> None:
    body = delimited(b"\n" + bytes(100_000)) * 30
    assert len(body) > 2 * Limits().window_bytes
    senders: list[HostStream] = []

    async def answer(stream: Stream) -> None:
        assert isinstance(stream, HostStream)
        senders.append(stream)
        await stream.write(body + protocols.fin(Component.HEADERS))
        await stream.close_write()

    async def test() -> None:
        may_read = trio.Event()
        told: list[int] = []

        async def room(size_bytes: int) -> None:
            told.append(size_bytes)
            if size_bytes:
                await may_read.wait()

        async def ask_slowly() -> None:
            opener = two.opener(Component.HEADERS)
            assert await ask(opener, Component.HEADERS, Range(0, 1), QUICK, room) == body

        async with pair(answering(answer)) as two, trio.open_nursery() as nursery:
            nursery.start_soon(ask_slowly)
            await _until(lambda: len(told) == 2 and senders[0]._muxed.send_window == 0)
            await trio.sleep(2 * QUICK.seconds)  # the peer is not blamed for our waiting
            assert len(told) == 2
            assert senders[0]._muxed.send_window == 0
            may_read.set()

    run(test)


def test_no_stream_is_left_open_after_good_and_bad_answers() -> None:
    chain = Chain(50)

    async def test() -> None:
        async with pair(serving(chain)) as two:
            for _ in range(20):
                await two.ask(Component.HEADERS, Range(0, 10))
                with pytest.raises(TooBig):
                    await two.ask(Component.HEADERS, Range(0, 50), Patience(bytes_max=10))
            for host in (two.client, two.server):
                await _until(partial(_has_no_sync_stream, host))

    run(test)


def _has_no_sync_stream(host: Host) -> bool:
    connections = [c for each in host._network.connections.values() for c in each]
    return not any(connection.muxed_conn.streams for connection in connections)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await trio.sleep(0.01)


def test_a_cancelled_question_resets_its_stream() -> None:
    async def test() -> None:
        async with pair(answering(lambda stream: trio.sleep_forever())) as two:
            with trio.move_on_after(0.2):
                await ask(two.opener(Component.HEADERS), Component.HEADERS, Range(0, 1), Patience())
            await _until(partial(_has_no_sync_stream, two.client))

    run(test)
