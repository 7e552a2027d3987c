"""The state commitment: keeps the rule by which all contracts and classes become one felt, block by block."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from starknet.commitments import StateDiff
from starknet.felt import from_bytes, short_string, to_bytes32
from starknet.hashes import Over, Recipe, in_step, pedersen, poseidon, poseidon_many
from starknet.trie import HEIGHT, Node, NodePath, Sheet, TrieUpdate, plan, update
from starknet.versions import rules_for

CLASS_LEAF = short_string("CONTRACT_CLASS_LEAF_V0")
STATE = short_string("STARKNET_STATE_V0")


@dataclass(frozen=True)
class Contract:
    """What a contract's leaf commits to; all 0 means that there is no leaf."""

    class_hash: int = 0
    storage_root: int = 0
    nonce: int = 0


class StateView(Protocol):
    """The state before a block, wherever it is kept."""

    def contract(self, address: int) -> Contract | None:
        """The contract at an address, or None."""

    def contract_node(self, path: NodePath) -> Node | None:
        """A node of the contract trie."""

    def class_node(self, path: NodePath) -> Node | None:
        """A node of the class trie."""

    def storage_node(self, address: int, path: NodePath) -> Node | None:
        """A node of one contract's storage trie."""


Nodes = Mapping[NodePath, Node | None]


@dataclass(frozen=True)
class StateUpdate:
    """The state's root after a block and all that differs from before; None stands for what is gone."""

    root: int
    contracts: Mapping[int, Contract | None]  # by address
    contract_nodes: Nodes
    class_nodes: Nodes
    storage_nodes: Mapping[int, Nodes]  # by address


def apply_state_diff(view: StateView, diff: StateDiff, version: str) -> StateUpdate:
    """Work out the state after one block; raises MissingNode if the view is damaged.

    All storage tries are hashed together, then all contract leaves, then the trie of contracts.
    """
    storage = _storage_tries(view, diff.storage)
    contracts: dict[int, Contract] = {}
    for address in sorted(diff.storage.keys() | diff.nonces.keys() | diff.class_hashes.keys()):
        old = view.contract(address) or Contract()
        contracts[address] = Contract(
            class_hash=diff.class_hashes.get(address, old.class_hash),
            storage_root=storage[address].root if address in storage else old.storage_root,
            nonce=diff.nonces.get(address, old.nonce),
        )
    leaves = dict(zip(contracts, in_step(map(_contract_leaf, contracts.values())), strict=True))
    declared = {class_hash: class_leaf(compiled) for class_hash, compiled in diff.declared.items()}
    contract_trie = update(view.contract_node, HEIGHT, pedersen, leaves)
    class_trie = update(view.class_node, HEIGHT, poseidon, declared)
    return StateUpdate(
        root=state_root(contract_trie.root, class_trie.root, version),
        contracts={name: None if new == Contract() else new for name, new in contracts.items()},
        contract_nodes=contract_trie.nodes,
        class_nodes=class_trie.nodes,
        storage_nodes={address: trie.nodes for address, trie in storage.items()},
    )


def contract_leaf(contract: Contract) -> int:
    """The leaf of a contract in the contract trie; 0 for none."""
    return in_step([_contract_leaf(contract)])[0]


def _contract_leaf(contract: Contract) -> Recipe[int]:
    if contract == Contract():
        return 0
    leaf = to_bytes32(contract.class_hash)
    for part in (contract.storage_root, contract.nonce, 0):
        (leaf,) = yield Over.PEDERSEN_PAIR, [leaf + to_bytes32(part)]
    return from_bytes(leaf)


def _storage_tries(
    view: StateView, changes: Mapping[int, Mapping[int, int]]
) -> dict[int, TrieUpdate]:
    sheet = Sheet()
    plans = {
        address: plan(partial(view.storage_node, address), HEIGHT, entries, sheet)
        for address, entries in changes.items()
    }
    hashes = sheet.solve(pedersen)
    return {address: planned.settle(hashes) for address, planned in plans.items()}


def class_leaf(compiled_class_hash: int) -> int:
    """The leaf of a Sierra class in the class trie; Cairo 0 classes have none."""
    return poseidon(CLASS_LEAF, compiled_class_hash)


def state_root(contracts_root: int, classes_root: int, version: str) -> int:
    """The root of the whole state under the rules of a protocol version; raises UnknownVersion."""
    always_joined = rules_for(version).state_root_always_poseidon
    if classes_root == 0 and (contracts_root == 0 or not always_joined):
        return contracts_root
    return poseidon_many([STATE, contracts_root, classes_root])
