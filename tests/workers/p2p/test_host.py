"""The host and the cures for py-libp2p's faults, over real sockets."""

import importlib.metadata
import socket
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import trio

from tests.workers.p2p.support import CHAIN, LOOPBACK, Chain, pair, run, serving, transports
from workers.component import Component
from workers.p2p import addresses, keys, patches, protocols
from workers.p2p.addresses import Address
from workers.p2p.host import CannotListen, CannotReach, Host
from workers.p2p.protocols import Range
from workers.p2p.streams import Stream, StreamBroken

PROTOCOL = protocols.protocol_id(CHAIN, Component.HEADERS)


def host() -> Host:
    return Host(keys.generate(), "hera/test")


def test_the_peer_id_follows_from_the_key() -> None:
    pair_of_keys = keys.generate()
    assert Host(pair_of_keys, "hera/test").peer_id == pair_of_keys.peer_id


def test_listening_on_all_interfaces_names_each_with_the_peer_id() -> None:
    async def test() -> None:
        mine = host()
        async with mine.run([addresses.parse_listen("/ip4/0.0.0.0/tcp/0")]):
            named = mine.listening()
            assert named[0].host == "127.0.0.1"
            assert {a.host for a in named} == set(addresses.interface_hosts(socket.AF_INET))
            assert all(a.port > 0 and a.peer_id == mine.peer_id for a in named)

    run(test)


def test_a_busy_port_is_one_clear_line() -> None:
    async def test() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen(1)
            busy = replace(LOOPBACK, port=taken.getsockname()[1])
            with pytest.raises(CannotListen, match="port is in use") as caught:
                async with host().run([busy]):
                    raise AssertionError("it listens")
            assert "\n" not in str(caught.value)

    run(test)


def test_a_port_that_another_node_listens_on_is_busy_too() -> None:
    async def test() -> None:
        first = host()
        async with first.run([LOOPBACK]):
            with pytest.raises(CannotListen, match="port is in use"):
                async with host().run(transports(first)):
                    raise AssertionError("it listens")

    run(test)


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    async def test() -> None:
        with pytest.raises(CannotListen, match=r"198\.51\.100\.1"):
            async with host().run([addresses.parse_listen("/ip4/198.51.100.1/tcp/0")]):
                raise AssertionError("it listens")

    run(test)


def test_ip6_and_several_addresses_are_listened_on() -> None:
    async def test() -> None:
        mine, other = host(), host()
        six = addresses.parse_listen("/ip6/::1/tcp/0")
        async with mine.run([LOOPBACK, six]), other.run([LOOPBACK]):
            assert {a.kind for a in mine.listening()} == {"ip4", "ip6"}
            await other.dial(mine.peer_id, [a for a in transports(mine) if a.kind == "ip6"])
            assert mine.peer_id in other.peers()

    run(test)


def test_dialling_takes_the_first_address_that_answers_and_knows_host_names() -> None:
    async def test() -> None:
        mine, other = host(), host()
        async with mine.run([LOOPBACK]), other.run([LOOPBACK]):
            (real,) = transports(mine)
            closed = replace(real, port=1)
            name = Address("dns4", "localhost", real.port)
            unknown = Address("dns4", "no-such-host.invalid", real.port)
            assert await other.dial(mine.peer_id, [unknown, closed, name]) == name
            assert other.peers() == (mine.peer_id,)

    run(test)


def test_a_peer_that_is_not_there_is_one_line_and_may_be_dialled_again_at_once() -> None:
    async def test() -> None:
        mine, other = host(), host()
        async with other.run([LOOPBACK]):
            with pytest.raises(CannotReach, match=r"/tcp/1: .*Connection refused") as caught:
                await other.dial(mine.peer_id, [replace(LOOPBACK, port=1)])
            assert "\n" not in str(caught.value)
            async with mine.run([LOOPBACK]):
                await other.dial(mine.peer_id, transports(mine))

    run(test)


def test_an_address_with_another_owner_is_refused() -> None:
    async def test() -> None:
        mine, other = host(), host()
        async with mine.run([LOOPBACK]), other.run([LOOPBACK]):
            with pytest.raises(CannotReach):
                await other.dial(keys.generate().peer_id, transports(mine))
            assert other.peers() == ()

    run(test)


def test_an_exception_in_a_handler_resets_its_stream_and_the_host_lives() -> None:
    async def broken(stream: Stream) -> None:
        await stream.read(10)
        raise RuntimeError("a bug")

    async def test() -> None:
        async with pair(lambda server: server.serve(PROTOCOL, broken)) as two:
            for _ in range(3):
                stream = await two.client.open(two.server.peer_id, PROTOCOL)
                await stream.write(b"x")
                with pytest.raises(StreamBroken):
                    await stream.read(10)
                await stream.reset()

    run(test)


def test_inbound_slots_are_given_back() -> None:
    async def test() -> None:
        server = host()
        async with server.run([LOOPBACK]):
            for _ in range(5):
                client = host()
                async with client.run([LOOPBACK]):
                    await client.dial(server.peer_id, transports(server))
                    while not server.peers():
                        await trio.sleep(0.01)
                while server.peers() or server._gate.count:
                    await trio.sleep(0.01)

    run(test)


def test_plaintext_and_garbage_are_refused_and_honest_peers_still_served() -> None:
    async def test() -> None:
        async with pair(serving(Chain(3))) as two:
            (address,) = transports(two.server)
            for noise in (
                b"\x13/multistream/1.0.0\n\x11/plaintext/2.0.0\n",
                b"GET / HTTP/1.1\r\n\r\n",
            ):
                stream = await trio.open_tcp_stream("127.0.0.1", address.port)
                async with stream:
                    await stream.send_all(noise)
                    answer = b""
                    with trio.move_on_after(0.5):
                        async for chunk in stream:
                            answer += chunk
                    assert b"plaintext" not in answer
            assert await two.ask(Component.HEADERS, Range(0, 3))

    run(test)


def test_identify_tells_protocols_and_dialable_addresses() -> None:
    async def test() -> None:
        async with pair(serving(Chain(3))) as two:
            while PROTOCOL not in two.client.protocols_of(two.server.peer_id):
                await trio.sleep(0.01)
            known = two.client.addresses_of(two.server.peer_id)
            assert set(transports(two.server)) <= set(known)
            assert two.client.protocols_of(keys.generate().peer_id) == frozenset()
            assert two.client.addresses_of(keys.generate().peer_id) == ()

    run(test)


def test_a_public_address_is_announced_before_the_real_ones() -> None:
    async def test() -> None:
        public = addresses.parse("/dns4/node.example.org/tcp/7777")
        mine = Host(keys.generate(), "hera/test", [public])
        async with mine.run([addresses.parse_listen("/ip4/0.0.0.0/tcp/0")]):
            told = [str(address) for address in mine._host.get_addrs()]
        assert told[0].startswith(str(public))
        assert any("127.0.0.1" in address for address in told)
        assert not any("0.0.0.0" in address for address in told)

    run(test)


def test_a_disconnected_peer_is_gone_on_both_sides_and_can_come_back() -> None:
    async def test() -> None:
        async with pair(serving(Chain(3))) as two:
            await two.server.disconnect(two.client.peer_id)
            while two.client.peers() or two.server.peers():
                await trio.sleep(0.01)
            with pytest.raises(CannotReach):
                await two.client.open(keys.generate().peer_id, PROTOCOL)
            await two.client.dial(two.server.peer_id, transports(two.server))
            assert await two.ask(Component.HEADERS, Range(0, 3))

    run(test)


def test_ten_hosts_connect_to_one_at_once() -> None:
    chain = Chain(100)

    async def test() -> None:
        server = host()
        serving(chain)(server)
        clients = [host() for _ in range(10)]
        async with AsyncExitStack() as stack:
            for each in (server, *clients):
                await stack.enter_async_context(each.run([LOOPBACK]))
            async with trio.open_nursery() as nursery:
                for client in clients:
                    nursery.start_soon(client.dial, server.peer_id, transports(server))
            while len(server.peers()) < len(clients):
                await trio.sleep(0.01)

    run(test)


def test_another_version_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.9.0")
    with pytest.raises(patches.WrongLibp2p, match=r"0\.9\.0 is installed, 0\.8\.1 is needed"):
        patches.install("hera/test")


def test_the_port_is_free_again_after_the_end() -> None:
    async def test() -> None:
        first = host()
        async with first.run([LOOPBACK]):
            again = transports(first)
        async with host().run(again):
            pass

    run(test)
