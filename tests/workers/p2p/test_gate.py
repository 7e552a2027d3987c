"""Who may connect, by address: the sums, the groups and the operator's lists."""

from contextlib import ExitStack

import pytest

from workers.p2p.gate import BadNetwork, Gate, GateLimits, parse_network

LIMITS = GateLimits(connections=10, per_address=2, per_network=3, per_private_address=4)


def let_in(gate: Gate, stack: ExitStack, *hosts: str) -> None:
    for host in hosts:
        assert gate.refuses(host) == ""
        stack.enter_context(gate.inside(host))


@pytest.mark.parametrize(
    ("inside", "refused", "let"),
    [
        (["8.8.8.8"] * 2, "8.8.8.8", "8.8.8.9"),
        (["8.8.8.8"] * 2, "::ffff:8.8.8.8", "8.8.8.9"),
        (["8.8.8.1", "8.8.8.2", "8.8.8.3"], "8.8.8.4", "8.8.9.4"),
        (["2600:1::1", "2600:1::2"], "2600:1::3", "2600:1:0:1::3"),
        (["2600:1::1", "2600:1:0:1::1", "2600:1:0:2::1"], "2600:1:0:3::1", "2600:1:1::1"),
        (["127.0.0.1"] * 4, "127.0.0.1", "127.0.0.2"),
        (["192.168.1.1"] * 4, "192.168.1.1", "192.168.1.2"),
        (["fe80::1%eth0"] * 4, "fe80::1%eth1", "fd00::1"),
        ([f"8.8.{n}.1" for n in range(10)], "9.9.9.9", ""),
    ],
)
def test_an_address_and_its_network_have_so_many_connections_at_once(
    inside: list[str], refused: str, let: str
) -> None:
    gate = Gate(LIMITS)
    with ExitStack() as stack:
        let_in(gate, stack, *inside)
        assert "are open" in gate.refuses(refused)
        if let:
            assert gate.refuses(let) == ""
    assert gate.refuses(refused) == ""
    assert (gate.count, len(gate._groups)) == (0, 0)


def test_many_nodes_of_one_machine_or_private_network_are_let_in_by_default() -> None:
    gate = Gate()
    with ExitStack() as stack:
        let_in(gate, stack, *["127.0.0.1"] * 40, *[f"172.17.0.{n}" for n in range(40)])


def test_a_denied_network_is_kept_out_and_an_allowed_one_alone_let_in() -> None:
    deny = Gate(deny=[parse_network("8.8.0.0/16"), parse_network("2600::/16")])
    for host in ("8.8.1.1", "::ffff:8.8.1.1", "2600::1"):
        assert deny.refuses(host) == deny.denies(host) != ""
    assert deny.refuses("8.9.1.1") == deny.denies("2601::1") == ""
    allow = Gate(allow=[parse_network("8.8.0.0/16")], deny=[parse_network("8.8.8.8")])
    assert allow.denies("8.8.1.1") == ""
    assert "--p2p-allow" in allow.denies("9.9.9.9")
    assert "--p2p-deny" in allow.denies("8.8.8.8")


@pytest.mark.parametrize(
    "text", ["", "x", "1.2.3.4/33", "1.2.3", "1.2.3.4/8", "::1/64", "1.2.3.4/"]
)
def test_what_is_no_network_is_one_line_that_says_what_to_give(text: str) -> None:
    with pytest.raises(BadNetwork, match="give ") as caught:
        parse_network(text)
    assert "\n" not in str(caught.value)
