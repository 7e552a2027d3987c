"""Receipts as JSON. What no hash binds is not taken from the wire but worked out: fee unit, addresses, L1 messages."""

from collections.abc import Iterable
from typing import Any

from starknet.transactions import DEPLOYING, Transaction, deployed_addresses, message_hash
from starknet.wire.delimited import split
from starknet.wire.rows import Row, Shape
from starknet.wire.sync_pb2 import EventsResponse, MessageToL1, TransactionWithReceipt
from workers.component import Component
from workers.rpc import transactions
from workers.rpc.errors import transaction_hash_not_found
from workers.rpc.felts import hex_in, hex_of, hexes_of
from workers.rpc.transactions import KINDS
from workers.rpc.view import View

Json = dict[str, Any]

FINALITY = "ACCEPTED_ON_L2"  # what is accepted on L1 only an L1 node could tell
EVENT = Shape(EventsResponse.DESCRIPTOR)


def event_rows(view: View, number: int, of: bytes | None = None) -> list[Row]:
    """Return the events of a block as rows; ``of`` leaves out most of those of other transactions, undecoded."""
    body = view.reader.part(Component.EVENTS, number) or b""
    payloads = [bytes(payload) for payload in split(body, len(body))]
    if of is not None:
        wanted = of.lstrip(b"\0")
        payloads = [payload for payload in payloads if wanted in payload]
    return EVENT.rows_of_bytes(payloads)


def event_object(row: Row) -> Json:
    """Write an event without its place."""
    return {
        "from_address": hex_of(row.event_from_address),
        "keys": hexes_of(row.event_keys),
        "data": hexes_of(row.event_data),
    }


def by_transaction(rows: Iterable[Row]) -> dict[bytes, list[Json]]:
    """Write the events of a block, by the hash of their transaction."""
    found: dict[bytes, list[Json]] = {}
    for row in rows:
        found.setdefault(row.event_transaction_hash or bytes(32), []).append(event_object(row))
    return found


def addresses_of(read: Iterable[Transaction]) -> list[bytes | None]:
    """Return the address that each transaction gives to a contract, None for those that deploy nothing."""
    rows = list(read)
    addresses = iter(deployed_addresses(rows))
    return [next(addresses) if row.kind in DEPLOYING else None for row in rows]


def receipt_object(
    pair: TransactionWithReceipt,
    kind: str,
    transaction_hash: bytes,
    events: list[Json],
    address: bytes | None,
) -> Json:
    """Write a receipt; ``address`` is that of the contract which the transaction deploys."""
    common = _common(pair)
    resources = common.execution_resources
    written: Json = {
        "type": KINDS[kind][0],
        "transaction_hash": hex_of(transaction_hash),
        "actual_fee": {
            "amount": hex_in(common.actual_fee),
            "unit": "FRI" if kind.endswith("_v3") else "WEI",
        },
        "finality_status": FINALITY,
        "messages_sent": [_message(message) for message in common.messages_sent],
        "events": events,
        "execution_resources": {
            "l1_gas": int.from_bytes(resources.total_l1_gas.elements, "big"),
            "l1_data_gas": int.from_bytes(resources.l1_data_gas.elements, "big"),
            "l2_gas": int.from_bytes(resources.l2_gas.elements, "big"),
        },
    } | outcome(pair)
    if kind == "l1_handler":
        written["message_hash"] = hex_of(message_hash(pair.transaction.l1_handler))
    if address is not None:
        written["contract_address"] = hex_of(address)
    return written


def outcome(pair: TransactionWithReceipt) -> Json:
    """Write whether the transaction succeeded, and why not."""
    common = _common(pair)
    if not common.HasField("revert_reason"):
        return {"execution_status": "SUCCEEDED"}
    return {"execution_status": "REVERTED", "revert_reason": common.revert_reason}


def _common(pair: TransactionWithReceipt) -> Any:
    return getattr(pair.receipt, pair.receipt.WhichOneof("type") or "invoke").common


def _message(message: MessageToL1) -> Json:
    return {
        "from_address": hex_in(message.from_address),
        "to_address": hex_in(message.to_address),
        "payload": [hex_in(part) for part in message.payload],
    }


# ---- methods ------------------------------------------------------------------------------------------------


def receipt(view: View, transaction_hash: bytes) -> object:
    """starknet_getTransactionReceipt."""
    number, pair = _find(view, transaction_hash)
    (read,) = transactions.read([pair])
    events = by_transaction(event_rows(view, number, transaction_hash)).get(transaction_hash, [])
    (address,) = addresses_of([read])
    return receipt_object(pair, read.kind, transaction_hash, events, address) | {
        "block_hash": hex_of(view.reader.block_hash(number)),
        "block_number": number,
    }


def status(view: View, transaction_hash: bytes) -> object:
    """starknet_getTransactionStatus."""
    _, pair = _find(view, transaction_hash)
    told = outcome(pair)
    reason = told.pop("revert_reason", None)
    failure = {} if reason is None else {"failure_reason": reason}
    return {"finality_status": FINALITY} | told | failure


def _find(view: View, transaction_hash: bytes) -> tuple[int, TransactionWithReceipt]:
    number, index = transactions.place_of(view, transaction_hash)
    found = transactions.at(view, number, index)
    if found is None:
        raise transaction_hash_not_found()
    return number, found[0]
