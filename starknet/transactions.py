"""Transaction hashes of every era, and what is derived from a transaction's fields (addresses, signature).

A hash is a list of felts under one of two hash functions; ``FORMS`` says for each kind of transaction which list.
All functions take wire messages and raise FeltError or FieldMissing where a field is absent or out of range.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from starknet.felt import FeltError, FieldMissing, HasElements, require, short_string, value
from starknet.hashes import pedersen_array, poseidon_many, sn_keccak
from starknet.network import Network
from starknet.wire.sync_pb2 import ResourceBounds, ResourceLimits, TransactionInBlock

ADDRESS_LIMIT = 2**251 - 256
CONSTRUCTOR = sn_keccak(b"constructor")

_DECLARE = short_string("declare")
_DEPLOY = short_string("deploy")
_DEPLOY_ACCOUNT = short_string("deploy_account")
_INVOKE = short_string("invoke")
_L1_HANDLER = short_string("l1_handler")
_CONTRACT_ADDRESS = short_string("STARKNET_CONTRACT_ADDRESS")
_L1_GAS = short_string("L1_GAS")
_L2_GAS = short_string("L2_GAS")
_L1_DATA = short_string("L1_DATA")
_VOLITION_DOMAINS = (0, 1)
_DEPLOY_VERSIONS = (0, 1)

# Any: the oneof's members share field names but no type
Form = Callable[[Any, int], int]


def transaction_hash(
    transaction: TransactionInBlock, network: Network, *, has_version: bool = True
) -> int:
    """The hash of a transaction.

    Blocks without a version string (``has_version`` False) may use forms that lack version and fee, and some
    chains hashed early transactions under another chain id: then the form that gives the stated hash is taken,
    and the modern one if none does.
    """
    body = transaction_body(transaction)
    kind = transaction_kind(transaction)
    first = FORMS[kind](body, network.chain_id_felt)
    if not transaction.HasField("transaction_hash"):
        return first
    stated = value(transaction.transaction_hash)
    if stated == first:
        return first
    others = _other_hashes(kind, body, network, has_version=has_version)
    return next((other for other in others if other == stated), first)


def transaction_kind(transaction: TransactionInBlock) -> str:
    """The name of the filled member: ``invoke_v3``, ``l1_handler``, …; raises FieldMissing without one."""
    kind: str | None = transaction.WhichOneof("txn")
    if kind is None:
        raise FieldMissing("TransactionInBlock.txn is missing")
    return kind


def transaction_body(transaction: TransactionInBlock) -> Any:
    """The filled member itself; raises FieldMissing without one."""
    return getattr(transaction, transaction_kind(transaction))


def transaction_signature(transaction: TransactionInBlock) -> list[int]:
    """The account's signature; empty for deploy and l1_handler, which carry none."""
    kind = transaction_kind(transaction)
    if kind in ("deploy", "l1_handler"):
        return []
    body = transaction_body(transaction)
    if kind == "declare_v3":
        require(body, "common")
        body = body.common
    require(body, "signature")
    return values(body.signature.parts)


def deployed_address(transaction: TransactionInBlock) -> int | None:
    """The address a deploy or deploy_account transaction gives to its contract; None for other kinds."""
    if transaction_kind(transaction) not in ("deploy", "deploy_account_v1", "deploy_account_v3"):
        return None
    return _address_of(transaction_body(transaction))


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
    parts = [_CONTRACT_ADDRESS, deployer, salt, class_hash, calldata]
    return pedersen_array(parts) % ADDRESS_LIMIT


def values(fields: Iterable[HasElements]) -> list[int]:
    """The felts of a repeated field."""
    return [value(field) for field in fields]


def get(message: Any, name: str) -> int:
    """The felt of a required submessage."""
    require(message, name)
    return value(getattr(message, name))


# ---- forms of the hash, one for each kind -----------------------------------------------------------------------


def _invoke_v0(tx: TransactionInBlock.InvokeV0, chain: int) -> int:
    data = pedersen_array(values(tx.calldata))
    head = [_INVOKE, 0, get(tx, "address"), get(tx, "entry_point_selector")]
    return pedersen_array([*head, data, get(tx, "max_fee"), chain])


def _invoke_v1(tx: TransactionInBlock.InvokeV1, chain: int) -> int:
    data = pedersen_array(values(tx.calldata))
    head = [_INVOKE, 1, get(tx, "sender"), 0, data]
    return pedersen_array([*head, get(tx, "max_fee"), chain, get(tx, "nonce")])


def _declare_v0(tx: TransactionInBlock.DeclareV0WithoutClass, chain: int) -> int:
    head = [_DECLARE, 0, get(tx, "sender"), 0, pedersen_array([])]
    return pedersen_array([*head, get(tx, "max_fee"), chain, get(tx, "class_hash")])


def _declare_v1(tx: TransactionInBlock.DeclareV1WithoutClass, chain: int) -> int:
    head = [_DECLARE, 1, get(tx, "sender"), 0, pedersen_array([get(tx, "class_hash")])]
    return pedersen_array([*head, get(tx, "max_fee"), chain, get(tx, "nonce")])


def _declare_v2(tx: TransactionInBlock.DeclareV2WithoutClass, chain: int) -> int:
    head = [_DECLARE, 2, get(tx, "sender"), 0, pedersen_array([get(tx, "class_hash")])]
    tail = [get(tx, "max_fee"), chain, get(tx, "nonce"), get(tx, "compiled_class_hash")]
    return pedersen_array([*head, *tail])


def _deploy(tx: TransactionInBlock.Deploy, chain: int) -> int:
    if tx.version not in _DEPLOY_VERSIONS:
        raise FeltError(f"deploy transaction of version {tx.version}")
    data = pedersen_array(values(tx.calldata))
    return pedersen_array([_DEPLOY, tx.version, _address_of(tx), CONSTRUCTOR, data, 0, chain])


def _deploy_account_v1(tx: TransactionInBlock.DeployAccountV1, chain: int) -> int:
    data = [get(tx, "class_hash"), get(tx, "address_salt"), *values(tx.calldata)]
    head = [_DEPLOY_ACCOUNT, 1, _address_of(tx), 0, pedersen_array(data)]
    return pedersen_array([*head, get(tx, "max_fee"), chain, get(tx, "nonce")])


def _l1_handler(tx: Any, chain: int) -> int:
    data = pedersen_array(values(tx.calldata))
    head = [_L1_HANDLER, 0, get(tx, "address"), get(tx, "entry_point_selector"), data]
    return pedersen_array([*head, 0, chain, get(tx, "nonce")])


def _invoke_v3(tx: Any, chain: int) -> int:
    head = _v3_head(_INVOKE, get(tx, "sender"), tx, chain)
    deployment = poseidon_many(values(tx.account_deployment_data))
    return poseidon_many([*head, deployment, poseidon_many(values(tx.calldata))])


def _declare_v3(tx: TransactionInBlock.DeclareV3WithoutClass, chain: int) -> int:
    require(tx, "common")
    common = tx.common
    head = _v3_head(_DECLARE, get(common, "sender"), common, chain)
    deployment = poseidon_many(values(common.account_deployment_data))
    tail = [deployment, get(tx, "class_hash"), get(common, "compiled_class_hash")]
    return poseidon_many([*head, *tail])


def _deploy_account_v3(tx: Any, chain: int) -> int:
    head = _v3_head(_DEPLOY_ACCOUNT, _address_of(tx), tx, chain)
    data = poseidon_many(values(tx.calldata))
    return poseidon_many([*head, data, get(tx, "class_hash"), get(tx, "address_salt")])


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


def _old_invoke(tx: Any, chain: int) -> int:
    data = pedersen_array(values(tx.calldata))
    return pedersen_array(
        [_INVOKE, get(tx, "address"), get(tx, "entry_point_selector"), data, chain]
    )


def _old_deploy(tx: TransactionInBlock.Deploy, chain: int) -> int:
    data = pedersen_array(values(tx.calldata))
    return pedersen_array([_DEPLOY, _address_of(tx), CONSTRUCTOR, data, chain])


def _old_l1_handler(tx: Any, chain: int) -> int:
    data = pedersen_array(values(tx.calldata))
    head = [_L1_HANDLER, get(tx, "address"), get(tx, "entry_point_selector"), data]
    return pedersen_array([*head, chain, get(tx, "nonce")])


OLD_FORMS: dict[str, tuple[Form, ...]] = {
    "invoke_v0": (_old_invoke,),
    "deploy": (_old_deploy,),
    "l1_handler": (
        _old_l1_handler,
        _old_invoke,
    ),  # before 0.7 a message from L1 was hashed as an invoke
}


def _other_hashes(kind: str, tx: Any, network: Network, *, has_version: bool) -> Iterator[int]:
    """The hashes that an early block may have used in place of the modern one."""
    forms: Sequence[Form] = () if has_version else OLD_FORMS.get(kind, ())
    further = [short_string(name) for name in network.transaction_chain_ids]
    yield from (form(tx, network.chain_id_felt) for form in forms)
    yield from (form(tx, chain) for chain in further for form in (FORMS[kind], *forms))


# ---- parts of version 3 -----------------------------------------------------------------------------------------


def _v3_head(prefix: int, address: int, tx: Any, chain: int) -> list[int]:
    paymaster = poseidon_many(values(tx.paymaster_data))
    return [prefix, 3, address, _fee(tx), paymaster, chain, get(tx, "nonce"), _availability(tx)]


def _fee(tx: Any) -> int:
    require(tx, "resource_bounds")
    bounds: ResourceBounds = tx.resource_bounds
    require(bounds, "l1_gas", "l2_gas")
    parts = [tx.tip, _bound(_L1_GAS, bounds.l1_gas), _bound(_L2_GAS, bounds.l2_gas)]
    if bounds.HasField("l1_data_gas"):
        parts.append(_bound(_L1_DATA, bounds.l1_data_gas))
    return poseidon_many(parts)


def _bound(name: int, limits: ResourceLimits) -> int:
    amount = get(limits, "max_amount")
    price = get(limits, "max_price_per_unit")
    if amount >= 2**64 or price >= 2**128:
        raise FeltError("resource bound of more than 64 (amount) or 128 (price) bits")
    return name << 192 | amount << 128 | price


def _availability(tx: Any) -> int:
    nonce_mode, fee_mode = tx.nonce_data_availability_mode, tx.fee_data_availability_mode
    if nonce_mode not in _VOLITION_DOMAINS or fee_mode not in _VOLITION_DOMAINS:
        raise FieldMissing("data availability mode is neither L1 nor L2")
    return int(nonce_mode) << 32 | int(fee_mode)


def _address_of(tx: Any) -> int:
    return contract_address(get(tx, "class_hash"), get(tx, "address_salt"), values(tx.calldata))
