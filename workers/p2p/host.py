"""Our libp2p host: TCP, Noise only, Yamux, Identify and Ping. What the process touches of py-libp2p is here.

``Any`` stands for py-libp2p's objects; nothing of it leaves this file but ``Stream``.
"""

import errno
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStoreError
from libp2p.rcmgr import Direction, ResourceLimits, new_resource_manager
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr

from workers.p2p import addresses, patches
from workers.p2p.addresses import Address, Scope, scope_of_ip
from workers.p2p.gate import Gate
from workers.p2p.inbound import Inbound
from workers.p2p.keys import KeyPair
from workers.p2p.streams import Stream, StreamBroken
from workers.p2p.yamux import Limits

CONNECTIONS_MAX = (
    100  # in both directions; the gate keeps some of them from those that come by themselves
)
CONNECTIONS_PER_PEER_MAX = 2  # two where both sides dial at once
STREAMS_MAX = (
    2 * CONNECTIONS_MAX * Limits().inbound_max
)  # never reached: more would wait behind a flood's
HANDSHAKE_SECONDS = (
    10.0  # of an inbound connection: TCP accepted until Noise and Yamux are agreed on
)
NEGOTIATE_SECONDS = 10  # of a stream's protocol
DIAL_SECONDS = 10.0
CLOSE_SECONDS = 3.0
CAUSES_MAX = 16
ADDRESS_TTL_SECONDS = 3600
ADDRESSES_OF_PEER_MAX = 8
OTHER, UNKNOWN = "other", "unknown"  # unknown: Identify has not told yet
AGENTS = ("hera", "juno", "pathfinder", "papyrus", "madara", "js-libp2p", OTHER, UNKNOWN)
DIRECTIONS = ("inbound", "outbound")

log = logging.getLogger("hera")

Handler = Callable[[Stream], Awaitable[None]]


class CannotListen(Exception):
    """An address that cannot be listened on; the message says why in one line."""


class CannotReach(Exception):
    """A peer that no address of it led to, or that does not open a stream."""


class HostStream:
    """A ``streams.Stream`` of py-libp2p.

    Reads and writes go straight to the muxer's stream: so bytes that came before the connection broke stay readable.
    """

    def __init__(self, net_stream: Any) -> None:
        self._net_stream = net_stream
        self._muxed = net_stream.muxed_stream

    @property
    def peer(self) -> str:
        """The PeerID of the other side, base58."""
        return str(self._muxed.muxed_conn.peer_id)

    async def read(self, size: int) -> bytes:
        """Return 1…size bytes, or b"" after the peer's FIN. Raises ``StreamBroken``."""
        try:
            return bytes(await self._muxed.read(size))
        except MuxedStreamEOF:
            return b""
        except MuxedStreamError as error:
            raise StreamBroken(str(error)) from error

    async def write(self, data: bytes) -> None:
        """Send all of ``data``. Raises ``StreamBroken``."""
        try:
            await self._muxed.write(data)
        except MuxedStreamError as error:
            raise StreamBroken(str(error)) from error

    async def close_write(self) -> None:
        """Send FIN; the other direction stays open."""
        await self._muxed.close_write()

    async def close(self) -> None:
        """Send FIN, read no more, give the slots back."""
        await self._net_stream.close()

    async def reset(self) -> None:
        """End both directions at once, give the slots back."""
        await self._net_stream.reset()


class Host:
    """One identity on the network. ``run`` listens; everything else needs it running."""

    def __init__(
        self,
        key: KeyPair,
        agent: str,
        public: Sequence[Address] = (),
        gate: Gate | None = None,
    ) -> None:
        patches.install(agent)
        self._gate = gate or Gate()
        pair = create_new_key_pair(key.seed)
        self._public = tuple(public)
        noise = NoiseTransport(pair, noise_privkey=create_noise_key_pair().private_key)
        self._host: Any = new_host(
            key_pair=pair,
            sec_opt={TProtocol(NOISE): noise},  # the default accepts plaintext
            muxer_opt={TProtocol(YAMUX): Yamux},
            addrs_factory=self._announced,
            negotiate_timeout=NEGOTIATE_SECONDS,
            disable_identify_address_discovery=True,
            resource_manager=new_resource_manager(
                limits=ResourceLimits(
                    max_connections=CONNECTIONS_MAX + self._gate.limits.handshakes,
                    max_streams=STREAMS_MAX,
                ),
                # both let a flood lower the limits for everybody
                enable_circuit_breaker=False,
                enable_graceful_degradation=False,
            ),
            connection_config=ConnectionConfig(
                max_connections=CONNECTIONS_MAX,
                min_connections=0,
                low_watermark=0,
                high_watermark=CONNECTIONS_MAX,
                max_connections_per_peer=CONNECTIONS_PER_PEER_MAX,
                inbound_upgrade_timeout=HANDSHAKE_SECONDS,
            ),
        )
        patches.guard(self._host)
        self._network: Any = self._host.get_network()
        self.inbound = Inbound(self._network, self._gate, CONNECTIONS_PER_PEER_MAX)
        self.peer_id = str(self._host.get_id())
        assert self.peer_id == key.peer_id

    @asynccontextmanager
    async def run(self, listen: Sequence[Address]) -> AsyncIterator[None]:
        """Listen and serve inside the block. Raises ``CannotListen`` before anything is announced."""
        wanted = [await self._bindable(address) for address in listen]
        async with self._host.run([Multiaddr(str(address)) for address in wanted]):
            try:
                is_bound = len(self._bound()) >= len(wanted)
                if is_bound:
                    yield
            finally:
                await self._stop_listening()
        if not is_bound:
            raise CannotListen(f"cannot listen on {', '.join(map(str, wanted))}")

    def serve(self, protocol: str, handler: Handler) -> None:
        """Answer streams of ``protocol`` by ``handler``, which ends them."""

        async def handle(net_stream: Any) -> None:
            await handler(HostStream(net_stream))

        self._host.set_stream_handler(TProtocol(protocol), handle)

    def listening(self) -> tuple[Address, ...]:
        """The addresses we listen on, one an interface, each with our PeerID."""
        found = [one for address in self._bound() for one in addresses.expand(address)]
        return tuple(Address(a.kind, a.host, a.port, self.peer_id) for a in found)

    async def dial(
        self, peer: str, candidates: Sequence[Address], *, is_hearsay: bool = False
    ) -> Address:
        """Connect to ``peer`` by the first of its addresses that answers; return that. Raises ``CannotReach``.

        A name that is hearsay must not lead into a more private network than it claims to be in.
        """
        why = "no address"
        for candidate in candidates[:ADDRESSES_OF_PEER_MAX]:
            try:
                resolved = await _resolve(candidate)
            except OSError as error:
                why = f"{candidate.host}: {error.strerror or error}"
                continue
            for address in resolved:
                if is_hearsay and address.scope < candidate.scope:
                    why = f"{candidate.host}: stands for a private address"
                    continue
                failure = await self._dial_one(peer, address)
                if failure is None:
                    return candidate
                why = f"{address.transport}: {failure}"
        raise CannotReach(why)

    async def open(self, peer: str, protocol: str) -> Stream:
        """Open a stream to a connected peer. Raises ``CannotReach``."""
        try:
            with trio.fail_after(NEGOTIATE_SECONDS):
                stream = await self._host.new_stream(_id(peer), [TProtocol(protocol)])
        except Exception as error:
            # what a peer does during the negotiation surfaces as any of many errors
            raise CannotReach(_cause(error)) from error
        return HostStream(stream)

    async def disconnect(self, peer: str) -> None:
        """Close every connection to ``peer``."""
        await self._network.close_peer(_id(peer))

    def peers(self) -> tuple[str, ...]:
        """The PeerIDs that we are connected to."""
        return tuple(str(peer) for peer in self._network.connections)

    def addresses_of(self, peer: str) -> tuple[Address, ...]:
        """Where ``peer`` says it can be dialled (Identify), and where we dialled it; none more private than it."""
        try:
            told = [str(address) for address in self._host.get_peerstore().addrs(_id(peer))]
        except PeerStoreError:
            return ()
        found = [addresses.find_address(text) for text in told]
        scope = self.scope_of(peer)
        usable = {a.transport: None for a in found if a is not None and a.scope >= scope}
        return tuple(usable)[:ADDRESSES_OF_PEER_MAX]

    def scope_of(self, peer: str) -> Scope:
        """How far away ``peer`` is by its connections; what is told to it, or by it, is at least as public."""
        connections = self._network.get_connections(_id(peer))
        seen = [each.muxed_conn.get_remote_address() for each in connections]
        return max((scope_of_ip(one[0]) for one in seen if one is not None), default=Scope.WORLD)

    def protocols_of(self, peer: str) -> frozenset[str]:
        """What ``peer`` speaks, as far as Identify has told; empty before."""
        try:
            return frozenset(self._host.get_peerstore().get_protocols(_id(peer)))
        except PeerStoreError:
            return frozenset()

    def kinds(self) -> Counter[tuple[str, str]]:
        """How many peers are connected, by the program they say they are and by who dialled (one of ``DIRECTIONS``)."""
        found: Counter[tuple[str, str]] = Counter()
        for peer, connections in self._network.connections.items():
            inbound = bool(connections) and connections[0].direction is Direction.INBOUND
            found[self._kind_of(peer), DIRECTIONS[not inbound]] += 1
        return found

    def agent_of(self, peer: str) -> str:
        """What ``peer`` calls itself: its own words, or empty as long as it has not said."""
        return self._told(_id(peer)) or ""

    def direction_of(self, peer: str) -> str:
        """Who dialled, one of ``DIRECTIONS``; empty where ``peer`` is not connected."""
        connections = self._network.get_connections(_id(peer))
        if not connections:
            return ""
        return DIRECTIONS[connections[0].direction is not Direction.INBOUND]

    def _kind_of(self, peer: ID) -> str:
        """One of ``AGENTS``."""
        told = self._told(peer)
        if told is None:
            return UNKNOWN
        name = told.partition("/")[0].lower()
        return name if name in AGENTS else OTHER

    def _told(self, peer: ID) -> str | None:
        try:
            return str(self._host.get_peerstore().get(peer, patches.AGENT))
        except PeerStoreError:
            return None

    async def _stop_listening(self) -> None:
        """The library's listeners outlive its host: without this the port stays taken."""
        with trio.CancelScope(shield=True), trio.move_on_after(CLOSE_SECONDS):
            for listener in list(self._network.listeners.values()):
                await listener.close()

    async def _dial_one(self, peer: str, address: Address) -> str | None:
        """Connect; return None or why not. The library's own connect tries one address and has no time limit."""
        if why := self._gate.denies(address.host):
            return why
        target = Multiaddr(str(address.transport))
        try:
            with trio.fail_after(DIAL_SECONDS):
                await self._network._dial_addr_single_attempt(target, _id(peer))
        except trio.TooSlowError:
            return f"no answer in {DIAL_SECONDS:.0f} s"
        except Exception as error:  # noqa: BLE001  (what a peer does in the handshake must not raise past the dial)
            return _cause(error)
        self._host.get_peerstore().add_addrs(_id(peer), [target], ADDRESS_TTL_SECONDS)
        return None

    def _bound(self) -> tuple[Address, ...]:
        return tuple(addresses.parse(str(a)) for a in self._host.get_transport_addrs())

    def _announced(self, candidates: list[Any]) -> list[Any]:
        found = [one for c in candidates for one in addresses.expand(addresses.parse(str(c)))]
        return [Multiaddr(str(address.transport)) for address in (*self._public, *found)]

    async def _bindable(self, address: Address) -> Address:
        """Try the port first: the library shares a busy one (SO_REUSEPORT) without a word."""
        try:
            resolved = (await _resolve(address))[0]
        except (OSError, IndexError):
            raise CannotListen(f"cannot listen on {address}: no such host name") from None
        try:
            with socket.socket(addresses.FAMILIES[resolved.kind], socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((resolved.host, resolved.port))
                probe.listen(1)
        except OSError as error:
            raise CannotListen(f"cannot listen on {address}: {_busy(error)}") from None
        return resolved


async def _resolve(address: Address) -> tuple[Address, ...]:
    """The addresses of a host name by the system's resolver (the library asks DNS alone, not /etc/hosts)."""
    if not address.is_name:
        return (address,)
    family = addresses.FAMILIES[address.kind]
    found = await trio.socket.getaddrinfo(
        address.host, None, family=family, type=socket.SOCK_STREAM
    )
    hosts = [(entry[0], str(entry[4][0])) for entry in found]
    return addresses.from_resolved(address, hosts)


def _busy(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop the other process or choose another port"
    return error.strerror or str(error)


def _cause(error: BaseException) -> str:
    """The innermost reason of an error, one line."""
    for _ in range(CAUSES_MAX):
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif error.__cause__ is not None:
            error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0]


def _id(peer: str) -> Any:
    return ID.from_string(peer)
