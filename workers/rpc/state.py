"""State as JSON: values of contracts after any stored block, and what a block changed."""

from collections.abc import Iterable
from typing import Any

from starknet.commitments import StateDiff
from starknet.felt import to_bytes32
from workers.component import Component
from workers.rpc import blocks
from workers.rpc.errors import contract_not_found
from workers.rpc.felts import hex_in
from workers.rpc.params import BlockId
from workers.rpc.view import View
from workers.store.schema import Kind
from workers.store.tries import read_diff

Json = dict[str, Any]

LAST_UPDATE = "INCLUDE_LAST_UPDATE_BLOCK"


def storage_at(view: View, address: int, key: int, block: BlockId, flags: frozenset[str]) -> object:
    """starknet_getStorageAt. Contracts 1 and 2 belong to the system: they have storage and no class."""
    number = view.state(block)
    row = Kind.STORAGE + to_bytes32(address) + to_bytes32(key)
    found = view.reader.last_set(row, number)
    if found is None:
        class_hash_of(view, address, number)
    value, since = found or (0, 0)
    if LAST_UPDATE in flags:
        return {"value": hex(value), "last_update_block": since}
    return hex(value)


def nonce(view: View, block: BlockId, address: int) -> object:
    """starknet_getNonce."""
    number = view.state(block)
    class_hash_of(view, address, number)
    return hex(view.reader.nonce_at(address, number))


def class_hash_at(view: View, block: BlockId, address: int) -> object:
    """starknet_getClassHashAt."""
    return hex(class_hash_of(view, address, view.state(block)))


def class_hash_of(view: View, address: int, number: int) -> int:
    """Return the class of a contract after a block; error 20."""
    found = view.reader.class_hash_at(address, number)
    if not found:
        raise contract_not_found()
    return found


def state_update(view: View, block: BlockId, addresses: list[int] | None) -> object:
    """starknet_getStateUpdate."""
    number = view.block(block)
    header = blocks.header_at(view, number)
    old_root = hex_in(blocks.header_at(view, number - 1).state_root) if number else "0x0"
    diff = read_diff(view.reader.part(Component.STATE_DIFFS, number) or b"")
    return {
        "block_hash": hex_in(header.block_hash),
        "old_root": old_root,
        "new_root": hex_in(header.state_root),
        "state_diff": _diff_object(view, number, diff, addresses),
    }


def _diff_object(view: View, number: int, diff: StateDiff, addresses: list[int] | None) -> Json:
    """Write a diff; replaced and migrated classes are told from new ones by what was before."""

    def kept(found: Iterable[int]) -> list[int]:
        return sorted(found if addresses is None else found & set(addresses))  # type: ignore[operator]

    before = number - 1
    classes = kept(diff.class_hashes.keys())
    replaced = {name for name in classes if number and view.reader.class_hash_at(name, before)}
    migrated = {name for name in diff.declared if number and _was_declared(view, name, before)}
    written: Json = {
        "storage_diffs": [
            {
                "address": hex(name),
                "storage_entries": [
                    {"key": hex(key), "value": hex(value)}
                    for key, value in sorted(diff.storage[name].items())
                ],
            }
            for name in kept(diff.storage.keys())
            if diff.storage[name]
        ],
        "deprecated_declared_classes": [hex(name) for name in sorted(diff.cairo0)],
        "declared_classes": _declared(diff, diff.declared.keys() - migrated),
        "deployed_contracts": [
            {"address": hex(name), "class_hash": hex(diff.class_hashes[name])}
            for name in classes
            if name not in replaced
        ],
        "replaced_classes": [
            {"contract_address": hex(name), "class_hash": hex(diff.class_hashes[name])}
            for name in sorted(replaced)
        ],
        "nonces": [
            {"contract_address": hex(name), "nonce": hex(diff.nonces[name])}
            for name in kept(diff.nonces.keys())
        ],
    }
    if view.spec.migrated:
        written["migrated_compiled_classes"] = _declared(diff, migrated)
    return written


def _declared(diff: StateDiff, names: Iterable[int]) -> list[Json]:
    return [
        {"class_hash": hex(name), "compiled_class_hash": hex(diff.declared[name])}
        for name in sorted(names)
    ]


def _was_declared(view: View, class_hash: int, number: int) -> bool:
    return view.reader.last_set(Kind.COMPILED + to_bytes32(class_hash), number) is not None
