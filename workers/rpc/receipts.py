"""Receipts as JSON. What no hash binds is not taken from the wire but worked out: fee unit, addresses, L1 messages."""

from collections.abc import Iterable, Iterator
from typing import Any

from broker.codec import Body
from starknet.commitments import read_types
from starknet.transactions import DEPLOYING, Transaction, deployed_addresses, message_hash
from starknet.wire.rows import Row, Shape
from starknet.wire.sync_pb2 import Event, L1HandlerV0, MessageToL1
from workers.component import Component
from workers.frames import EVENTS, carried
from workers.rpc import transactions
from workers.rpc.errors import transaction_hash_not_found
from workers.rpc.felts import hex_of, hexes_of
from workers.rpc.transactions import KINDS
from workers.rpc.view import View

Json = dict[str, Any]

FINALITY = "ACCEPTED_ON_L2"  # what is accepted on L1 only an L1 node could tell
EVENT = Shape(Event.DESCRIPTOR)
MESSAGE = Shape(MessageToL1.DESCRIPTOR)


def event_rows(view: View, number: int, of: bytes | None = None) -> list[Row]:
    """Return the events of a block as rows; ``of`` leaves out most of those of other transactions, undecoded."""
    body = view.reader.part(Component.EVENTS, number) or b""
    messages = carried(EVENTS, "event", Body(body), number, Component.EVENTS)
    if of is not None:
        wanted = of.lstrip(b"\0")
        messages = [message for message in messages if wanted in message]
    return EVENT.rows_of_bytes(messages)


def event_object(row: Row) -> Json:
    """Write an event without its place."""
    return {
        "from_address": hex_of(row.from_address),
        "keys": hexes_of(row.keys),
        "data": hexes_of(row.data),
    }


def by_transaction(rows: Iterable[Row]) -> dict[bytes, list[Json]]:
    """Write the events of a block, by the hash of their transaction."""
    found: dict[bytes, list[Json]] = {}
    for row in rows:
        found.setdefault(row.transaction_hash or bytes(32), []).append(event_object(row))
    return found


def addresses_of(listed: Iterable[Transaction]) -> list[bytes | None]:
    """Return the address that each transaction gives to a contract, None for those that deploy nothing."""
    rows = list(listed)
    addresses = iter(deployed_addresses(rows))
    return [next(addresses) if row.kind in DEPLOYING else None for row in rows]


def receipt_object(
    pair: Row,
    receipt: Row,
    kind: str,
    transaction_hash: bytes,
    events: list[Json],
    address: bytes | None,
) -> Json:
    """Write a receipt; ``address`` is that of the contract which the transaction deploys."""
    written: Json = {
        "type": KINDS[kind][0],
        "transaction_hash": hex_of(transaction_hash),
        "actual_fee": {
            "amount": hex_of(receipt.actual_fee),
            "unit": "FRI" if kind.endswith("_v3") else "WEI",
        },
        "finality_status": FINALITY,
        "messages_sent": [
            {
                "from_address": hex_of(message.from_address),
                "to_address": hex_of(message.to_address),
                "payload": hexes_of(message.payload),
            }
            for message in MESSAGE.rows_of_bytes(receipt.messages_sent)
        ],
        "events": events,
        "execution_resources": {
            "l1_gas": _gas(receipt.execution_resources_total_l1_gas),
            "l1_data_gas": _gas(receipt.execution_resources_l1_data_gas),
            "l2_gas": _gas(receipt.execution_resources_l2_gas),
        },
    } | outcome(receipt)
    if kind == "l1_handler":
        handler = L1HandlerV0.FromString(pair.transaction_txn[1])
        written["message_hash"] = hex_of(message_hash(handler))
    if address is not None:
        written["contract_address"] = hex_of(address)
    return written


def in_block(view: View, number: int) -> Iterator[tuple[Transaction, Json]]:
    """Yield each transaction of a stored block with its receipt."""
    pairs, hashes = transactions.in_block(view, number)
    listed = transactions.read(pairs)
    events = by_transaction(event_rows(view, number))
    columns = zip(pairs, read(pairs), listed, hashes, addresses_of(listed), strict=True)
    for pair, found, row, name, address in columns:
        yield row, receipt_object(pair, found, row.kind, name, events.get(name, []), address)


def outcome(receipt: Row) -> Json:
    """Write whether the transaction succeeded, and why not."""
    if receipt.revert_reason is None:
        return {"execution_status": "SUCCEEDED"}
    return {"execution_status": "REVERTED", "revert_reason": receipt.revert_reason.decode()}


def read(pairs: Iterable[Row]) -> list[Row]:
    """Return the receipts of rows of transactions with receipts."""
    return [row for _, row in read_types([pair.receipt_type for pair in pairs])]


def _gas(felt: bytes | None) -> int:
    return int.from_bytes(felt or b"", "big")


# ---- methods ------------------------------------------------------------------------------------------------


def receipt(view: View, transaction_hash: bytes) -> object:
    """starknet_getTransactionReceipt."""
    number, pair = _find(view, transaction_hash)
    (transaction,) = transactions.read([pair])
    (found,) = read([pair])
    events = by_transaction(event_rows(view, number, transaction_hash)).get(transaction_hash, [])
    (address,) = addresses_of([transaction])
    written = receipt_object(pair, found, transaction.kind, transaction_hash, events, address)
    return written | {
        "block_hash": hex_of(view.reader.block_hash(number)),
        "block_number": number,
    }


def status(view: View, transaction_hash: bytes) -> object:
    """starknet_getTransactionStatus."""
    _, pair = _find(view, transaction_hash)
    told = outcome(*read([pair]))
    reason = told.pop("revert_reason", None)
    failure = {} if reason is None else {"failure_reason": reason}
    return {"finality_status": FINALITY} | told | failure


def _find(view: View, transaction_hash: bytes) -> tuple[int, Row]:
    number, index = transactions.place_of(view, transaction_hash)
    found = transactions.at(view, number, index)
    if found is None:
        raise transaction_hash_not_found()
    return number, found[0]
