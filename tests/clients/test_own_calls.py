"""What the clients make of several calls, all that they have by name, and what is asked of other nodes."""

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.askers import (
    JAVASCRIPT,
    PYTHON,
    SUBSCRIPTIONS,
    Asker,
    StarknetJs,
    StarknetPy,
    plain,
)
from tests.clients.conftest import CLIENTS, Chain, asking
from tests.scripts import Refused
from tests.workers.rpc import expected

NOT_CALLS = {
    *("constructor", "use", "fetch", "readSpecVersion", "setUpSpecVersion", "prepareInvocations"),
}
WRITES = {
    *("invokeFunction", "invokeSignedTx", "declareContract", "deployAccountContract"),
    *("send_transaction", "declare", "deploy_account"),
}
OF_SEVERAL = {
    *("getBlock", "getStarknetVersion", "getGasPrices", "getL1GasPrice", "waitForBlock"),
    *("getL1MessageHash", "getTransaction", "waitForTransaction", "getClassByHash"),
    *("isClassDeclared", "getContractVersion", "getEstimateTip", "getEvents"),
    *("get_block", "get_events", "get_l1_message_hash", "wait_for_tx"),
}
# what needs a virtual machine, a compiler or L1, and a call of it
CALL = {"contractAddress": "0x1", "entrypoint": "name", "calldata": []}
MESSAGE = {
    "from_address": "0x" + 40 * "1",
    "to_address": "0x1",
    "entry_point_selector": "0x1",
    "payload": [],
}
INVOKE = {"make": "Invoke", "sender_address": 1, "calldata": []}
DETAILS = {
    "nonce": "0x0",
    "tip": "0x0",
    "paymasterData": [],
    "accountDeploymentData": [],
    "nonceDataAvailabilityMode": "L1",
    "feeDataAvailabilityMode": "L1",
    "version": "0x3",
    "resourceBounds": {
        gas: {"max_amount": "0x0", "max_price_per_unit": "0x0"}
        for gas in ("l1_gas", "l1_data_gas", "l2_gas")
    },
}
INVOCATION = {"type": "INVOKE", **CALL, "signature": [], **DETAILS}
ELSEWHERE_JAVASCRIPT: dict[str, list[Any]] = {
    "callContract": [CALL],
    "verifyMessageInStarknet": ["0x1", ["0x1", "0x2"], "0x1"],
    "getSimulateTransaction": [[INVOCATION]],
    "getEstimateFeeBulk": [[INVOCATION], {}],
    "getInvokeEstimateFee": [CALL | {"signature": []}, DETAILS],
    "getDeployAccountEstimateFee": [
        {"classHash": "0x1", "addressSalt": "0x1", "constructorCalldata": [], "signature": []},
        DETAILS,
    ],
    "getDeclareEstimateFee": [
        {
            "senderAddress": "0x1",
            "contract": {
                "sierra_program": base64.b64encode(gzip.compress(b"[]")).decode(),
                "contract_class_version": "0.1.0",
                "entry_points_by_type": {"CONSTRUCTOR": [], "EXTERNAL": [], "L1_HANDLER": []},
                "abi": "[]",
            },
            "compiledClassHash": "0x1",
            "signature": [],
        },
        DETAILS,
    ],
    "estimateMessageFee": [MESSAGE],
    "getTransactionTrace": ["0x1"],
    "getBlockTransactionsTraces": [0],
    "getCompiledCasm": ["0x1"],
    "getL1MessagesStatus": ["0x1"],
}
ELSEWHERE_PYTHON: dict[str, dict[str, Any]] = {
    "call_contract": {
        "call": {"make": "Call", "to_addr": 1, "selector": 1, "calldata": []},
    },
    "estimate_fee": {"tx": INVOKE},
    "estimate_message_fee": MESSAGE,
    "simulate_transactions": {"transactions": [INVOKE]},
    "trace_transaction": {"tx_hash": 1},
    "trace_block_transactions": {"block_number": 0},
    "get_compiled_casm": {"class_hash": 1},
    "get_messages_status": {"transaction_hash": 1},
}


@pytest.fixture(params=[name for name in CLIENTS if "js" in name])
def js(request: pytest.FixtureRequest, chain: Chain, tmp_path: Path) -> Iterator[StarknetJs]:
    with asking(request.param, chain.node, tmp_path) as client:
        assert isinstance(client, StarknetJs)
        yield client


@pytest.fixture
def py(chain: Chain, tmp_path: Path) -> Iterator[StarknetPy]:
    with asking("starknet-py-v0_10", chain.node, tmp_path) as client:
        assert isinstance(client, StarknetPy)
        yield client


def test_each_call_of_either_client_is_asked_somewhere_here(js: StarknetJs, py: StarknetPy) -> None:
    asked = {each[0] for each in JAVASCRIPT.values()} | ELSEWHERE_JAVASCRIPT.keys()
    asked |= {*PYTHON.values()} | ELSEWHERE_PYTHON.keys() | OF_SEVERAL | WRITES | NOT_CALLS
    assert SUBSCRIPTIONS.keys() == {*js.names()["subscriptions"]}
    assert {*SUBSCRIPTIONS.values()} == {*py.names()["subscriptions"]}
    had = {*js.names()["calls"], *py.names()["calls"]}
    assert had == asked


def test_starknet_js_makes_blocks_prices_and_versions_of_the_answers(
    chain: Chain, js: StarknetJs
) -> None:
    head = chain.blocks[-1][0]
    block = js.own("getBlock", chain.head)
    assert block["block_hash"] == plain(head["block_hash"])
    assert block["status"] == "ACCEPTED_ON_L2"
    assert js.own("getStarknetVersion", chain.head) == head["starknet_version"]
    header = expected.header(head)
    if "l1_gas_price" in header:
        assert js.own("getL1GasPrice", chain.head) == plain(header["l1_gas_price"]["price_in_wei"])
    assert js.own("waitForBlock", chain.head) is None
    assert js.own("getGasPrices", chain.head)["l1GasPrice"] >= 0
    assert js.own("getEstimateTip", chain.head)["recommendedTip"] >= 0


def test_starknet_js_finds_transactions_and_classes(chain: Chain, js: StarknetJs) -> None:
    *_, (_, _, transaction, receipt) = (
        each for each in chain.transactions() if each[3]["execution_status"] == "SUCCEEDED"
    )
    name = transaction["transaction_hash"]
    assert js.own("getTransaction", name)["transaction_hash"] == plain(name)
    waited = js.own("waitForTransaction", name, {"retryInterval": 10})
    assert waited["actual_fee"]["amount"] == plain(receipt["actual_fee"])
    deployed = chain.blocks[0][1]["state_diff"]["deployed_contracts"][0]
    assert js.own("isClassDeclared", {"classHash": deployed["class_hash"]}) is True
    assert js.own("isClassDeclared", {"classHash": "0x1234"}) is False
    assert "entry_points_by_type" in js.own("getClassByHash", deployed["class_hash"])
    definition = chain.definition(deployed["class_hash"])
    assert definition is not None
    cairo = "1" if "sierra_program" in definition else "0"
    version = js.own("getContractVersion", deployed["address"], None, {"compiler": False})
    assert version["cairo"] == cairo


def test_both_clients_and_the_node_agree_on_the_hash_of_a_message_from_l1(
    generated: Chain, tmp_path: Path
) -> None:
    names = [
        transaction["transaction_hash"]
        for _, _, transaction, _ in generated.transactions()
        if transaction["type"] == "L1_HANDLER"
    ]
    assert names
    with (
        asking("starknet.js-v0_10", generated.node, tmp_path) as js,
        asking("starknet-py-v0_10", generated.node, tmp_path) as py,
    ):
        for name in names:
            told = js.ask("getTransactionReceipt", transaction_hash=name)["message_hash"]
            assert told == js.own("getL1MessageHash", name)
            assert told == py.own("get_l1_message_hash", tx_hash=name)


def test_starknet_py_waits_for_a_transaction_and_reads_whole_event_lists(
    chain: Chain, py: StarknetPy
) -> None:
    for _, _, transaction, receipt in chain.transactions():
        asked = {"tx_hash": transaction["transaction_hash"], "check_interval": 0.01}
        if receipt["execution_status"] == "SUCCEEDED":
            assert py.own("wait_for_tx", **asked)["execution_status"] == "SUCCEEDED"
        else:
            with pytest.raises(Refused, match=receipt["revert_error"]):
                py.own("wait_for_tx", **asked)
    block = py.own("get_block", block_number="latest")
    assert block["block_number"] == chain.head
    whole = {"from_block_number": 0, "to_block_number": "pre_confirmed", "chunk_size": 5}
    events = py.own("get_events", **whole, follow_continuation_token=True)["events"]
    emitted = [event for block, _ in chain.blocks for event in expected.events(block)]
    assert events == plain(emitted)


def test_a_batch_of_starknet_js_is_answered_call_by_call(chain: Chain, js: StarknetJs) -> None:
    calls = [["getBlockTransactionCount", number] for number in range(chain.head + 1)]
    wanted = [len(block["transactions"]) for block, _ in chain.blocks]
    assert js.batch(calls) == wanted


def test_what_this_node_cannot_do_is_refused_in_words_that_say_so(
    generated: Chain, tmp_path: Path
) -> None:
    with asking("starknet.js-v0_10", generated.node, tmp_path) as js:
        for method, values in ELSEWHERE_JAVASCRIPT.items():
            refused(js, method, *values)
    with asking("starknet-py-v0_10", generated.node, tmp_path) as py:
        for method, named in ELSEWHERE_PYTHON.items():
            refused(py, method, **named)


def refused(asker: Asker, method: str, *values: Any, **named: Any) -> None:
    with pytest.raises(Refused) as found:
        asker.own(method, *values, **named)
    assert found.value.code == -32601 or "-32601" in found.value.why, str(found.value)
    assert "set --rpc-upstream" in found.value.why


def test_headers_are_those_that_another_node_keeps_of_the_same_blocks(
    fixtures: Path, recorded: Chain, tmp_path: Path
) -> None:
    """Pathfinder's; commitments too, which the gateway of that time did not tell."""
    path = fixtures.parent / "vectors" / "pathfinder" / "sepolia_headers.json"
    if not path.is_file():
        pytest.skip("the headers that another node keeps are not here")
    names = (
        *("block_hash", "block_number", "timestamp", "sequencer_address", "starknet_version"),
        *("transaction_commitment", "event_commitment", "receipt_commitment"),
        *("state_diff_commitment", "state_diff_length", "transaction_count", "event_count"),
    )
    with asking("starknet.js-v0_10", recorded.node, tmp_path) as js:
        for kept in json.loads(path.read_text()):
            told = js.ask("getBlockWithTxHashes", block=kept["block_number"])
            wanted = plain({name: kept[name] for name in names})
            wanted |= plain({"parent_hash": kept["parent_block_hash"]})
            wanted |= plain({"new_root": kept["state_root"]})
            assert {name: told[name] for name in wanted} == wanted
