"""The state inside the store: keeps contracts, classes, their trie nodes and their history in step with the blocks.

A trie node's key is the trie's name and the path from its root. What a block changes goes into the caller's batch,
every read sees the state before the block.
"""

from collections.abc import Iterator, Mapping, Sequence

from starknet import state, trie
from starknet.commitments import StateDiff, read_state_diff
from starknet.felt import from_bytes
from starknet.hashes import poseidon
from starknet.state import Contract
from starknet.trie import HEIGHT, MissingNode, Node, NodePath, node_from_bytes
from starknet.wire.delimited import split
from starknet.wire.sync_pb2 import StateDiffsResponse
from workers.store import StoreError
from workers.store.rocks import Batch, Rocks
from workers.store.schema import (
    CLASS_TRIE,
    CONTRACT_TRIE,
    Family,
    Kind,
    cut_hashes,
    felt,
    number_key,
    storage_trie,
)

Nodes = Mapping[NodePath, Node | None]


def read_diff(body: bytes) -> StateDiff:
    """Decode a verified state diff."""
    return read_state_diff(
        StateDiffsResponse.FromString(bytes(payload)) for payload in split(body, len(body))
    )


def brought_classes(diff: StateDiff) -> tuple[set[int], set[int]]:
    """Return the classes a block declares, and those it gives to contracts (class 0 is none: system contracts)."""
    return diff.cairo0 | diff.declared.keys(), set(diff.class_hashes.values()) - {0}


def advance(rocks: Rocks, batch: Batch, diff: StateDiff, number: int, version: str) -> int:
    """Put the state and history after block ``number`` into ``batch``; return the state root."""
    root = _apply(_Stored(rocks), batch, diff, version)
    for prefix, value in _history(diff):
        batch.put(Family.HISTORY, prefix + number_key(number), felt(value))
    return root


def retreat(rocks: Rocks, batch: Batch, diff: StateDiff, number: int, version: str) -> int:
    """Put the state and history from before block ``number`` into ``batch``; return the state root.

    ``version`` is that of the block below.
    """

    def before(prefix: bytes) -> int | None:
        found = rocks.get_last(Family.HISTORY, prefix, number - 1) if number else None
        return None if found is None else int.from_bytes(found[1], "big")

    compiled = {name: before(Kind.COMPILED + felt(name)) for name in diff.declared}
    leaves = {
        name: 0 if value is None else state.class_leaf(value) for name, value in compiled.items()
    }
    stored = _Stored(rocks)
    classes = _update_classes(stored, leaves)
    _put_nodes(batch, CLASS_TRIE, classes)
    back = StateDiff(
        storage={
            address: {key: before(Kind.STORAGE + felt(address) + felt(key)) or 0 for key in entries}
            for address, entries in diff.storage.items()
        },
        nonces={name: before(Kind.NONCE + felt(name)) or 0 for name in diff.nonces},
        class_hashes={
            name: before(Kind.CLASS_HASH + felt(name)) or 0 for name in diff.class_hashes
        },
    )
    root = _apply(_Stored(rocks, classes), batch, back, version)
    for prefix, _ in _history(diff):
        batch.delete(Family.HISTORY, prefix + number_key(number))
    return root


class _Stored:
    """The state as stored (``starknet.state.StateView``), optionally with class nodes that are not written yet."""

    def __init__(self, rocks: Rocks, class_nodes: Nodes | None = None) -> None:
        self.rocks = rocks
        self._class_nodes = class_nodes or {}
        self._reached: dict[tuple[bytes, NodePath], Node | None] = {}
        self._contracts: dict[int, Contract | None] = {}

    def reach(self, diff: StateDiff) -> None:
        """Read ahead what a block's changes need, level by level in all tries together."""
        addresses = sorted(diff.storage.keys() | diff.nonces.keys() | diff.class_hashes.keys())
        records = self.rocks.get_many(Family.CONTRACTS, list(map(felt, addresses)))
        self._contracts = dict(zip(addresses, map(_contract_of, records), strict=True))
        keys = {storage_trie(name): sorted(entries) for name, entries in diff.storage.items()}
        keys[CONTRACT_TRIE] = addresses
        if not self._class_nodes:
            keys[CLASS_TRIE] = sorted(diff.declared)
        self._reached = trie.reach(self._many_nodes, HEIGHT, keys)

    def contract(self, address: int) -> Contract | None:
        if address in self._contracts:
            return self._contracts[address]
        return _contract_of(self.rocks.get(Family.CONTRACTS, felt(address)))

    def contract_node(self, path: NodePath) -> Node | None:
        return self._node(CONTRACT_TRIE, path)

    def class_node(self, path: NodePath) -> Node | None:
        if path in self._class_nodes:
            return self._class_nodes[path]
        return self._node(CLASS_TRIE, path)

    def storage_node(self, address: int, path: NodePath) -> Node | None:
        return self._node(storage_trie(address), path)

    def _node(self, name: bytes, path: NodePath) -> Node | None:
        if (name, path) in self._reached:
            return self._reached[name, path]
        return self._many_nodes([(name, path)])[0]

    def _many_nodes(self, places: Sequence[tuple[bytes, NodePath]]) -> list[Node | None]:
        keys = [name + path.to_bytes() for name, path in places]
        found = self.rocks.get_many(Family.TRIE_NODES, keys)
        return [None if data is None else node_from_bytes(data) for data in found]


def _contract_of(record: bytes | None) -> Contract | None:
    if record is None:
        return None
    class_hash, nonce, storage_root = (from_bytes(value) for value in cut_hashes(record))
    return Contract(class_hash, storage_root, nonce)


def _apply(stored: _Stored, batch: Batch, diff: StateDiff, version: str) -> int:
    try:
        stored.reach(diff)
        update = state.apply_state_diff(stored, diff, version)
    except MissingNode as error:
        raise StoreError(f"{stored.rocks.path}: the store is damaged: {error}") from error
    for address, contract in update.contracts.items():
        if contract is None:
            batch.delete(Family.CONTRACTS, felt(address))
        else:
            record = (contract.class_hash, contract.nonce, contract.storage_root)
            batch.put(Family.CONTRACTS, felt(address), b"".join(map(felt, record)))
    _put_nodes(batch, CONTRACT_TRIE, update.contract_nodes)
    _put_nodes(batch, CLASS_TRIE, update.class_nodes)
    for address, nodes in update.storage_nodes.items():
        _put_nodes(batch, storage_trie(address), nodes)
    return update.root


def _update_classes(stored: _Stored, leaves: Mapping[int, int]) -> Nodes:
    try:
        return trie.update(stored.class_node, HEIGHT, poseidon, leaves).nodes
    except MissingNode as error:
        raise StoreError(f"{stored.rocks.path}: the store is damaged: {error}") from error


def _put_nodes(batch: Batch, name: bytes, nodes: Nodes) -> None:
    for path, node in nodes.items():
        key = name + path.to_bytes()
        if node is None:
            batch.delete(Family.TRIE_NODES, key)
        else:
            batch.put(Family.TRIE_NODES, key, node.to_bytes())


def _history(diff: StateDiff) -> Iterator[tuple[bytes, int]]:
    """Yield (history prefix, value) of everything that the block sets."""
    for address, class_hash in diff.class_hashes.items():
        yield Kind.CLASS_HASH + felt(address), class_hash
    for address, nonce in diff.nonces.items():
        yield Kind.NONCE + felt(address), nonce
    for address, entries in diff.storage.items():
        for key, value in entries.items():
            yield Kind.STORAGE + felt(address) + felt(key), value
    for class_hash, compiled in diff.declared.items():
        yield Kind.COMPILED + felt(class_hash), compiled
