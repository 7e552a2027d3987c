"""Peers are found by Kademlia over real hosts; lies, floods and private addresses get nowhere."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libp2p.identity.identify.identify as identify
import pytest
import trio
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from multiaddr import Multiaddr

from starknet.wire.delimited import join
from tests.workers.p2p.support import CHAIN, LOOPBACK, pair, run, transports
from workers.p2p import addresses, discovery, kad, keys, protocols
from workers.p2p.addresses import Address, Scope
from workers.p2p.book import Book
from workers.p2p.dialer import HEARSAY_TRIES, Dialer, by_peer, open_book
from workers.p2p.discovery import Discovery
from workers.p2p.host import CannotReach, Host
from workers.p2p.keys import KeyPair
from workers.p2p.peers import Peers
from workers.p2p.streams import MessageReader, Stream, StreamBroken

NAME, *_, OLD_NAME = protocols.kad_ids(CHAIN)
PUBLIC = addresses.parse("/ip4/8.8.8.8/tcp/7777")
STRANGER = keys.generate().peer_id


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(discovery, "ASK_SECONDS_MIN", 0.2)


class FarHost(Host):
    """A host that takes all its peers for being across the Internet."""

    def scope_of(self, peer: str) -> Scope:
        """Everyone is far."""
        return Scope.WORLD


@dataclass
class Member:
    """A node's part of discovery: everything of its p2p process but the sync."""

    folder: Path
    given: Sequence[Address] = ()
    key: KeyPair = field(default_factory=keys.generate)
    kind: type[Host] = Host
    public: Sequence[Address] = ()
    asks: bool = True

    def __post_init__(self) -> None:
        self.host = self.kind(self.key, "hera/test", self.public)
        self.peers = Peers(self.host.peer_id)
        self.book = open_book(Book(self.folder / self.host.peer_id))
        self.discovery = Discovery(CHAIN, self.host, self.peers, asks=self.asks)
        given = by_peer(self.given, self.host.peer_id)
        self.dialer = Dialer(self.host, self.peers, self.book, given, self.discovery.learned)

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.host.listening()[0]

    async def until_connected(self, *others: "Member") -> None:
        """Wait for connections with all of them."""
        while not {other.host.peer_id for other in others} <= set(self.host.peers()):
            await trio.sleep(0.02)


@asynccontextmanager
async def running(member: Member) -> AsyncIterator[Member]:
    """Let it dial, ask and answer inside the block; its book is saved at the end."""
    member.discovery.serve()
    async with member.host.run([LOOPBACK]), trio.open_nursery() as nursery:
        nursery.start_soon(member.dialer.run)
        nursery.start_soon(member.discovery.run)
        yield member
        member.dialer.save()
        nursery.cancel_scope.cancel()


async def ask(client: Host, server: Host, request: bytes, name: str = NAME) -> Any:
    """Send one raw request; return the answer's message. Raises ``StreamBroken`` where the server resets."""
    stream = await client.open(server.peer_id, name)
    try:
        await stream.write(request)
        answer = await MessageReader(stream, kad.ANSWER_BYTES_MAX).next()
        assert answer is not None
        return Message.FromString(answer)
    finally:
        await stream.reset()


async def told(client: Host, server: Host, name: str = NAME) -> kad.Told:
    """Whom the server tells the client of."""
    answer = await ask(client, server, kad.encode_question(b"any key"), name)
    return kad.decode_answer(answer.SerializeToString())


def test_a_node_that_knows_one_peer_finds_that_peers_peers_and_after_a_restart_needs_nobody(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        c, d = (Member(tmp_path, asks=False) for _ in range(2))
        async with running(c), running(d):
            key = keys.generate()
            async with (
                running(Member(tmp_path, [c.address, d.address])) as b,
                running(Member(tmp_path, [b.address], key)) as a,
            ):
                await a.until_connected(b, c, d)
            again = Member(tmp_path, key=key)
            assert c.address.transport in again.book.known()[c.host.peer_id]
            async with running(again):
                await again.until_connected(c, d)

    run(test)


def test_a_node_that_dials_nobody_still_tells_of_its_peers(tmp_path: Path) -> None:
    async def test() -> None:
        feeder = Member(tmp_path, asks=False)
        feeder.discovery.serve()
        async with feeder.host.run([LOOPBACK]), trio.open_nursery() as nursery:
            nursery.start_soon(feeder.discovery.run)
            async with (
                running(Member(tmp_path, [feeder.address])) as a,
                running(Member(tmp_path, [feeder.address])) as b,
            ):
                await a.until_connected(b, feeder)
            nursery.cancel_scope.cancel()

    run(test)


def test_both_names_are_answered_and_many_requests_pass_over_one_stream(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(Member(tmp_path)) as b, running(Member(tmp_path, [b.address])) as a:
            asker = Host(keys.generate(), "hera/test")
            async with asker.run([LOOPBACK]):
                await asker.dial(b.host.peer_id, transports(b.host))
                for name in (NAME, OLD_NAME):
                    while a.host.peer_id not in await told(asker, b.host, name):
                        await trio.sleep(0.05)
                stream = await asker.open(b.host.peer_id, NAME)
                reader = MessageReader(stream, kad.ANSWER_BYTES_MAX)
                for _ in range(3):
                    await stream.write(kad.encode_question(b"key"))
                    answer = await reader.next()
                    assert answer is not None
                    assert a.host.peer_id in kad.decode_answer(answer)
                await stream.reset()

    run(test)


def test_a_peer_across_the_internet_is_told_public_addresses_only(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            running(Member(tmp_path, kind=FarHost)) as b,
            running(Member(tmp_path, [b.address], public=[PUBLIC])) as public,
            running(Member(tmp_path, [b.address])) as private,
        ):
            await b.until_connected(public, private)
            names = (public.host.peer_id, private.host.peer_id)
            for peer, met_at in zip(names, ([PUBLIC, LOOPBACK], [LOOPBACK]), strict=True):
                b.discovery._table.note(peer, tuple(met_at), trio.current_time())
            asker = Host(keys.generate(), "hera/test")
            async with asker.run([LOOPBACK]):
                await asker.dial(b.host.peer_id, transports(b.host))
                assert await told(asker, b.host) == {public.host.peer_id: (PUBLIC,)}

    run(test)


@pytest.mark.parametrize(
    ("seen_at", "expected"),
    [
        ("/ip4/127.0.0.1/tcp/1", {"127.0.0.1", "10.0.0.5", "8.8.8.8"}),
        ("/ip4/192.168.1.9/tcp/1", {"10.0.0.5", "8.8.8.8"}),
        ("/ip4/1.1.1.1/tcp/1", {"8.8.8.8"}),
        (None, {"8.8.8.8"}),
    ],
)
def test_identify_tells_a_peer_what_it_can_reach_and_no_signed_record(
    seen_at: str | None, expected: set[str]
) -> None:
    async def test() -> None:
        site = addresses.parse("/ip4/10.0.0.5/tcp/7777")
        host = Host(keys.generate(), "hera/test", [PUBLIC, site])
        async with host.run([LOOPBACK]):
            seen = None if seen_at is None else Multiaddr(seen_at)
            message: Any = identify._mk_identify_protobuf(host._host, seen)
        found = [addresses.find_address(str(Multiaddr(raw))) for raw in message.listen_addrs]
        assert {address.host for address in found if address} == expected
        assert not message.signedPeerRecord

    run(test)


def test_a_far_peer_is_not_believed_private_addresses_nor_an_endless_list(tmp_path: Path) -> None:
    lie = Message(type=Message.FIND_NODE, key=b"key")
    near, far = keys.generate(), [keys.generate() for _ in range(3 * kad.PEERS_MAX)]
    for key, text in [(near, "/ip4/127.0.0.1/tcp/7777"), *((each, str(PUBLIC)) for each in far)]:
        raw = [Multiaddr(text).to_bytes(), b"\xff" * 9]
        lie.closerPeers.add(id=keys.parse_peer_id(key.peer_id), addrs=raw * 50)

    async def answer(stream: Stream) -> None:
        await stream.write(join([lie.SerializeToString()]))
        await stream.close()

    async def test() -> None:
        liar, client = Host(keys.generate(), "hera/test"), Member(tmp_path, kind=FarHost)
        liar.serve(NAME, answer)
        async with (
            liar.run([LOOPBACK]),
            client.host.run([LOOPBACK]),
            trio.open_nursery() as nursery,
        ):
            await client.host.dial(liar.peer_id, transports(liar))
            nursery.start_soon(client.discovery.run)
            while not client.discovery.learned():
                await trio.sleep(0.02)
            learned = client.discovery.learned()
            assert near.peer_id not in learned
            assert len(learned) <= kad.PEERS_MAX
            assert set(learned.values()) == {(PUBLIC,)}
            banned = next(iter(learned))
            client.peers.obey([banned], {})
            assert banned not in client.discovery.learned()
            nursery.cancel_scope.cancel()

    run(test)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\x7f",
        join([b"\xff" * 20]),
        join(
            [
                Message(
                    type=Message.FIND_NODE, closerPeers=[Message.Peer(id=b"no peer")]
                ).SerializeToString()
            ]
        ),
    ],
    ids=["none", "endless-length", "oversize", "garbage", "no-peer-id"],
)
def test_a_malformed_answer_ends_the_question_alone(tmp_path: Path, answer: bytes) -> None:
    asked = trio.Event()

    async def lie(stream: Stream) -> None:
        await stream.write(answer)
        await stream.close()
        asked.set()

    async def test() -> None:
        liar, client = Host(keys.generate(), "hera/test"), Member(tmp_path)
        liar.serve(NAME, lie)
        async with (
            liar.run([LOOPBACK]),
            client.host.run([LOOPBACK]),
            trio.open_nursery() as nursery,
        ):
            await client.host.dial(liar.peer_id, transports(liar))
            nursery.start_soon(client.discovery.run)
            await asked.wait()
            while any(met.is_asked for met in client.discovery._met.values()):
                await trio.sleep(0.02)
            assert client.discovery.learned() == {}
            assert client.host.peers() == (liar.peer_id,)
            nursery.cancel_scope.cancel()

    run(test)


@pytest.mark.parametrize(
    "request_bytes",
    [
        join([Message(type=Message.PUT_VALUE, key=b"k").SerializeToString()]),
        join([Message(type=Message.ADD_PROVIDER, key=b"k").SerializeToString()]),
        join([Message(type=Message.FIND_NODE).SerializeToString()]),
        join([Message(type=Message.FIND_NODE, key=b"k" * 300).SerializeToString()]),
        join([b"\xff" * 20]),
        join([b"x" * (kad.REQUEST_BYTES_MAX + 1)]),
        b"\0",
    ],
    ids=["put-value", "add-provider", "no-key", "long-key", "garbage", "oversize", "empty"],
)
def test_what_is_no_question_for_peers_is_refused(tmp_path: Path, request_bytes: bytes) -> None:
    async def test() -> None:
        server = Member(tmp_path)
        async with pair_with(server) as client:
            with pytest.raises(StreamBroken):
                await ask(client, server.host, request_bytes)
            assert await told(client, server.host) == {}

    run(test)


def test_a_ping_comes_back_and_who_asks_for_a_value_is_told_of_peers(tmp_path: Path) -> None:
    async def test() -> None:
        server = Member(tmp_path)
        async with pair_with(server) as client:
            ping = await ask(
                client, server.host, join([Message(type=Message.PING).SerializeToString()])
            )
            assert ping == Message(type=Message.PING)
            server.discovery._table.note(STRANGER, (LOOPBACK,), trio.current_time())
            for kind in (Message.GET_VALUE, Message.GET_PROVIDERS):
                question = join([Message(type=kind, key=b"k").SerializeToString()])
                answer = await ask(client, server.host, question)
                assert (answer.type, answer.HasField("record")) == (kind, False)
                assert [keys.base58(peer.id) for peer in answer.closerPeers] == [STRANGER]
            server.peers.obey([STRANGER], {})
            assert await told(client, server.host) == {}

    run(test)


def test_a_flood_of_requests_or_of_streams_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "REQUESTS_MAX", 10)

    async def test() -> None:
        server = Member(tmp_path)
        async with pair_with(server) as client:
            open_streams = [
                await client.open(server.host.peer_id, NAME)
                for _ in range(discovery.STREAMS_PER_PEER_MAX)
            ]
            while server.discovery._streams.total() < len(open_streams):
                await trio.sleep(0.02)
            with pytest.raises((StreamBroken, CannotReach)):
                await told(client, server.host)
            for stream in open_streams:
                await stream.reset()
            while server.discovery._streams:
                await trio.sleep(0.02)
            for _ in range(10):
                await told(client, server.host)
            with pytest.raises(StreamBroken):
                await told(client, server.host)

    run(test)


def test_a_silent_stream_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "IDLE_SECONDS", 0.1)

    async def test() -> None:
        server = Member(tmp_path)
        async with pair_with(server) as client:
            stream = await client.open(server.host.peer_id, NAME)
            await stream.write(b"\x05ab")
            with pytest.raises(StreamBroken):
                await stream.read(1)
            await stream.reset()

    run(test)


@asynccontextmanager
async def pair_with(server: Member) -> AsyncIterator[Host]:
    """A client that is connected to a member which only answers."""
    server.discovery.serve()
    client = Host(keys.generate(), "hera/test")
    async with server.host.run([LOOPBACK]), client.run([LOOPBACK]):
        await client.dial(server.host.peer_id, transports(server.host))
        yield client


def test_a_peer_that_was_only_heard_of_is_given_up_after_some_tries(tmp_path: Path) -> None:
    async def test() -> None:
        member = Member(tmp_path)
        async with member.host.run([LOOPBACK]):
            member.discovery._told["teller"] = {STRANGER: (PUBLIC,)}
            for times in range(HEARSAY_TRIES):
                now = trio.current_time() + 100 * times
                assert member.dialer._due(now) == [(STRANGER, (PUBLIC,))]
                member.dialer._back(STRANGER).fail(now)
            assert member.dialer._due(now + 1e6) == []

    run(test)


class _ToLoopback(trio.abc.HostnameResolver):
    async def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> Any:
        return [(2, 1, 6, "", ("127.0.0.1", 0))]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise AssertionError("not asked for")


def test_a_name_that_strangers_told_must_not_lead_into_a_private_network() -> None:
    async def test() -> None:
        trio.socket.set_custom_hostname_resolver(_ToLoopback())
        async with pair(lambda server: None) as two:
            await two.client.disconnect(two.server.peer_id)
            name = Address("dns4", "peer.example.org", transports(two.server)[0].port)
            with pytest.raises(CannotReach, match=r"peer\.example\.org: stands for a private"):
                await two.client.dial(two.server.peer_id, [name], is_hearsay=True)
            await two.client.dial(two.server.peer_id, [name])

    run(test)


# ---- the routing table ---------------------------------------------------------------------------------------------


def test_new_names_take_no_place_from_peers_that_are_here_but_from_those_that_are_gone() -> None:
    table = kad.Table(STRANGER)
    first = [keys.generate().peer_id for _ in range(300)]
    for peer in first:
        table.note(peer, (LOOPBACK,), 0.0)
    kept = set(table.by_distance(b"", 0.0))
    assert len(table) < 300
    for _ in range(300):
        table.note(keys.generate().peer_id, (LOOPBACK,), kad.FRESH_SECONDS - 1)
    assert kept <= set(table.by_distance(b"", 0.0))
    newcomer = max(set(first) - kept)
    table.note(newcomer, (LOOPBACK,), kad.FRESH_SECONDS + 1)
    assert newcomer in table.by_distance(b"", 0.0)
    assert all(len(bucket) <= kad.PEERS_MAX for bucket in table._buckets.values())


def test_the_closest_come_first_and_who_was_not_seen_for_long_is_not_told() -> None:
    table = kad.Table(STRANGER)
    peers = [keys.generate().peer_id for _ in range(10)]
    for peer in peers:
        table.note(peer, (LOOPBACK,), 0.0)
    for peer in peers:
        assert next(iter(table.by_distance(keys.parse_peer_id(peer), 0.0))) == peer
    table.note(peers[0], (LOOPBACK,), 5.0)
    assert list(table.by_distance(b"", kad.KEEP_SECONDS)) == [peers[0]]


# ---- scopes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("/ip4/127.0.0.1/tcp/1", Scope.MACHINE),
        ("/ip6/::1/tcp/1", Scope.MACHINE),
        ("/ip6/::ffff:127.0.0.1/tcp/1", Scope.MACHINE),
        ("/dns4/localhost/tcp/1", Scope.MACHINE),
        ("/ip4/10.1.2.3/tcp/1", Scope.SITE),
        ("/ip4/192.168.0.1/tcp/1", Scope.SITE),
        ("/ip4/172.17.0.2/tcp/1", Scope.SITE),
        ("/ip4/169.254.1.1/tcp/1", Scope.SITE),
        ("/ip4/100.64.0.1/tcp/1", Scope.SITE),
        ("/ip4/203.0.113.7/tcp/1", Scope.SITE),  # for documents only
        ("/ip6/fd00::1/tcp/1", Scope.SITE),
        ("/ip6/fe80::1/tcp/1", Scope.SITE),
        ("/dns4/juno_feeder_node/tcp/1", Scope.SITE),
        ("/dns6/node.internal/tcp/1", Scope.SITE),
        ("/ip4/8.8.8.8/tcp/1", Scope.WORLD),
        ("/ip6/2606:4700::1111/tcp/1", Scope.WORLD),
        ("/dns4/node.example.org./tcp/1", Scope.WORLD),
        ("/dns6/node.example.org/tcp/1", Scope.WORLD),
    ],
)
def test_an_addresses_scope_is_who_can_reach_it(text: str, scope: Scope) -> None:
    assert addresses.parse(text).scope is scope


def test_what_nobody_can_be_dialled_at_is_no_address() -> None:
    for text in ("/ip4/224.0.0.1/tcp/1", "/ip6/ff02::1/tcp/1", "/ip4/255.255.255.255/tcp/1"):
        assert addresses.find_address(text) is None
