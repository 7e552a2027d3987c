"""Gateway JSON: lets through only answers that fit the wire messages of the sync protocol, and writes them back.

The feeder gateway has changed its JSON with every Starknet version and serves each block in the form of the
day it was asked; this file reads all of those forms and knows nothing of HTTP. Numbers go out as `0x` hex.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message

from starknet import classes, commitments, felt
from starknet.felt import FeltError, FieldMissing, HasElements, P, to_wire
from starknet.transactions import deployed_address, message_hash
from starknet.versions import is_fully_bound, rules_for, wire_rules
from starknet.wire import sync_pb2 as pb

HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{1,64})")
ERROR_LENGTH_MAX = 300  # a key of the answer may be part of it
U32, U64, U128 = 1 << 32, 1 << 64, 1 << 128
ETHEREUM_ADDRESS_BYTES = 20
VALUES_MAX = 8192  # stored values in one contract diff message
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
TRANSACTIONS = {  # type and version in the JSON -> field on the wire
    ("INVOKE_FUNCTION", 0): "invoke_v0",
    ("INVOKE_FUNCTION", 1): "invoke_v1",
    ("INVOKE_FUNCTION", 3): "invoke_v3",
    ("DECLARE", 0): "declare_v0",
    ("DECLARE", 1): "declare_v1",
    ("DECLARE", 2): "declare_v2",
    ("DECLARE", 3): "declare_v3",
    ("DEPLOY", 0): "deploy",
    ("DEPLOY", 1): "deploy",
    ("DEPLOY_ACCOUNT", 1): "deploy_account_v1",
    ("DEPLOY_ACCOUNT", 3): "deploy_account_v3",
    ("L1_HANDLER", 0): "l1_handler",
}
OPTIONAL = {  # (field, kind) that the first blocks lack and the wire requires
    ("max_fee", "invoke_v0"),
    ("max_fee", "declare_v0"),
    ("nonce", "l1_handler"),
}
ROOTS = (
    "transaction_commitment",
    "event_commitment",
    "receipt_commitment",
    "state_diff_commitment",
)
ENTRY_POINTS = {"EXTERNAL": "externals", "L1_HANDLER": "l1_handlers", "CONSTRUCTOR": "constructors"}

Json = Mapping[str, Any]


class GatewayFormatError(ValueError):
    """A gateway answer that does not fit the wire messages; says in one line which field and why."""

    def __init__(self, field: str, reason: str) -> None:
        """Name the field by its path inside the answer, as `transactions[3].max_fee`."""
        line = f"gateway JSON: {field} {reason}"[:ERROR_LENGTH_MAX]
        super().__init__("".join(char if char.isprintable() else "?" for char in line))
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class WireBlock:
    """One block as the five sync protocols carry it, apart from its class definitions."""

    header: pb.SignedBlockHeader
    state_diff: list[pb.StateDiffsResponse]
    transactions: list[pb.TransactionWithReceipt]
    events: list[pb.Event]
    # Hashes of classes declared here, whose definitions belong to this block, and of those that contracts deployed
    # here have: before 0.9 a deployment declares its class.
    declared: list[int]
    deployed: list[int]


# ---- JSON to wire -------------------------------------------------------------------------------


def block_from_gateway(block: Json, state_update: Json | None, signature: Json | None) -> WireBlock:
    """Turn the answers of get_block, get_state_update and get_signature into wire messages.

    The header's roots stay empty: see `fill_commitments`. Raises GatewayFormatError.
    """
    header = _header(_checked(block, "block"))
    pairs = _transactions(block)
    events = _events(block)
    header.transactions.n_leaves = len(pairs)
    header.events.n_leaves = len(events)
    wire = WireBlock(header, [], pairs, events, [], [])
    if state_update is not None:
        wire = with_state_update(wire, state_update)
    return wire if signature is None else with_signature(wire, signature)


def with_state_update(wire: WireBlock, state_update: Json) -> WireBlock:
    """Return the block with its state diff, itself unchanged. Raises GatewayFormatError, also for another block's."""
    with _inside("state_update"):
        _same_block(_checked(state_update, "answer"), wire.header)
        diff, declared, deployed = _state_diff(_object(state_update, "state_diff"))
    header = _copy(wire.header)
    header.state_diff_commitment.state_diff_length = _length(diff)
    return replace(wire, header=header, state_diff=diff, declared=declared, deployed=deployed)


def with_signature(wire: WireBlock, signature: Json) -> WireBlock:
    """Return the block with its signature, itself unchanged. Raises GatewayFormatError, also for another block's."""
    with _inside("signature"):
        _checked(signature, "answer")
        old_form = _map(signature, "signature_input")  # until mid 2024 it signed two felts
        _same_block(old_form or signature, wire.header)
        found = _signature(signature)
    header = _copy(wire.header)
    header.signatures.append(found)
    return replace(wire, header=header)


def _copy(header: pb.SignedBlockHeader) -> pb.SignedBlockHeader:
    copy = pb.SignedBlockHeader()
    copy.CopyFrom(header)
    return copy


def fill_commitments(wire: WireBlock, version: str) -> WireBlock:
    """Return the block with its four roots recomputed, of the 0.13.2 form for every older version.

    Raises UnknownVersion, or GatewayFormatError for a felt that is too large for its place.
    """
    rules = wire_rules(rules_for(version))
    header = _copy(wire.header)
    bodies = [pair.transaction for pair in wire.transactions]
    receipts = [pair.receipt for pair in wire.transactions]
    try:
        hashes = [felt.value(body.transaction_hash) for body in bodies]
        transaction_root = commitments.transaction_commitment(rules, hashes, bodies)
        event_root = commitments.event_commitment(rules, wire.events)
        receipt_root = commitments.receipt_commitment(hashes, receipts)
        diff = commitments.read_state_diff(wire.state_diff)
    except (FeltError, FieldMissing, commitments.StateDiffError) as error:
        raise GatewayFormatError("block", f"cannot be hashed: {error}") from error
    header.transactions.root.CopyFrom(_hash(transaction_root))
    header.events.root.CopyFrom(_hash(event_root))
    header.receipts.CopyFrom(_hash(receipt_root))
    header.state_diff_commitment.root.CopyFrom(_hash(commitments.state_diff_commitment(diff)))
    return replace(wire, header=header)


def with_stated_roots(wire: WireBlock, block: Json) -> WireBlock:
    """Return the block with the roots that the answer of get_block states, and recomputed ones where it states none.

    Old blocks get recomputed ones only: what the gateway states of them is of another form, and at times wrong.
    Raises as `fill_commitments` does.
    """
    version = wire.header.protocol_version
    if not is_fully_bound(version):
        return fill_commitments(wire, version)
    stated = {name: _felt(block, name) for name in ROOTS if block.get(name) is not None}
    if len(stated) < len(ROOTS):
        wire = fill_commitments(wire, version)
    header = wire.header
    roots = (
        header.transactions.root,
        header.events.root,
        header.receipts,
        header.state_diff_commitment.root,
    )
    for name, root in zip(ROOTS, roots, strict=True):
        if name in stated:
            root.CopyFrom(_hash(stated[name]))
    if block.get("state_diff_length") is not None:
        header.state_diff_commitment.state_diff_length = _number(block, "state_diff_length", U64)
    return wire


def signed_commitment(signature: Json) -> int | None:
    """Return the state diff commitment that an old answer of get_signature is made over; None for a new answer."""
    old_form = _map(signature, "signature_input")
    with _inside("signature_input"):
        return _felt(old_form, "state_diff_commitment") if old_form else None


def class_from_gateway(definition: Json, class_hash: int) -> pb.Class:
    """Turn an answer of get_class_by_hash into the wire message; the hash is stated, not checked."""
    result = pb.Class(class_hash=pb.Hash(elements=to_wire(class_hash)))
    if _checked(definition, "class").get("sierra_program") is not None:
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
        sequencer_address=pb.Address(elements=to_wire(_felt(block, "sequencer_address", 0))),
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


def _data_availability_mode(block: Json) -> pb.L1DataAvailabilityMode:
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
    nonces = _nonces(diff)
    values = _storage(diff)
    declared = _pairs(diff, "declared_classes", "class_hash", "compiled_class_hash")
    migrated = _pairs(diff, "migrated_compiled_classes", "class_hash", "compiled_class_hash")
    cairo0 = _felts(diff, "old_declared_contracts", required=False)
    messages: list[pb.StateDiffsResponse] = []
    for address in sorted(classes_of.keys() | nonces.keys() | values.keys()):
        contract = pb.ContractDiff(address=pb.Address(elements=to_wire(address)))
        if address in nonces:
            contract.nonce.CopyFrom(_wire(nonces[address]))
        if address in classes_of:
            contract.class_hash.CopyFrom(_hash(classes_of[address]))
        messages.extend(_split(contract, sorted(values.get(address, {}).items())))
    for class_hash in sorted(set(cairo0)):
        messages.append(_declaration(class_hash, None))
    for class_hash, compiled in sorted((dict(declared) | dict(migrated)).items()):
        messages.append(_declaration(class_hash, compiled))
    wanted = [*cairo0, *(class_hash for class_hash, _ in declared)]
    return messages, sorted(set(wanted)), sorted(set(dict(deployed).values()))


def _nonces(diff: Json) -> dict[int, int]:
    nonces = _map(diff, "nonces")
    with _inside("nonces"):
        return {_integer(address, "address", P): _felt(nonces, address) for address in nonces}


def _storage(diff: Json) -> dict[int, dict[int, int]]:
    storage = {}
    for address, entries in _map(diff, "storage_diffs").items():
        with _inside("storage_diffs"):
            key = _integer(address, "address", P)
            values = dict(_pairs({address: entries}, address, "key", "value"))
        if values:
            storage[key] = values
    return storage


def _split(
    contract: pb.ContractDiff, values: Sequence[tuple[int, int]]
) -> Iterator[pb.StateDiffsResponse]:
    """Messages of one contract, none with more than VALUES_MAX values; class and nonce in the first."""
    # SYNC-SPEC: a message must be less than 1 MB; a stored value takes up to 74 bytes of it.
    for start in range(0, max(len(values), 1), VALUES_MAX):
        if start:
            contract = pb.ContractDiff(address=contract.address)
        for key, value in values[start : start + VALUES_MAX]:
            contract.values.append(pb.ContractStoredValue(key=_wire(key), value=_wire(value)))
        yield pb.StateDiffsResponse(contract_diff=contract)


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
        length += (
            len(contract.values) + contract.HasField("nonce") + contract.HasField("class_hash")
        )
    return length


# ---- transactions, receipts, events ---------------------------------------------------------------


def _transactions(block: Json) -> list[pb.TransactionWithReceipt]:
    listed = _list(block, "transactions")
    receipts = _list(block, "transaction_receipts")
    if len(listed) != len(receipts):
        reason = f"has {len(receipts)} items for {len(listed)} transactions"
        raise GatewayFormatError("transaction_receipts", reason)
    pairs = []
    for index, (transaction, receipt) in enumerate(zip(listed, receipts, strict=True)):
        with _inside(f"transactions[{index}]"):
            message = _transaction(_checked(transaction))
        with _inside(f"transaction_receipts[{index}]"):
            if _felt(_checked(receipt), "transaction_hash") != _int(message.transaction_hash):
                raise GatewayFormatError("transaction_hash", "is of another transaction")
            pairs.append(
                pb.TransactionWithReceipt(
                    transaction=message, receipt=_receipt(receipt, transaction, message)
                )
            )
    return pairs


def _transaction(tx: Json) -> pb.TransactionInBlock:
    kind = _text(tx, "type")
    version = _number(tx, "version", U128, 0)
    # the oldest answers call an L1 handler an invoke with another type of entry point
    if kind == "INVOKE_FUNCTION" and tx.get("entry_point_type") == "L1_HANDLER":
        kind = "L1_HANDLER"
    field = TRANSACTIONS.get((kind, version))
    if field is None:
        raise GatewayFormatError("type", f"{kind[:40]} has no version {version}")
    message = pb.TransactionInBlock(transaction_hash=_hash(_felt(tx, "transaction_hash")))
    body = getattr(message, field)
    body.SetInParent()
    _fill_transaction(body, tx, field)
    return message


def _fill_transaction(body: Message, tx: Json, kind: str) -> None:
    """Set every field of one transaction message from the JSON key that stands for it."""
    for field in body.DESCRIPTOR.fields:
        name = _json_name(field.name, kind, tx)
        if field.name == "common":
            _fill_transaction(getattr(body, field.name), tx, kind)
        elif field.name == "signature":
            getattr(body, field.name).CopyFrom(pb.AccountSignature(parts=_wires(tx, name)))
        elif field.name == "resource_bounds":
            getattr(body, field.name).CopyFrom(_resource_bounds(tx))
        elif field.name in ("tip", "version"):
            setattr(body, field.name, _number(tx, name, U32 if name == "version" else U64, 0))
        elif field.enum_type is not None:
            setattr(body, field.name, _domain(tx, name))
        elif field.is_repeated:
            required = field.name != "proof_facts"  # newer than the transactions without them
            getattr(body, field.name).extend(map(_wire, _felts(tx, name, required=required)))
        else:
            may_lack = (field.name, kind) in OPTIONAL
            part = getattr(body, field.name)
            part.SetInParent()
            part.elements = to_wire(_felt(tx, name, 0 if may_lack else None))


def _json_name(field: str, kind: str, tx: Json) -> str:
    """The JSON key of a transaction's wire field; accounts and contracts have had two names."""
    if field in ("sender", "address"):
        return "contract_address" if tx.get("sender_address") is None else "sender_address"
    if field == "address_salt":
        return "contract_address_salt"
    if field == "calldata" and kind.startswith("deploy"):
        return "constructor_calldata"
    return field


def _resource_bounds(tx: Json) -> pb.ResourceBounds:
    bounds = _object(tx, "resource_bounds")
    with _inside("resource_bounds"):
        result = pb.ResourceBounds(
            l1_gas=_resource_limits(bounds, "L1_GAS"), l2_gas=_resource_limits(bounds, "L2_GAS")
        )
        for name in ("L1_DATA_GAS", "L1_DATA"):
            if bounds.get(name) is not None:
                result.l1_data_gas.CopyFrom(_resource_limits(bounds, name))
    return result


def _resource_limits(bounds: Json, name: str) -> pb.ResourceLimits:
    limits = _object(bounds, name)
    with _inside(name):
        return pb.ResourceLimits(
            max_amount=_wire(_number(limits, "max_amount", U64)),
            max_price_per_unit=_wire(_number(limits, "max_price_per_unit", U128)),
        )


def _domain(tx: Json, field: str) -> pb.VolitionDomain:
    value = tx.get(field, 0)
    if value in (0, "L1", "0x0"):
        return pb.L1
    if value in (1, "L2", "0x1"):
        return pb.L2
    raise GatewayFormatError(field, "is neither 0 nor 1")


def _receipt(receipt: Json, tx: Json, message: pb.TransactionInBlock) -> pb.Receipt:
    kind = message.WhichOneof("txn") or ""
    common = _receipt_common(receipt, fri=kind.endswith("_v3"))
    if kind == "l1_handler":
        handled = pb.Receipt.L1Handler(common=common)
        handled.msg_hash.elements = message_hash(message.l1_handler)
        return pb.Receipt(l1_handler=handled)
    if kind == "deploy":
        deployed = pb.Receipt.Deploy(common=common, contract_address=_deployed_address(tx))
        return pb.Receipt(deprecated_deploy=deployed)
    if kind.startswith("deploy_account"):
        account = pb.Receipt.DeployAccount(common=common, contract_address=_deployed_address(tx))
        return pb.Receipt(deploy_account=account)
    if kind.startswith("declare"):
        return pb.Receipt(declare=pb.Receipt.Declare(common=common))
    return pb.Receipt(invoke=pb.Receipt.Invoke(common=common))


def _deployed_address(tx: Json) -> pb.Felt252:
    return _wire(_felt(tx, _json_name("address", "deploy", tx)))


def _receipt_common(receipt: Json, *, fri: bool) -> pb.Receipt.Common:
    common = pb.Receipt.Common(
        actual_fee=_wire(_felt(receipt, "actual_fee", 0)),
        price_unit=pb.Fri if fri else pb.Wei,
        execution_resources=_resources(receipt),
    )
    for index, message in enumerate(_list(receipt, "l2_to_l1_messages", required=False)):
        with _inside(f"l2_to_l1_messages[{index}]"):
            common.messages_sent.append(_message_to_l1(_checked(message)))
    status = _text(receipt, "execution_status", "")
    if status not in ("", "SUCCEEDED", "REVERTED"):
        raise GatewayFormatError("execution_status", "is neither SUCCEEDED nor REVERTED")
    if status == "REVERTED" or (not status and receipt.get("revert_error") is not None):
        common.revert_reason = _text(receipt, "revert_error", "")
    return common


def _message_to_l1(message: Json) -> pb.MessageToL1:
    to = _felt(message, "to_address")
    size = ETHEREUM_ADDRESS_BYTES if to < 1 << 8 * ETHEREUM_ADDRESS_BYTES else 32
    return pb.MessageToL1(
        from_address=_wire(_felt(message, "from_address")),
        payload=_wires(message, "payload"),
        to_address=pb.EthereumAddress(elements=to.to_bytes(size, "big")),
    )


def _resources(receipt: Json) -> pb.Receipt.ExecutionResources:
    """The counters of a receipt; the oldest answers have none, and then all are 0.

    The wire's only L1 data gas field takes the total, which is hashed, not the part for data
    availability; without totals both gas felts stay absent, as receipts then count 0.
    """
    result = pb.Receipt.ExecutionResources(builtins=pb.Receipt.ExecutionResources.BuiltinCounter())
    if receipt.get("execution_resources") is None:
        return result
    resources = _object(receipt, "execution_resources")
    with _inside("execution_resources"):
        result.steps = _number(resources, "n_steps", U32, 0)
        result.memory_holes = _number(resources, "n_memory_holes", U32, 0)
        counters = _map(resources, "builtin_instance_counter")
        for name, field in BUILTINS.items():
            with _inside("builtin_instance_counter"):
                setattr(result.builtins, field, _number(counters, name, U32, 0))
        available = _map(resources, "data_availability")
        if available:
            result.l1_gas.CopyFrom(_wire(_number(available, "l1_gas", U128)))
        total = _map(resources, "total_gas_consumed")
        if total:
            result.total_l1_gas.CopyFrom(_wire(_number(total, "l1_gas", U128)))
            result.l1_data_gas.CopyFrom(_wire(_number(total, "l1_data_gas", U128)))
            if total.get("l2_gas") is not None:
                result.l2_gas.CopyFrom(_wire(_number(total, "l2_gas", U128)))
    return result


def _events(block: Json) -> list[pb.Event]:
    events = []
    for index, receipt in enumerate(_list(block, "transaction_receipts")):
        transaction_hash = _hash(_felt(receipt, "transaction_hash"))
        for number, event in enumerate(_list(receipt, "events", required=False)):
            with _inside(f"transaction_receipts[{index}].events[{number}]"):
                events.append(
                    pb.Event(
                        transaction_hash=transaction_hash,
                        from_address=_wire(_felt(_checked(event), "from_address")),
                        keys=_wires(event, "keys"),
                        data=_wires(event, "data"),
                    )
                )
    return events


# ---- classes --------------------------------------------------------------------------------------


def _fill_sierra(sierra: pb.Cairo1Class, definition: Json) -> None:
    sierra.abi = _text(definition, "abi")
    sierra.contract_class_version = _text(definition, "contract_class_version")
    sierra.program.extend(_wires(definition, "sierra_program"))
    sierra.entry_points.SetInParent()
    for kind, selector, index in _entry_points(definition, "function_idx"):
        point = pb.SierraEntryPoint(selector=_wire(selector), index=index)
        getattr(sierra.entry_points, kind).append(point)


def _fill_cairo0(cairo0: pb.Cairo0Class, definition: Json) -> None:
    cairo0.abi = json.dumps(definition.get("abi", []), separators=(",", ":"))
    try:
        cairo0.program = classes.pack_program(_object(definition, "program"))
    except classes.MalformedClass as error:
        raise GatewayFormatError("program", str(error)) from error
    for kind, selector, offset in _entry_points(definition, "offset"):
        point = pb.EntryPoint(selector=_wire(selector), offset=offset)
        getattr(cairo0, kind).append(point)


def _entry_points(definition: Json, number: str) -> Iterator[tuple[str, int, int]]:
    """Wire field, selector and position of each entry point, in the order of the file."""
    by_type = _object(definition, "entry_points_by_type")
    for kind, field in ENTRY_POINTS.items():
        for index, point in enumerate(_list(by_type, kind, required=False)):
            with _inside(f"entry_points_by_type.{kind}[{index}]"):
                yield field, _felt(_checked(point), "selector"), _number(point, number, U64)


# ---- wire to JSON ---------------------------------------------------------------------------------


def block_to_gateway(wire: WireBlock, transaction_hashes: Sequence[int]) -> dict[str, Any]:
    """Write a verified block as an answer of get_block; the hashes are its transactions'."""
    header = wire.header
    result: dict[str, Any] = {
        "block_hash": _hex(header.block_hash),
        "parent_block_hash": _hex(header.parent_hash),
        "block_number": header.number,
        "state_root": _hex(header.state_root),
        "status": "ACCEPTED_ON_L2",
        "l1_da_mode": "BLOB" if header.l1_data_availability_mode == pb.Blob else "CALLDATA",
        "timestamp": header.time,
        **_roots_out(header),
        **_prices_out(header),
    }
    if _int(header.sequencer_address):
        result["sequencer_address"] = _hex(header.sequencer_address)
    if header.protocol_version:
        result["starknet_version"] = header.protocol_version
    events: dict[int, list[dict[str, Any]]] = {}
    for event in wire.events:
        events.setdefault(_int(event.transaction_hash), []).append(
            {
                "from_address": _hex(event.from_address),
                "keys": _hexes(event.keys),
                "data": _hexes(event.data),
            }
        )
    pairs = list(zip(wire.transactions, transaction_hashes, strict=True))
    result["transactions"] = [_transaction_out(pair, tx_hash) for pair, tx_hash in pairs]
    result["transaction_receipts"] = [
        {
            "transaction_index": index,
            "transaction_hash": hex(tx_hash),
            **_receipt_out(pair),
            "events": events.get(tx_hash, []),
        }
        for index, (pair, tx_hash) in enumerate(pairs)
    ]
    return result


def state_update_to_gateway(
    wire: WireBlock,
    old_root: int,
    *,
    replaced: Collection[int] = (),
    migrated: Collection[int] = (),
) -> dict[str, Any]:
    """Write a verified block's state diff as an answer of get_state_update.

    The wire does not tell replaced from deployed contracts nor migrated from declared classes:
    `replaced` are the addresses that existed before, `migrated` the class hashes that did.
    """
    diff: dict[str, Any] = {
        "storage_diffs": {},
        "nonces": {},
        "deployed_contracts": [],
        "old_declared_contracts": [],
        "declared_classes": [],
        "replaced_classes": [],
    }
    if migrated:
        diff["migrated_compiled_classes"] = []
    for message in wire.state_diff:
        if message.HasField("contract_diff"):
            _contract_out(message.contract_diff, replaced, diff)
        elif message.HasField("declared_class"):
            _declaration_out(message.declared_class, migrated, diff)
    return {
        "block_hash": _hex(wire.header.block_hash),
        "new_root": _hex(wire.header.state_root),
        "old_root": hex(old_root),
        "state_diff": diff,
    }


def signature_to_gateway(wire: WireBlock) -> dict[str, Any]:
    """Write the header's first signature as an answer of get_signature, in today's form."""
    if not wire.header.signatures:
        raise ValueError("the header carries no signature")
    first = wire.header.signatures[0]
    return {
        "block_hash": _hex(wire.header.block_hash),
        "signature": [_hex(first.r), _hex(first.s)],
    }


def class_to_gateway(definition: pb.Class) -> dict[str, Any]:
    """Write a class as an answer of get_class_by_hash; raises classes.MalformedClass."""
    if definition.HasField("cairo1"):
        sierra = definition.cairo1
        return {
            "abi": sierra.abi,
            "contract_class_version": sierra.contract_class_version,
            "entry_points_by_type": _entry_points_out(sierra.entry_points, "function_idx", "index"),
            "sierra_program": _hexes(sierra.program),
        }
    cairo0 = definition.cairo0
    return {
        "abi": classes.parse_abi(cairo0.abi),
        "entry_points_by_type": _entry_points_out(cairo0, "offset", "offset"),
        "program": classes.unpack_program(cairo0.program),
    }


def _roots_out(header: pb.SignedBlockHeader) -> dict[str, Any]:
    roots: dict[str, Any] = {}
    if header.transactions.HasField("root"):
        roots["transaction_commitment"] = _hex(header.transactions.root)
    if header.events.HasField("root"):
        roots["event_commitment"] = _hex(header.events.root)
    if header.HasField("receipts"):
        roots["receipt_commitment"] = _hex(header.receipts)
    if header.state_diff_commitment.HasField("root"):
        roots["state_diff_commitment"] = _hex(header.state_diff_commitment.root)
        roots["state_diff_length"] = header.state_diff_commitment.state_diff_length
    return roots


def _prices_out(header: pb.SignedBlockHeader) -> dict[str, dict[str, str]]:
    prices: dict[str, dict[str, str]] = {}
    for field, (holder, key) in PRICE_FIELDS.items():
        if header.HasField(field):
            price = getattr(header, field)
            prices.setdefault(holder, {})[key] = hex(price.low + price.high * U64)
    return prices


def _contract_out(
    contract: pb.ContractDiff, replaced: Collection[int], diff: dict[str, Any]
) -> None:
    address = _hex(contract.address)
    if contract.values:
        diff["storage_diffs"].setdefault(address, []).extend(
            {"key": _hex(item.key), "value": _hex(item.value)} for item in contract.values
        )
    if contract.HasField("nonce"):
        diff["nonces"][address] = _hex(contract.nonce)
    if contract.HasField("class_hash"):
        known = _int(contract.address) in replaced
        diff["replaced_classes" if known else "deployed_contracts"].append(
            {"address": address, "class_hash": _hex(contract.class_hash)}
        )


def _declaration_out(
    declaration: pb.DeclaredClass, migrated: Collection[int], diff: dict[str, Any]
) -> None:
    class_hash = _hex(declaration.class_hash)
    if not declaration.HasField("compiled_class_hash"):
        diff["old_declared_contracts"].append(class_hash)
        return
    known = _int(declaration.class_hash) in migrated
    diff["migrated_compiled_classes" if known else "declared_classes"].append(
        {"class_hash": class_hash, "compiled_class_hash": _hex(declaration.compiled_class_hash)}
    )


def _transaction_out(pair: pb.TransactionWithReceipt, tx_hash: int) -> dict[str, Any]:
    field = pair.transaction.WhichOneof("txn")
    assert field is not None, "verified transactions have a type"
    kind, version = next(key for key, value in TRANSACTIONS.items() if value == field)
    result: dict[str, Any] = {"transaction_hash": hex(tx_hash), "version": hex(version)}
    _write_transaction(getattr(pair.transaction, field), field, result)
    address = deployed_address(pair.transaction)  # a receipt states it too, but no hash binds that
    if address is not None:
        result["contract_address" if field == "deploy" else "sender_address"] = hex(address)
    return {**result, "type": kind}


def _write_transaction(body: Message, kind: str, result: dict[str, Any]) -> None:
    """Write every field of one transaction message under the JSON key that stands for it."""
    today = {} if kind in ("invoke_v0", "l1_handler", "deploy") else {"sender_address": ""}
    for field in body.DESCRIPTOR.fields:
        name = _json_name(field.name, kind, today)
        value = getattr(body, field.name)
        if field.name == "common":
            _write_transaction(value, kind, result)
        elif field.name == "signature":
            result[name] = _hexes(value.parts)
        elif field.name == "resource_bounds":
            result[name] = _resource_bounds_out(value)
        elif field.enum_type is not None:
            result[name] = int(value)
        elif field.is_repeated:
            if value or field.name != "proof_facts":
                result[name] = _hexes(value)
        else:
            result[name] = hex(value) if field.name in ("tip", "version") else _hex(value)


def _resource_bounds_out(bounds: pb.ResourceBounds) -> dict[str, Any]:
    limits = {"L1_GAS": bounds.l1_gas, "L2_GAS": bounds.l2_gas}
    if bounds.HasField("l1_data_gas"):
        limits["L1_DATA_GAS"] = bounds.l1_data_gas
    return {
        name: {
            "max_amount": _hex(limit.max_amount),
            "max_price_per_unit": _hex(limit.max_price_per_unit),
        }
        for name, limit in limits.items()
    }


def _receipt_out(pair: pb.TransactionWithReceipt) -> dict[str, Any]:
    kind = pair.receipt.WhichOneof("type")
    assert kind is not None, "verified receipts have a type"
    common = getattr(pair.receipt, kind).common
    result: dict[str, Any] = {
        "actual_fee": _hex(common.actual_fee),
        "execution_status": "SUCCEEDED",
        "execution_resources": _resources_out(common.execution_resources),
        "l2_to_l1_messages": [
            {
                "from_address": _hex(message.from_address),
                "to_address": "0x" + message.to_address.elements.hex(),
                "payload": _hexes(message.payload),
            }
            for message in common.messages_sent
        ],
    }
    if common.HasField("revert_reason"):
        result |= {"execution_status": "REVERTED", "revert_error": common.revert_reason}
    if kind == "l1_handler":
        result["l1_to_l2_consumed_message"] = _consumed_message(pair.transaction.l1_handler)
    return result


def _consumed_message(handler: pb.L1HandlerV0) -> dict[str, Any]:
    sender = _int(handler.calldata[0]) if handler.calldata else 0
    return {
        "from_address": f"0x{sender:0{2 * ETHEREUM_ADDRESS_BYTES}x}",
        "to_address": _hex(handler.address),
        "selector": _hex(handler.entry_point_selector),
        "payload": _hexes(handler.calldata[1:]),
        "nonce": _hex(handler.nonce),
    }


def _resources_out(resources: pb.Receipt.ExecutionResources) -> dict[str, Any]:
    counters = {name: getattr(resources.builtins, field) for name, field in BUILTINS.items()}
    result: dict[str, Any] = {
        "n_steps": resources.steps,
        "n_memory_holes": resources.memory_holes,
        "builtin_instance_counter": {name: count for name, count in counters.items() if count},
    }
    data_gas = _int(resources.l1_data_gas)
    if resources.HasField("l1_gas"):
        result["data_availability"] = {"l1_gas": _int(resources.l1_gas), "l1_data_gas": data_gas}
    if resources.HasField("total_l1_gas"):
        total = {"l1_gas": _int(resources.total_l1_gas), "l1_data_gas": data_gas}
        if resources.HasField("l2_gas"):
            total["l2_gas"] = _int(resources.l2_gas)
        result["total_gas_consumed"] = total
    return result


def _entry_points_out(holder: Message, json_name: str, wire_name: str) -> dict[str, Any]:
    return {
        kind: [
            {"selector": _hex(point.selector), json_name: getattr(point, wire_name)}
            for point in getattr(holder, field)
        ]
        for kind, field in ENTRY_POINTS.items()
    }


# ---- reading JSON values, each with its field's name in the error --------------------------------


@contextmanager
def _inside(path: str) -> Iterator[None]:
    """Put the path of the surrounding object before the field an error names."""
    try:
        yield
    except GatewayFormatError as error:
        raise GatewayFormatError(f"{path}.{error.field}", error.reason) from None


def _checked(value: Any, field: str = "item") -> dict[str, Any]:
    if not isinstance(value, dict):
        raise GatewayFormatError(field, "is not an object")
    return value


def _object(holder: Json, field: str) -> dict[str, Any]:
    return _checked(_required(holder, field), field)


def _map(holder: Json, field: str) -> dict[str, Any]:
    """An object that may be absent, and is then empty."""
    value = holder.get(field)
    return {} if value is None else _checked(value, field)


def _list(holder: Json, field: str, *, required: bool = True) -> list[Any]:
    value = _required(holder, field) if required else holder.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        raise GatewayFormatError(field, "is not a list")
    return value


def _text(holder: Json, field: str, default: str | None = None) -> str:
    value = holder.get(field)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise GatewayFormatError(field, "is missing" if value is None else "is not a string")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise GatewayFormatError(field, "is not Unicode text")
    return value


def _felt(holder: Json, field: str, default: int | None = None) -> int:
    return _integer(_required(holder, field, default), field, P)


def _felts(holder: Json, field: str, *, required: bool = True) -> list[int]:
    items = _list(holder, field, required=required)
    return [_integer(item, f"{field}[{index}]", P) for index, item in enumerate(items)]


def _number(holder: Json, field: str, bound: int, default: int | None = None) -> int:
    return _integer(_required(holder, field, default), field, bound)


def _pairs(holder: Json, field: str, first: str, second: str) -> list[tuple[int, int]]:
    """Two felts of each object in a list, in its order; no list counts as an empty one."""
    pairs = []
    for index, item in enumerate(_list(holder, field, required=False)):
        with _inside(f"{field}[{index}]"):
            pairs.append((_felt(_checked(item), first), _felt(item, second)))
    return pairs


def _required(holder: Json, field: str, default: int | None = None) -> Any:
    value = holder.get(field)
    if value is None:
        value = default
    if value is None:
        raise GatewayFormatError(field, "is missing")
    return value


def _integer(value: object, field: str, bound: int) -> int:
    """A number written as hex with or without 0x, or as a JSON integer; below `bound`."""
    if isinstance(value, str):
        found = HEX.fullmatch(value)
        if found is None:
            raise GatewayFormatError(field, "is not a hex number")
        value = int(found[1], 16)
    elif not isinstance(value, int) or isinstance(value, bool):
        raise GatewayFormatError(field, "is not a number")
    if not 0 <= value < bound:
        raise GatewayFormatError(field, "is out of range")
    return value


# ---- felts on the wire ---------------------------------------------------------------------------


def _wire(felt: int) -> pb.Felt252:
    return pb.Felt252(elements=to_wire(felt))


def _wires(holder: Json, field: str) -> list[pb.Felt252]:
    return [_wire(felt) for felt in _felts(holder, field)]


def _hash(felt: int) -> pb.Hash:
    return pb.Hash(elements=to_wire(felt))


def _int(message: HasElements) -> int:
    return int.from_bytes(message.elements, "big")


def _hex(message: HasElements) -> str:
    return hex(_int(message))


def _hexes(messages: Iterable[HasElements]) -> list[str]:
    return [_hex(message) for message in messages]
