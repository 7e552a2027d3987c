"""Claims about the state root, on the first blocks of real chains recomputed from nothing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from starknet.commitments import StateDiff, read_state_diff
from starknet.gateway import block_from_gateway
from starknet.state import (
    Contract,
    StateUpdate,
    apply_leaves,
    apply_state_diff,
    contract_leaf,
    state_root,
)


class Memory:
    """A state that lives in dicts."""

    def __init__(self) -> None:
        self.contracts: dict[int, Contract] = {}
        self.kept: dict[bytes, bytes] = {}

    def contract(self, address: int) -> Contract | None:
        return self.contracts.get(address)

    def pages(self, names: Sequence[bytes]) -> list[bytes | None]:
        return list(map(self.kept.get, names))

    def store(self, update: StateUpdate) -> None:
        for address, contract in update.contracts.items():
            if contract is None:
                self.contracts.pop(address, None)
            else:
                self.contracts[address] = contract
        for name, page in update.pages.items():
            if page is None:
                del self.kept[name]
            else:
                self.kept[name] = page


def apply(state: Memory, version: str = "", **changes: Any) -> int:
    update = apply_state_diff(state, StateDiff(**changes), version)
    state.store(update)
    return update.root


@pytest.mark.parametrize(
    ("network", "blocks"),
    [
        ("mainnet", range(10)),
        ("sepolia", range(8)),
        ("integration", range(2)),
        ("sepolia-integration", range(1)),
    ],
)
def test_every_state_root_from_genesis_on_is_the_one_on_chain(
    fixtures: Path, network: str, blocks: range
) -> None:
    state = Memory()
    for number in blocks:
        block = json.loads((fixtures / network / "block" / f"{number}.json").read_bytes())
        answer = json.loads((fixtures / network / "state_update" / f"{number}.json").read_bytes())
        wire = block_from_gateway(block, answer, None)
        version = wire.header.protocol_version
        update = apply_state_diff(state, read_state_diff(wire.state_diff), version)
        assert hex(update.root) == hex(int(answer["new_root"], 16)), number
        state.store(update)


def test_undoing_all_changes_gives_the_state_before() -> None:
    state = Memory()
    first = apply(state, class_hashes={5: 77}, storage={5: {1: 2}}, nonces={5: 1})
    before = dict(state.kept)
    apply(state, class_hashes={6: 78}, storage={5: {1: 3, 9: 9}, 6: {1: 1}}, declared={8: 9})
    back = StateDiff(class_hashes={6: 0}, storage={5: {1: 2, 9: 0}, 6: {1: 0}})
    update = apply_leaves(state, back, {8: 0}, "")
    state.store(update)
    assert update.root == first
    assert state.kept == before
    assert 6 not in state.contracts


def test_a_contract_with_storage_alone_has_a_leaf() -> None:
    state = Memory()
    root = apply(state, "0.14.0", storage={2: {0: 0x80}})
    assert root == 0x68BCF9E9257AB6BFFD9425833A208AAAB6B85649FD21C787A546CB7CB9ABF


def test_from_0_14_0_on_the_root_is_joined_even_without_classes() -> None:
    assert state_root(5, 0, "0.13.6") == 5
    assert state_root(5, 0, "0.14.0") != 5
    assert state_root(5, 6, "0.12.3") == state_root(5, 6, "0.14.0")
    assert state_root(0, 0, "0.14.1") == 0


def test_a_migrated_class_takes_its_new_leaf() -> None:
    once, twice = Memory(), Memory()
    apply(twice, "0.14.1", declared={3: 4})
    moved = apply(twice, "0.14.1", declared={3: 5})
    assert moved == apply(once, "0.14.1", declared={3: 5})
    assert twice.kept == once.kept


def test_only_a_contract_of_nothing_has_no_leaf() -> None:
    assert contract_leaf(Contract()) == 0
    assert contract_leaf(Contract(nonce=1)) != 0
