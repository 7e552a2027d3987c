"""Commitments: one felt for all transactions, events, receipts or state changes of a block.

Lists are committed to by a Patricia trie of height 64 (index -> leaf), the state diff by one long sponge. All
functions raise FeltError or FieldMissing where a wire message lacks a field or holds one out of range.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from starknet.felt import (
    FieldMissing,
    from_bytes,
    key_value,
    padded,
    require,
    short_string,
    to_bytes32,
    value,
)
from starknet.hashes import (
    Over,
    Recipe,
    in_step,
    list_root,
    list_root_of_bytes,
    poseidon,
    poseidon_many,
    sn_keccak,
)
from starknet.transactions import felts, get_felt, transaction_kind, transaction_signature
from starknet.versions import EventLeaf, Rules, TransactionLeaf
from starknet.wire.sync_pb2 import (
    ContractDiff,
    DeclaredClass,
    Event,
    MessageToL1,
    Receipt,
    StateDiffsResponse,
    TransactionInBlock,
)

_STATE_DIFF = short_string("STARKNET_STATE_DIFF0")
_ZERO = to_bytes32(0)
_NO_MESSAGES = to_bytes32(poseidon_many([0]))  # most receipts have none


# ---- transactions -----------------------------------------------------------------------------------------------


def transaction_commitment(
    rules: Rules, hashes: Sequence[int], transactions: Sequence[TransactionInBlock]
) -> int:
    """The root over all transactions of a block; ``hashes`` are theirs, in the same order."""
    leaves = in_step(
        _transaction_leaf(rules, to_bytes32(transaction_hash), transaction)
        for transaction_hash, transaction in zip(hashes, transactions, strict=True)
    )
    return list_root_of_bytes(leaves, rules.pair)


def transaction_leaf(rules: Rules, transaction_hash: int, transaction: TransactionInBlock) -> int:
    """What one transaction adds to the transaction commitment."""
    recipe = _transaction_leaf(rules, to_bytes32(transaction_hash), transaction)
    return from_bytes(in_step([recipe])[0])


def _transaction_leaf(
    rules: Rules, transaction_hash: bytes, transaction: TransactionInBlock
) -> Recipe[bytes]:
    leaf = TRANSACTION_LEAVES[rules.transaction_leaf]
    is_invoke = transaction_kind(transaction).startswith("invoke")
    return leaf(transaction_hash, is_invoke, transaction_signature(transaction))


def _pedersen_invoke_leaf(
    transaction_hash: bytes, is_invoke: bool, signature: list[bytes]
) -> Recipe[bytes]:
    return _pedersen_leaf(transaction_hash, is_invoke, signature if is_invoke else [])


def _pedersen_leaf(
    transaction_hash: bytes, is_invoke: bool, signature: list[bytes]
) -> Recipe[bytes]:
    signed = yield Over.PEDERSEN, signature
    return (yield Over.PEDERSEN_PAIR, (transaction_hash, signed))


def _poseidon_or_zero_leaf(
    transaction_hash: bytes, is_invoke: bool, signature: list[bytes]
) -> Recipe[bytes]:
    return (yield Over.POSEIDON, [transaction_hash, *(signature or [_ZERO])])


def _poseidon_leaf(
    transaction_hash: bytes, is_invoke: bool, signature: list[bytes]
) -> Recipe[bytes]:
    return (yield Over.POSEIDON, [transaction_hash, *signature])


TRANSACTION_LEAVES: dict[TransactionLeaf, Callable[[bytes, bool, list[bytes]], Recipe[bytes]]] = {
    TransactionLeaf.PEDERSEN_INVOKE: _pedersen_invoke_leaf,
    TransactionLeaf.PEDERSEN: _pedersen_leaf,
    TransactionLeaf.POSEIDON_OR_ZERO: _poseidon_or_zero_leaf,
    TransactionLeaf.POSEIDON: _poseidon_leaf,
}


# ---- events -----------------------------------------------------------------------------------------------------


class EventFelts(NamedTuple):
    """An event as hashes take it; who hashes it checks that these are felts."""

    sender: bytes
    transaction: bytes
    keys: list[bytes]
    data: list[bytes]


def read_events(events: Iterable[Event]) -> list[EventFelts]:
    """The felts of events; raises FieldMissing."""
    return [
        EventFelts(
            get_felt(event, "from_address"),
            get_felt(event, "transaction_hash"),
            felts(event.keys),
            felts(event.data),
        )
        for event in events
    ]


def event_commitment(rules: Rules, events: Sequence[Event]) -> int:
    """The root over all events of a block, in the order of their transactions and then of emission."""
    return event_root(rules, read_events(events))


def event_root(rules: Rules, events: Sequence[EventFelts]) -> int:
    """As ``event_commitment``, of events that are read already."""
    return list_root_of_bytes(in_step(map(EVENT_LEAVES[rules.event_leaf], events)), rules.pair)


def _pedersen_event(event: EventFelts) -> Recipe[bytes]:
    keys = yield Over.PEDERSEN, event.keys
    data = yield Over.PEDERSEN, event.data
    return (yield Over.PEDERSEN, (event.sender, keys, data))


def _poseidon_event(event: EventFelts) -> Recipe[bytes]:
    sender, transaction, keys, data = event
    sizes = to_bytes32(len(keys)), to_bytes32(len(data))
    return (yield Over.POSEIDON, [sender, transaction, sizes[0], *keys, sizes[1], *data])


EVENT_LEAVES: dict[EventLeaf, Callable[[EventFelts], Recipe[bytes]]] = {
    EventLeaf.PEDERSEN: _pedersen_event,
    EventLeaf.POSEIDON: _poseidon_event,
}


# ---- receipts ---------------------------------------------------------------------------------------------------


def receipt_commitment(hashes: Sequence[int], receipts: Sequence[Receipt]) -> int:
    """The root over all receipts of a block; ``hashes`` are their transactions', in the same order."""
    return list_root(receipt_leaves(hashes, receipts), poseidon)


def receipt_leaves(hashes: Sequence[int], receipts: Sequence[Receipt]) -> list[int]:
    """What each receipt adds to the receipt commitment; ``hashes`` are their transactions'."""
    recipes = (
        _receipt_leaf(to_bytes32(transaction_hash), receipt)
        for transaction_hash, receipt in zip(hashes, receipts, strict=True)
    )
    return list(map(from_bytes, in_step(recipes)))


def receipt_leaf(transaction_hash: int, receipt: Receipt, data_gas: int | None = None) -> int:
    """What one receipt adds to the receipt commitment.

    ``data_gas`` is the total L1 data gas where it is known to differ from the receipt's ``l1_data_gas``.
    Gas felts that are absent (blocks of an age without them) count 0.
    """
    recipe = _receipt_leaf(to_bytes32(transaction_hash), receipt, data_gas)
    return from_bytes(in_step([recipe])[0])


def _receipt_leaf(
    transaction_hash: bytes, receipt: Receipt, data_gas: int | None = None
) -> Recipe[bytes]:
    common = receipt_common(receipt)
    require(common, "execution_resources")
    resources = common.execution_resources
    sent = common.messages_sent
    messages = _NO_MESSAGES
    if sent:
        messages = yield Over.POSEIDON, [to_bytes32(len(sent)), *_messages(sent)]
    revert = _ZERO
    if common.HasField("revert_reason"):
        revert = to_bytes32(sn_keccak(common.revert_reason.encode("utf-8")))
    data = padded(resources.l1_data_gas) if data_gas is None else to_bytes32(data_gas)
    gas = (
        _ZERO,
        padded(resources.total_l1_gas),
        data,
    )  # of L2 gas it is 0 even where some was used
    fee = get_felt(common, "actual_fee")
    return (yield Over.POSEIDON, (transaction_hash, fee, messages, revert, *gas))


def receipt_common(receipt: Receipt) -> Receipt.Common:
    """The part that receipts of every type have; raises FieldMissing without one."""
    kind: str | None = receipt.WhichOneof("type")
    if kind is None:
        raise FieldMissing("Receipt.type is missing")
    body = getattr(receipt, kind)
    require(body, "common")
    common: Receipt.Common = body.common
    return common


def _messages(messages: Iterable[MessageToL1]) -> Iterator[bytes]:
    for message in messages:
        payload = felts(message.payload)
        # a felt, not 20 bytes: contracts may send to an address that Ethereum does not have
        yield from (get_felt(message, "from_address"), get_felt(message, "to_address"))
        yield to_bytes32(len(payload))
        yield from payload


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
    for message in messages:
        if message.HasField("contract_diff"):
            _add_contract(diff, message.contract_diff)
        elif message.HasField("declared_class"):
            _add_class(diff, message.declared_class)
        else:
            raise FieldMissing("StateDiffsResponse has neither a contract nor a class")
    return diff


def _add_contract(diff: StateDiff, contract: ContractDiff) -> None:
    require(contract, "address")
    address = key_value(contract.address)
    has_nonce, has_class = contract.HasField("nonce"), contract.HasField("class_hash")
    if not (has_nonce or has_class or contract.values):
        raise StateDiffError("state_diff.empty", f"contract {address:#x} does not change")
    if contract.domain != 0:
        raise StateDiffError("state_diff.domain", f"contract {address:#x} is not in domain L1")
    if has_nonce:
        _put(diff.nonces, address, value(contract.nonce), "nonce of contract")
    if has_class:
        _put(diff.class_hashes, address, key_value(contract.class_hash), "class of contract")
    if contract.values:
        storage = diff.storage.setdefault(address, {})
        for entry in contract.values:
            require(entry, "key", "value")
            _put(storage, key_value(entry.key), value(entry.value), "storage key")


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
