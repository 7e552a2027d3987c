"""The state inside the store: keeps contracts, classes, their tries and their history in step with the blocks.

What a block changes goes into the caller's batch, every read sees the state before the block.
"""

from collections.abc import Iterator, Mapping, Sequence

from starknet import state
from starknet.commitments import StateDiff, read_state_diff
from starknet.felt import from_bytes
from starknet.state import Contract
from starknet.trie import MissingNode
from starknet.wire.delimited import split
from starknet.wire.sync_pb2 import StateDiffsResponse
from workers.store import StoreError
from workers.store.rocks import Batch, Rocks
from workers.store.schema import Family, Kind, cut_hashes, felt, number_key


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
    leaves = {name: state.class_leaf(compiled) for name, compiled in diff.declared.items()}
    root = _apply(rocks, batch, diff, leaves, version)
    for prefix, value in history(diff):
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
    root = _apply(rocks, batch, back, leaves, version)
    for prefix, _ in history(diff):
        batch.delete(Family.HISTORY, prefix + number_key(number))
    return root


class _Stored:
    """The state as stored (``starknet.state.StateView``); the contracts of ``diff`` are read at once."""

    def __init__(self, rocks: Rocks, diff: StateDiff) -> None:
        self._rocks = rocks
        addresses = list(diff.storage.keys() | diff.nonces.keys() | diff.class_hashes.keys())
        records = rocks.get_many(Family.CONTRACTS, list(map(felt, addresses)))
        self._contracts = dict(zip(addresses, map(contract_of, records), strict=True))

    def contract(self, address: int) -> Contract | None:
        return self._contracts[address]

    def pages(self, names: Sequence[bytes]) -> list[bytes | None]:
        return self._rocks.get_many(Family.TRIE_PAGES, names)


def contract_of(record: bytes | None) -> Contract | None:
    """Read a row of ``contracts``."""
    if record is None:
        return None
    class_hash, nonce, storage_root = (from_bytes(value) for value in cut_hashes(record))
    return Contract(class_hash, storage_root, nonce)


def _apply(
    rocks: Rocks, batch: Batch, diff: StateDiff, class_leaves: Mapping[int, int], version: str
) -> int:
    try:
        update = state.apply_leaves(_Stored(rocks, diff), diff, class_leaves, version)
    except MissingNode as error:
        raise StoreError(f"{rocks.path}: the store is damaged: {error}") from error
    for address, contract in update.contracts.items():
        if contract is None:
            batch.delete(Family.CONTRACTS, felt(address))
        else:
            record = (contract.class_hash, contract.nonce, contract.storage_root)
            batch.put(Family.CONTRACTS, felt(address), b"".join(map(felt, record)))
    for name, page in update.pages.items():
        if page is None:
            batch.delete(Family.TRIE_PAGES, name)
        else:
            batch.put(Family.TRIE_PAGES, name, page)
    return update.root


def history(diff: StateDiff) -> Iterator[tuple[bytes, int]]:
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
