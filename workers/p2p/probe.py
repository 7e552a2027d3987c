"""Probe: tells which peers can be reached, without being a node: it dials, shakes hands, and leaves."""

from collections.abc import Sequence

import trio

from workers.p2p import keys
from workers.p2p.addresses import Address
from workers.p2p.gate import Gate, GateLimits, parse_network
from workers.p2p.host import CannotReach, Host


def reach(
    peers: Sequence[Address], allow: Sequence[str], deny: Sequence[str], seconds_max: float
) -> dict[Address, str | None]:
    """Dial all peers at once, each with its PeerID; return for each None, or why it cannot be reached.

    The key is drawn, so that no peer takes us for the node that may run beside.
    """
    rules = ([parse_network(text) for text in texts] for texts in (allow, deny))
    host = Host(keys.generate(), "hera/doctor", gate=Gate(GateLimits(), *rules))
    return trio.run(_reach, host, peers, seconds_max)


async def _reach(
    host: Host, peers: Sequence[Address], seconds_max: float
) -> dict[Address, str | None]:
    found: dict[Address, str | None] = dict.fromkeys(peers, f"no answer in {seconds_max:.0f} s")

    async def dial(peer: Address) -> None:
        assert peer.peer_id is not None
        try:
            await host.dial(peer.peer_id, [peer])
            found[peer] = None
        except CannotReach as error:
            found[peer] = str(error)

    async with host.run([]):
        with trio.move_on_after(seconds_max):
            async with trio.open_nursery() as nursery:
                for peer in peers:
                    nursery.start_soon(dial, peer)
    return found
