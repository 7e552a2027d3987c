"""Commitments: one felt for all transactions, events, receipts or state changes of a block.

Lists are committed to by a Patricia trie of height 64 (index -> leaf), the state diff by one long sponge. All
functions raise FeltError or FieldMissing where a wire message lacks a field or holds one out of range.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import add

from starknet.felt import (
    HASH_BYTES,
    FieldMissing,
    from_bytes,
    key_of,
    key_value,
    require,
    short_string,
    to_bytes32,
    value,
)
from starknet.hashes import Over, hash_lists, list_root_of_bytes, poseidon, poseidon_many, sn_keccak
from starknet.transactions import Transaction, read_transactions, transaction_signature
from starknet.versions import EventLeaf, Rules, TransactionLeaf
from starknet.wire.parse import bytes_of
from starknet.wire.rows import Chosen, OneOf, Row, Shape, felt_of, present
from starknet.wire.sync_pb2 import (
    ContractDiff,
    ContractStoredValue,
    DeclaredClass,
    Event,
    MessageToL1,
    Receipt,
    StateDiffsResponse,
    TransactionInBlock,
)

_EVENT = Shape(Event.DESCRIPTOR)
_RECEIPT = Shape(Receipt.DESCRIPTOR)
_RECEIPT_TYPES = OneOf(Receipt.DESCRIPTOR, "type")
_SENT_MESSAGE = Shape(MessageToL1.DESCRIPTOR)
_CONTRACT = Shape(ContractDiff.DESCRIPTOR)
_ENTRY = Shape(ContractStoredValue.DESCRIPTOR)
_STATE_DIFF = short_string("STARKNET_STATE_DIFF0")
_ZERO = to_bytes32(0)
_NO_MESSAGES = to_bytes32(poseidon_many([0]))  # most receipts have none


# ---- transactions -----------------------------------------------------------------------------------------------


def transaction_commitment(
    rules: Rules, hashes: Sequence[int], transactions: Sequence[TransactionInBlock]
) -> int:
    """The root over all transactions of a block; ``hashes`` are theirs, in the same order."""
    read = read_transactions(transactions)
    return transaction_root(rules, list(map(to_bytes32, hashes)), read)


def transaction_root(
    rules: Rules, hashes: Sequence[bytes], transactions: Sequence[Transaction]
) -> int:
    """As ``transaction_commitment``, of transactions that are read already."""
    leaves = TRANSACTION_LEAVES[rules.transaction_leaf](hashes, transactions)
    return list_root_of_bytes(leaves, rules.pair)


def transaction_leaf(rules: Rules, transaction_hash: int, transaction: TransactionInBlock) -> int:
    """What one transaction adds to the transaction commitment."""
    leaves = TRANSACTION_LEAVES[rules.transaction_leaf]
    return from_bytes(
        leaves([to_bytes32(transaction_hash)], read_transactions([transaction]))[0],
    )


def _pedersen_invoke_leaves(
    hashes: Sequence[bytes], transactions: Sequence[Transaction]
) -> list[bytes]:
    signatures = [
        transaction_signature(transaction) if transaction.kind.startswith("invoke") else b""
        for transaction in transactions
    ]
    return _pedersen_signed(hashes, signatures)


def _pedersen_leaves(hashes: Sequence[bytes], transactions: Sequence[Transaction]) -> list[bytes]:
    return _pedersen_signed(hashes, list(map(transaction_signature, transactions)))


def _pedersen_signed(hashes: Sequence[bytes], signatures: Sequence[bytes]) -> list[bytes]:
    signed = hash_lists(Over.PEDERSEN, signatures)
    return hash_lists(Over.PEDERSEN_PAIR, list(map(add, hashes, signed)))


def _poseidon_or_zero_leaves(
    hashes: Sequence[bytes], transactions: Sequence[Transaction]
) -> list[bytes]:
    signatures = [transaction_signature(transaction) or _ZERO for transaction in transactions]
    return hash_lists(Over.POSEIDON, list(map(add, hashes, signatures)))


def _poseidon_leaves(hashes: Sequence[bytes], transactions: Sequence[Transaction]) -> list[bytes]:
    return hash_lists(
        Over.POSEIDON, list(map(add, hashes, map(transaction_signature, transactions)))
    )


TRANSACTION_LEAVES: dict[
    TransactionLeaf, Callable[[Sequence[bytes], Sequence[Transaction]], list[bytes]]
] = {
    TransactionLeaf.PEDERSEN_INVOKE: _pedersen_invoke_leaves,
    TransactionLeaf.PEDERSEN: _pedersen_leaves,
    TransactionLeaf.POSEIDON_OR_ZERO: _poseidon_or_zero_leaves,
    TransactionLeaf.POSEIDON: _poseidon_leaves,
}


# ---- events -----------------------------------------------------------------------------------------------------


def read_events(events: Sequence[bytes]) -> list[Row]:
    """The rows of events as the wire has them; raises FeltError or FieldMissing."""
    rows = _EVENT.rows_of_bytes(events)
    for row in rows:
        if None in row:
            present(row, "transaction_hash", "from_address")
    return rows


def event_commitment(rules: Rules, events: Sequence[Event]) -> int:
    """The root over all events of a block, in the order of their transactions and then of emission."""
    return event_root(rules, read_events(bytes_of(events)))


def event_root(rules: Rules, events: Sequence[Row]) -> int:
    """As ``event_commitment``, of events that are read already."""
    return list_root_of_bytes(EVENT_LEAVES[rules.event_leaf](events), rules.pair)


def _pedersen_events(events: Sequence[Row]) -> list[bytes]:
    lists = [event.keys for event in events] + [event.data for event in events]
    hashes = hash_lists(Over.PEDERSEN, lists)
    senders = [event.from_address for event in events]
    parts = zip(senders, hashes[: len(events)], hashes[len(events) :], strict=True)
    return hash_lists(Over.PEDERSEN, list(map(b"".join, parts)))


def _poseidon_events(events: Sequence[Row]) -> list[bytes]:
    lists = [
        b"".join((sender, transaction, _count(keys), keys, _count(data), data))
        for transaction, sender, keys, data in events
    ]
    return hash_lists(Over.POSEIDON, lists)


def _count(felts: bytes) -> bytes:
    return (len(felts) // HASH_BYTES).to_bytes(HASH_BYTES, "big")


EVENT_LEAVES: dict[EventLeaf, Callable[[Sequence[Row]], list[bytes]]] = {
    EventLeaf.PEDERSEN: _pedersen_events,
    EventLeaf.POSEIDON: _poseidon_events,
}


# ---- receipts ---------------------------------------------------------------------------------------------------


def receipt_commitment(hashes: Sequence[int], receipts: Sequence[Receipt]) -> int:
    """The root over all receipts of a block; ``hashes`` are their transactions', in the same order."""
    leaves = receipt_leaves(list(map(to_bytes32, hashes)), read_receipts(receipts))
    return list_root_of_bytes(leaves, poseidon)


def read_receipts(receipts: Iterable[Receipt]) -> list[Row]:
    """The rows of receipts; raises FeltError or FieldMissing."""
    return [row for _, row in read_types([row.type for row in _RECEIPT.rows(receipts)])]


def read_types(chosen: Sequence[Chosen | None]) -> list[tuple[str, Row]]:
    """As ``read_receipts``, each with its type, of which type each is."""
    receipts = _RECEIPT_TYPES.rows(chosen)
    for _, row in receipts:
        if not (row.common and row.actual_fee and row.execution_resources):
            present(row, "common", "actual_fee", "execution_resources")
    return receipts


def receipt_leaf(transaction_hash: bytes, receipt: Row, data_gas: int | None = None) -> bytes:
    """What one receipt adds to the receipt commitment.

    ``data_gas`` is the total L1 data gas where it is known to differ from the receipt's ``l1_data_gas``.
    """
    if data_gas is not None:
        receipt = receipt._replace(execution_resources_l1_data_gas=to_bytes32(data_gas))
    return receipt_leaves([transaction_hash], [receipt])[0]


def receipt_leaves(hashes: Sequence[bytes], receipts: Sequence[Row]) -> list[bytes]:
    """What each receipt adds to the receipt commitment; ``hashes`` are their transactions'.

    Gas felts that are absent (blocks of an age without them) count 0.
    """
    sent = [_messages(receipt) for receipt in receipts if receipt.messages_sent]
    messages = iter(hash_lists(Over.POSEIDON, sent))
    lists = [
        b"".join(
            (
                transaction_hash,
                receipt.actual_fee,
                next(messages) if receipt.messages_sent else _NO_MESSAGES,
                _revert(receipt),
                _ZERO,  # L2 gas is 0 even where some was used
                receipt.execution_resources_total_l1_gas or _ZERO,
                receipt.execution_resources_l1_data_gas or _ZERO,
            )
        )
        for transaction_hash, receipt in zip(hashes, receipts, strict=True)
    ]
    return hash_lists(Over.POSEIDON, lists)


def _messages(receipt: Row) -> bytes:
    parts = [to_bytes32(len(receipt.messages_sent))]
    for message in _SENT_MESSAGE.rows_of_bytes(receipt.messages_sent):
        # a felt, not 20 bytes: contracts may send to an address that Ethereum does not have
        parts += felt_of(message, "from_address"), felt_of(message, "to_address")
        parts += _count(message.payload), message.payload
    return b"".join(parts)


def _revert(receipt: Row) -> bytes:
    return _ZERO if receipt.revert_reason is None else to_bytes32(sn_keccak(receipt.revert_reason))


# ---- state diff -------------------------------------------------------------------------------------------------


class StateDiffError(ValueError):
    """State diff messages that do not make one diff; ``rule`` names what they broke."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


@dataclass
class StateDiff:
    """All changes of one block, by contract address or class hash."""

    storage: dict[int, dict[int, int]] = field(default_factory=dict)  # address -> key -> value
    nonces: dict[int, int] = field(default_factory=dict)
    class_hashes: dict[int, int] = field(default_factory=dict)  # deployed and replaced alike
    declared: dict[int, int] = field(
        default_factory=dict
    )  # class hash -> compiled class hash; migrated too
    cairo0: set[int] = field(default_factory=set)  # declared without a compiled class


def read_state_diff(messages: Iterable[StateDiffsResponse]) -> StateDiff:
    """One diff out of its messages, which may split a contract; raises StateDiffError, FeltError, FieldMissing."""
    diff = StateDiff()
    messages = list(messages)
    changed = [message.contract_diff for message in messages if message.HasField("contract_diff")]
    contracts = _CONTRACT.rows(changed)
    entries = iter(_ENTRY.rows_of_bytes([entry for row in contracts for entry in row.values]))
    for contract in contracts:
        _add_contract(diff, contract, islice(entries, len(contract.values)))
    for message in messages:
        if message.HasField("declared_class"):
            _add_class(diff, message.declared_class)
        elif not message.HasField("contract_diff"):
            raise FieldMissing("StateDiffsResponse has neither a contract nor a class")
    return diff


def _add_contract(diff: StateDiff, contract: Row, entries: Iterable[Row]) -> None:
    address = key_of(felt_of(contract, "address"))
    if contract.nonce is None and contract.class_hash is None and not contract.values:
        raise StateDiffError("state_diff.empty", f"contract {address:#x} does not change")
    if contract.domain != 0:
        raise StateDiffError("state_diff.domain", f"contract {address:#x} is not in domain L1")
    if contract.nonce is not None:
        _put(diff.nonces, address, from_bytes(contract.nonce), "nonce of contract")
    if contract.class_hash is not None:
        _put(diff.class_hashes, address, key_of(contract.class_hash), "class of contract")
    if contract.values:
        storage = diff.storage.setdefault(address, {})
        for key, new in entries:
            if key is None or new is None:
                raise FieldMissing("ContractStoredValue lacks its key or its value")
            _put(storage, key_of(key), int.from_bytes(new), "storage key")


def _add_class(diff: StateDiff, declared: DeclaredClass) -> None:
    require(declared, "class_hash")
    class_hash = key_value(declared.class_hash)
    if class_hash in diff.cairo0 or class_hash in diff.declared:
        raise StateDiffError("state_diff.duplicate", f"class {class_hash:#x}")
    if declared.HasField("compiled_class_hash"):
        diff.declared[class_hash] = value(declared.compiled_class_hash)
    else:
        diff.cairo0.add(class_hash)


def _put(values_by_key: dict[int, int], key: int, new: int, what: str) -> None:
    if key in values_by_key:
        raise StateDiffError("state_diff.duplicate", f"{what} {key:#x}")
    values_by_key[key] = new


def state_diff_length(diff: StateDiff) -> int:
    """The number of changes, as the header states it: storage entries, nonces, classes set, classes declared."""
    storage = sum(len(entries) for entries in diff.storage.values())
    return storage + sum(map(len, (diff.nonces, diff.class_hashes, diff.declared, diff.cairo0)))


def state_diff_commitment(diff: StateDiff) -> int:
    """The commitment inside block hashes since 0.13.2."""
    classes = [*_pairs(diff.class_hashes), *_pairs(diff.declared), *_cairo0(diff)]
    state = [*_storage(diff), *_pairs(diff.nonces)]
    return poseidon_many([_STATE_DIFF, *classes, 1, 0, *state])


def old_state_diff_commitment(diff: StateDiff) -> int:
    """The commitment under block signatures issued before mid 2024; in no block hash."""
    groups = [_pairs(diff.class_hashes), _pairs(diff.declared), _cairo0(diff)]
    state = [*_storage(diff), *_pairs(diff.nonces)]
    return poseidon_many([0, *map(poseidon_many, groups), 1, 0, poseidon_many(state)])


def _pairs(changes: dict[int, int]) -> list[int]:
    return [len(changes), *(felt for pair in sorted(changes.items()) for felt in pair)]


def _cairo0(diff: StateDiff) -> list[int]:
    return [len(diff.cairo0), *sorted(diff.cairo0)]


def _storage(diff: StateDiff) -> list[int]:
    out = [len(diff.storage)]
    for address, entries in sorted(diff.storage.items()):
        out += [address, *_pairs(entries)]
    return out
