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
    messages: list[pb.StateDiffsResponse] = []
    for address in sorted(classes_of.keys() | nonces.keys() | values.keys()):
        contract = pb.ContractDiff(address=pb.Address(elements=_minimal(address)))
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
        length += len(contract.values) + contract.HasField("nonce") + contract.HasField("class_hash")
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
    # the first blocks call an L1 handler an invoke with another type of entry point
    if kind == "INVOKE_FUNCTION" and tx.get("entry_point_type") == "L1_HANDLER":
        kind = "L1_HANDLER"
    readers = {
        ("INVOKE_FUNCTION", 0): _invoke_v0,
        ("INVOKE_FUNCTION", 1): _invoke_v1,
        ("INVOKE_FUNCTION", 3): _invoke_v3,
        ("DECLARE", 0): _declare_v0,
        ("DECLARE", 1): _declare_v1,
        ("DECLARE", 2): _declare_v2,
        ("DECLARE", 3): _declare_v3,
        ("DEPLOY", 0): _deploy,
        ("DEPLOY", 1): _deploy,
        ("DEPLOY_ACCOUNT", 1): _deploy_account_v1,
        ("DEPLOY_ACCOUNT", 3): _deploy_account_v3,
        ("L1_HANDLER", 0): _l1_handler,
    }
    read = readers.get((kind, version))
    if read is None:
        raise GatewayFormatError("type", f"{kind} has no version {version}")
    message = read(tx)
    message.transaction_hash.CopyFrom(_hash(_felt(tx, "transaction_hash")))
    return message


def _invoke_v0(tx: Json) -> Legacy:
    return Legacy(
        invoke_v0=Legacy.InvokeV0(
            max_fee=_wire(_felt(tx, "max_fee", 0)),
            signature=_account_signature(tx),
            address=_address(tx),
            entry_point_selector=_wire(_felt(tx, "entry_point_selector")),
            calldata=_wires(tx, "calldata"),
        )
    )


def _invoke_v1(tx: Json) -> Legacy:
    return Legacy(
        invoke_v1=Legacy.InvokeV1(
            sender=_address(tx),
            max_fee=_wire(_felt(tx, "max_fee")),
            signature=_account_signature(tx),
            calldata=_wires(tx, "calldata"),
            nonce=_wire(_felt(tx, "nonce")),
        )
    )


def _invoke_v3(tx: Json) -> Legacy:
    if tx.get("proof_facts"):
        raise GatewayFormatError("proof_facts", "have no field in the sync protocol yet")
    return Legacy(
        invoke_v3=pb.InvokeV3(
            sender=_address(tx),
            signature=_account_signature(tx),
            calldata=_wires(tx, "calldata"),
            resource_bounds=_resource_bounds(tx),
            tip=_number(tx, "tip", U64, 0),
            paymaster_data=_wires(tx, "paymaster_data"),
            account_deployment_data=_wires(tx, "account_deployment_data"),
            nonce_data_availability_mode=_domain(tx, "nonce_data_availability_mode"),
            fee_data_availability_mode=_domain(tx, "fee_data_availability_mode"),
            nonce=_wire(_felt(tx, "nonce")),
        )
    )


def _declare_v0(tx: Json) -> Legacy:
    return Legacy(
        declare_v0=Legacy.DeclareV0WithoutClass(
            sender=_address(tx),
            max_fee=_wire(_felt(tx, "max_fee", 0)),
            signature=_account_signature(tx),
            class_hash=_hash(_felt(tx, "class_hash")),
        )
    )


def _declare_v1(tx: Json) -> Legacy:
    return Legacy(
        declare_v1=Legacy.DeclareV1WithoutClass(
            sender=_address(tx),
            max_fee=_wire(_felt(tx, "max_fee")),
            signature=_account_signature(tx),
            class_hash=_hash(_felt(tx, "class_hash")),
            nonce=_wire(_felt(tx, "nonce")),
        )
    )


def _declare_v2(tx: Json) -> Legacy:
    return Legacy(
        declare_v2=Legacy.DeclareV2WithoutClass(
            sender=_address(tx),
            max_fee=_wire(_felt(tx, "max_fee")),
            signature=_account_signature(tx),
            class_hash=_hash(_felt(tx, "class_hash")),
            nonce=_wire(_felt(tx, "nonce")),
            compiled_class_hash=_hash(_felt(tx, "compiled_class_hash")),
        )
    )


def _declare_v3(tx: Json) -> Legacy:
    common = pb.DeclareV3Common(
        sender=_address(tx),
        signature=_account_signature(tx),
        nonce=_wire(_felt(tx, "nonce")),
        compiled_class_hash=_hash(_felt(tx, "compiled_class_hash")),
        resource_bounds=_resource_bounds(tx),
        tip=_number(tx, "tip", U64, 0),
        paymaster_data=_wires(tx, "paymaster_data"),
        account_deployment_data=_wires(tx, "account_deployment_data"),
        nonce_data_availability_mode=_domain(tx, "nonce_data_availability_mode"),
        fee_data_availability_mode=_domain(tx, "fee_data_availability_mode"),
    )
    return Legacy(
        declare_v3=Legacy.DeclareV3WithoutClass(
            common=common, class_hash=_hash(_felt(tx, "class_hash"))
        )
    )


def _deploy(tx: Json) -> Legacy:
    return Legacy(
        deploy=Legacy.Deploy(
            class_hash=_hash(_felt(tx, "class_hash")),
            address_salt=_wire(_felt(tx, "contract_address_salt")),
            calldata=_wires(tx, "constructor_calldata"),
            version=_number(tx, "version", U32, 0),
        )
    )


def _deploy_account_v1(tx: Json) -> Legacy:
    return Legacy(
        deploy_account_v1=Legacy.DeployAccountV1(
            max_fee=_wire(_felt(tx, "max_fee")),
            signature=_account_signature(tx),
            class_hash=_hash(_felt(tx, "class_hash")),
            nonce=_wire(_felt(tx, "nonce")),
            address_salt=_wire(_felt(tx, "contract_address_salt")),
            calldata=_wires(tx, "constructor_calldata"),
        )
    )


def _deploy_account_v3(tx: Json) -> Legacy:
    return Legacy(
        deploy_account_v3=pb.DeployAccountV3(
            signature=_account_signature(tx),
            class_hash=_hash(_felt(tx, "class_hash")),
            nonce=_wire(_felt(tx, "nonce")),
            address_salt=_wire(_felt(tx, "contract_address_salt")),
            calldata=_wires(tx, "constructor_calldata"),
            resource_bounds=_resource_bounds(tx),
            tip=_number(tx, "tip", U64, 0),
            paymaster_data=_wires(tx, "paymaster_data"),
            nonce_data_availability_mode=_domain(tx, "nonce_data_availability_mode"),
            fee_data_availability_mode=_domain(tx, "fee_data_availability_mode"),
        )
    )


def _l1_handler(tx: Json) -> Legacy:
    return Legacy(
        l1_handler=pb.L1HandlerV0(
            nonce=_wire(_felt(tx, "nonce", 0)),  # none before 0.7; the field is required
            address=_address(tx),
            entry_point_selector=_wire(_felt(tx, "entry_point_selector")),
            calldata=_wires(tx, "calldata"),
        )
    )


def _account_signature(tx: Json) -> pb.AccountSignature:
    return pb.AccountSignature(parts=_wires(tx, "signature"))


def _address(tx: Json) -> pb.Address:
    """The account or contract: `sender_address` today, `contract_address` in older answers."""
    field = "contract_address" if tx.get("sender_address") is None else "sender_address"
    return pb.Address(elements=_minimal(_felt(tx, field)))


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


def _domain(tx: Json, field: str) -> pb.VolitionDomain.ValueType:
    value = tx.get(field, 0)
    if value in (0, "L1", "0x0"):
        return pb.L1
    if value in (1, "L2", "0x1"):
        return pb.L2
    raise GatewayFormatError(field, "is neither 0 nor 1")


def _receipt(receipt: Json, tx: Json, message: Legacy) -> pb.Receipt:
    kind = message.WhichOneof("txn") or ""
    common = _receipt_common(receipt, fri=kind.endswith("_v3"))
    if kind == "l1_handler":
        handled = pb.Receipt.L1Handler(common=common)
        handled.msg_hash.elements = _message_hash(message.l1_handler)
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
    return pb.Felt252(elements=_address(tx).elements)


def _message_hash(handler: pb.L1HandlerV0) -> bytes:
    """The hash the L1 core contract knows the message by: Keccak-256 of 32-byte words, 32 bytes."""
    words = [_int(part) for part in handler.calldata[:1]] or [0]
    words += [_int(handler.address), _int(handler.nonce), _int(handler.entry_point_selector)]
    payload = [_int(part) for part in handler.calldata[1:]]
    words += [len(payload), *payload]
    return keccak(b"".join(word.to_bytes(32, "big") for word in words))


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
    cairo0.program = classes.pack_program(_object(definition, "program"))
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
    """Write a verified block as an answer of get_block; the hashes are those of its transactions."""
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
        if header.HasField(field):  # type: ignore[arg-type]  # names from the table above
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
