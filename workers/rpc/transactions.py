"""Transactions as JSON: one table row for each kind, straight from the stored messages."""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

from starknet.transactions import Transaction, read_transactions
from starknet.wire.delimited import spans, split
from starknet.wire.rows import Row
from starknet.wire.sync_pb2 import TransactionsResponse, TransactionWithReceipt
from workers.component import Component
from workers.rpc.errors import invalid_transaction_index, transaction_hash_not_found
from workers.rpc.felts import hex_of, hexes_of
from workers.rpc.params import BlockId
from workers.rpc.view import View

Json = dict[str, Any]
Field = Callable[[Row], Any]

PROOF_FACTS = "INCLUDE_PROOF_FACTS"
MODES = ("L1", "L2")


def _felt(column: str) -> Field:
    get = attrgetter(column)
    return lambda row: hex_of(get(row))


def _felts(column: str) -> Field:
    get = attrgetter(column)
    return lambda row: hexes_of(get(row))


def _mode(column: str) -> Field:
    get = attrgetter(column)
    return lambda row: MODES[get(row)]


_LIMITS = attrgetter(
    *(
        f"resource_bounds_{gas}_{limit}"
        for gas in ("l1_gas", "l1_data_gas", "l2_gas")
        for limit in ("max_amount", "max_price_per_unit")
    )
)


def _bounds(row: Row) -> Json:
    """Amount and price of each kind of gas; transactions before 0.13.4 bound no L1 data gas, which is 0."""
    amount, price, data_amount, data_price, l2_amount, l2_price = map(hex_of, _LIMITS(row))
    return {
        "l1_gas": {"max_amount": amount, "max_price_per_unit": price},
        "l1_data_gas": {"max_amount": data_amount, "max_price_per_unit": data_price},
        "l2_gas": {"max_amount": l2_amount, "max_price_per_unit": l2_price},
    }


_SENDER = {"sender_address": _felt("sender")}
_CONTRACT = {
    "contract_address": _felt("address"),
    "entry_point_selector": _felt("entry_point_selector"),
}
_CALLDATA = {"calldata": _felts("calldata")}
_SIGNED = {"signature": _felts("signature_parts")}
_FEE = {"max_fee": _felt("max_fee")}
_NONCE = {"nonce": _felt("nonce")}
_CLASS = {"class_hash": _felt("class_hash")}
_COMPILED = {"compiled_class_hash": _felt("compiled_class_hash")}
_DEPLOYED = _CLASS | {
    "contract_address_salt": _felt("address_salt"),
    "constructor_calldata": _felts("calldata"),
}
_RESOURCES: dict[str, Field] = {
    "resource_bounds": _bounds,
    "tip": lambda row: hex(row.tip),
    "paymaster_data": _felts("paymaster_data"),
    "nonce_data_availability_mode": _mode("nonce_data_availability_mode"),
    "fee_data_availability_mode": _mode("fee_data_availability_mode"),
}
_ACCOUNT = {"account_deployment_data": _felts("account_deployment_data")}


def _fixed(version: str) -> dict[str, Field]:
    return {"version": lambda _: version}


# kind on the wire -> type, and how each field is read off a row
KINDS: dict[str, tuple[str, dict[str, Field]]] = {
    "invoke_v0": ("INVOKE", _fixed("0x0") | _CONTRACT | _CALLDATA | _FEE | _SIGNED),
    "invoke_v1": ("INVOKE", _fixed("0x1") | _SENDER | _CALLDATA | _FEE | _SIGNED | _NONCE),
    "invoke_v3": (
        "INVOKE",
        _fixed("0x3") | _SENDER | _CALLDATA | _SIGNED | _NONCE | _RESOURCES | _ACCOUNT,
    ),
    "declare_v0": ("DECLARE", _fixed("0x0") | _SENDER | _FEE | _SIGNED | _CLASS),
    "declare_v1": ("DECLARE", _fixed("0x1") | _SENDER | _FEE | _SIGNED | _NONCE | _CLASS),
    "declare_v2": (
        "DECLARE",
        _fixed("0x2") | _SENDER | _FEE | _SIGNED | _NONCE | _CLASS | _COMPILED,
    ),
    "declare_v3": (
        "DECLARE",
        _fixed("0x3") | _SENDER | _SIGNED | _NONCE | _CLASS | _COMPILED | _RESOURCES | _ACCOUNT,
    ),
    "deploy": ("DEPLOY", {"version": lambda row: hex(row.version)} | _DEPLOYED),
    "deploy_account_v1": (
        "DEPLOY_ACCOUNT",
        _fixed("0x1") | _FEE | _SIGNED | _NONCE | _DEPLOYED,
    ),
    "deploy_account_v3": (
        "DEPLOY_ACCOUNT",
        _fixed("0x3") | _SIGNED | _NONCE | _DEPLOYED | _RESOURCES,
    ),
    "l1_handler": ("L1_HANDLER", _fixed("0x0") | _NONCE | _CONTRACT | _CALLDATA),
}


def transaction_object(transaction: Transaction, flags: Iterable[str] = ()) -> Json:
    """Write a transaction without its hash."""
    kind, row, _ = transaction
    name, fields = KINDS[kind]
    written: Json = {"type": name}
    for field, read in fields.items():
        written[field] = read(row)
    if PROOF_FACTS in flags and kind == "invoke_v3":
        written["proof_facts"] = hexes_of(row.proof_facts)
    return written


def with_hash(transaction: Transaction, found: bytes, flags: Iterable[str]) -> Json:
    """Write a transaction with its hash."""
    written = transaction_object(transaction, flags)
    written["transaction_hash"] = hex_of(found)
    return written


def in_block(view: View, number: int) -> tuple[list[TransactionWithReceipt], list[bytes]]:
    """Decode the transactions of a stored block, receipts with them; and their hashes, which are verified."""
    body = view.reader.part(Component.TRANSACTIONS, number) or b""
    pairs = [_pair(payload) for payload in split(body, len(body))]
    return pairs, view.reader.transaction_hashes(number) or []


def at(view: View, number: int, index: int) -> tuple[TransactionWithReceipt, bytes] | None:
    """Decode one transaction of a stored block, with its hash; None if the block has fewer."""
    hashes = view.reader.transaction_hashes(number) or []
    if index >= len(hashes):
        return None
    body = view.reader.part(Component.TRANSACTIONS, number) or b""
    for place, (_, start, end) in enumerate(spans(body, len(body))):
        if place == index:
            return _pair(memoryview(body)[start:end]), hashes[index]
    return None


def place_of(view: View, transaction_hash: bytes) -> tuple[int, int]:
    """Return block number and index of a stored transaction; error 29."""
    place = view.reader.transaction_at(transaction_hash)
    if place is None or view.head is None or place[0] > view.head.number:
        raise transaction_hash_not_found()
    return place


def read(pairs: Sequence[TransactionWithReceipt]) -> list[Transaction]:
    """Return the rows of transactions."""
    return read_transactions([pair.transaction for pair in pairs])


def _pair(payload: memoryview) -> TransactionWithReceipt:
    return TransactionsResponse.FromString(bytes(payload)).transaction_with_receipt


# ---- methods ------------------------------------------------------------------------------------------------


def by_hash(view: View, transaction_hash: bytes, flags: frozenset[str]) -> object:
    """starknet_getTransactionByHash."""
    found = at(view, *place_of(view, transaction_hash))
    if found is None:
        raise transaction_hash_not_found()
    return _one(found, flags)


def by_place(view: View, block: BlockId, index: int, flags: frozenset[str]) -> object:
    """starknet_getTransactionByBlockIdAndIndex."""
    found = at(view, view.block(block), index)
    if found is None:
        raise invalid_transaction_index()
    return _one(found, flags)


def _one(found: tuple[TransactionWithReceipt, bytes], flags: frozenset[str]) -> Json:
    pair, transaction_hash = found
    return with_hash(read([pair])[0], transaction_hash, flags)
