"""Who may open a connection to us, or be dialled: from where, and how many at once. Pure: no socket, no clock.

Addresses that are not routable on the internet (loopback, private, link-local, shared) are bounded only by the sum: a
test network is one machine, and behind a container's proxy the whole world has one private address.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ADDRESS_BITS = {4: 32, 6: 64}  # of an IPv6 address, a host chooses the lower 64 itself
NETWORK_BITS = {4: 24, 6: 48}


@dataclass(frozen=True)
class GateLimits:
    """Bounds of the connections that others open to us. ``spares_private`` exempts addresses as said above."""

    connections: int = 80  # at once; of the host's 100, the rest is for those that we dial
    per_address: int = 8  # at once, of one IPv4 address or IPv6 /64: some nodes behind one router
    per_network: int = 16  # at once, of one IPv4 /24 or IPv6 /48: what one operator rents cheaply
    handshakes: int = 32  # at once; one more ends the oldest: an honest peer finishes in three round trips
    spares_private: bool = True


class BadNetwork(ValueError):
    """A text that names no network; the message says why in one line."""


def parse_network(text: str) -> Network:
    """Read a CIDR, or one IP address; raise ``BadNetwork``."""
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadNetwork(
            f"{text!r} is no network: give a CIDR (198.51.100.0/24, 2001:db8::/32) or an IP address"
        ) from None
    if meant.network_address != ipaddress.ip_address(text.split("/")[0]):
        raise BadNetwork(f"{text!r} is an address inside a network: give {meant}")
    return meant


class Gate:
    """Counts the connections that are inside. ``deny`` goes before ``allow``; an empty ``allow`` lets all in."""

    def __init__(
        self,
        limits: GateLimits = GateLimits(),  # noqa: B008  (frozen)
        allow: Sequence[Network] = (),
        deny: Sequence[Network] = (),
    ) -> None:
        self.limits = limits
        self._allow = tuple(allow)
        self._deny = tuple(deny)
        self.count = 0  # connections inside
        self._groups: Counter[Network] = Counter()

    def denies(self, host: str) -> str:
        """Why the IP ``host`` may neither connect nor be dialled; empty if it may."""
        ip = _ip(host)
        if any(ip in network for network in self._deny):
            return f"{ip} is denied by --p2p-deny"
        if self._allow and not any(ip in network for network in self._allow):
            return f"{ip} is not in --p2p-allow"
        return ""

    def refuses(self, host: str) -> str:
        """Why the IP ``host`` may not open a connection now; empty if it may."""
        if why := self.denies(host):
            return why
        if self.count >= self.limits.connections:
            return f"{self.count} inbound connections are open"
        address, network = self._bounded_groups(host) or (None, None)
        if address is not None and self._groups[address] >= self.limits.per_address:
            return f"{self._groups[address]} connections from {address} are open"
        if network is not None and self._groups[network] >= self.limits.per_network:
            return f"{self._groups[network]} connections from {network} are open"
        return ""

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Count a connection while it lasts."""
        groups = self._bounded_groups(host)
        self.count += 1
        self._groups.update(groups)
        try:
            yield
        finally:
            self.count -= 1
            self._groups.subtract(groups)
            for group in groups:
                if not self._groups[group]:
                    del self._groups[group]

    def _bounded_groups(self, host: str) -> tuple[Network, ...]:
        """The address and the network that a connection counts for; none for an exempt address."""
        ip = _ip(host)
        if self.limits.spares_private and not ip.is_global:
            return ()
        bits = (ADDRESS_BITS[ip.version], NETWORK_BITS[ip.version])
        return tuple(ipaddress.ip_network((ip, size), strict=False) for size in bits)


def _ip(host: str) -> IP:
    """The IP of a socket's peer, without a zone; an IPv4 address seen through an IPv6 socket is IPv4."""
    ip = ipaddress.ip_address(host.split("%")[0])
    return getattr(ip, "ipv4_mapped", None) or ip
