"""Real libp2p peers that serve a generated chain, each answering as it is told to: all in one thread of their own."""

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

from tests.flow.peers import Chain
from workers.component import Component
from workers.p2p import addresses, keys, protocols
from workers.p2p.addresses import Address
from workers.p2p.heads import SAMPLES
from workers.p2p.host import CannotReach, Host
from workers.p2p.protocols import Range
from workers.p2p.streams import Stream, StreamBroken, read_request

CHAIN_ID = "SN_HERA_DEVNET"
LOOPBACK = addresses.parse("/ip4/127.0.0.1/tcp/0")
START_SECONDS = 30.0

Result = TypeVar("Result")


@dataclass
class Asked:
    """One request: the stream it came by, what it names, and the messages of each block that the peer has of it."""

    peer: "Peer"
    stream: Stream
    part: Component
    wanted: Range
    blocks: list[list[bytes]]

    @property
    def is_about_head(self) -> bool:
        """Whether this looks for the peer's head rather than for a range to store."""
        return (self.wanted.step, self.wanted.limit) in SAMPLES

    @property
    def body(self) -> bytes:
        """The honest answer, without ``Fin``."""
        return b"".join(message for block in self.blocks for message in block)

    @property
    def fin(self) -> bytes:
        """The message that ends an answer."""
        return protocols.fin(self.part)

    async def end_with(self, data: bytes) -> None:
        """Send ``data``, then the end of the stream."""
        await self.stream.write(data)
        await self.stream.close()


Behaviour = Callable[[Asked], Awaitable[None]]


async def honestly(asked: Asked) -> None:
    """Answer as the protocol wants it."""
    await asked.end_with(asked.body + asked.fin)


@dataclass
class Peer:
    """A peer with the first ``length`` blocks of ``chain``; ``requests`` counts what it was asked."""

    chain: Chain
    length: int
    behaviour: Behaviour = honestly
    host: Host = field(default_factory=lambda: Host(keys.generate(), "hera/test"))
    requests: Counter[Component] = field(default_factory=Counter)
    misbehaved: int = 0
    gone: trio.Event = field(default_factory=trio.Event)

    @property
    def name(self) -> str:
        """Its PeerID."""
        return self.host.peer_id

    @property
    def address(self) -> str:
        """Where it can be dialled."""
        return str(self.host.listening()[0])

    def serve(self) -> None:
        """Take the five protocols."""
        for part in Component:
            self.host.serve(protocols.protocol_id(CHAIN_ID, part), self._handler(part))

    def _handler(self, part: Component) -> Callable[[Stream], Awaitable[None]]:
        async def handle(stream: Stream) -> None:
            try:
                request = await read_request(stream, protocols.REQUEST_BYTES_MAX, 10.0)
                wanted = protocols.decode_request(request)
                self.requests[part] += 1
                await self.behaviour(Asked(self, stream, part, wanted, self._blocks(part, wanted)))
            except StreamBroken:
                await stream.reset()

        return handle

    def _blocks(self, part: Component, wanted: Range) -> list[list[bytes]]:
        assert isinstance(wanted.start, int)
        assert not wanted.backward
        numbers = range(wanted.start, self.length, wanted.step)[: wanted.limit]
        return [self.chain.messages(part, number, 1) for number in numbers]


class Network:
    """The thread and the trio loop of all peers. ``with`` it; everything is gone at the end."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,), name="peers")
        self._token: trio.lowlevel.TrioToken
        self._nursery: trio.Nursery

    def __enter__(self) -> "Network":
        self._thread.start()
        assert self._ready.wait(START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._nursery.cancel_scope.cancel)
        self._thread.join(START_SECONDS)

    def call(self, function: Callable[[], object]) -> None:
        """Do something in the loop."""
        trio.from_thread.run_sync(function, trio_token=self._token)

    def start(self, peer: Peer, node: Address | None = None) -> Peer:
        """Start a peer; where ``node`` is given, have it connect there."""
        trio.from_thread.run(self._start, peer, node, trio_token=self._token)
        return peer

    def stop(self, peer: Peer) -> None:
        """Have a peer leave."""
        self.call(peer.gone.set)

    def run(self, task: Callable[[], Awaitable[Result]]) -> Result:
        """Run a task to its end; return what it returns."""
        return trio.from_thread.run(task, trio_token=self._token)

    @contextmanager
    def running(self, task: Callable[[], Awaitable[None]]) -> Iterator[None]:
        """Run a task inside the block, in the background; cancel it at the end."""
        scope = trio.CancelScope()

        async def limited() -> None:
            with scope:
                await task()

        self.call(lambda: self._nursery.start_soon(limited))
        try:
            yield
        finally:
            self.call(scope.cancel)

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set()
            await trio.sleep_forever()

    async def _start(self, peer: Peer, node: Address | None) -> None:
        await self._nursery.start(self._keep, peer)
        if node is not None:
            await dial(peer.host, node)

    async def _keep(self, peer: Peer, task_status: Any) -> None:
        peer.serve()
        async with peer.host.run([LOOPBACK]):
            task_status.started()
            await peer.gone.wait()


async def dial(host: Host, node: Address) -> None:
    """Connect to the node, which may be starting still. Raises ``CannotReach`` where it never answers."""
    assert node.peer_id is not None
    for _ in range(100):
        try:
            await host.dial(node.peer_id, [node.transport])
        except CannotReach:
            await trio.sleep(0.1)
        else:
            return
    raise CannotReach(f"no node at {node}")
