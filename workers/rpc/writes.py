"""Transactions that are to be added: changed into the form of the network's gateway, and sent there."""

import base64
import gzip
import json
from typing import Any
from urllib.parse import urljoin

from starknet.transactions import contract_address
from workers.rpc.errors import RpcError, internal_error, invalid_params
from workers.rpc.params import Read, felt, list_of
from workers.rpc.specs import V0_9, V0_10, Spec
from workers.rpc.upstream import Threads, post

Json = dict[str, Any]

FELTS_MAX = 1 << 20  # a program's; a body has no room for more
ANSWER_BYTES_MAX = 1 << 20
VERSIONS = (3, 3 + (1 << 128))  # the other is for estimates, which the gateway will say
MODES = {"L1": 0, "L2": 1}
GASES = {"l1_gas": "L1_GAS", "l1_data_gas": "L1_DATA_GAS", "l2_gas": "L2_GAS"}
POINTS = ("CONSTRUCTOR", "EXTERNAL", "L1_HANDLER")
TOO_LARGE = 413


class Gateway:
    """The gateway at ``url``, which ends in a slash."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self._url = urljoin(url, "add_transaction")
        self._headers = {} if api_key is None else {"X-Throttling-Bypass": api_key}
        self._threads = Threads("gateway")

    async def add(self, spec: Spec, kind: str, transaction: Any) -> object:
        """Return the result of the method that adds a transaction; raises ``RpcError``."""
        return await self._threads.run(self._add, spec, kind, transaction)

    def close(self) -> None:
        """Start no further requests."""
        self._threads.close()

    def _add(self, spec: Spec, kind: str, transaction: Any) -> object:
        sent = form_of(kind, transaction)
        body = json.dumps(sent, separators=(",", ":")).encode()
        status, text = post("gateway", self._url, body, ANSWER_BYTES_MAX, self._headers)
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            told = None
        if isinstance(told, dict) and told.get("code") == "TRANSACTION_RECEIVED":
            return _result(kind, sent, told)
        raise _error(spec, status, told)


# ---- the gateway's form -------------------------------------------------------------------------------------


def form_of(kind: str, transaction: Any) -> Json:
    """Return a transaction in the gateway's form; raises ``RpcError``: -32602, or 61 for a version not taken."""
    if not isinstance(transaction, dict) or transaction.get("type") != kind:
        raise invalid_params(f"not an object with type {kind}")
    if _at("version", felt, transaction.get("version")) not in VERSIONS:
        raise RpcError(61, WORDS[61])
    written: Json = {"type": TYPES[kind], "version": hex(felt(transaction["version"]))}
    for name, read in (COMMON | FIELDS[kind]).items():
        written[name] = _at(name, read, transaction.get(name))
    for name, read in OPTIONAL.get(kind, {}).items():
        if transaction.get(name) is not None:
            written[name] = _at(name, read, transaction[name])
    return written


def _at(name: str, read: Read, value: Any) -> Any:
    """Read a field, and say in which one the fault is."""
    if value is None:
        raise invalid_params(f"{name} is missing")
    try:
        return read(value)
    except RpcError as error:
        raise RpcError(error.code, error.message, f"{name}: {error.data}") from None


def _felt(value: Any) -> str:
    return hex(felt(value))


def _felts(value: Any) -> list[str]:
    return list(map(hex, list_of(felt, FELTS_MAX)(value)))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise invalid_params("not text")
    return value


def _mode(value: Any) -> int:
    if not isinstance(value, str) or value not in MODES:
        raise invalid_params("L1 or L2")
    return MODES[value]


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise invalid_params("not an object")
    return value


def _bounds(value: Any) -> Json:
    given = _object(value)
    return {told: _at(name, _bound, given.get(name)) for name, told in GASES.items()}


def _bound(value: Any) -> Json:
    given = _object(value)
    names = ("max_amount", "max_price_per_unit")
    return {name: _at(name, _felt, given.get(name)) for name in names}


def _class(value: Any) -> Json:
    """A class is sent as it is but for its program: JSON, gzipped, in base64."""
    given = _object(value)
    program = json.dumps(_at("sierra_program", _felts, given.get("sierra_program"))).encode()
    packed = base64.b64encode(gzip.compress(program, 1, mtime=0)).decode()
    return {
        "sierra_program": packed,
        "contract_class_version": _at(
            "contract_class_version", _text, given.get("contract_class_version")
        ),
        "entry_points_by_type": _at(
            "entry_points_by_type", _points, given.get("entry_points_by_type")
        ),
        "abi": _at("abi", _text, given.get("abi", "")),
    }


def _points(value: Any) -> Json:
    given = _object(value)
    return {name: _at(name, list_of(_point, FELTS_MAX), given.get(name)) for name in POINTS}


def _point(value: Any) -> Json:
    given = _object(value)
    index = given.get("function_idx")
    if not isinstance(index, int) or isinstance(index, bool):
        raise invalid_params("function_idx is no number")
    return {"selector": _at("selector", _felt, given.get("selector")), "function_idx": index}


TYPES = {"INVOKE": "INVOKE_FUNCTION", "DECLARE": "DECLARE", "DEPLOY_ACCOUNT": "DEPLOY_ACCOUNT"}
COMMON: dict[str, Read] = {
    "signature": _felts,
    "nonce": _felt,
    "nonce_data_availability_mode": _mode,
    "fee_data_availability_mode": _mode,
    "resource_bounds": _bounds,
    "tip": _felt,
    "paymaster_data": _felts,
}
FIELDS: dict[str, dict[str, Read]] = {
    "INVOKE": {"sender_address": _felt, "calldata": _felts, "account_deployment_data": _felts},
    "DECLARE": {
        "sender_address": _felt,
        "compiled_class_hash": _felt,
        "account_deployment_data": _felts,
        "contract_class": _class,
    },
    "DEPLOY_ACCOUNT": {
        "class_hash": _felt,
        "contract_address_salt": _felt,
        "constructor_calldata": _felts,
    },
}
OPTIONAL: dict[str, dict[str, Read]] = {"INVOKE": {"proof_facts": _felts, "proof": _text}}


# ---- the gateway's answer -----------------------------------------------------------------------------------


def _result(kind: str, sent: Json, told: Json) -> Json:
    try:
        found = {"transaction_hash": _felt(told.get("transaction_hash"))}
        if kind == "DECLARE":
            found["class_hash"] = _felt(told.get("class_hash"))
    except RpcError as error:
        raise internal_error(f"the gateway's answer is none: {error.data}") from None
    if kind == "DEPLOY_ACCOUNT":
        found["contract_address"] = _address(sent)
    return found


def _address(sent: Json) -> str:
    """Return the address of a deployed account, which the gateway need not say."""
    class_hash, salt = (felt(sent[name]) for name in ("class_hash", "contract_address_salt"))
    return hex(contract_address(class_hash, salt, map(felt, sent["constructor_calldata"])))


CODES = {
    "UNDECLARED_CLASS": 28,
    "CLASS_HASH_NOT_FOUND": 28,
    "CLASS_ALREADY_DECLARED": 51,
    "INVALID_TRANSACTION_NONCE": 52,
    "INSUFFICIENT_MAX_FEE": 53,
    "INSUFFICIENT_RESOURCES_FOR_VALIDATE": 53,
    "INSUFFICIENT_ACCOUNT_BALANCE": 54,
    "VALIDATE_FAILURE": 55,
    "COMPILATION_FAILED": 56,
    "CONTRACT_BYTECODE_SIZE_TOO_LARGE": 57,
    "CONTRACT_CLASS_OBJECT_SIZE_TOO_LARGE": 57,
    "ENTRY_POINT_NOT_FOUND_IN_CONTRACT": 58,
    "DUPLICATED_TRANSACTION": 59,
    "INVALID_COMPILED_CLASS_HASH": 60,
    "INVALID_TRANSACTION_VERSION": 61,
    "INVALID_CONTRACT_CLASS_VERSION": 62,
    "REPLACEMENT_TRANSACTION_UNDERPRICED": 64,
    "FEE_BELOW_MINIMUM": 65,
    "INVALID_PROOF": 69,
}
WORDS = {
    28: "Class hash not found",
    51: "Class already declared",
    52: "Invalid transaction nonce",
    53: "The transaction's resources don't cover validation or the minimal transaction fee",
    54: "Account balance is smaller than the transaction's maximal fee "
    "(calculated as the sum of each resource's limit x max price)",
    55: "Account validation failed",
    56: "Compilation failed",
    57: "Contract class size is too large",
    58: "Sender address is not an account contract",
    59: "A transaction with the same hash already exists in the mempool",
    60: "the compiled class hash did not match the one supplied in the transaction",
    61: "the transaction version is not supported",
    62: "the contract class version is not supported",
    63: "An unexpected error occurred",
    64: "Replacement transaction is underpriced",
    65: "Transaction fee below minimum",
    69: "The proof field in the invoke v3 transaction is invalid",
}
WORDS_OF_0_8 = {
    57: "Contract class size it too large",
    58: "Sender address in not an account contract",
}
EXPLAINED = {52: V0_9.since, 55: (0, 8), 56: (0, 8), 63: (0, 8)}  # with the gateway's words, since
SINCE = {64: V0_9.since, 65: V0_9.since, 69: V0_10.since}
NONCE = "Invalid transaction nonce"  # in which case a failed validation is none


def _error(spec: Spec, status: int, told: Any) -> RpcError:
    """Return the specification's error for one of the gateway."""
    known = told if isinstance(told, dict) else {}
    why = str(known.get("message") or f"the gateway answered {status}")[:2000]
    code = CODES.get(str(known.get("code")).rpartition(".")[2], 63)
    if status == TOO_LARGE:
        code = 57
    if code == 55 and NONCE in why:
        code = 52
    if spec.since < SINCE.get(code, (0, 0)):
        code = 63
    words = WORDS[code] if spec.since >= V0_9.since else WORDS_OF_0_8.get(code, WORDS[code])
    is_explained = spec.since >= EXPLAINED.get(code, (99, 0))
    return RpcError(code, words, why if is_explained else None)
