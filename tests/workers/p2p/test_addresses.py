"""Multiaddrs in, clear refusals out."""

import ipaddress
import socket

import pytest

from tests.workers.p2p.test_keys import JUNO_PEER_ID
from workers.p2p import addresses
from workers.p2p.addresses import Address, BadAddress

PEER = f"/p2p/{JUNO_PEER_ID}"


@pytest.mark.parametrize(
    "text",
    [
        f"/ip4/35.237.92.52/tcp/7777{PEER}",
        f"/ip6/::1/tcp/1{PEER}",
        f"/dns4/juno_feeder_node/tcp/7777{PEER}",
        f"/dns6/node.example.org/tcp/65535{PEER}",
        f"/dns/localhost/tcp/7777{PEER}",
    ],
)
def test_a_peers_address_reads_and_prints_the_same(text: str) -> None:
    address = addresses.parse_peer(f" {text} ")
    assert str(address) == text
    assert address.peer_id == JUNO_PEER_ID
    assert str(address.transport) == text.removesuffix(PEER)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no TCP multiaddr"),
        ("127.0.0.1:7777", "no TCP multiaddr"),
        ("/ip4/127.0.0.1/udp/7777/quic-v1", "no TCP multiaddr"),
        ("/ip4/127.0.0.1/udp/7777", "no TCP multiaddr"),
        ("/ip5/127.0.0.1/tcp/7777", "no TCP multiaddr"),
        ("/ip4/300.0.0.1/tcp/7777", "no ip4 address"),
        ("/ip4/::1/tcp/7777", "no ip4 address"),
        ("/ip6/127.0.0.1/tcp/7777", "no ip6 address"),
        ("/ip4/127.0.0.1/tcp/70000", "no TCP port"),
        ("/ip4/127.0.0.1/tcp/-1", "no TCP port"),
        ("/ip4/127.0.0.1/tcp/٣", "no TCP port"),
        ("/dns4/a b/tcp/1", "no host name"),
        ("/dns4//tcp/1", "no host name"),
        (f"/ip4/127.0.0.1/tcp/1/p2p/{JUNO_PEER_ID[:-1]}", "no PeerID"),
        (f"/ip4/127.0.0.1/tcp/1/ws/{JUNO_PEER_ID}", "not supported"),
        ("/ip4/127.0.0.1/tcp/1" + "1" * 600, "512 are allowed"),
    ],
)
def test_a_bad_address_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(BadAddress, match=why) as caught:
        addresses.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/ip4/127.0.0.1/tcp/7777", "ends in /p2p/"),
        (f"/ip4/127.0.0.1/tcp/0{PEER}", "cannot be 0"),
        (f"/ip4/0.0.0.0/tcp/7777{PEER}", "no address of a peer"),
    ],
)
def test_a_peer_needs_an_id_a_port_and_a_host(text: str, why: str) -> None:
    with pytest.raises(BadAddress, match=why):
        addresses.parse_peer(text)


def test_every_interface_stands_in_for_0_0_0_0_loopback_first() -> None:
    found = addresses.expand(addresses.parse_listen("/ip4/0.0.0.0/tcp/7777"))
    assert str(found[0]) == "/ip4/127.0.0.1/tcp/7777"
    assert not any(address.is_unspecified for address in found)
    six = addresses.interface_hosts(socket.AF_INET6)
    assert not any(ipaddress.ip_address(host).is_link_local for host in six)


def test_a_plain_address_is_not_expanded() -> None:
    address = addresses.parse_listen(f"/ip4/10.1.2.3/tcp/7777{PEER}")
    assert addresses.expand(address) == (Address("ip4", "10.1.2.3", 7777),)


def test_what_strangers_tell_is_kept_only_if_it_can_be_dialled() -> None:
    assert addresses.find_address("/ip4/0.0.0.0/tcp/7777") is None
    assert addresses.find_address("/ip4/10.0.0.1/tcp/0") is None
    assert addresses.find_address("nonsense") is None
    assert addresses.find_address("/ip4/10.0.0.1/tcp/7") == Address("ip4", "10.0.0.1", 7)


def test_resolved_hosts_become_addresses_once_each_and_boundedly() -> None:
    name = addresses.parse("/dns/x/tcp/7")
    hosts = [(socket.AF_INET, "10.0.0.1")] * 3 + [
        (socket.AF_INET6, "fe80::1"),
        (socket.AF_INET6, "fd00::1"),
    ]
    assert [str(a) for a in addresses.from_resolved(name, hosts)] == [
        "/ip4/10.0.0.1/tcp/7",
        "/ip6/fd00::1/tcp/7",
    ]
    many = [(socket.AF_INET, f"10.0.0.{n}") for n in range(100)]
    assert len(addresses.from_resolved(name, many)) == addresses.RESOLVED_MAX
