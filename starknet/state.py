"""The state commitment: keeps the rule by which all contracts and classes become one felt, block by block."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import add
from typing import Protocol

from starknet.commitments import StateDiff
from starknet.felt import from_bytes, short_string, to_bytes32
from starknet.hashes import Over, hash_lists, pedersen, poseidon, poseidon_many
from starknet.trie import Pages, update
from starknet.versions import rules_for

CLASS_LEAF = short_string("CONTRACT_CLASS_LEAF_V0")
STATE = short_string("STARKNET_STATE_V0")
CONTRACT_TRIE, CLASS_TRIE = b"c", b"k"  # names of tries


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

    def pages(self, names: Sequence[bytes]) -> Sequence[bytes | None]:
        """Pages of tries, None where there is none."""


@dataclass(frozen=True)
class StateUpdate:
    """The state's root after a block and all that differs from before; None stands for what is gone."""

    root: int
    contracts: Mapping[int, Contract | None]  # by address
    pages: Pages  # of all tries


def apply_state_diff(view: StateView, diff: StateDiff, version: str) -> StateUpdate:
    """Work out the state after one block; raises MissingNode if the view is damaged."""
    leaves = {class_hash: class_leaf(compiled) for class_hash, compiled in diff.declared.items()}
    return apply_leaves(view, diff, leaves, version)


def apply_leaves(
    view: StateView, diff: StateDiff, class_leaves: Mapping[int, int], version: str
) -> StateUpdate:
    """As `apply_state_diff`, with leaves of classes (0 for none) instead of what the diff declares.

    All storage tries are hashed together, then all contract leaves, then the trie of contracts.
    """
    entries = {storage_trie(address): changed for address, changed in diff.storage.items()}
    storage = update(view.pages, pedersen, entries)
    contracts: dict[int, Contract] = {}
    for address in sorted(diff.storage.keys() | diff.nonces.keys() | diff.class_hashes.keys()):
        old = view.contract(address) or Contract()
        contracts[address] = Contract(
            class_hash=diff.class_hashes.get(address, old.class_hash),
            storage_root=storage.roots.get(storage_trie(address), old.storage_root),
            nonce=diff.nonces.get(address, old.nonce),
        )
    leaves = dict(zip(contracts, _contract_leaves(list(contracts.values())), strict=True))
    contract_trie = update(view.pages, pedersen, {CONTRACT_TRIE: leaves})
    class_trie = update(view.pages, poseidon, {CLASS_TRIE: class_leaves})
    roots = contract_trie.roots[CONTRACT_TRIE], class_trie.roots[CLASS_TRIE]
    return StateUpdate(
        root=state_root(*roots, version),
        contracts={name: None if new == Contract() else new for name, new in contracts.items()},
        pages=storage.pages | contract_trie.pages | class_trie.pages,
    )


def storage_trie(address: int) -> bytes:
    """Name the storage trie of one contract."""
    return b"s" + to_bytes32(address)


def contract_leaf(contract: Contract) -> int:
    """The leaf of a contract in the contract trie; 0 for none."""
    return _contract_leaves([contract])[0]


def _contract_leaves(contracts: Sequence[Contract]) -> list[int]:
    """The leaf of each contract, all hashed together."""
    leaves = [to_bytes32(contract.class_hash) for contract in contracts]
    parts = ([contract.storage_root, contract.nonce, 0] for contract in contracts)
    for felts in zip(*parts, strict=True):
        pairs = map(add, leaves, map(to_bytes32, felts))
        leaves = hash_lists(Over.PEDERSEN_PAIR, list(pairs))
    made = zip(contracts, leaves, strict=True)
    return [0 if contract == Contract() else from_bytes(leaf) for contract, leaf in made]


def class_leaf(compiled_class_hash: int) -> int:
    """The leaf of a Sierra class in the class trie; Cairo 0 classes have none."""
    return poseidon(CLASS_LEAF, compiled_class_hash)


def state_root(contracts_root: int, classes_root: int, version: str) -> int:
    """The root of the whole state under the rules of a protocol version; raises UnknownVersion."""
    always_joined = rules_for(version).state_root_always_poseidon
    if classes_root == 0 and (contracts_root == 0 or not always_joined):
        return contracts_root
    return poseidon_many([STATE, contracts_root, classes_root])
