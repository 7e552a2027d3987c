"""Merkle proofs from the tries of the last block, which are the only ones that are kept."""

from collections.abc import Iterable
from typing import Any

from starknet.hashes import PairHash, pedersen, poseidon
from starknet.state import CLASS_TRIE, CONTRACT_TRIE, state_root, storage_trie
from starknet.trie import HEIGHT, Binary, Node, node_hash, way
from workers.rpc import blocks
from workers.rpc.errors import internal_error, invalid_params, storage_proof_not_supported
from workers.rpc.felts import hex_in
from workers.rpc.params import BlockId, list_of, trie_key
from workers.rpc.view import View

Json = dict[str, Any]
Keys = tuple[int, list[int]]

PATHS_MAX = 256  # in one answer


def storage_keys(value: Any) -> Keys:
    """Read a contract's address and keys of its storage; raises ``RpcError`` -32602."""
    if not isinstance(value, dict):
        raise invalid_params("not an object")
    return trie_key(value.get("contract_address")), list_of(trie_key)(value.get("storage_keys"))


def storage_proof(
    view: View,
    block: BlockId,
    class_hashes: list[int],
    addresses: list[int],
    storage: list[Keys],
) -> object:
    """starknet_getStorageProof."""
    paths = len(class_hashes) + len(addresses) + sum(len(keys) for _, keys in storage)
    if paths > PATHS_MAX:
        raise invalid_params(f"{paths} paths are asked for where {PATHS_MAX} are the most")
    number = view.block(block)
    if number != view.last().number:
        raise storage_proof_not_supported()
    classes = _Proof(view, CLASS_TRIE, poseidon).along(class_hashes)
    contracts = _Proof(view, CONTRACT_TRIE, pedersen).along(addresses)
    header = blocks.header_at(view, number)
    root = state_root(contracts.root, classes.root, header.protocol_version)
    if root != int.from_bytes(header.state_root.elements, "big"):
        raise internal_error("the tries are just being changed: ask again")
    return {
        "classes_proof": classes.nodes,
        "contracts_proof": {
            "nodes": contracts.nodes,
            "contract_leaves_data": [_leaf(view, address) for address in addresses],
        },
        "contracts_storage_proofs": [
            _Proof(view, storage_trie(address), pedersen).along(keys).nodes
            for address, keys in storage
        ],
        "global_roots": {
            "contracts_tree_root": hex(contracts.root),
            "classes_tree_root": hex(classes.root),
            "block_hash": hex_in(header.block_hash),
        },
    }


def _leaf(view: View, address: int) -> Json:
    class_hash, nonce, root = view.reader.contract(address)
    return {"nonce": hex(nonce), "class_hash": hex(class_hash), "storage_root": hex(root)}


class _Proof:
    """The nodes from the root of one trie towards some keys, each once."""

    def __init__(self, view: View, trie: bytes, pair: PairHash) -> None:
        self._read = view.reader.trie_pages
        self._trie = trie
        self._pair = pair
        self._found: dict[int, Node] = {}
        first = way(self._read, trie, 0)[0]
        self.root = node_hash(first[0], pair) if first else 0

    def along(self, keys: Iterable[int]) -> "_Proof":
        """Add the nodes towards these keys."""
        for key in keys:
            name, level = self.root, 0
            for node in way(self._read, self._trie, key)[0]:
                self._found[name] = node
                if isinstance(node, Binary):
                    name = node.right if key >> HEIGHT - level - 1 & 1 else node.left
                    level += 1
                else:
                    name = node.child
                    level += node.length
        return self

    @property
    def nodes(self) -> list[Json]:
        """The nodes by their hashes."""
        return [{"node_hash": hex(name), "node": _node(node)} for name, node in self._found.items()]


def _node(node: Node) -> Json:
    if isinstance(node, Binary):
        return {"left": hex(node.left), "right": hex(node.right)}
    return {"path": hex(node.path), "length": node.length, "child": hex(node.child)}
