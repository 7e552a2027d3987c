"""Cures for faults of py-libp2p 0.8.1, each with what happens without it. Installed once, before the first host.

They reach into the library's inside, so they refuse any other version of it.
"""

import importlib.metadata
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import libp2p.host.basic_host as basic_host
import libp2p.identity.identify.identify as identify
import libp2p.identity.identify_push.identify_push as identify_push
import libp2p.stream_muxer.muxer_multistream as muxer_multistream
import trio
from libp2p.network.stream.net_stream import NetStream
from multiaddr import Multiaddr

from workers.p2p.addresses import BadAddress, Scope, parse
from workers.p2p.yamux import YamuxConnection

LIBP2P_VERSION = "0.8.1"
CLOSE_SECONDS = 10.0
MARK = "_hera_shielded"
AGENT = "agent"  # what a peer calls itself, in the library's store of peers
AGENT_CHARS_MAX = 64

log = logging.getLogger("hera.p2p")


class WrongLibp2p(Exception):
    """Another version of py-libp2p than the one these cures were made for."""


def require_version() -> None:
    """Let through the one version that the cures are for; raises ``WrongLibp2p``."""
    version = importlib.metadata.version("libp2p")
    if version != LIBP2P_VERSION:
        raise WrongLibp2p(
            f"libp2p {version} is installed, {LIBP2P_VERSION} is needed: pip install -e ."
        )


def install(agent: str) -> None:
    """Patch the library for this process; a second call changes only the agent's name (seen in Identify)."""
    require_version()
    inside: Any = muxer_multistream
    inside.Yamux = YamuxConnection  # the class is hard-wired there: new_host(muxer_opt=) is ignored
    spoken: Any = identify
    spoken.AGENT_VERSION = agent
    if not hasattr(NetStream, MARK):
        # close() and reset() that are cancelled midway never give back their resource manager's slot
        net_stream: Any = NetStream
        net_stream.reset = _shielded(NetStream.reset)
        net_stream.close = _shielded(NetStream.close)
        setattr(net_stream, MARK, True)
        known: Any = basic_host
        known.update_peerstore_from_identify = _remembering(known.update_peerstore_from_identify)
        # Identify tells every peer all our addresses, also 127.0.0.1 and 10.0.0.5 to one across the Internet
        pushed: Any = identify_push
        spoken._mk_identify_protobuf = _discreet(identify._mk_identify_protobuf)
        pushed._mk_identify_protobuf = spoken._mk_identify_protobuf
    _quieten()


def guard(host: Any) -> None:
    """Patch one host: its stream handler, its memory of failed dials, its own dialling."""
    network = host.get_network()
    network.set_stream_handler(_guarded(host._swarm_stream_handler))
    # A failed dial blocks the peer for 60 s: when to dial again is decided in `dial`.
    network._negative_peer_cache.is_blocked = _never
    # It dials whatever address it has heard of, also with both watermarks at 0.
    network.auto_connector.maybe_connect = _do_nothing


def _shielded(method: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def shielded(stream: Any) -> None:
        with trio.CancelScope(shield=True), trio.move_on_after(CLOSE_SECONDS):
            await method(stream)

    return shielded


def _remembering(update: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The library forgets what a peer calls itself: this keeps it."""

    async def remembering(store: Any, peer: Any, told: Any) -> None:
        await update(store, peer, told)
        store.put(peer, AGENT, told.agent_version[:AGENT_CHARS_MAX])

    return remembering


def _discreet(make: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Keep from a peer what it cannot reach; the signed record goes too, for it holds every address."""

    def discreet(host: Any, seen_at: Any) -> Any:
        message = make(host, seen_at)
        scope = Scope.WORLD if seen_at is None else _scope(seen_at)
        told = [raw for raw in message.listen_addrs if _scope(Multiaddr(raw)) >= scope]
        del message.listen_addrs[:]
        message.listen_addrs.extend(told)
        message.ClearField("signedPeerRecord")
        return message

    return discreet


def _scope(address: Any) -> Scope:
    try:
        return parse(str(address)).scope
    except BadAddress:
        return Scope.WORLD  # a transport that is not ours: nothing private is told there


def _guarded(handler: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """An exception that leaves a stream handler stops the whole host: none leaves this one."""

    async def guarded(stream: Any) -> None:
        try:
            await handler(stream)
        except Exception as error:  # noqa: BLE001  (remote input must not raise past its handler)
            log.debug("stream handler of %s: %r", stream.get_protocol(), error)
            await _quietly(stream.reset)

    return guarded


def _never(peer_id: str) -> bool:
    return False


async def _do_nothing() -> None:
    return


async def _quietly(method: Callable[[], Awaitable[None]]) -> None:
    try:
        await method()
    except Exception as error:  # noqa: BLE001  (the stream may be gone already; nothing is left to do)
        log.debug("resetting a stream: %r", error)


def _quieten() -> None:
    """Keep the library's own lines (a traceback for each failed dial) out of the node's log."""
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(
            logging.NullHandler()
        )  # else its bare logging.debug() calls add one to stderr
