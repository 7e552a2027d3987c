"""Takes the connections that others open, through the gate, and counts each while it lives.

It takes the place of py-libp2p's own handler, which holds a slot for the life of the process, knows no IPv6 peer's
address, and refuses newcomers while silent connections wait for their time-out.
"""

import logging
from collections.abc import Callable
from typing import Any

import trio
from libp2p.network.connection.raw_connection import RawConnection

from workers.p2p.gate import Gate

CLOSE_SECONDS = 2.0

log = logging.getLogger("hera.p2p")


class Inbound:
    """The inbound side of one swarm. ``is_banned`` is asked once a peer's name is known."""

    def __init__(self, network: Any, gate: Gate, per_peer_max: int) -> None:
        self.refused = 0  # connections, since the start
        self.is_banned: Callable[[str], bool] = lambda peer: False
        self._network = network
        self._gate = gate
        self._per_peer_max = per_peer_max
        self._handshakes: dict[
            Any, None
        ] = {}  # the sockets whose peer has no name yet, oldest first
        network._handle_inbound_connection = self.handle

    async def handle(self, stream: Any, address: Any) -> None:
        """Keep a connection until it ends; never raises for what the other side does."""
        try:
            host = str(stream.stream.socket.getpeername()[0])
        except OSError:  # it has gone already
            await _close(stream)
            return
        if why := self._gate.refuses(host):
            await self._refuse(stream, why)
            return
        with self._gate.inside(host):
            try:
                muxed = await self._upgrade(stream, address)
                if why := self._objection(muxed):
                    await self._refuse(muxed, why)
                else:
                    await muxed.event_closed.wait()
            except Exception as error:  # noqa: BLE001  (remote input must not raise past its handler)
                log.debug("inbound connection of %s: %r", host, error)

    async def _upgrade(self, stream: Any, address: Any) -> Any:
        """Do the handshake (its time limit is the library's); the oldest one under way gives way to it."""
        if len(self._handshakes) >= self._gate.limits.handshakes:
            oldest = next(iter(self._handshakes))
            del self._handshakes[oldest]
            await self._refuse(oldest, "a newer handshake took its place")
        self._handshakes[stream] = None
        raw = RawConnection(stream, False)
        try:
            return await self._network.upgrade_inbound_raw_conn(raw, address)
        except BaseException:
            with trio.CancelScope(shield=True):
                await raw.close()
            raise
        finally:
            self._handshakes.pop(stream, None)

    def _objection(self, muxed: Any) -> str:
        """Why a connection with this peer is not wanted; empty if it is."""
        if self.is_banned(str(muxed.peer_id)):
            return f"{muxed.peer_id} is banned"
        if len(self._network.connections.get(muxed.peer_id, ())) > self._per_peer_max:
            return f"{muxed.peer_id} has {self._per_peer_max} connections"
        return ""

    async def _refuse(self, closable: Any, why: str) -> None:
        self.refused += 1
        log.debug("inbound connection refused: %s", why)
        await _close(closable)


async def _close(closable: Any) -> None:
    with trio.CancelScope(shield=True), trio.move_on_after(CLOSE_SECONDS):
        try:
            await closable.close()
        except Exception as error:  # noqa: BLE001  (it may be gone already; nothing is left to do)
            log.debug("closing an inbound connection: %r", error)
