"""Gateway JSON: lets through only answers that fit the wire messages of the sync protocol, and writes them back.

The feeder gateway has changed its JSON with every Starknet version and serves each block in the form of the
day it was asked; this file reads all of those forms and knows nothing of HTTP. Numbers go out as `0x` hex.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from starknet import classes, commitments, transactions
from starknet.felt import P
from starknet.hashes import keccak
from starknet.network import Network
from starknet.versions import rules_for
from starknet.wire import sync_pb2 as pb

HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{1,64})")
U32, U64, U128, U256 = 1 << 32, 1 << 64, 1 << 128, 1 << 256
ETHEREUM_ADDRESS_BYTES = 20
BUILTINS = {  # name in the JSON -> field on the wire; segment_arena has no field
    "output_builtin": "output",
    "pedersen_builtin": "pedersen",
    "range_check_builtin": "range_check",
    "ecdsa_builtin": "ecdsa",
    "bitwise_builtin": "bitwise",
    "ec_op_builtin": "ec_op",
    "keccak_builtin": "keccak",
    "poseidon_builtin": "poseidon",
    "range_check96_builtin": "range_check96",
    "add_mod_builtin": "add_mod",
    "mul_mod_builtin": "mul_mod",
}
PRICE_FIELDS = {  # header field on the wire -> (object, key) in today's JSON
    "l1_gas_price_wei": ("l1_gas_price", "price_in_wei"),
    "l1_gas_price_fri": ("l1_gas_price", "price_in_fri"),
    "l1_data_gas_price_wei": ("l1_data_gas_price", "price_in_wei"),
    "l1_data_gas_price_fri": ("l1_data_gas_price", "price_in_fri"),
    "l2_gas_price_wei": ("l2_gas_price", "price_in_wei"),
    "l2_gas_price_fri": ("l2_gas_price", "price_in_fri"),
}
ENTRY_POINTS = {"EXTERNAL": "externals", "L1_HANDLER": "l1_handlers", "CONSTRUCTOR": "constructors"}

Json = Mapping[str, Any]
Legacy = pb.TransactionInBlock


class GatewayFormatError(ValueError):
    """A gateway answer that does not fit the wire messages; says in one line which field and why."""

    def __init__(self, field: str, reason: str) -> None:
        """Name the field by its path inside the answer, as `transactions[3].max_fee`."""
        super().__init__(f"gateway JSON: {field} {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class WireBlock:
    """One block as the five sync protocols carry it, apart from its class definitions."""

    header: pb.SignedBlockHeader
    state_diff: list[pb.StateDiffsResponse]
    transactions: list[pb.TransactionWithReceipt]
    events: list[pb.Event]
    declared: list[int]  # class hashes declared here, whose definitions belong to this block
    deployed: list[int]  # class hashes of contracts deployed here; before 0.9 they declare the class


# ---- JSON to wire -------------------------------------------------------------------------------


def block_from_gateway(block: Json, state_update: Json | None, signature: Json | None) -> WireBlock:
    """Turn the answers of get_block, get_state_update and get_signature into wire messages.

    The header's roots stay empty: see `fill_commitments`. Raises GatewayFormatError.
    """
    header = _header(block)
    pairs = _transactions(block)
    events = _events(block)
    header.transactions.n_leaves = len(pairs)
    header.events.n_leaves = len(events)
    diff: list[pb.StateDiffsResponse] = []
    declared: list[int] = []
    deployed: list[int] = []
    if state_update is not None:
        with _inside("state_update"):
            _same_block(state_update, header)
            diff, declared, deployed = _state_diff(_object(state_update, "state_diff"))
        header.state_diff_commitment.state_diff_length = _length(diff)
    if signature is not None:
        with _inside("signature"):
            _same_block(signature.get("signature_input", signature), header)
            header.signatures.append(_signature(signature))
    return WireBlock(header, diff, pairs, events, declared, deployed)


def fill_commitments(wire: WireBlock, version: str) -> WireBlock:
    """Return the block with the four roots recomputed, of the 0.13.2 form for every older version."""
    rules = rules_for(version)
    if not rules.receipts_in_hash:
        rules = rules_for("0.13.2")
    hashes = [_int(pair.transaction.transaction_hash) for pair in wire.transactions]
    header = pb.SignedBlockHeader()
    header.CopyFrom(wire.header)
    header.transactions.root.elements = _minimal(0)
    return replace(wire, header=header)


def class_from_gateway(definition: Json, class_hash: int) -> pb.Class:
    """Turn an answer of get_class_by_hash into the wire message; the hash is stated, not checked."""
    result = pb.Class(class_hash=pb.Hash(elements=_minimal(class_hash)))
    if definition.get("sierra_program") is not None:
        _fill_sierra(result.cairo1, definition)
    else:
        _fill_cairo0(result.cairo0, definition)
    return result


def _header(block: Json) -> pb.SignedBlockHeader:
    header = pb.SignedBlockHeader(
        block_hash=_hash(_felt(block, "block_hash")),
        parent_hash=_hash(_felt(block, "parent_block_hash")),
        number=_number(block, "block_number", U64),
        time=_number(block, "timestamp", U64),
        sequencer_address=pb.Address(elements=_minimal(_felt(block, "sequencer_address", 0))),
        state_root=_hash(_felt(block, "state_root")),
        protocol_version=_text(block, "starknet_version", ""),
        l1_data_availability_mode=_data_availability_mode(block),
    )
    for field, price in _prices(block).items():
        getattr(header, field).CopyFrom(pb.Uint128(low=price % U64, high=price // U64))
    return header


def _prices(block: Json) -> dict[str, int]:
    """All prices of a block; L2 ones only if it has them, others 0 where its age had none."""
    prices = {field: 0 for field in PRICE_FIELDS if not field.startswith("l2_")}
    for field, (holder, key) in PRICE_FIELDS.items():
        if block.get(holder) is not None:
            with _inside(holder):
                prices[field] = _number(_object(block, holder), key, U128)
    if block.get("l1_gas_price") is None:
        oldest = _number(block, "gas_price", U128, 0)
        prices["l1_gas_price_wei"] = _number(block, "eth_l1_gas_price", U128, oldest)
        prices["l1_gas_price_fri"] = _number(block, "strk_l1_gas_price", U128, 0)
    return prices


def _data_availability_mode(block: Json) -> pb.L1DataAvailabilityMode.ValueType:
    mode = _text(block, "l1_da_mode", "CALLDATA")
    if mode not in ("CALLDATA", "BLOB"):
        raise GatewayFormatError("l1_da_mode", "is neither CALLDATA nor BLOB")
    return pb.Blob if mode == "BLOB" else pb.Calldata


def _signature(signature: Json) -> pb.ConsensusSignature:
    parts = _felts(signature, "signature")
    if len(parts) != 2:
        raise GatewayFormatError("signature", f"has {len(parts)} parts instead of r and s")
    return pb.ConsensusSignature(r=_wire(parts[0]), s=_wire(parts[1]))


def _same_block(answer: Json, header: pb.SignedBlockHeader) -> None:
    if _felt(answer, "block_hash") != _int(header.block_hash):
        raise GatewayFormatError("block_hash", "is of another block")


# ---- state diff -----------------------------------------------------------------------------------


def _state_diff(diff: Json) -> tuple[list[pb.StateDiffsResponse], list[int], list[int]]:
    """Messages (contracts by address, then classes), declared and deployed class hashes."""
    deployed = _pairs(diff, "deployed_contracts", "address", "class_hash")
    classes_of = dict(deployed) | dict(_pairs(diff, "replaced_classes", "address", "class_hash"))
    nonces = {_key(key, "nonces"): _felt(_object(diff, "nonces"), key) for key in _map(diff, "nonces")}
    values = _storage(diff)
    declared = _pairs(diff, "declared_classes", "class_hash", "compiled_class_hash")
    migrated = _pairs(diff, "migrated_compiled_classes", "class_hash", "compiled_class_hash")
    cairo0 = _felts(diff, "old_declared_contracts", required=False)
    messages = []
    for address in sorted(classes_of.keys() | nonces.keys() | values.keys()):
        contract = pb.ContractDiff(address=pb.Address(elements=_minimal(address)))
        if address in nonces:
            contract.nonce.CopyFrom(_wire(nonces[address]))
        if address in classes_of:
            contract.class_hash.CopyFrom(_hash(classes_of[address]))
        for key, value in sorted(values.get(address, {}).items()):
            contract.values.append(pb.ContractStoredValue(key=_wire(key), value=_wire(value)))
        messages.append(pb.StateDiffsResponse(contract_diff=contract))
    for class_hash in sorted(cairo0):
        messages.append(_declaration(class_hash, None))
    for class_hash, compiled in sorted((dict(declared) | dict(migrated)).items()):
        messages.append(_declaration(class_hash, compiled))
    wanted = [*cairo0, *(class_hash for class_hash, _ in declared)]
    return messages, list(dict.fromkeys(wanted)), list(dict.fromkeys(dict(deployed).values()))


def _storage(diff: Json) -> dict[int, dict[int, int]]:
    storage = {}
    for address, entries in _map(diff, "storage_diffs").items():
        with _inside("storage_diffs"):
            key = _key(address, "address")
            values = dict(_pairs({address: entries}, address, "key", "value"))
        if values:
            storage[key] = values
    return storage


def _declaration(class_hash: int, compiled: int | None) -> pb.StateDiffsResponse:
    declaration = pb.DeclaredClass(class_hash=_hash(class_hash))
    if compiled is not None:
        declaration.compiled_class_hash.CopyFrom(_hash(compiled))
    return pb.StateDiffsResponse(declared_class=declaration)


def _length(diff: Sequence[pb.StateDiffsResponse]) -> int:
    """The state diff length of the block hash: one for each stored value, nonce and class."""
    length = 0
    for message in diff:
        contract = message.contract_diff
        length += message.HasField("declared_class")
        length += len(contract.values) + contract.HasField("nonce") + contract.HasField("class_hash")
    return length
