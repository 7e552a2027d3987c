"""Who may open a connection to us, or be dialled: from where, and how many at once. Pure: no socket, no clock.

Addresses that are not routable on the internet (loopback, private, link-local, shared) have a bound of their own, and
none for their network: a test network is one machine, and behind a container's proxy all the world has one address.
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
    """Bounds of the connections that others open to us."""

    connections: int = 80  # at once; of the host's 100, the rest is for those that we dial
    per_address: int = 8  # at once, of one IPv4 address or IPv6 /64: some nodes behind one router
    per_network: int = 16  # at once, of one IPv4 /24 or IPv6 /48: what one operator rents cheaply
    handshakes: int = (
        32  # at once; one more ends the oldest: an honest peer finishes in three round trips
    )
    per_private_address: int = 64  # at once, of one unroutable address


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
        limits: GateLimits = GateLimits(),
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
        for group, most in self._bounds(host):
            if self._groups[group] >= most:
                return f"{most} connections from {group} are open"
        return ""

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Count a connection while it lasts."""
        groups = [group for group, _ in self._bounds(host)]
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

    def _bounds(self, host: str) -> tuple[tuple[Network, int], ...]:
        """The address and the network that a connection counts for, each with how many it may have."""
        ip, address = _ip(host), address_of(host)
        if not ip.is_global:
            return ((address, self.limits.per_private_address),)
        network = ipaddress.ip_network((ip, NETWORK_BITS[ip.version]), strict=False)
        return ((address, self.limits.per_address), (network, self.limits.per_network))


def address_of(host: str) -> Network:
    """What counts as one address: an IPv4 address, or an IPv6 /64."""
    ip = _ip(host)
    return ipaddress.ip_network((ip, ADDRESS_BITS[ip.version]), strict=False)


def _ip(host: str) -> IP:
    """The IP of a socket's peer, without a zone; an IPv4 address seen through an IPv6 socket is IPv4."""
    ip = ipaddress.ip_address(host.split("%")[0])
    return getattr(ip, "ipv4_mapped", None) or ip
