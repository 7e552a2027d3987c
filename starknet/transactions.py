"""Transaction hashes of every era, and what is derived from a transaction's fields (addresses, signature).

A hash is a list of felts under one of two hash functions; ``FORMS`` says for each kind of transaction which list.
All functions take wire messages and raise FeltError or FieldMissing where a field is absent or out of range.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from starknet.felt import (
    FieldMissing,
    from_bytes,
    require,
    short_string,
    to_bytes32,
    value,
)
from starknet.forms import CHAIN, Bits, Form, Hash, Packed, When, address, pedersen, poseidon
from starknet.hashes import keccak, pedersen_array, sn_keccak
from starknet.network import Network
from starknet.wire.rows import Chosen, OneOf, Row, Shape, felt_of
from starknet.wire.sync_pb2 import L1HandlerV0, TransactionInBlock

ADDRESS_LIMIT = 2**251 - 256
CONSTRUCTOR = sn_keccak(b"constructor")
DEPLOYING = ("deploy", "deploy_account_v1", "deploy_account_v3")

_CONTRACT_ADDRESS = short_string("STARKNET_CONTRACT_ADDRESS")
_ZERO = to_bytes32(0)

_IN_BLOCK = Shape(TransactionInBlock.DESCRIPTOR)
_KINDS = OneOf(TransactionInBlock.DESCRIPTOR, "txn")
SHAPES = _KINDS.shapes


class Transaction(NamedTuple):
    """A transaction as hashes take it: ``body`` is the row of its kind, ``stated`` the hash it came with or 0."""

    kind: str
    body: Row
    stated: bytes


def read_transactions(transactions: Sequence[TransactionInBlock]) -> list[Transaction]:
    """What hashes take of transactions; raises FeltError or FieldMissing."""
    rows = _IN_BLOCK.rows(transactions)
    return read_kinds([row.txn for row in rows], [row.transaction_hash for row in rows])


def read_kinds(
    chosen: Sequence[Chosen | None], stated: Sequence[bytes | None]
) -> list[Transaction]:
    """As ``read_transactions``, of which kind each is and the hash it came with."""
    pairs = zip(_KINDS.rows(chosen), stated, strict=True)
    return [Transaction(kind, body, felt or _ZERO) for (kind, body), felt in pairs]


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
    hashes = _by_kind(FORMS, transactions, network.chain_id_bytes)
    for place, transaction in enumerate(transactions):
        if transaction.stated not in (hashes[place], _ZERO):
            others = _others(transaction, network, has_version)
            hashes[place] = transaction.stated if transaction.stated in others else hashes[place]
    return hashes


def hash_by(form: Form, transaction: TransactionInBlock, network: Network) -> int:
    """The hash of a transaction by a form of one's choice."""
    (read,) = read_transactions([transaction])
    return from_bytes(*form.hashes([read.body], network.chain_id_bytes))


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
    deploying = [transaction for transaction in transactions if transaction.kind in DEPLOYING]
    return _by_kind(ADDRESSES, deploying, _ZERO)


def declared_class(transaction: TransactionInBlock) -> int | None:
    """The class hash of a declare transaction; None for other kinds."""
    if not transaction_kind(transaction).startswith("declare"):
        return None
    return get(transaction_body(transaction), "class_hash")


def declared_classes(transactions: Iterable[Transaction]) -> set[int]:
    """The class hashes of those of the transactions which declare; raises FieldMissing."""
    declaring = (body for kind, body, _ in transactions if kind.startswith("declare"))
    return {from_bytes(felt_of(body, "class_hash")) for body in declaring}


def transaction_tip(transaction: Transaction) -> int:
    """The tip per unit of L2 gas; 0 where the kind has none."""
    return int(transaction.body.tip) if transaction.kind.endswith("_v3") else 0


def message_hash(handler: L1HandlerV0) -> bytes:
    """The hash by which the core contract on L1 knows an L1 handler's message: Keccak-256 of 32-byte words."""
    sender, *payload = [to_bytes32(value(part)) for part in handler.calldata] or [_ZERO]
    fields = (handler.address, handler.nonce, handler.entry_point_selector)
    head = [sender, *(to_bytes32(value(field)) for field in fields), to_bytes32(len(payload))]
    return to_bytes32(keccak(b"".join([*head, *payload])))


def contract_address(
    class_hash: int, salt: int, constructor_calldata: Iterable[int], deployer: int = 0
) -> int:
    """The address of a contract; ``deployer`` is 0 for deploy and deploy_account transactions."""
    calldata = pedersen_array(constructor_calldata)
    parts = [_CONTRACT_ADDRESS, deployer, salt, class_hash, calldata]
    return pedersen_array(parts) % ADDRESS_LIMIT


def get(message: Any, name: str) -> int:
    """The felt of a required submessage."""
    require(message, name)
    return value(getattr(message, name))


# ---- forms of the hash, one for each kind -----------------------------------------------------------------------

_INVOKE, _DECLARE = short_string("invoke"), short_string("declare")
_DEPLOY, _DEPLOY_ACCOUNT = short_string("deploy"), short_string("deploy_account")
_L1_HANDLER = short_string("l1_handler")

_CALLDATA = pedersen("calldata")
_CALL = ("address", "entry_point_selector", _CALLDATA)
# The address that a deploying transaction gives to its contract; its deployer is 0.
_ADDRESS = address(_CONTRACT_ADDRESS, 0, "address_salt", "class_hash", _CALLDATA)


def _gas(name: str) -> Packed:
    """A bound of one kind of gas: its name, amount and price in one felt, of 64, 64 and 128 bits."""
    bound = f"resource_bounds_{name}_gas_"
    amount, price = Bits(bound + "max_amount", 128, 64), Bits(bound + "max_price_per_unit", 0, 128)
    return Packed(short_string(_GAS_NAMES[name]) << 192, (amount, price))


_GAS_NAMES = {"l1": "L1_GAS", "l2": "L2_GAS", "l1_data": "L1_DATA"}
_FEE = poseidon("tip", _gas("l1"), _gas("l2"), When("resource_bounds_l1_data_gas", _gas("l1_data")))
_MODES = Packed(
    0,
    (
        Bits("nonce_data_availability_mode", 32, 1),
        Bits("fee_data_availability_mode", 0, 1),
    ),
)
_PAID = (_FEE, poseidon("paymaster_data"), CHAIN, "nonce", _MODES)  # in all of version 3
_DEPLOYMENT_DATA = poseidon("account_deployment_data")
_CLASS = pedersen("class_hash")

_FORMS: dict[str, Hash] = {
    "invoke_v0": pedersen(_INVOKE, 0, *_CALL, "max_fee", CHAIN),
    "invoke_v1": pedersen(_INVOKE, 1, "sender", 0, _CALLDATA, "max_fee", CHAIN, "nonce"),
    "invoke_v3": poseidon(
        _INVOKE,
        3,
        "sender",
        *_PAID,
        _DEPLOYMENT_DATA,
        poseidon("calldata"),
        When("proof_facts", poseidon("proof_facts")),
    ),
    "declare_v0": pedersen(_DECLARE, 0, "sender", 0, pedersen(), "max_fee", CHAIN, "class_hash"),
    "declare_v1": pedersen(_DECLARE, 1, "sender", 0, _CLASS, "max_fee", CHAIN, "nonce"),
    "declare_v2": pedersen(
        _DECLARE, 2, "sender", 0, _CLASS, "max_fee", CHAIN, "nonce", "compiled_class_hash"
    ),
    "declare_v3": poseidon(
        _DECLARE, 3, "sender", *_PAID, _DEPLOYMENT_DATA, "class_hash", "compiled_class_hash"
    ),
    "deploy": pedersen(
        _DEPLOY, Packed(0, (Bits("version", 0, 1),)), _ADDRESS, CONSTRUCTOR, _CALLDATA, 0, CHAIN
    ),
    "deploy_account_v1": pedersen(
        _DEPLOY_ACCOUNT,
        1,
        _ADDRESS,
        0,
        pedersen("class_hash", "address_salt", "calldata"),
        "max_fee",
        CHAIN,
        "nonce",
    ),
    "deploy_account_v3": poseidon(
        _DEPLOY_ACCOUNT,
        3,
        _ADDRESS,
        *_PAID,
        poseidon("calldata"),
        "class_hash",
        "address_salt",
    ),
    "l1_handler": pedersen(_L1_HANDLER, 0, *_CALL, 0, CHAIN, "nonce"),
}

# Of the first months: no version, no fee.
_OLD_INVOKE = pedersen(_INVOKE, *_CALL, CHAIN)
_OLD_FORMS: dict[str, tuple[Hash, ...]] = {
    "invoke_v0": (_OLD_INVOKE,),
    "deploy": (pedersen(_DEPLOY, _ADDRESS, CONSTRUCTOR, _CALLDATA, CHAIN),),
    # before 0.7 a message from L1 was hashed as an invoke
    "l1_handler": (pedersen(_L1_HANDLER, *_CALL, CHAIN, "nonce"), _OLD_INVOKE),
}

FORMS: dict[str, Form] = {kind: Form(SHAPES[kind], whole) for kind, whole in _FORMS.items()}
OLD_FORMS: dict[str, tuple[Form, ...]] = {
    kind: tuple(Form(SHAPES[kind], whole) for whole in forms) for kind, forms in _OLD_FORMS.items()
}
ADDRESSES: dict[str, Form] = {kind: Form(SHAPES[kind], _ADDRESS) for kind in DEPLOYING}


def _by_kind(
    forms: Mapping[str, Form], transactions: Sequence[Transaction], chain: bytes
) -> list[bytes]:
    """The hash of each transaction by the form of its kind, all of a kind in one call."""
    bodies: dict[str, list[Row]] = {}
    for kind, body, _ in transactions:
        bodies.setdefault(kind, []).append(body)
    found = {kind: iter(forms[kind].hashes(rows, chain)) for kind, rows in bodies.items()}
    return [next(found[kind]) for kind, _, _ in transactions]


def _others(transaction: Transaction, network: Network, has_version: bool) -> Iterator[bytes]:
    """The hashes that an early block may have used in place of the modern one."""
    kind, body, _ = transaction
    old: Sequence[Form] = () if has_version else OLD_FORMS.get(kind, ())
    for form in old:
        yield from form.hashes([body], network.chain_id_bytes)
    for name in network.transaction_chain_ids:
        for form in (FORMS[kind], *old):
            yield from form.hashes([body], to_bytes32(short_string(name)))
