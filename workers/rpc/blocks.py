"""Blocks as JSON: header, and transactions as hashes, whole or with their receipts."""

from typing import Any

from starknet.wire.sync_pb2 import L1DataAvailabilityMode, SignedBlockHeader, Uint128
from workers.component import Component
from workers.rpc import receipts, transactions
from workers.rpc.errors import block_not_found
from workers.rpc.felts import hex_in, hex_of
from workers.rpc.params import BlockId
from workers.rpc.specs import Spec
from workers.rpc.view import View
from workers.store.reader import decode_header

Json = dict[str, Any]

PRICES = ("l1_gas_price", "l1_data_gas_price", "l2_gas_price")
STATUS = "ACCEPTED_ON_L2"  # what is accepted on L1 only an L1 node could tell
BLOB = L1DataAvailabilityMode.Value("Blob")


def header_at(view: View, number: int) -> SignedBlockHeader:
    """Decode the header of a stored block; error 24."""
    body = view.reader.part(Component.HEADERS, number)
    if body is None:
        raise block_not_found()
    return decode_header(body)


def header_object(header: SignedBlockHeader, spec: Spec) -> Json:
    """Write a header. Prices that a block's age did not have are 0."""
    written: Json = {
        "block_hash": hex_in(header.block_hash),
        "parent_hash": hex_in(header.parent_hash),
        "block_number": header.number,
        "new_root": hex_in(header.state_root),
        "timestamp": header.time,
        "sequencer_address": hex_in(header.sequencer_address),
        "l1_da_mode": "BLOB" if header.l1_data_availability_mode == BLOB else "CALLDATA",
        "starknet_version": header.protocol_version,
    }
    for name in PRICES:
        written[name] = {
            f"price_in_{unit}": _number(getattr(header, f"{name}_{unit}"))
            for unit in ("fri", "wei")
        }
    if spec.commitments:
        written |= {
            "event_commitment": hex_in(header.events.root),
            "event_count": header.events.n_leaves,
            "receipt_commitment": hex_in(header.receipts),
            "state_diff_commitment": hex_in(header.state_diff_commitment.root),
            "state_diff_length": header.state_diff_commitment.state_diff_length,
            "transaction_commitment": hex_in(header.transactions.root),
            "transaction_count": header.transactions.n_leaves,
        }
    return written


def _number(value: Uint128) -> str:
    return hex(value.low | value.high << 64)


def _head_of(view: View, number: int) -> Json:
    return {"status": STATUS} | header_object(header_at(view, number), view.spec)


# ---- methods ------------------------------------------------------------------------------------------------


def with_hashes(view: View, block: BlockId) -> object:
    """starknet_getBlockWithTxHashes."""
    number = view.block(block)
    hashes = view.reader.transaction_hashes(number) or []
    return _head_of(view, number) | {"transactions": list(map(hex_of, hashes))}


def with_transactions(view: View, block: BlockId, flags: frozenset[str]) -> object:
    """starknet_getBlockWithTxs."""
    number = view.block(block)
    pairs, hashes = transactions.in_block(view, number)
    rows = zip(transactions.read(pairs), hashes, strict=True)
    listed = [transactions.with_hash(row, found, flags) for row, found in rows]
    return _head_of(view, number) | {"transactions": listed}


def with_receipts(view: View, block: BlockId, flags: frozenset[str]) -> object:
    """starknet_getBlockWithReceipts."""
    number = view.block(block)
    listed = [
        {"transaction": transactions.transaction_object(row, flags), "receipt": receipt}
        for row, receipt in receipts.in_block(view, number)
    ]
    return _head_of(view, number) | {"transactions": listed}


def transaction_count(view: View, block: BlockId) -> object:
    """starknet_getBlockTransactionCount."""
    return len(view.reader.transaction_hashes(view.block(block)) or [])
