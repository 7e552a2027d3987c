"""Multiaddrs of TCP peers as text: ``/ip4|ip6|dns4|dns6|dns/HOST/tcp/PORT[/p2p/PEER_ID]``.

Written without libp2p, so that a command line is checked before anything heavy is imported.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

import psutil

from workers.p2p import keys

KINDS = ("ip4", "ip6", "dns4", "dns6", "dns")
FAMILIES = {
    "ip4": socket.AF_INET,
    "dns4": socket.AF_INET,
    "ip6": socket.AF_INET6,
    "dns6": socket.AF_INET6,
    "dns": socket.AF_UNSPEC,
}
ADDRESS_TEXT_MAX = 512  # characters
PORT_MAX = 65535
RESOLVED_MAX = 16  # addresses of one host name
# Underscores are allowed because container names have them (juno_feeder_node).
HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


PRIVATE_SUFFIXES = (".local", ".lan", ".internal", ".home.arpa")


class Scope(IntEnum):
    """Who can reach an address: processes of this machine, machines of a private network, everyone."""

    MACHINE = 0
    SITE = 1
    WORLD = 2


class BadAddress(ValueError):
    """A text that is no usable address; the message says why in one line."""


@dataclass(frozen=True)
class Address:
    """One TCP address. ``peer_id`` is base58 text, or None where the address does not say whose it is."""

    kind: str
    host: str
    port: int
    peer_id: str | None = None

    def __str__(self) -> str:
        owner = f"/p2p/{self.peer_id}" if self.peer_id else ""
        return f"/{self.kind}/{self.host}/tcp/{self.port}{owner}"

    @property
    def transport(self) -> "Address":
        """The same address without its PeerID."""
        return replace(self, peer_id=None)

    @property
    def is_name(self) -> bool:
        """Whether the host must be looked up first."""
        return self.kind.startswith("dns")

    @property
    def is_unspecified(self) -> bool:
        """Whether it stands for every interface: 0.0.0.0 or ::."""
        return not self.is_name and ipaddress.ip_address(self.host).is_unspecified

    @property
    def scope(self) -> Scope:
        """Who can reach it. A name of one label (a container's) or under ``.internal`` and the like is private."""
        if not self.is_name:
            return scope_of_ip(self.host)
        name = self.host.rstrip(".").lower()
        if name == "localhost" or name.endswith(".localhost"):
            return Scope.MACHINE
        return Scope.SITE if "." not in name or name.endswith(PRIVATE_SUFFIXES) else Scope.WORLD


def parse(text: str) -> Address:
    """Read one multiaddr; raise ``BadAddress``."""
    text = text.strip()
    if len(text) > ADDRESS_TEXT_MAX:
        raise BadAddress(f"address of {len(text)} characters; {ADDRESS_TEXT_MAX} are allowed")
    parts = text.split("/")
    if len(parts) not in (5, 7) or parts[0] != "" or parts[1] not in KINDS or parts[3] != "tcp":
        raise BadAddress(
            f"{text!r} is no TCP multiaddr: /ip4/HOST/tcp/PORT or /dns4/NAME/tcp/PORT, "
            "for a peer with /p2p/PEER_ID at its end"
        )
    owner = _owner(text, parts[5:])
    return Address(parts[1], _host(text, parts[1], parts[2]), _port(text, parts[4]), owner)


def parse_peer(text: str) -> Address:
    """Read the address of a peer: a PeerID and a port are needed; raise ``BadAddress``."""
    address = parse(text)
    if address.peer_id is None:
        raise BadAddress(f"{text.strip()!r}: a peer's address ends in /p2p/PEER_ID")
    if address.port == 0:
        raise BadAddress(f"{text.strip()!r}: a peer's port cannot be 0")
    if address.is_unspecified:
        raise BadAddress(f"{text.strip()!r}: {address.host} is no address of a peer")
    return address


def parse_listen(text: str) -> Address:
    """Read an address to listen on (port 0: any free port); its PeerID, if given, is dropped."""
    return parse(text).transport


def find_address(text: str) -> Address | None:
    """Read an address that a stranger told us; None for anything that cannot be dialled."""
    try:
        address = parse(text)
    except BadAddress:
        return None
    return address if address.port and (address.is_name or _is_unicast(address.host)) else None


def scope_of_ip(host: str) -> Scope:
    """Who can reach an IP address; an IPv4 address in IPv6 form counts as itself."""
    ip = ipaddress.ip_address(host.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback:
        return Scope.MACHINE
    return Scope.WORLD if ip.is_global else Scope.SITE


def expand(address: Address) -> tuple[Address, ...]:
    """Replace 0.0.0.0 or :: by the addresses of the interfaces that are up; others stay as they are."""
    if not address.is_unspecified:
        return (address,)
    hosts = interface_hosts(FAMILIES[address.kind])
    return tuple(replace(address, host=host) for host in hosts) or (address,)


def interface_hosts(family: socket.AddressFamily) -> tuple[str, ...]:
    """Addresses of the interfaces that are up, loopback first; without link-local ones (they need a zone)."""
    states = psutil.net_if_stats()
    hosts = [
        entry.address
        for name, entries in psutil.net_if_addrs().items()
        if name not in states or states[name].isup
        for entry in entries
        if entry.family == family and not _is_link_local(entry.address)
    ]
    return tuple(sorted(set(hosts), key=lambda host: not ipaddress.ip_address(host).is_loopback))


def from_resolved(address: Address, hosts: Iterable[tuple[int, str]]) -> tuple[Address, ...]:
    """The dialable addresses of a host name, from (address family, IP) pairs; at most ``RESOLVED_MAX``."""
    found: dict[Address, None] = {}
    for family, host in hosts:
        if family == socket.AF_INET:
            found[replace(address, kind="ip4", host=host)] = None
        elif family == socket.AF_INET6 and not _is_link_local(host):
            found[replace(address, kind="ip6", host=host)] = None
    return tuple(found)[:RESOLVED_MAX]


def _host(text: str, kind: str, host: str) -> str:
    if kind.startswith("dns"):
        if not HOST_NAME.fullmatch(host):
            raise BadAddress(f"{text!r}: {host!r} is no host name")
        return host
    try:
        if kind == "ip4":
            return str(ipaddress.IPv4Address(host))
        return str(ipaddress.IPv6Address(host))
    except ValueError:
        raise BadAddress(f"{text!r}: {host!r} is no {kind} address") from None


def _port(text: str, digits: str) -> int:
    if not digits.isascii() or not digits.isdigit() or len(digits) > 5 or int(digits) > PORT_MAX:
        raise BadAddress(f"{text!r}: {digits!r} is no TCP port (0…{PORT_MAX})")
    return int(digits)


def _owner(text: str, rest: list[str]) -> str | None:
    if not rest:
        return None
    if rest[0] != "p2p":
        raise BadAddress(f"{text!r}: /{rest[0]} after the port is not supported, only /p2p/PEER_ID")
    try:
        keys.parse_peer_id(rest[1])
    except keys.BadPeerId as bad:
        raise BadAddress(f"{text!r}: {bad}") from None
    return rest[1]


def _is_unicast(host: str) -> bool:
    ip = ipaddress.ip_address(host)
    return not (ip.is_unspecified or ip.is_multicast or str(ip) == "255.255.255.255")


def _is_link_local(host: str) -> bool:
    return ipaddress.ip_address(host.split("%")[0]).is_link_local
