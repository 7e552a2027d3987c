"""What one peer may take of us, over real hosts: connections, streams, requests, places, messages and time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.workers.p2p.support import (
    CHAIN,
    LOOPBACK,
    Chain,
    Pair,
    delimited,
    expected,
    pair,
    run,
    serving,
    transports,
)
from workers.component import Component
from workers.p2p import addresses, answer, keys, protocols
from workers.p2p import host as host_module
from workers.p2p.addresses import Address
from workers.p2p.answer import Answerer
from workers.p2p.ask import NoAnswer, Patience, ask
from workers.p2p.fair import Rates, Turns
from workers.p2p.gate import Gate, GateLimits, parse_network
from workers.p2p.host import CannotReach, Host
from workers.p2p.ledger import Ledger
from workers.p2p.peers import Peers
from workers.p2p.protocols import Range
from workers.p2p.streams import BadAnswer, Stream, StreamBroken
from workers.p2p.view import View
from workers.p2p.warden import Warden

PROTOCOL = protocols.protocol_id(CHAIN, Component.HEADERS)
MULTISTREAM = b"\x13/multistream/1.0.0\n"
NOISE = b"\x07/noise\n"
LOCAL = parse_network("127.0.0.0/8")


async def until(condition: Callable[[], bool]) -> None:
    """Wait; the test's own time limit ends it."""
    while not condition():
        await trio.sleep(0.01)


@asynccontextmanager
async def hosts(gate: Gate, clients: int) -> AsyncIterator[tuple[Host, list[Host]]]:
    """A server behind ``gate``, and clients that are not connected yet."""
    server = Host(keys.generate(), "hera/test", gate=gate)
    serving(Chain(3))(server)
    others = [Host(keys.generate(), "hera/test") for _ in range(clients)]
    async with AsyncExitStack() as stack:
        for each in (server, *others):
            await stack.enter_async_context(each.run([LOOPBACK]))
        yield server, others


def answered(server: Answerer) -> Callable[[Host], None]:
    """Serve all five protocols by this server."""

    def serve(host: Host) -> None:
        for component in Component:
            host.serve(protocols.protocol_id(CHAIN, component), server.handler(component))

    return serve


# ---- connections ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", [b"", MULTISTREAM[:7], MULTISTREAM + NOISE, MULTISTREAM + NOISE + b"\0\x20abc"]
)
def test_a_handshake_that_stops_half_way_is_ended(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "HANDSHAKE_SECONDS", 0.3)

    async def test() -> None:
        gate = Gate()
        async with hosts(gate, 0) as (server, _), await silent(server) as stream:
            await stream.send_all(said)
            await until(lambda: gate.count == 1)
            with trio.fail_after(5):
                await until(lambda: gate.count == 0)
                await ended(stream)

    run(test)


async def silent(server: Host) -> trio.SocketStream:
    """A TCP connection to ``server`` that has said nothing."""
    return await trio.open_tcp_stream("127.0.0.1", transports(server)[0].port)


async def ended(stream: trio.SocketStream) -> None:
    """Read until the other side has closed."""
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        return


def test_silent_connections_give_way_to_an_honest_handshake() -> None:
    async def test() -> None:
        gate = Gate(GateLimits(handshakes=4))
        async with hosts(gate, 1) as (server, (client,)), AsyncExitStack() as stack:
            waiting = [await stack.enter_async_context(await silent(server)) for _ in range(4)]
            await until(lambda: gate.count == 4)
            await client.dial(server.peer_id, transports(server))
            await ended(waiting[0])
            await until(lambda: gate.count == 4)
            assert server.inbound.refused == 1

    run(test)


def test_one_address_has_so_many_connections_and_a_place_that_is_left_is_free() -> None:
    async def test() -> None:
        gate = Gate(GateLimits(per_private_address=2))
        async with hosts(gate, 3) as (server, (first, second, third)):
            for client in (first, second):
                await client.dial(server.peer_id, transports(server))
            with pytest.raises(CannotReach):
                await third.dial(server.peer_id, transports(server))
            await first.disconnect(server.peer_id)
            await until(lambda: gate.count == 1)
            await third.dial(server.peer_id, transports(server))
            await until(lambda: set(server.peers()) == {second.peer_id, third.peer_id})

    run(test)


def test_a_denied_network_can_neither_connect_nor_be_dialled() -> None:
    async def test() -> None:
        async with hosts(Gate(deny=[LOCAL]), 1) as (server, (client,)):
            with pytest.raises(CannotReach):
                await client.dial(server.peer_id, transports(server))
            with pytest.raises(CannotReach, match=r"127\.0\.0\.1 is denied by --p2p-deny"):
                await server.dial(client.peer_id, transports(client))

    run(test)


def test_the_addresses_of_ip6_peers_are_known_to_the_gate() -> None:
    async def test() -> None:
        server = Host(keys.generate(), "hera/test", gate=Gate(deny=[parse_network("::1")]))
        client = Host(keys.generate(), "hera/test")
        six = addresses.parse_listen("/ip6/::1/tcp/0")
        async with server.run([six, LOOPBACK]), client.run([LOOPBACK]):
            with pytest.raises(CannotReach):
                await client.dial(
                    server.peer_id, [a for a in transports(server) if a.kind == "ip6"]
                )
            await client.dial(server.peer_id, transports(server))

    run(test)


def test_a_banned_peer_is_refused_as_soon_as_its_name_is_known(tmp_path: Path) -> None:
    async def test() -> None:
        async with hosts(Gate(), 2) as (server, (banned, other)):
            peers = Peers(server.peer_id)
            peers.obey([banned.peer_id], {})
            Warden(
                server, peers, Ledger(tmp_path)
            )  # which is not run: this waits for no look of it
            for client in (banned, other):
                await client.dial(server.peer_id, transports(server))
            await until(lambda: server.peers() == (other.peer_id,) and not banned.peers())
            assert server.inbound.refused == 1

    run(test)


def test_a_third_connection_of_one_peer_is_closed() -> None:
    async def test() -> None:
        gate = Gate()
        async with hosts(gate, 1) as (server, (client,)):
            for _ in range(3):
                await client.dial(server.peer_id, transports(server))
            await until(lambda: server.inbound.refused == 1)
            await until(lambda: gate.count == 2)

    run(test)


# ---- the server ----------------------------------------------------------------------------------------------


async def request(two: Pair, wanted: Range) -> Stream:
    """A stream on which a whole request was sent."""
    stream = await two.opener(Component.HEADERS)()
    await stream.write(protocols.encode_request(wanted))
    await stream.close_write()
    return stream


async def is_reset(stream: Stream) -> bool:
    """Wait for the stream's end."""
    try:
        while await stream.read(1000):
            pass
    except StreamBroken:
        return True
    return False


def test_requests_above_a_peers_rate_are_answered_late_and_counted() -> None:
    chain = Chain(5)
    server = Answerer(View(chain), Rates(per_second=20, burst=2))

    async def test() -> None:
        async with pair(answered(server)) as two:
            began = trio.current_time()
            for _ in range(8):
                body = await two.ask(Component.HEADERS, Range(0, 5))
                assert body == expected(chain, Component.HEADERS, range(5))
            assert trio.current_time() - began > 5 / 20
            assert server.served.late >= 5

    run(test)


def test_new_names_give_an_address_no_more_requests_and_another_address_waits_for_none() -> None:
    chain = Chain(5)
    server = Answerer(View(chain), address_rates=Rates(per_second=0.1, burst=4))
    served = Host(keys.generate(), "hera/test")
    answered(server)(served)

    async def is_answered(address: Address) -> bool:
        """Ask as a peer that was never there before, and wait a moment."""
        host = Host(keys.generate(), "hera/test")
        async with host.run([]):
            await host.dial(served.peer_id, [address])
            with trio.move_on_after(5) as waiting:
                await Pair(host, served).ask(Component.HEADERS, Range(0, 5))
            return not waiting.cancelled_caught

    async def test() -> None:
        async with served.run([LOOPBACK, addresses.parse("/ip6/::1/tcp/0")]):
            four, six = transports(served)
            for _ in range(4):
                assert await is_answered(four)
            assert server.served.late == 0
            assert not await is_answered(four)
            assert server.served.late == 1
            assert await is_answered(six)
            assert server.served.late == 1

    run(test)


def test_a_rate_is_that_of_one_peer_and_is_remembered_for_few() -> None:
    rates = Rates(per_second=10, burst=3)
    assert [round(rates.wait("a", 100.0), 3) for _ in range(5)] == [0, 0, 0, 0.1, 0.2]
    assert rates.wait("b", 100.0) == 0
    assert rates.wait("a", 101.0) == 0
    for n in range(5000):
        rates.wait(str(n), 200.0 + n)
    assert len(rates._due) <= 1024


def test_half_open_requests_are_bounded_per_peer_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "REQUESTS_PER_PEER_MAX", 4)
    monkeypatch.setattr(answer, "REQUEST_SECONDS", 1.0)
    server = Answerer(View(Chain(5)))

    async def test() -> None:
        async with pair(answered(server)) as two:
            half = [await two.opener(Component.HEADERS)() for _ in range(4)]
            for stream in half:
                await stream.write(b"\x0a")
            await until(lambda: server._open[two.client.peer_id] == 4)
            with pytest.raises((CannotReach, StreamBroken)):  # by how far the opening has come
                await (await two.opener(Component.HEADERS)()).read(1)
            assert server.served.refused == 1
            for stream in half:
                assert await is_reset(stream)
            assert server.served.refused == 5
            assert await two.ask(Component.HEADERS, Range(0, 5))

    run(test)


def test_who_does_not_read_loses_its_place_to_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "ANSWERS_MAX", 2)
    monkeypatch.setattr(answer, "STALLED_SECONDS", 0.3)
    chain = Chain(40, message_bytes=500_000)
    server = Answerer(View(chain))

    async def test() -> None:
        other = Host(keys.generate(), "hera/test")
        async with pair(answered(server)) as two, other.run([LOOPBACK]):
            await other.dial(two.server.peer_id, transports(two.server))
            unread = [await request(two, Range(0, 40)) for _ in range(2)]
            await until(lambda: server.served.requests == 2)
            body = await Pair(other, two.server).ask(Component.HEADERS, Range(0, 2))
            assert body == expected(chain, Component.HEADERS, range(2))
            assert 1 <= server.served.stalled <= 2
            for stream in unread:
                await stream.reset()

    run(test)


def test_next_is_who_has_had_least_lately() -> None:
    order: list[str] = []

    async def test() -> None:
        turns = Turns(1)

        async def take(peer: str, seconds: float) -> None:
            async with turns.of(peer):
                order.append(peer)
                await trio.sleep(seconds)

        await take("flood", 0.05)
        async with trio.open_nursery() as nursery, turns.of("first"):
            for peer in ("flood", "flood", "flood", "honest"):
                nursery.start_soon(take, peer, 0.01)
                await trio.testing.wait_all_tasks_blocked()
        assert order == ["flood", "honest", "flood", "flood", "flood"]
        assert (turns._free, turns._waiting) == (1, {})

    run(test)


def test_who_stops_waiting_takes_no_turn_away() -> None:
    async def test() -> None:
        turns = Turns(1)
        for _ in range(3):
            async with turns.of("a"):
                with trio.move_on_after(0.01):
                    async with turns.of("b"):
                        raise AssertionError("two at once")
        async with trio.open_nursery() as nursery, turns.of("a"):
            nursery.start_soon(partial(_take, turns))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()  # at the moment the turn is given
        assert (turns._free, turns._waiting) == (1, {})

    run(test)


async def _take(turns: Turns) -> None:
    async with turns.of("b"):
        await trio.sleep_forever()


# ---- the client ----------------------------------------------------------------------------------------------

MESSAGE = delimited(b"\x0ax")


def flooding(*first: bytes) -> Callable[[Host], None]:
    """Serve chunks, then messages without an end."""

    async def handle(stream: Stream) -> None:
        while await stream.read(1000):
            pass
        for chunk in first:
            await stream.write(chunk)
        while True:
            await stream.write(MESSAGE * 1000)

    return by(handle)


def by(handle: Callable[[Stream], Awaitable[None]]) -> Callable[[Host], None]:
    """Serve all five protocols by one handler."""

    def serve(host: Host) -> None:
        for component in Component:
            host.serve(protocols.protocol_id(CHAIN, component), handle)

    return serve


@pytest.mark.parametrize("component", [part for part in Component if part is not Component.HEADERS])
@pytest.mark.parametrize("most", [0, 7])
def test_an_answer_with_more_messages_than_the_headers_state_is_cut_off_for_its_stage_to_judge(
    component: Component, most: int
) -> None:
    async def test() -> None:
        async with pair(flooding()) as two:
            opener = two.opener(component)
            body = await ask(opener, component, Range(0, 5), Patience(), messages_max=most)
            assert body == MESSAGE * (most + 1)

    run(test)


def test_more_headers_than_asked_for_are_the_peers_fault_at_once() -> None:
    async def test() -> None:
        async with pair(flooding()) as two:
            with pytest.raises(BadAnswer, match=r"headers\.count"):
                await ask(
                    two.opener(Component.HEADERS),
                    Component.HEADERS,
                    Range(0, 5),
                    Patience(),
                    messages_max=5,
                )

    run(test)


def test_as_many_messages_as_stated_are_a_whole_answer() -> None:
    chain = Chain(5)

    async def test() -> None:
        async with pair(serving(chain)) as two:
            opener, part = two.opener(Component.TRANSACTIONS), Component.TRANSACTIONS
            body = await ask(opener, part, Range(0, 5), Patience(), messages_max=10)
            assert body == expected(chain, part, range(5))

    run(test)


def test_a_quick_beginning_buys_no_slow_rest() -> None:
    async def handle(stream: Stream) -> None:
        while await stream.read(1000):
            pass
        await stream.write(delimited(b"\x0a" + bytes(1_000_000)))  # 30 s at the floor
        while True:
            await stream.write(MESSAGE)
            await trio.sleep(0.1)

    async def test() -> None:
        patience = Patience(seconds=0.5, idle_seconds=0.4)
        async with pair(by(handle)) as two:
            with trio.fail_after(5), pytest.raises(NoAnswer, match="too slow") as caught:
                await two.ask(Component.HEADERS, Range(0, 1), patience)
            assert caught.value.rule == "stream.slow"

    run(test)
