"""Transactions that are added reach the gateway in its form, and its errors are the specification's."""

import base64
import gzip
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from starknet.transactions import contract_address
from tests.workers.rpc.support import ALL_SPECS, FOLDERS, Node, generated, opened, specs_folder
from tests.workers.rpc.test_upstream import Other, request
from tests.workers.rpc.test_upstream import other as other  # a fixture
from workers.rpc import writes
from workers.rpc.methods import ALL, Added
from workers.rpc.specs import LATEST, V0_8, V0_9, Spec
from workers.rpc.upstream import Upstream
from workers.rpc.writes import CODES, Gateway

BOUND = {"max_amount": "0x05", "max_price_per_unit": "0x10"}
ACCOUNT: dict[str, Any] = {
    "version": "0x3",
    "signature": ["0x1", "0x00f"],
    "nonce": "0x7",
    "tip": "0x0",
    "paymaster_data": [],
    "nonce_data_availability_mode": "L1",
    "fee_data_availability_mode": "L2",
    "resource_bounds": {"l1_gas": BOUND, "l1_data_gas": BOUND, "l2_gas": BOUND},
}
INVOKE = ACCOUNT | {
    "type": "INVOKE",
    "sender_address": "0x123",
    "calldata": ["0x1", "0x2"],
    "account_deployment_data": [],
}
POINTS = {"CONSTRUCTOR": [], "EXTERNAL": [{"selector": "0x9", "function_idx": 3}], "L1_HANDLER": []}
CLASS = {
    "sierra_program": ["0x1", "0x02"],
    "contract_class_version": "0.1.0",
    "entry_points_by_type": POINTS,
    "abi": "[]",
}
DECLARE = ACCOUNT | {
    "type": "DECLARE",
    "sender_address": "0x123",
    "compiled_class_hash": "0x5",
    "account_deployment_data": [],
    "contract_class": CLASS,
}
DEPLOY = ACCOUNT | {
    "type": "DEPLOY_ACCOUNT",
    "class_hash": "0x11",
    "contract_address_salt": "0x22",
    "constructor_calldata": ["0x1", "0x2"],
}
METHODS = {"Invoke": INVOKE, "Declare": DECLARE, "DeployAccount": DEPLOY}
NAMES = {"Invoke": "invoke", "Declare": "declare", "DeployAccount": "deploy_account"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    network, blocks = generated("0.13.4", 2)
    with opened(network, tmp_path_factory.mktemp("node"), blocks) as made:
        yield made


@pytest.fixture
def gateway(other: Other) -> Iterator[Gateway]:
    with closing(Gateway(f"http://127.0.0.1:{other.server_port}/gateway/")) as made:
        yield made


def add(
    node: Node, gateway: Gateway | None, kind: str, transaction: object, spec: Spec = LATEST
) -> Any:
    params = {f"{NAMES[kind]}_transaction": transaction}
    return node.ask(request(f"starknet_add{kind}Transaction", params), spec, gateway=gateway)


def received(**more: str) -> bytes:
    told = {"code": "TRANSACTION_RECEIVED", "transaction_hash": "0x0abc"}
    return json.dumps(told | more).encode()


def test_the_gateway_gets_each_transaction_in_its_form(
    node: Node, other: Other, gateway: Gateway
) -> None:
    other.answer = received(class_hash="0x0d")
    results = {kind: add(node, gateway, kind, METHODS[kind])["result"] for kind in METHODS}
    assert results["Invoke"] == {"transaction_hash": "0xabc"}
    assert results["Declare"] == {"transaction_hash": "0xabc", "class_hash": "0xd"}
    address = hex(contract_address(0x11, 0x22, [1, 2]))
    assert results["DeployAccount"] == {"transaction_hash": "0xabc", "contract_address": address}

    assert {path for path, _ in other.asked} == {"/gateway/add_transaction"}
    invoke, declare, deploy = (sent for _, sent in other.asked)
    bound = {"max_amount": "0x5", "max_price_per_unit": "0x10"}
    account = {
        "version": "0x3",
        "signature": ["0x1", "0xf"],
        "nonce": "0x7",
        "tip": "0x0",
        "paymaster_data": [],
        "nonce_data_availability_mode": 0,
        "fee_data_availability_mode": 1,
        "resource_bounds": {"L1_GAS": bound, "L1_DATA_GAS": bound, "L2_GAS": bound},
    }
    assert invoke == account | {
        "type": "INVOKE_FUNCTION",
        "sender_address": "0x123",
        "calldata": ["0x1", "0x2"],
        "account_deployment_data": [],
    }
    program = declare["contract_class"].pop("sierra_program")
    assert json.loads(gzip.decompress(base64.b64decode(program))) == ["0x1", "0x2"]
    assert declare == account | {
        "type": "DECLARE",
        "sender_address": "0x123",
        "compiled_class_hash": "0x5",
        "account_deployment_data": [],
        "contract_class": {
            "contract_class_version": "0.1.0",
            "entry_points_by_type": POINTS,
            "abi": "[]",
        },
    }
    assert deploy == account | {
        "type": "DEPLOY_ACCOUNT",
        "class_hash": "0x11",
        "contract_address_salt": "0x22",
        "constructor_calldata": ["0x1", "0x2"],
    }


def test_a_proof_goes_along_with_its_transaction(
    node: Node, other: Other, gateway: Gateway
) -> None:
    other.answer = received()
    proven = {"proof_facts": ["0x01"], "proof": "QUJD"}
    assert "result" in add(node, gateway, "Invoke", INVOKE | proven)
    ((_, sent),) = other.asked
    assert (sent["proof_facts"], sent["proof"]) == (["0x1"], "QUJD")


@ALL_SPECS
def test_each_error_of_the_gateway_is_the_specifications(
    spec: Spec, node: Node, other: Other, gateway: Gateway
) -> None:
    folder = specs_folder() / FOLDERS[spec.name]
    own = json.loads((folder / "starknet_write_api.json").read_text())["components"]["errors"]
    api = json.loads((folder / "starknet_api_openrpc.json").read_text())["components"]["errors"]
    published = {error["code"]: error for error in (api | own).values()}
    seen = set()
    for name, code in (CODES | {"NEW_ONE": 63}).items():
        told = {"code": f"StarknetErrorCode.{name}", "message": "the gateway's words"}
        other.status, other.answer = 400, json.dumps(told).encode()
        error = add(node, gateway, "Invoke", INVOKE, spec)["error"]
        wanted = published[code if code in published else 63]
        assert (error["code"], error["message"]) == (wanted["code"], wanted["message"])
        assert error.get("data") == ("the gateway's words" if "data" in wanted else None)
        seen.add(error["code"])
    assert seen >= {each["code"] for each in own.values()}


def test_a_failed_validation_for_the_nonce_is_an_invalid_nonce(
    node: Node, other: Other, gateway: Gateway
) -> None:
    why = "Invalid transaction nonce of contract at address 0x1. Account nonce: 2; got: 1."
    told = {"code": "StarknetErrorCode.VALIDATE_FAILURE", "message": why}
    other.status, other.answer = 500, json.dumps(told).encode()
    assert add(node, gateway, "Invoke", INVOKE)["error"]["code"] == 52


@pytest.mark.parametrize(
    ("status", "answer", "code"),
    [
        (200, b"", 63),
        (200, b"[]", 63),
        (200, b"\xff", 63),
        (502, b"<html>", 63),
        (413, b"<html>", 57),
        (200, b'{"code": "TRANSACTION_RECEIVED"}', -32603),
        (200, b'{"code": "TRANSACTION_RECEIVED", "transaction_hash": 5}', -32603),
        (200, b"5" * (writes.ANSWER_BYTES_MAX + 1), -32603),
    ],
)
def test_an_answer_that_is_none_is_one_error(
    status: int, answer: bytes, code: int, node: Node, other: Other, gateway: Gateway
) -> None:
    other.status, other.answer = status, answer
    assert add(node, gateway, "Invoke", INVOKE)["error"]["code"] == code


def test_what_is_no_transaction_is_not_sent(node: Node, other: Other, gateway: Gateway) -> None:
    for kind, transaction in METHODS.items():
        assert add(node, gateway, kind, transaction | {"version": "0x1"})["error"]["code"] == 61
        none: tuple[object, ...] = (5, [], {}, transaction | {"type": "L1_HANDLER"})
        for wrong in none:
            assert add(node, gateway, kind, wrong)["error"]["code"] == -32602
        for field in transaction:
            missing = {name: value for name, value in transaction.items() if name != field}
            for wrong in (missing, transaction | {field: 1.5}, transaction | {field: {}}):
                error = add(node, gateway, kind, wrong)["error"]
                assert error["code"] == -32602
                assert field in error["data"]
    for field in CLASS:
        error = add(node, gateway, "Declare", DECLARE | {"contract_class": CLASS | {field: 7}})
        assert field in error["error"]["data"]
    assert other.asked == []


def test_another_node_is_asked_before_the_gateway(
    node: Node, other: Other, gateway: Gateway
) -> None:
    other.answer = b'{"result": {"transaction_hash": "0x1"}}'
    with closing(Upstream(other.url)) as upstream:
        asked = request("starknet_addInvokeTransaction", [INVOKE])
        answer = node.ask(asked, V0_9, upstream, gateway)
    assert answer["result"] == {"transaction_hash": "0x1"}
    assert [path for path, _ in other.asked] == ["/rpc/v0_9"]


def test_a_gateway_that_is_not_there_is_an_internal_error(node: Node) -> None:
    with closing(Gateway("http://127.0.0.1:9/gateway/")) as gone:
        error = add(node, gone, "Invoke", INVOKE, V0_8)["error"]
    assert (error["code"], "gateway" in error["data"]) == (-32603, True)


@ALL_SPECS
def test_parameters_have_the_specifications_names(spec: Spec) -> None:
    path = specs_folder() / FOLDERS[spec.name] / "starknet_write_api.json"
    published = {
        method["name"]: [param["name"] for param in method["params"]]
        for method in json.loads(path.read_text())["methods"]
    }
    mine = {name: [each.param.name] for name, each in ALL.items() if isinstance(each, Added)}
    assert mine == published
