"""The networks that come with Hera."""

import itertools
import tomllib
from pathlib import Path

import pytest

from node import networks

FOLDER = Path(networks.__file__).resolve().parent.parent / "configs" / "networks"
KEYS = {
    "mainnet": 0x48253FF2C3BED7AF18BDE0B611B083B39445959102D4947C51C4DB6AA4F4E58,
    "sepolia": 0x1252B6BCE1351844C677869C6327E80EAE1535755B611C66B8F46E595B40EEA,
    "sepolia-integration": 0x4E4856EB36DBD5F4A7DCA29F7BB5232974EF1FB7EB5B597C58077174C294DA1,
    "integration": 0x52934BE54CE926B1E715F15DC2542849A97ECFDF829CD0B7384C64EEEB2264E,
    "goerli": None,
    "goerli2": None,
}
CHAINS = {
    "mainnet": ("SN_MAIN", 1, 833),
    "sepolia": ("SN_SEPOLIA", 11155111, 0),
    "sepolia-integration": ("SN_INTEGRATION_SEPOLIA", 11155111, 0),
    "integration": ("SN_GOERLI", 5, 110511),
    "goerli": ("SN_GOERLI", 5, 47028),
    "goerli2": ("SN_GOERLI2", 5, 0),
}


def test_all_networks_are_here() -> None:
    assert set(networks.names()) == set(KEYS)


@pytest.mark.parametrize("name", KEYS)
def test_a_network_is_the_chain_it_says(name: str) -> None:
    network = networks.load(name)
    assert network.public_key == KEYS[name]
    assert (network.chain_id, network.l1_chain_id, network.first_07_block) == CHAINS[name]
    assert network.feeder_url.endswith("/feeder_gateway/")
    assert network.gateway_url.endswith("/gateway/")


def test_the_quirks_of_early_chains_are_known() -> None:
    main, goerli = networks.load("mainnet"), networks.load("goerli")
    assert hex(main.fallback_sequencer).startswith("0x21f4b90b0377c8")
    assert hex(goerli.fallback_sequencer).startswith("0x46a89ae10298733")
    assert (goerli.unverifiable_from, goerli.unverifiable_to) == (119802, 148428)
    assert (main.unverifiable_from, main.unverifiable_to) == (None, None)
    assert networks.load("goerli2").transaction_chain_ids == ("SN_GOERLI",)


@pytest.mark.parametrize("name", KEYS)
def test_each_key_of_a_network_has_its_why_above_it(name: str) -> None:
    lines = (FOLDER / f"{name}.toml").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if " = " in line and not line.startswith("#"):
            assert above.startswith("# "), line


def test_an_unknown_name_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(networks.NetworkError, match="mainnet, sepolia, sepolia-integration"):
        networks.load("../mainnet")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("chain-id", 7),
        ("l1-chain-id", "one"),
        ("first-07-block", -1),
        ("unverifiable-range", [5, 4]),
        ("public-key", "0xzz"),
        ("transaction-chain-ids", "SN_GOERLI"),
        ("unknown", 1),
    ],
)
def test_a_bad_table_is_refused(key: str, value: object) -> None:
    table = tomllib.loads((FOLDER / "sepolia.toml").read_text())
    with pytest.raises(networks.NetworkError):
        networks.from_table("broken", table | {key: value})
