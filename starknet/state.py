"""The state commitment: keeps the rule by which all contracts and classes become one felt, block by block."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from starknet.commitments import StateDiff
from starknet.felt import short_string
from starknet.hashes import pedersen, poseidon, poseidon_many
from starknet.trie import HEIGHT, Node, NodePath, update
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
    """Work out the state after one block; raises MissingNode if the view is damaged."""
    contracts: dict[int, Contract | None] = {}
    leaves: dict[int, int] = {}
    storage_nodes: dict[int, Nodes] = {}
    for address in sorted(diff.storage.keys() | diff.nonces.keys() | diff.class_hashes.keys()):
        old = view.contract(address) or Contract()
        storage_root = old.storage_root
        if address in diff.storage:
            storage_root, storage_nodes[address] = _storage(view, address, diff.storage[address])
        new = Contract(
            class_hash=diff.class_hashes.get(address, old.class_hash),
            storage_root=storage_root,
            nonce=diff.nonces.get(address, old.nonce),
        )
        contracts[address] = None if new == Contract() else new
        leaves[address] = contract_leaf(new)
    declared = {class_hash: class_leaf(compiled) for class_hash, compiled in diff.declared.items()}
    contract_trie = update(view.contract_node, HEIGHT, pedersen, leaves)
    class_trie = update(view.class_node, HEIGHT, poseidon, declared)
    root = state_root(contract_trie.root, class_trie.root, version)
    return StateUpdate(root, contracts, contract_trie.nodes, class_trie.nodes, storage_nodes)


def contract_leaf(contract: Contract) -> int:
    """The leaf of a contract in the contract trie; 0 for none."""
    if contract == Contract():
        return 0
    return pedersen(
        pedersen(pedersen(contract.class_hash, contract.storage_root), contract.nonce), 0
    )


def class_leaf(compiled_class_hash: int) -> int:
    """The leaf of a Sierra class in the class trie; Cairo 0 classes have none."""
    return poseidon(CLASS_LEAF, compiled_class_hash)


def state_root(contracts_root: int, classes_root: int, version: str) -> int:
    """The root of the whole state under the rules of a protocol version; raises UnknownVersion."""
    always_joined = rules_for(version).state_root_always_poseidon
    if classes_root == 0 and (contracts_root == 0 or not always_joined):
        return contracts_root
    return poseidon_many([STATE, contracts_root, classes_root])


def _storage(view: StateView, address: int, changes: Mapping[int, int]) -> tuple[int, Nodes]:
    trie = update(lambda path: view.storage_node(address, path), HEIGHT, pedersen, changes)
    return trie.root, trie.nodes
