"""Checks what is stored: lets through only rows that say what the blocks say, and a state that leads to its root.

Each fault is one line that begins with its block, or with ``state``. The tries are walked from the root down, a path at
a time, in step with the rows they commit to: a store of any size takes the same memory.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import groupby, zip_longest

from starknet import state, trie
from starknet.felt import from_bytes
from starknet.hashes import pedersen, poseidon
from starknet.state import Contract
from starknet.trie import MissingNode
from starknet.wire.sync_pb2 import SignedBlockHeader
from workers.messages import BlockVerified
from workers.store import Head, tries
from workers.store.reader import Reader
from workers.store.schema import FELT_BYTES, NUMBER_BYTES, Family, Kind, cut_hashes, number_key
from workers.store.writer import event_keys

Leaf = tuple[int, int]  # key and value


def block_faults(reader: Reader, block: BlockVerified) -> Iterator[str]:
    """Yield which rows of a stored block, whose parts were read from the store and verified, do not follow from it."""
    for what, is_right in (
        ("number_by_hash does not lead to it", _is_found),
        ("tx_hashes is not of its transactions", _has_hashes),
        ("tx_index does not lead to its transactions", _has_places),
        ("event_index lacks some of its events", _has_event_rows),
        ("block_classes names other classes than it brings", _has_classes),
        ("history lacks some of its state diff", _has_history),
    ):
        if not is_right(reader, block):
            yield f"block {block.number}: {what}"


def _is_found(reader: Reader, block: BlockVerified) -> bool:
    return reader.number_of(block.block_hash) == block.number


def _has_hashes(reader: Reader, block: BlockVerified) -> bool:
    return reader.get(Family.TX_HASHES, number_key(block.number)) == block.transaction_hashes


def _has_places(reader: Reader, block: BlockVerified) -> bool:
    """The first place of a hash, which may come again, is what is kept."""
    for index, name in enumerate(cut_hashes(block.transaction_hashes)):
        place = reader.transaction_at(name)
        if place is None or place > (block.number, index):
            return False
        there = reader.transaction_hashes(place[0]) or []
        if there[place[1] : place[1] + 1] != [name]:
            return False
    return True


def _has_event_rows(reader: Reader, block: BlockVerified) -> bool:
    keys = event_keys(block.events, block.number)
    return all(reader.get(Family.EVENT_INDEX, key) is not None for key in keys)


def _has_classes(reader: Reader, block: BlockVerified) -> bool:
    named = reader.get(Family.BLOCK_CLASSES, number_key(block.number)) or b""
    return set(cut_hashes(named)) == set(cut_hashes(block.class_hashes))


def _has_history(reader: Reader, block: BlockVerified) -> bool:
    changes = tries.history(tries.read_diff(block.state_diff))
    number = block.number
    return all(reader.last_set(what, number) == (value, number) for what, value in changes)


def state_faults(reader: Reader, head: Head, header: SignedBlockHeader) -> Iterator[str]:
    """Yield what is wrong with the state at the head, whose header is given: root, tries, contracts, last values."""
    if from_bytes(head.state_root) != from_bytes(header.state_root.elements):
        yield "state: the head's state root is not that of its header"
    checks: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: _root_faults(reader, header),
        lambda: _class_faults(reader),
        lambda: _contract_faults(reader),
        lambda: _storage_faults(reader),
    )
    for check in checks:
        try:
            yield from check()
        except MissingNode as error:
            yield f"state: {error}"


def _root_faults(reader: Reader, header: SignedBlockHeader) -> Iterator[str]:
    contracts = trie.root(reader.trie_pages, state.CONTRACT_TRIE)
    classes = trie.root(reader.trie_pages, state.CLASS_TRIE)
    root = state.state_root(contracts, classes, header.protocol_version)
    stated = from_bytes(header.state_root.elements)
    if root != stated:
        yield f"state: its root is {root:#x}, block {header.number} states {stated:#x}"


def _class_faults(reader: Reader) -> Iterator[str]:
    rows = _last(reader, Kind.COMPILED)
    kept = ((from_bytes(name), state.class_leaf(value)) for name, value in rows)
    at = _difference(trie.leaves(reader.trie_pages, state.CLASS_TRIE, poseidon), kept)
    if at is not None:
        yield f"state: class {at:#x} is not in the trie of classes as in history"


def _contract_faults(reader: Reader) -> Iterator[str]:
    leaves = ((address, state.contract_leaf(contract)) for address, contract in _contracts(reader))
    at = _difference(trie.leaves(reader.trie_pages, state.CONTRACT_TRIE, pedersen), leaves)
    if at is not None:
        yield f"state: contract {at:#x} is not in the trie of contracts as in contracts"
    for field, kind in (("class_hash", Kind.CLASS_HASH), ("nonce", Kind.NONCE)):
        rows = ((address, getattr(contract, field)) for address, contract in _contracts(reader))
        kept = ((from_bytes(name), value) for name, value in _last(reader, kind))
        at = _difference((row for row in rows if row[1]), kept)
        if at is not None:
            yield f"state: {field} of contract {at:#x} is not as in history"


def _storage_faults(reader: Reader) -> Iterator[str]:
    roots = ((at, contract.storage_root) for at, contract in _contracts(reader))
    values = groupby(_last(reader, Kind.STORAGE), key=lambda row: from_bytes(row[0][:FELT_BYTES]))
    for contract, kept in zip_longest((row for row in roots if row[1]), values):
        if contract is None or kept is None or contract[0] != kept[0]:
            address = min(row[0] for row in (contract, kept) if row is not None)
            yield f"state: contract {address:#x} has storage in history or in contracts alone"
            return  # what follows would be compared out of step
        rows = ((from_bytes(name[FELT_BYTES:]), value) for name, value in kept[1])
        yield from _storage_faults_of(reader, contract[0], contract[1], rows)


def _storage_faults_of(
    reader: Reader, address: int, root: int, rows: Iterator[Leaf]
) -> Iterator[str]:
    name = state.storage_trie(address)
    try:
        if trie.root(reader.trie_pages, name) != root:
            yield f"state: storage of contract {address:#x} has another root than contracts says"
        at = _difference(trie.leaves(reader.trie_pages, name, pedersen), rows)
    except MissingNode as error:
        yield f"state: storage of contract {address:#x}: {error}"
        return
    if at is not None:
        yield f"state: storage of contract {address:#x} at {at:#x} is not as in history"


def _contracts(reader: Reader) -> Iterator[tuple[int, Contract]]:
    for address, record in reader.items(Family.CONTRACTS):
        yield from_bytes(address), tries.contract_of(record) or Contract()


def _last(reader: Reader, kind: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the last value of everything of a kind that is not 0 now, by name, ascending."""
    history = reader.items(Family.HISTORY, kind)
    for what, rows in groupby(history, key=lambda row: row[0][1:-NUMBER_BYTES]):
        value = from_bytes(deque(rows, maxlen=1)[0][1])
        if value:
            yield what, value


def _difference(ones: Iterator[Leaf], others: Iterator[Leaf]) -> int | None:
    """Return the first key under which two ascending rows of leaves differ."""
    for one, other in zip_longest(ones, others):
        if one != other:
            return min(row[0] for row in (one, other) if row is not None)
    return None
