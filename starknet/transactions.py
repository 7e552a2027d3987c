"""Transaction hashes of every era, and what is derived from a transaction's fields (addresses, signature).

A hash is a list of felts under one of two hash functions; ``FORMS`` says for each kind of transaction which list.
Forms are recipes, so that the transactions of a block are hashed together.
All functions take wire messages and raise FeltError or FieldMissing where a field is absent or out of range.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from google.protobuf.message import Message

from starknet.felt import (
    FeltError,
    FieldMissing,
    from_bytes,
    padded,
    require,
    short_string,
    to_bytes32,
    value,
)
from starknet.hashes import Over, Recipe, in_step, keccak, pedersen_array, sn_keccak
from starknet.network import Network
from starknet.wire.rows import Row, Shape, felt_of, present
from starknet.wire.sync_pb2 import L1HandlerV0, TransactionInBlock

ADDRESS_LIMIT = 2**251 - 256
CONSTRUCTOR = sn_keccak(b"constructor")
DEPLOYING = ("deploy", "deploy_account_v1", "deploy_account_v3")

_CONSTRUCTOR = to_bytes32(CONSTRUCTOR)
_DECLARE = to_bytes32(short_string("declare"))
_DEPLOY = to_bytes32(short_string("deploy"))
_DEPLOY_ACCOUNT = to_bytes32(short_string("deploy_account"))
_INVOKE = to_bytes32(short_string("invoke"))
_L1_HANDLER = to_bytes32(short_string("l1_handler"))
_CONTRACT_ADDRESS = to_bytes32(short_string("STARKNET_CONTRACT_ADDRESS"))
_GAS_NAMES = tuple(name.rjust(8, b"\0") for name in (b"L1_GAS", b"L2_GAS", b"L1_DATA"))
_LIMITS = [
    f"resource_bounds_{gas}_{limit}"
    for gas in ("l1_gas", "l2_gas", "l1_data_gas")
    for limit in ("max_amount", "max_price_per_unit")
]
_TWO_LIMITS, _THREE_LIMITS = attrgetter(*_LIMITS[:4]), attrgetter(*_LIMITS)
_ABOVE_AMOUNT, _ABOVE_PRICE = bytes(24), bytes(16)  # what a felt has above 64 and 128 bits
_ZERO, _ONE, _TWO, _THREE = map(to_bytes32, range(4))
_MODES = {(nonce, fee): to_bytes32(nonce << 32 | fee) for nonce in (0, 1) for fee in (0, 1)}
_DEPLOY_VERSIONS = (0, 1)

SHAPES: dict[str, Shape] = {
    field.name: Shape(field.message_type)
    for field in TransactionInBlock.DESCRIPTOR.oneofs_by_name["txn"].fields
}

# The bytes are the chain id, and what becomes of it.
Form = Callable[[Row, bytes], Recipe[bytes]]


class Transaction(NamedTuple):
    """A transaction as hashes take it: ``body`` is the row of its kind, ``stated`` the hash it came with or 0."""

    kind: str
    body: Row
    stated: bytes


def read_transactions(transactions: Sequence[TransactionInBlock]) -> list[Transaction]:
    """What hashes take of transactions; raises FeltError or FieldMissing."""
    kinds = list(map(transaction_kind, transactions))
    bodies = {
        kind: iter(SHAPES[kind].rows(_of_kind(kind, kinds, transactions))) for kind in set(kinds)
    }
    ordered = [next(bodies[kind]) for kind in kinds]
    stated = [padded(transaction.transaction_hash) for transaction in transactions]
    return list(map(Transaction, kinds, ordered, stated))


def _of_kind(
    wanted: str, kinds: Sequence[str], transactions: Sequence[TransactionInBlock]
) -> list[Message]:
    pairs = zip(kinds, transactions, strict=True)
    return [getattr(transaction, kind) for kind, transaction in pairs if kind == wanted]


def transaction_hash(
    transaction: TransactionInBlock, network: Network, *, has_version: bool = True
) -> int:
    """The hash of a transaction.

    Blocks without a version string (``has_version`` False) may use forms that lack version and fee, and some
    chains hashed early transactions under another chain id: then the form that gives the stated hash is taken,
    and the modern one if none does.
    """
    return transaction_hashes([transaction], network, has_version=has_version)[0]


def transaction_hashes(
    transactions: Sequence[TransactionInBlock], network: Network, *, has_version: bool = True
) -> list[int]:
    """The hashes of many transactions, of each as ``transaction_hash`` gives it."""
    read = read_transactions(transactions)
    return list(map(from_bytes, hash_all(read, network, has_version=has_version)))


def hash_all(
    transactions: Sequence[Transaction], network: Network, *, has_version: bool
) -> list[bytes]:
    """As ``transaction_hashes``, of transactions that are read already."""
    chain = network.chain_id_bytes
    hashes = in_step(FORMS[kind](body, chain) for kind, body, _ in transactions)
    for place, transaction in enumerate(transactions):
        if transaction.stated not in (hashes[place], _ZERO):
            others = _others(transaction, network, has_version)
            hashes[place] = transaction.stated if transaction.stated in others else hashes[place]
    return hashes


def hash_by(form: Form, transaction: TransactionInBlock, network: Network) -> int:
    """The hash of a transaction by a form of one's choice."""
    (read,) = read_transactions([transaction])
    return from_bytes(in_step([form(read.body, network.chain_id_bytes)])[0])


def transaction_kind(transaction: TransactionInBlock) -> str:
    """The name of the filled member: ``invoke_v3``, ``l1_handler``, …; raises FieldMissing without one."""
    kind: str | None = transaction.WhichOneof("txn")
    if kind is None:
        raise FieldMissing("TransactionInBlock.txn is missing")
    return kind


def transaction_body(transaction: TransactionInBlock) -> Any:
    """The filled member itself; raises FieldMissing without one."""
    return getattr(transaction, transaction_kind(transaction))


def transaction_signature(transaction: Transaction) -> bytes:
    """The account's signature; empty for deploy and l1_handler, which carry none."""
    if transaction.kind in ("deploy", "l1_handler"):
        return b""
    return felt_of(transaction.body, "signature_parts")


def deployed_address(transaction: TransactionInBlock) -> int | None:
    """The address a deploy or deploy_account transaction gives to its contract; None for other kinds."""
    if transaction_kind(transaction) not in DEPLOYING:
        return None
    return from_bytes(deployed_addresses(read_transactions([transaction]))[0])


def deployed_addresses(transactions: Iterable[Transaction]) -> list[bytes]:
    """The addresses that those of the transactions give which deploy, in their order."""
    return in_step(address_recipe(body) for kind, body, _ in transactions if kind in DEPLOYING)


def declared_class(transaction: TransactionInBlock) -> int | None:
    """The class hash of a declare transaction; None for other kinds."""
    if not transaction_kind(transaction).startswith("declare"):
        return None
    return get(transaction_body(transaction), "class_hash")


def declared_classes(transactions: Iterable[Transaction]) -> set[int]:
    """The class hashes of those of the transactions which declare; raises FieldMissing."""
    declaring = (body for kind, body, _ in transactions if kind.startswith("declare"))
    return {from_bytes(felt_of(body, "class_hash")) for body in declaring}


def transaction_tip(transaction: TransactionInBlock) -> int:
    """The tip per unit of L2 gas; 0 where the kind has none."""
    kind = transaction_kind(transaction)
    if not kind.endswith("_v3"):
        return 0
    body = transaction_body(transaction)
    return int(body.common.tip if kind == "declare_v3" else body.tip)


def message_hash(handler: L1HandlerV0) -> bytes:
    """The hash by which the core contract on L1 knows an L1 handler's message: Keccak-256 of 32-byte words."""
    sender, *payload = [padded(part) for part in handler.calldata] or [_ZERO]
    head = [sender, padded(handler.address), padded(handler.nonce)]
    head += [padded(handler.entry_point_selector), to_bytes32(len(payload))]
    return to_bytes32(keccak(b"".join([*head, *payload])))


def contract_address(
    class_hash: int, salt: int, constructor_calldata: Iterable[int], deployer: int = 0
) -> int:
    """The address of a contract; ``deployer`` is 0 for deploy and deploy_account transactions."""
    calldata = pedersen_array(constructor_calldata)
    parts = [from_bytes(_CONTRACT_ADDRESS), deployer, salt, class_hash, calldata]
    return pedersen_array(parts) % ADDRESS_LIMIT


def get(message: Any, name: str) -> int:
    """The felt of a required submessage."""
    require(message, name)
    return value(getattr(message, name))


# ---- forms of the hash, one for each kind -----------------------------------------------------------------------


def _invoke_v0(tx: Row, chain: bytes) -> Recipe[bytes]:
    (data,) = yield Over.PEDERSEN, [tx.calldata]
    head = _INVOKE + _ZERO + felt_of(tx, "address") + felt_of(tx, "entry_point_selector") + data
    (whole,) = yield Over.PEDERSEN, [head + felt_of(tx, "max_fee") + chain]
    return whole


def _invoke_v1(tx: Row, chain: bytes) -> Recipe[bytes]:
    (data,) = yield Over.PEDERSEN, [tx.calldata]
    head = _INVOKE + _ONE + felt_of(tx, "sender") + _ZERO + data
    (whole,) = yield Over.PEDERSEN, [head + felt_of(tx, "max_fee") + chain + felt_of(tx, "nonce")]
    return whole


def _declare_v0(tx: Row, chain: bytes) -> Recipe[bytes]:
    (data,) = yield Over.PEDERSEN, [b""]
    head = _DECLARE + _ZERO + felt_of(tx, "sender") + _ZERO + data + felt_of(tx, "max_fee")
    (whole,) = yield Over.PEDERSEN, [head + chain + felt_of(tx, "class_hash")]
    return whole


def _declare_v1(tx: Row, chain: bytes) -> Recipe[bytes]:
    (data,) = yield Over.PEDERSEN, [felt_of(tx, "class_hash")]
    head = _DECLARE + _ONE + felt_of(tx, "sender") + _ZERO + data + felt_of(tx, "max_fee")
    (whole,) = yield Over.PEDERSEN, [head + chain + felt_of(tx, "nonce")]
    return whole


def _declare_v2(tx: Row, chain: bytes) -> Recipe[bytes]:
    (data,) = yield Over.PEDERSEN, [felt_of(tx, "class_hash")]
    head = _DECLARE + _TWO + felt_of(tx, "sender") + _ZERO + data + felt_of(tx, "max_fee")
    tail = chain + felt_of(tx, "nonce") + felt_of(tx, "compiled_class_hash")
    (whole,) = yield Over.PEDERSEN, [head + tail]
    return whole


def _deploy(tx: Row, chain: bytes) -> Recipe[bytes]:
    if tx.version not in _DEPLOY_VERSIONS:
        raise FeltError(f"deploy transaction of version {tx.version}")
    address = yield from address_recipe(tx)
    (data,) = yield Over.PEDERSEN, [tx.calldata]
    head = _DEPLOY + to_bytes32(tx.version) + address + _CONSTRUCTOR + data
    (whole,) = yield Over.PEDERSEN, [head + _ZERO + chain]
    return whole


def _deploy_account_v1(tx: Row, chain: bytes) -> Recipe[bytes]:
    address = yield from address_recipe(tx)
    given = felt_of(tx, "class_hash") + felt_of(tx, "address_salt") + tx.calldata
    (data,) = yield Over.PEDERSEN, [given]
    head = _DEPLOY_ACCOUNT + _ONE + address + _ZERO + data
    (whole,) = yield Over.PEDERSEN, [head + felt_of(tx, "max_fee") + chain + felt_of(tx, "nonce")]
    return whole


def _l1_handler(tx: Row, chain: bytes) -> Recipe[bytes]:
    (data,) = yield Over.PEDERSEN, [tx.calldata]
    head = _L1_HANDLER + _ZERO + felt_of(tx, "address") + felt_of(tx, "entry_point_selector") + data
    (whole,) = yield Over.PEDERSEN, [head + _ZERO + chain + felt_of(tx, "nonce")]
    return whole


def _invoke_v3(tx: Row, chain: bytes) -> Recipe[bytes]:
    lists = [_fee(tx), tx.paymaster_data, tx.account_deployment_data, tx.calldata]
    if tx.proof_facts:
        lists.append(tx.proof_facts)
    fee, paymaster, *tail = yield Over.POSEIDON, lists
    head = _v3_head(_INVOKE, felt_of(tx, "sender"), fee, paymaster, tx, chain)
    (whole,) = yield Over.POSEIDON, [b"".join((head, *tail))]
    return whole


def _declare_v3(tx: Row, chain: bytes) -> Recipe[bytes]:
    present(tx, "common")
    lists = [_fee(tx), tx.paymaster_data, tx.account_deployment_data]
    fee, paymaster, deployment = yield Over.POSEIDON, lists
    head = _v3_head(_DECLARE, felt_of(tx, "sender"), fee, paymaster, tx, chain)
    tail = deployment + felt_of(tx, "class_hash") + felt_of(tx, "compiled_class_hash")
    (whole,) = yield Over.POSEIDON, [head + tail]
    return whole


def _deploy_account_v3(tx: Row, chain: bytes) -> Recipe[bytes]:
    address = yield from address_recipe(tx)
    fee, paymaster, data = yield Over.POSEIDON, [_fee(tx), tx.paymaster_data, tx.calldata]
    head = _v3_head(_DEPLOY_ACCOUNT, address, fee, paymaster, tx, chain)
    tail = felt_of(tx, "class_hash") + felt_of(tx, "address_salt")
    (whole,) = yield Over.POSEIDON, [head + data + tail]
    return whole


FORMS: dict[str, Form] = {
    "invoke_v0": _invoke_v0,
    "invoke_v1": _invoke_v1,
    "invoke_v3": _invoke_v3,
    "declare_v0": _declare_v0,
    "declare_v1": _declare_v1,
    "declare_v2": _declare_v2,
    "declare_v3": _declare_v3,
    "deploy": _deploy,
    "deploy_account_v1": _deploy_account_v1,
    "deploy_account_v3": _deploy_account_v3,
    "l1_handler": _l1_handler,
}


# ---- forms of the first months: no version, no fee --------------------------------------------------------------


def _old_invoke(tx: Row, chain: bytes) -> Recipe[bytes]:
    (data,) = yield Over.PEDERSEN, [tx.calldata]
    head = _INVOKE + felt_of(tx, "address") + felt_of(tx, "entry_point_selector")
    (whole,) = yield Over.PEDERSEN, [head + data + chain]
    return whole


def _old_deploy(tx: Row, chain: bytes) -> Recipe[bytes]:
    address = yield from address_recipe(tx)
    (data,) = yield Over.PEDERSEN, [tx.calldata]
    (whole,) = yield Over.PEDERSEN, [_DEPLOY + address + _CONSTRUCTOR + data + chain]
    return whole


def _old_l1_handler(tx: Row, chain: bytes) -> Recipe[bytes]:
    (data,) = yield Over.PEDERSEN, [tx.calldata]
    head = _L1_HANDLER + felt_of(tx, "address") + felt_of(tx, "entry_point_selector") + data
    (whole,) = yield Over.PEDERSEN, [head + chain + felt_of(tx, "nonce")]
    return whole


OLD_FORMS: dict[str, tuple[Form, ...]] = {
    "invoke_v0": (_old_invoke,),
    "deploy": (_old_deploy,),
    "l1_handler": (
        _old_l1_handler,
        _old_invoke,
    ),  # before 0.7 a message from L1 was hashed as an invoke
}


def _others(transaction: Transaction, network: Network, has_version: bool) -> list[bytes]:
    """The hashes that an early block may have used in place of the modern one."""
    kind, tx, _ = transaction
    forms: Sequence[Form] = () if has_version else OLD_FORMS.get(kind, ())
    further = [to_bytes32(short_string(name)) for name in network.transaction_chain_ids]
    recipes = [form(tx, network.chain_id_bytes) for form in forms]
    recipes += [form(tx, chain) for chain in further for form in (FORMS[kind], *forms)]
    return in_step(recipes)


# ---- parts that forms share -------------------------------------------------------------------------------------


def address_recipe(tx: Row) -> Recipe[bytes]:
    """The address that a transaction of a deploying kind gives to its contract; its deployer is 0."""
    (data,) = yield Over.PEDERSEN, [tx.calldata]
    origin = _CONTRACT_ADDRESS + _ZERO + felt_of(tx, "address_salt")
    (full,) = yield Over.PEDERSEN, [origin + felt_of(tx, "class_hash") + data]
    return to_bytes32(from_bytes(full) % ADDRESS_LIMIT)


def _v3_head(
    prefix: bytes, address: bytes, fee: bytes, paymaster: bytes, tx: Row, chain: bytes
) -> bytes:
    head = prefix + _THREE + address + fee + paymaster + chain
    return head + felt_of(tx, "nonce") + _modes(tx)


def _fee(tx: Row) -> bytes:
    """The tip, then of each kind of gas its name, amount and price in one felt, of 64, 64 and 128 bits."""
    if not (tx.resource_bounds_l1_gas and tx.resource_bounds_l2_gas):
        raise FieldMissing("resource bounds of L1 gas or L2 gas are missing")
    limits = _THREE_LIMITS(tx) if tx.resource_bounds_l1_data_gas else _TWO_LIMITS(tx)
    if None in limits:
        raise FieldMissing("resource bound without its amount or its price")
    parts = [to_bytes32(tx.tip)]
    for name, amount, price in zip(_GAS_NAMES, limits[::2], limits[1::2], strict=False):
        if not (amount.startswith(_ABOVE_AMOUNT) and price.startswith(_ABOVE_PRICE)):
            raise FeltError("resource bound of more than 64 (amount) or 128 (price) bits")
        parts += name, amount[24:], price[16:]
    return b"".join(parts)


def _modes(tx: Row) -> bytes:
    modes = tx.nonce_data_availability_mode, tx.fee_data_availability_mode
    if modes not in _MODES:
        raise FieldMissing("data availability mode is neither L1 nor L2")
    return _MODES[modes]
