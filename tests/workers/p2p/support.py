"""Two real hosts over TCP, a chain of made-up parts to serve, and trio for tests that are plain functions."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from starknet.wire.delimited import join, varint
from starknet.wire.sync_pb2 import BlockHeadersResponse, SignedBlockHeader
from workers.component import Component
from workers.p2p import addresses, keys, protocols
from workers.p2p.addresses import Address
from workers.p2p.answer import Answerer
from workers.p2p.ask import Patience, ask
from workers.p2p.host import Host
from workers.p2p.protocols import Range
from workers.p2p.streams import Stream
from workers.p2p.view import View

CHAIN = "SN_TEST"
TEST_SECONDS = 30.0
LOOPBACK = addresses.parse("/ip4/127.0.0.1/tcp/0")


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an async test; it fails instead of hanging."""

    async def limited() -> None:
        with trio.fail_after(TEST_SECONDS):
            await test()

    trio.run(limited)


@dataclass(frozen=True)
class Head:
    """The newest block of ``Chain``."""

    number: int
    block_hash: bytes


def block_hash(number: int) -> bytes:
    """The made-up hash of a block."""
    return number.to_bytes(4, "big").rjust(32, b"\x07")


class Chain:
    """Stored blocks with recognisable parts: messages whose first byte is the tag of field 1."""

    def __init__(self, length: int, message_bytes: int = 20, messages: int = 2) -> None:
        self.length = length
        self.message_bytes = message_bytes
        self.messages = messages
        self.reads = 0

    def refresh(self) -> None:
        """Nothing to catch up with."""

    def head(self) -> Head | None:
        """The last block."""
        return Head(self.length - 1, block_hash(self.length - 1)) if self.length else None

    def part(self, component: Component, number: int) -> bytes | None:
        """The part of a block: ``messages`` messages, or none for the events of every third block."""
        self.reads += 1
        if number >= self.length:
            return None
        if component is Component.EVENTS and number % 3 == 0:
            return b""
        name = f"{component.value}:{number}:".encode()
        if component is Component.HEADERS:
            padding = "." * max(0, self.message_bytes - 20)
            header = SignedBlockHeader(number=number, protocol_version=padding)
            return join([BlockHeadersResponse(header=header)])
        one = b"\x0a" + name.ljust(self.message_bytes - 1, b".")
        return join([one] * self.messages)

    def block_hash(self, number: int) -> bytes | None:
        """The hash of a stored block."""
        return block_hash(number) if 0 <= number < self.length else None

    def number_of(self, wanted: bytes) -> int | None:
        """The number of a hash."""
        return next((n for n in range(self.length) if block_hash(n) == wanted), None)


def expected(chain: Chain, component: Component, numbers: range | list[int]) -> bytes:
    """The parts of ``numbers`` joined, as an answer must hold them."""
    return b"".join(chain.part(component, number) or b"" for number in numbers)


def delimited(payload: bytes) -> bytes:
    """One message with its length."""
    return varint(len(payload)) + payload


@dataclass(frozen=True)
class Pair:
    """A host that asks, connected to one that serves."""

    client: Host
    server: Host

    def opener(self, component: Component) -> Callable[[], Awaitable[Stream]]:
        """What opens a stream to the server."""
        name = protocols.protocol_id(CHAIN, component)
        return lambda: self.client.open(self.server.peer_id, name)

    async def ask(
        self, component: Component, wanted: Range, patience: Patience | None = None
    ) -> bytes:
        """Ask the server."""
        return await ask(self.opener(component), component, wanted, patience or Patience())


@asynccontextmanager
async def pair(serve: Callable[[Host], None]) -> AsyncIterator[Pair]:
    """Start two hosts and connect them; ``serve`` sets the server's handlers."""
    server = Host(keys.generate(), "hera/test")
    client = Host(keys.generate(), "hera/test")
    serve(server)
    async with server.run([LOOPBACK]), client.run([LOOPBACK]):
        await client.dial(server.peer_id, transports(server))
        yield Pair(client, server)


def serving(chain: Chain) -> Callable[[Host], None]:
    """Serve ``chain`` by all five protocols."""

    def serve(host: Host) -> None:
        answerer = Answerer(View(chain))
        for component in Component:
            host.serve(protocols.protocol_id(CHAIN, component), answerer.handler(component))

    return serve


def transports(host: Host) -> list[Address]:
    """Where ``host`` listens."""
    return [address.transport for address in host.listening()]
