"""Peers that flood the node: it goes on syncing and answering others, and takes no more memory."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import pytest
import trio

from tests.hostile.peers import CHAIN_ID, LOOPBACK, dial
from tests.hostile.scene import Scene
from tests.process.nodes import wait_until
from workers.component import Component
from workers.p2p import keys, protocols
from workers.p2p.addresses import Address
from workers.p2p.ask import Patience, ask
from workers.p2p.host import CannotReach, Host
from workers.p2p.protocols import UINT64_MAX, Range
from workers.p2p.streams import StreamBroken

STREAMS = 300
CONNECTIONS = 200
IDENTITIES = 24
AT_ONCE = 16
ANSWER_SECONDS = 20.0
FLOOD_BYTES_MAX = 64 << 20  # what all processes together may have grown by
BAD_REQUESTS = (
    b"",
    b"\xff" * 100,
    protocols.encode_request(Range(0, UINT64_MAX, 0)),
    protocols.encode_request(Range(0, UINT64_MAX)),
    protocols.encode_request(Range(0, UINT64_MAX, UINT64_MAX)),
    protocols.encode_request(Range(UINT64_MAX, UINT64_MAX)),
    protocols.encode_request(Range(0, UINT64_MAX, 1, backward=True)),
    protocols.encode_request(Range(b"\7" * 32, 10)),
    bytes(protocols.REQUEST_BYTES_MAX + 1),
)

Flood = Callable[[Host, Address], Awaitable[None]]


async def _on_streams(node: Address, host: Host, count: int, use: bytes | None) -> None:
    """Open many streams and keep them: with a request whose answer is never read, or with half of one."""
    assert node.peer_id is not None
    names = [protocols.protocol_id(CHAIN_ID, part) for part in Component]
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def one(index: int) -> None:
        async with limiter:
            try:
                stream = await host.open(str(node.peer_id), names[index % len(names)])
                await stream.write(b"\x0a" if use is None else use)
                if use is not None:
                    await stream.close_write()
            except (CannotReach, StreamBroken):
                return  # refused: that is as good

    async with trio.open_nursery() as nursery:
        for index in range(count):
            nursery.start_soon(one, index)
    await trio.sleep_forever()


async def half_open_streams(host: Host, node: Address) -> None:
    """Begin requests that never end."""
    await dial(host, node)
    await _on_streams(node, host, STREAMS, None)


async def answers_never_read(host: Host, node: Address) -> None:
    """Ask for all there is, again and again, and read nothing."""
    await dial(host, node)
    await _on_streams(node, host, STREAMS, protocols.encode_request(Range(0, UINT64_MAX)))


async def requests_that_are_none(host: Host, node: Address) -> None:
    """Send what names no range, or every block at once."""
    await dial(host, node)
    for request in BAD_REQUESTS:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_on_streams, node, host, AT_ONCE, request)
                await trio.sleep(0.2)
                scope.cancel()
    await trio.sleep_forever()


async def silent_connections(host: Host, node: Address) -> None:
    """Open TCP connections and say nothing."""
    async with AsyncExitStack() as held:
        for _ in range(CONNECTIONS):
            try:
                stream = await trio.open_tcp_stream(node.host, node.port)
            except OSError:
                break  # refused: that is as good
            held.push_async_callback(trio.aclose_forcefully, stream)
        await trio.sleep_forever()


async def connections_of_noise(host: Host, node: Address) -> None:
    """Open TCP connections and send what is no handshake."""
    for _ in range(CONNECTIONS):
        try:
            async with await trio.open_tcp_stream(node.host, node.port) as stream:
                await stream.send_all(bytes(range(256)) * 16)
        except (OSError, trio.BrokenResourceError):
            continue
    await trio.sleep_forever()


async def many_identities(host: Host, node: Address) -> None:
    """Be two dozen peers, none of which has anything."""

    async def one() -> None:
        me = Host(keys.generate(), "hera/test")
        async with me.run([LOOPBACK]):
            try:
                await dial(me, node)
            except CannotReach:
                return  # refused: that is as good
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for _ in range(IDENTITIES):
            nursery.start_soon(one)


FLOODS: tuple[Flood, ...] = (
    half_open_streams,
    answers_never_read,
    requests_that_are_none,
    silent_connections,
    connections_of_noise,
    many_identities,
)


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.__name__)
def test_a_flood_keeps_the_node_neither_from_its_head_nor_from_answering(
    scene: Scene, flood: Flood
) -> None:
    async def attack() -> None:
        host = Host(keys.generate(), "hera/test")
        async with host.run([LOOPBACK]):
            await flood(host, scene.address)

    before = scene.used_bytes()
    with scene.network.running(attack):
        scene.let_out(scene.next_block(classes=False))
        wanted = Range(0, scene.head + 1)
        whole = scene.honest.chain.body(Component.HEADERS, 0, scene.head + 1)
        wait_until(  # what is stored is served a tenth of a second later
            lambda: scene.network.run(partial(honest_question, scene, wanted)) == whole,
            ANSWER_SECONDS,
            lambda: "the honest peer is not answered",
        )
        scene.assert_memory_is_flat()
    assert scene.used_bytes() - before < FLOOD_BYTES_MAX
    assert scene.node.process.poll() is None
    assert "Traceback" not in scene.node.text()


async def honest_question(scene: Scene, wanted: Range) -> bytes:
    """What the node answers the honest peer meanwhile."""
    name = protocols.protocol_id(CHAIN_ID, Component.HEADERS)
    assert scene.address.peer_id is not None
    with trio.fail_after(ANSWER_SECONDS):
        opened = partial(scene.honest.host.open, scene.address.peer_id, name)
        return await ask(opened, Component.HEADERS, wanted, Patience())
