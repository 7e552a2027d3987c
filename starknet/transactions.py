"""Transaction hashes of every era, and what is derived from a transaction's fields (addresses, signature).

A hash is a list of felts under one of two hash functions; ``FORMS`` says for each kind of transaction which list.
Forms are recipes, so that the transactions of a block are hashed together.
All functions take wire messages and raise FeltError or FieldMissing where a field is absent or out of range.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from starknet.felt import (
    HASH_BYTES,
    FeltError,
    FieldMissing,
    HasElements,
    from_bytes,
    padded,
    require,
    short_string,
    to_bytes32,
    value,
)
from starknet.hashes import Over, Recipe, in_step, pedersen_array, sn_keccak
from starknet.network import Network
from starknet.wire.sync_pb2 import ResourceBounds, ResourceLimits, TransactionInBlock

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
_L1_GAS = short_string("L1_GAS")
_L2_GAS = short_string("L2_GAS")
_L1_DATA = short_string("L1_DATA")
_ZERO, _ONE, _TWO, _THREE = map(to_bytes32, range(4))
_VOLITION_DOMAINS = (0, 1)
_DEPLOY_VERSIONS = (0, 1)

# Any: the oneof's members share field names but no type. The bytes are the chain id, and what becomes of it.
Form = Callable[[Any, bytes], Recipe[bytes]]


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
    recipes = []
    for transaction in transactions:
        kind = transaction_kind(transaction)
        recipes.append(FORMS[kind](getattr(transaction, kind), network.chain_id_bytes))
    hashes = in_step(recipes)
    for place, transaction in enumerate(transactions):
        if transaction.HasField("transaction_hash"):
            stated = padded(transaction.transaction_hash)
            if stated != hashes[place] and stated in _others(transaction, network, has_version):
                hashes[place] = stated
    return list(map(from_bytes, hashes))


def transaction_kind(transaction: TransactionInBlock) -> str:
    """The name of the filled member: ``invoke_v3``, ``l1_handler``, …; raises FieldMissing without one."""
    kind: str | None = transaction.WhichOneof("txn")
    if kind is None:
        raise FieldMissing("TransactionInBlock.txn is missing")
    return kind


def transaction_body(transaction: TransactionInBlock) -> Any:
    """The filled member itself; raises FieldMissing without one."""
    return getattr(transaction, transaction_kind(transaction))


def transaction_signature(transaction: TransactionInBlock) -> list[bytes]:
    """The account's signature; empty for deploy and l1_handler, which carry none."""
    kind = transaction_kind(transaction)
    if kind in ("deploy", "l1_handler"):
        return []
    body = transaction_body(transaction)
    if kind == "declare_v3":
        require(body, "common")
        body = body.common
    require(body, "signature")
    return felts(body.signature.parts)


def deployed_address(transaction: TransactionInBlock) -> int | None:
    """The address a deploy or deploy_account transaction gives to its contract; None for other kinds."""
    kind = transaction_kind(transaction)
    if kind not in DEPLOYING:
        return None
    return from_bytes(in_step([address_recipe(getattr(transaction, kind))])[0])


def declared_class(transaction: TransactionInBlock) -> int | None:
    """The class hash of a declare transaction; None for other kinds."""
    if not transaction_kind(transaction).startswith("declare"):
        return None
    return get(transaction_body(transaction), "class_hash")


def transaction_tip(transaction: TransactionInBlock) -> int:
    """The tip per unit of L2 gas; 0 where the kind has none."""
    kind = transaction_kind(transaction)
    if not kind.endswith("_v3"):
        return 0
    body = transaction_body(transaction)
    return int(body.common.tip if kind == "declare_v3" else body.tip)


def contract_address(
    class_hash: int, salt: int, constructor_calldata: Iterable[int], deployer: int = 0
) -> int:
    """The address of a contract; ``deployer`` is 0 for deploy and deploy_account transactions."""
    calldata = pedersen_array(constructor_calldata)
    parts = [from_bytes(_CONTRACT_ADDRESS), deployer, salt, class_hash, calldata]
    return pedersen_array(parts) % ADDRESS_LIMIT


def felts(fields: Iterable[HasElements]) -> list[bytes]:
    """The felts of a repeated field as hashes take them; who hashes them checks that they are felts."""
    return [field.elements.rjust(HASH_BYTES, b"\0") for field in fields]


def get_felt(message: Any, name: str) -> bytes:
    """As ``get``, as hashes take it; who hashes it checks that it is a felt."""
    require(message, name)
    return padded(getattr(message, name))


def values(fields: Iterable[HasElements]) -> list[int]:
    """The felts of a repeated field."""
    return [value(field) for field in fields]


def get(message: Any, name: str) -> int:
    """The felt of a required submessage."""
    require(message, name)
    return value(getattr(message, name))


# ---- forms of the hash, one for each kind -----------------------------------------------------------------------


def _invoke_v0(tx: TransactionInBlock.InvokeV0, chain: bytes) -> Recipe[bytes]:
    data = yield Over.PEDERSEN, felts(tx.calldata)
    head = [_INVOKE, _ZERO, get_felt(tx, "address"), get_felt(tx, "entry_point_selector"), data]
    return (yield Over.PEDERSEN, [*head, get_felt(tx, "max_fee"), chain])


def _invoke_v1(tx: TransactionInBlock.InvokeV1, chain: bytes) -> Recipe[bytes]:
    data = yield Over.PEDERSEN, felts(tx.calldata)
    head = [_INVOKE, _ONE, get_felt(tx, "sender"), _ZERO, data]
    return (yield Over.PEDERSEN, [*head, get_felt(tx, "max_fee"), chain, get_felt(tx, "nonce")])


def _declare_v0(tx: TransactionInBlock.DeclareV0WithoutClass, chain: bytes) -> Recipe[bytes]:
    data = yield Over.PEDERSEN, []
    head = [_DECLARE, _ZERO, get_felt(tx, "sender"), _ZERO, data, get_felt(tx, "max_fee")]
    return (yield Over.PEDERSEN, [*head, chain, get_felt(tx, "class_hash")])


def _declare_v1(tx: TransactionInBlock.DeclareV1WithoutClass, chain: bytes) -> Recipe[bytes]:
    data = yield Over.PEDERSEN, [get_felt(tx, "class_hash")]
    head = [_DECLARE, _ONE, get_felt(tx, "sender"), _ZERO, data, get_felt(tx, "max_fee")]
    return (yield Over.PEDERSEN, [*head, chain, get_felt(tx, "nonce")])


def _declare_v2(tx: TransactionInBlock.DeclareV2WithoutClass, chain: bytes) -> Recipe[bytes]:
    data = yield Over.PEDERSEN, [get_felt(tx, "class_hash")]
    head = [_DECLARE, _TWO, get_felt(tx, "sender"), _ZERO, data, get_felt(tx, "max_fee")]
    tail = [chain, get_felt(tx, "nonce"), get_felt(tx, "compiled_class_hash")]
    return (yield Over.PEDERSEN, [*head, *tail])


def _deploy(tx: TransactionInBlock.Deploy, chain: bytes) -> Recipe[bytes]:
    if tx.version not in _DEPLOY_VERSIONS:
        raise FeltError(f"deploy transaction of version {tx.version}")
    address = yield from address_recipe(tx)
    data = yield Over.PEDERSEN, felts(tx.calldata)
    head = [_DEPLOY, to_bytes32(tx.version), address, _CONSTRUCTOR, data]
    return (yield Over.PEDERSEN, [*head, _ZERO, chain])


def _deploy_account_v1(tx: TransactionInBlock.DeployAccountV1, chain: bytes) -> Recipe[bytes]:
    address = yield from address_recipe(tx)
    given = [get_felt(tx, "class_hash"), get_felt(tx, "address_salt"), *felts(tx.calldata)]
    data = yield Over.PEDERSEN, given
    head = [_DEPLOY_ACCOUNT, _ONE, address, _ZERO, data]
    return (yield Over.PEDERSEN, [*head, get_felt(tx, "max_fee"), chain, get_felt(tx, "nonce")])


def _l1_handler(tx: Any, chain: bytes) -> Recipe[bytes]:
    data = yield Over.PEDERSEN, felts(tx.calldata)
    head = [_L1_HANDLER, _ZERO, get_felt(tx, "address"), get_felt(tx, "entry_point_selector"), data]
    return (yield Over.PEDERSEN, [*head, _ZERO, chain, get_felt(tx, "nonce")])


def _invoke_v3(tx: Any, chain: bytes) -> Recipe[bytes]:
    head = yield from _v3_head(_INVOKE, get_felt(tx, "sender"), tx, chain)
    deployment = yield Over.POSEIDON, felts(tx.account_deployment_data)
    data = yield Over.POSEIDON, felts(tx.calldata)
    parts = [*head, deployment, data]
    if tx.proof_facts:
        parts.append((yield Over.POSEIDON, felts(tx.proof_facts)))
    return (yield Over.POSEIDON, parts)


def _declare_v3(tx: TransactionInBlock.DeclareV3WithoutClass, chain: bytes) -> Recipe[bytes]:
    require(tx, "common")
    common = tx.common
    head = yield from _v3_head(_DECLARE, get_felt(common, "sender"), common, chain)
    deployment = yield Over.POSEIDON, felts(common.account_deployment_data)
    tail = [deployment, get_felt(tx, "class_hash"), get_felt(common, "compiled_class_hash")]
    return (yield Over.POSEIDON, [*head, *tail])


def _deploy_account_v3(tx: Any, chain: bytes) -> Recipe[bytes]:
    address = yield from address_recipe(tx)
    head = yield from _v3_head(_DEPLOY_ACCOUNT, address, tx, chain)
    data = yield Over.POSEIDON, felts(tx.calldata)
    tail = [get_felt(tx, "class_hash"), get_felt(tx, "address_salt")]
    return (yield Over.POSEIDON, [*head, data, *tail])


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


def _old_invoke(tx: Any, chain: bytes) -> Recipe[bytes]:
    data = yield Over.PEDERSEN, felts(tx.calldata)
    head = [_INVOKE, get_felt(tx, "address"), get_felt(tx, "entry_point_selector")]
    return (yield Over.PEDERSEN, [*head, data, chain])


def _old_deploy(tx: TransactionInBlock.Deploy, chain: bytes) -> Recipe[bytes]:
    address = yield from address_recipe(tx)
    data = yield Over.PEDERSEN, felts(tx.calldata)
    return (yield Over.PEDERSEN, [_DEPLOY, address, _CONSTRUCTOR, data, chain])


def _old_l1_handler(tx: Any, chain: bytes) -> Recipe[bytes]:
    data = yield Over.PEDERSEN, felts(tx.calldata)
    head = [_L1_HANDLER, get_felt(tx, "address"), get_felt(tx, "entry_point_selector"), data]
    return (yield Over.PEDERSEN, [*head, chain, get_felt(tx, "nonce")])


OLD_FORMS: dict[str, tuple[Form, ...]] = {
    "invoke_v0": (_old_invoke,),
    "deploy": (_old_deploy,),
    "l1_handler": (
        _old_l1_handler,
        _old_invoke,
    ),  # before 0.7 a message from L1 was hashed as an invoke
}


def _others(transaction: TransactionInBlock, network: Network, has_version: bool) -> list[bytes]:
    """The hashes that an early block may have used in place of the modern one."""
    kind = transaction_kind(transaction)
    tx = getattr(transaction, kind)
    forms: Sequence[Form] = () if has_version else OLD_FORMS.get(kind, ())
    further = [to_bytes32(short_string(name)) for name in network.transaction_chain_ids]
    recipes = [form(tx, network.chain_id_bytes) for form in forms]
    recipes += [form(tx, chain) for chain in further for form in (FORMS[kind], *forms)]
    return in_step(recipes)


# ---- parts that forms share -------------------------------------------------------------------------------------


def address_recipe(tx: Any, deployer: bytes = _ZERO) -> Recipe[bytes]:
    """The address that a transaction of a deploying kind gives to its contract."""
    data = yield Over.PEDERSEN, felts(tx.calldata)
    origin = [_CONTRACT_ADDRESS, deployer, get_felt(tx, "address_salt")]
    full = yield Over.PEDERSEN, [*origin, get_felt(tx, "class_hash"), data]
    return to_bytes32(from_bytes(full) % ADDRESS_LIMIT)


def _v3_head(prefix: bytes, address: bytes, tx: Any, chain: bytes) -> Recipe[list[bytes]]:
    fee = yield Over.POSEIDON, _fee(tx)
    paymaster = yield Over.POSEIDON, felts(tx.paymaster_data)
    return [prefix, _THREE, address, fee, paymaster, chain, get_felt(tx, "nonce"), _modes(tx)]


def _fee(tx: Any) -> list[bytes]:
    require(tx, "resource_bounds")
    bounds: ResourceBounds = tx.resource_bounds
    require(bounds, "l1_gas", "l2_gas")
    parts = [tx.tip, _bound(_L1_GAS, bounds.l1_gas), _bound(_L2_GAS, bounds.l2_gas)]
    if bounds.HasField("l1_data_gas"):
        parts.append(_bound(_L1_DATA, bounds.l1_data_gas))
    return list(map(to_bytes32, parts))


def _bound(name: int, limits: ResourceLimits) -> int:
    amount = get(limits, "max_amount")
    price = get(limits, "max_price_per_unit")
    if amount >= 2**64 or price >= 2**128:
        raise FeltError("resource bound of more than 64 (amount) or 128 (price) bits")
    return name << 192 | amount << 128 | price


def _modes(tx: Any) -> bytes:
    nonce_mode, fee_mode = tx.nonce_data_availability_mode, tx.fee_data_availability_mode
    if nonce_mode not in _VOLITION_DOMAINS or fee_mode not in _VOLITION_DOMAINS:
        raise FieldMissing("data availability mode is neither L1 nor L2")
    return to_bytes32(int(nonce_mode) << 32 | int(fee_mode))
