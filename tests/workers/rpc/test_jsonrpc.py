"""JSON-RPC by itself: each fault has its code, and nothing that comes can take long or much."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workers import blocks as made
from tests.workers.rpc.support import ALL_SPECS, Node, generated, opened, schemas
from workers.rpc import jsonrpc, server
from workers.rpc.methods import ALL, Forwarded
from workers.rpc.page.stream import Streams
from workers.rpc.specs import LATEST, V0_8, V0_9, V0_10, Spec

LENGTH = 10


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    network, blocks = generated("0.13.4", LENGTH)
    with opened(network, tmp_path_factory.mktemp("node"), blocks) as ready:
        yield ready


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Node]:
    network, _ = generated("0.13.4", LENGTH)
    with opened(network, tmp_path, ()) as ready:
        yield ready


def request(**parts: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": "starknet_specVersion"} | parts


def nested(depth: int) -> bytes:
    return (
        b'{"jsonrpc":"2.0","id":1,"method":"starknet_call","params":'
        + b"[" * depth
        + b"]" * depth
        + b"}"
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"[" * 100_000, -32700),
        (b"\xff", -32700),
        (b'{"id": NaN}', -32700),
        (b"9" * 10_000, -32700),
        (nested(jsonrpc.DEPTH_MAX), -32700),
        (nested(jsonrpc.DEPTH_MAX - 1), -32601),
        ([], -32600),
        ("text", -32600),
        (7, -32600),
        (None, -32600),
        (request(jsonrpc="1.0"), -32600),
        (request(method=7), -32600),
        (request(id=True), -32600),
        (request(id=1.5), -32600),
        (request(id=[]), -32600),
        (request(method="starknet_nothing"), -32601),
        (request(method="starknet_subscribeNewHeads"), -32601),
        (request(params=[1]), -32602),
        (request(params="text"), -32602),
        (request(method="starknet_getNonce"), -32602),
        (request(method="starknet_getNonce", params={"block_id": "latest"}), -32602),
        (request(method="starknet_getNonce", params=["latest", "0xg"]), -32602),
        (request(method="starknet_getNonce", params=["latest", 5]), -32602),
        (request(method="starknet_getNonce", params=["latest", "0x" + 64 * "f"]), -32602),
        (request(method="starknet_getNonce", params=["newest", "0x5"]), -32602),
        (request(method="starknet_getNonce", params=[{"block_number": -1}, "0x5"]), -32602),
        (request(method="starknet_getNonce", params=[{"block_number": True}, "0x5"]), -32602),
        (request(method="starknet_getNonce", params=[{}, "0x5"]), -32602),
    ],
)
def test_each_fault_of_a_request_has_its_code(node: Node, body: object, code: int) -> None:
    answer = node.ask(body)
    assert answer["error"]["code"] == code
    assert answer["jsonrpc"] == "2.0"
    assert "result" not in answer


def test_ids_come_back_as_they_were(node: Node) -> None:
    for identity in (1, 0, -5, 2**70, "a", "", 'q"\ud800', None):
        answer = node.ask(request(id=identity))
        assert answer == {"jsonrpc": "2.0", "result": LATEST.version, "id": identity}


def test_parameters_may_be_named_or_in_order_or_of_a_later_version(node: Node) -> None:
    wanted = node.call("getBlockTransactionCount", "latest")
    for params in (
        {"block_id": "latest"},
        {"block_id": "latest", "of_another_version": 5},
        {"block_id": {"block_number": LENGTH - 1}},
        [{"block_hash": node.call("blockHashAndNumber")["block_hash"]}],
    ):
        asked = request(method="starknet_getBlockTransactionCount", params=params)
        assert node.ask(asked)["result"] == wanted
    nothing: list[object] = [[], {}, None]
    for none in nothing:
        assert node.ask(request(params=none))["result"] == LATEST.version


def test_felts_may_have_zeros_in_front_and_have_none_in_answers(node: Node) -> None:
    told = node.call("getBlockWithTxHashes", "latest")
    padded = f"0x{int(told['block_hash'], 16):064x}"
    assert node.call("getBlockWithTxHashes", {"block_hash": padded}) == told
    assert (
        node.call("getBlockWithTxHashes", {"block_hash": padded.upper().replace("X", "x")}) == told
    )


def test_a_batch_is_answered_one_by_one_without_its_notifications(node: Node) -> None:
    notification = {"jsonrpc": "2.0", "method": "starknet_specVersion"}
    answers = node.ask([request(id="a"), notification, request(id=None, method="x"), 7])
    assert [answer["id"] for answer in answers] == ["a", None, None]
    assert answers[0]["result"] == LATEST.version
    assert node.ask(notification) is None
    assert node.ask([notification]) is None


def test_a_batch_is_bounded_in_number_bytes_and_time(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = node.ask([request()] * (jsonrpc.BATCH_MAX + 1))
    assert answer["error"]["code"] == -32600
    assert len(node.ask([request()] * jsonrpc.BATCH_MAX)) == jsonrpc.BATCH_MAX

    monkeypatch.setattr(jsonrpc, "ANSWER_BYTES_MAX", 100)
    answers = node.ask([request(id=index) for index in range(10)])
    assert [answer["id"] for answer in answers] == list(range(10))
    assert "result" in answers[0]
    assert answers[-1]["error"]["code"] == -32603

    monkeypatch.setattr(jsonrpc, "BATCH_SECONDS", -1)
    late = node.ask([request(), {"jsonrpc": "2.0", "method": "x"}, 7])
    assert [answer["error"]["code"] for answer in late] == [-32603, -32600]


def test_an_empty_store_has_no_blocks(empty: Node) -> None:
    assert empty.call("blockNumber") == {"code": 32, "message": "There are no blocks"}
    assert empty.call("blockHashAndNumber")["code"] == 32
    assert empty.call("getEvents", {"chunk_size": 1})["code"] == 32
    for method in ("getBlockWithTxs", "getStateUpdate", "getStorageProof"):
        assert empty.call(method, "latest")["code"] == 24
    assert empty.call("getNonce", "latest", "0x5")["code"] == 24
    assert empty.call("syncing") is False


FAULTS = [
    ("getBlockWithTxHashes", [{"block_number": LENGTH}], 24),
    ("getBlockWithTxs", [{"block_hash": "0x5"}], 24),
    ("getBlockWithReceipts", [{"block_number": 2**62}], 24),
    ("getBlockTransactionCount", [{"block_number": LENGTH}], 24),
    ("getStateUpdate", [{"block_number": LENGTH}], 24),
    ("getStorageAt", ["0x5", "0x1", "latest"], 20),
    ("getStorageAt", ["0x5", "0x1", {"block_number": LENGTH}], 24),
    ("getTransactionStatus", ["0x5"], 29),
    ("getTransactionReceipt", ["0x5"], 29),
    ("getTransactionByHash", ["0x5"], 29),
    ("getTransactionByBlockIdAndIndex", ["latest", 1000], 27),
    ("getTransactionByBlockIdAndIndex", [{"block_number": LENGTH}, 0], 24),
    ("getClass", ["latest", "0x5"], 28),
    ("getClass", [{"block_number": LENGTH}, "0x5"], 24),
    ("getClassHashAt", ["latest", "0x5"], 20),
    ("getClassAt", ["latest", "0x5"], 20),
    ("getNonce", ["latest", "0x5"], 20),
    ("getEvents", [{"chunk_size": 10_241}], 31),
    ("getEvents", [{"chunk_size": 1, "continuation_token": "x"}], 33),
    ("getEvents", [{"chunk_size": 1, "continuation_token": f"{LENGTH}-0"}], 33),
    ("getEvents", [{"chunk_size": 1, "from_block": {"block_hash": "0x5"}}], 24),
    ("getEvents", [{"chunk_size": 1, "keys": [["0x1"] * 1025]}], 34),
    ("getStorageProof", [{"block_number": 0}], 42),
    ("getStorageProof", [{"block_number": LENGTH}], 24),
]


@ALL_SPECS
@pytest.mark.parametrize(("method", "params", "code"), FAULTS)
def test_what_is_not_there_is_answered_in_the_words_of_the_specification(
    node: Node, spec: Spec, method: str, params: list[object], code: int
) -> None:
    error = node.call(method, *params, spec=spec)
    assert error == {"code": code, "message": schemas(spec).errors(method)[code]}


@pytest.mark.parametrize(
    ("spec", "tag", "stranger"),
    [
        (V0_8, "pending", "pre_confirmed"),
        (V0_9, "pre_confirmed", "pending"),
        (V0_10, "pre_confirmed", "pending"),
    ],
)
def test_of_the_block_that_is_being_built_only_the_state_is_known(
    node: Node, spec: Spec, tag: str, stranger: str
) -> None:
    for method in (
        "getBlockWithTxs",
        "getStateUpdate",
        "getBlockTransactionCount",
        "getStorageProof",
    ):
        assert node.call(method, tag, spec=spec)["code"] == 24
    contract = node.call("getStateUpdate", {"block_number": 0})["state_diff"]["nonces"][0]
    address = contract["contract_address"]
    nonce = node.call("getNonce", "latest", address, spec=spec)
    assert node.call("getNonce", tag, address, spec=spec) == nonce
    assert node.call("getNonce", stranger, address, spec=spec)["code"] == -32602


def test_no_block_is_known_to_be_accepted_on_l1(node: Node) -> None:
    assert node.call("getBlockWithTxs", "l1_accepted")["code"] == 24
    assert node.call("getNonce", "l1_accepted", "0x5")["code"] == 24
    assert node.call("getBlockWithTxs", "l1_accepted", spec=V0_8)["code"] == -32602


def test_without_an_upstream_node_what_it_would_do_is_said_to_be_missing(node: Node) -> None:
    for name, method in ALL.items():
        if isinstance(method, Forwarded):
            answer = node.ask(request(method=name, params=[]))
            assert answer["error"] == {
                "code": -32601,
                "message": "Method not found",
                "data": method.lacks,
            }
            assert "--rpc-upstream" in method.lacks


def test_syncing_says_where_the_chain_goes(tmp_path: Path) -> None:
    network, blocks = generated("0.13.4", LENGTH)
    with opened(network, tmp_path, blocks, target=LENGTH + 20) as node:
        told = node.call("syncing")
        assert told["current_block_num"] == LENGTH - 1
        assert told["highest_block_num"] == LENGTH + 20
        schemas(LATEST).check("syncing", told)
        assert node.watch._asked.is_set()  # a node that is idle asks its broker for newer figures


def test_an_answer_that_is_no_plain_json_for_the_fast_writer_is_written_all_the_same() -> None:
    value: Any = {"large": 2**80, "half": "\ud800"}
    assert json.loads(jsonrpc._encode(value)) == value


def test_a_block_that_cannot_be_decoded_costs_one_answer_and_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """These blocks were never verified: their transactions are of no kind."""
    network, _ = generated("0.13.4", LENGTH)
    blocks = made.generated(4)
    number = next(block.number for block in blocks if block.transaction_hashes)
    with opened(network, tmp_path, blocks) as node:
        params = [{"block_number": number}]
        answers = node.ask([request(method="starknet_getBlockWithTxs", params=params), request()])
    assert answers[0]["error"]["code"] == -32603
    assert answers[1]["result"] == LATEST.version
    (record,) = caplog.records
    assert record.exc_info


# ---- over HTTP --------------------------------------------------------------------------------------------------


def post(node: Node, pieces: list[bytes], path: str = "/rpc") -> tuple[int, Any]:
    """Send a body in pieces, without an end if the last is empty; return status and answer."""
    application = server.application(node.watch, Streams(node.watch, lambda _: None))
    coming = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if pieces[-1]:
        coming[-1]["more_body"] = False
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if coming:
            return coming.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("never set")

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    asyncio.run(application(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body) if body else None


def test_a_body_is_bounded_in_bytes_and_time(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = json.dumps(request()).encode()
    assert post(node, [asked[:9], asked[9:]])[1]["result"] == LATEST.version
    assert post(node, [asked], "/v0_8")[1]["result"] == V0_8.version
    notification = json.dumps({"jsonrpc": "2.0", "method": "starknet_specVersion"}).encode()
    assert post(node, [notification]) == (200, None)

    monkeypatch.setattr(server, "BODY_SECONDS_MAX", 0.02)
    status, answer = post(node, [asked[:9], b""])
    assert (status, answer["error"]["code"]) == (408, -32600)
    monkeypatch.setattr(server, "BODY_BYTES_MAX", 20)
    status, answer = post(node, [asked[:9], asked[9:]])
    assert (status, answer["error"]["code"]) == (413, -32600)


def test_a_path_that_is_not_served_is_answered_with_those_that_are(node: Node) -> None:
    status, answer = post(node, [b"{}"], "/rpc/v0_7")
    assert status == 404
    for path in ("/rpc/v0_10", "/rpc/v0_9", "/v0_8"):
        assert path in answer["error"]["data"]


def test_requests_are_counted_by_method_and_errors_by_code(node: Node) -> None:
    figures = node.watch.settings.figures
    before = figures.report()["series"].get("hera_rpc_requests_total", {})
    node.call("chainId")
    node.call("chainId", 5)
    node.call("ofNoSpecification")
    series = figures.report()["series"]
    counted = series["hera_rpc_requests_total"]
    known = "starknet_chainId"
    assert counted[known] == before.get(known, 0) + 2
    assert counted["unknown"] == before.get("unknown", 0) + 1
    assert {"-32601", "-32602"} <= series["hera_rpc_errors_total"].keys()
    assert sum(series["hera_rpc_request_duration_seconds"][""][:-1]) == sum(counted.values())
