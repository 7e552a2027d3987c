"""What this node cannot do another one is asked for, as it is; what goes wrong there is said in one error."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.workers.rpc.support import Node, generated, opened
from workers.rpc import upstream
from workers.rpc.methods import ALL, Forwarded
from workers.rpc.specs import V0_8, V0_10
from workers.rpc.upstream import Upstream


class Other(ThreadingHTTPServer):
    """Another node, which answers everything with ``answer`` and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, Any]] = []
        self.status = 200
        self.answer: bytes = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/rpc/{{version}}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Other)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other() -> Iterator[Other]:
    with Other() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    network, blocks = generated("0.13.4", 2)
    with opened(network, tmp_path, blocks) as made:
        yield made


def request(method: str, params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": "mine", "method": method, "params": params}


def test_parameters_and_result_pass_as_they_are_to_the_same_version(
    node: Node, other: Other
) -> None:
    result = {"large": 2**70, "list": ["0x1"]}
    other.answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
    with closing(Upstream(other.url)) as asked:
        for spec in (V0_10, V0_8):
            for name, method in ALL.items():
                if not isinstance(method, Forwarded):
                    continue
                other.asked.clear()
                params = {"any": [{"thing": 5}], "block_id": "latest"}
                answer = node.ask(request(name, params), spec, asked)
                assert answer == {"jsonrpc": "2.0", "id": "mine", "result": result}
                ((path, sent),) = other.asked
                assert path == f"/rpc/{spec.name}"
                assert (sent["method"], sent["params"]) == (name, params)


def test_a_transaction_that_is_not_stored_yet_is_asked_for_elsewhere(
    node: Node, other: Other
) -> None:
    other.answer = b'{"result": {"finality_status": "RECEIVED"}}'
    asked = request("starknet_getTransactionStatus", ["0x5"])
    assert node.ask(asked)["error"]["code"] == 29
    stored = node.call("getBlockWithTxHashes", "latest")["transactions"][0]
    with closing(Upstream(other.url)) as there:
        assert node.ask(asked, V0_10, there)["result"] == {"finality_status": "RECEIVED"}
        other.asked.clear()
        here = request("starknet_getTransactionStatus", [stored])
        assert node.ask(here, V0_10, there)["result"]["finality_status"] == "ACCEPTED_ON_L2"
        one = request("starknet_getTransactionByHash", ["0x5"])
        assert node.ask(one, V0_10, there)["error"]["code"] == 29
    assert other.asked == []


def test_what_is_stored_here_is_not_asked_elsewhere(node: Node, other: Other) -> None:
    with closing(Upstream(other.url)) as asked:
        assert node.ask(request("starknet_blockNumber", []), V0_10, asked)["result"] == 1
        assert node.ask(request("starknet_nothing", []), V0_10, asked)["error"]["code"] == -32601
    assert other.asked == []


def test_an_error_passes_as_it_is(node: Node, other: Other) -> None:
    error = {"code": 40, "message": "Contract error", "data": {"revert_error": "x"}}
    other.answer = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()
    with closing(Upstream(other.url)) as asked:
        assert node.ask(request("starknet_call", []), V0_10, asked)["error"] == error


@pytest.mark.parametrize(
    "answer", [b"", b"no JSON", b"[]", b"{}", b'{"error": 5}', b'{"error": {"code": "x"}}', b"\xff"]
)
def test_an_answer_that_is_none_is_an_internal_error(
    node: Node, other: Other, answer: bytes
) -> None:
    other.answer = answer
    with closing(Upstream(other.url)) as asked:
        assert node.ask(request("starknet_call", []), V0_10, asked)["error"]["code"] == -32603


def test_a_node_that_is_not_there_is_an_internal_error(node: Node) -> None:
    with closing(Upstream("http://127.0.0.1:9/")) as asked:
        error = node.ask(request("starknet_call", []), V0_10, asked)["error"]
    assert error["code"] == -32603
    assert "upstream" in error["data"]


def test_answers_and_waiting_requests_are_bounded(
    node: Node, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.answer = json.dumps({"result": "x" * 1000}).encode()
    with closing(Upstream(other.url)) as asked:
        monkeypatch.setattr(upstream, "ANSWER_BYTES_MAX", 100)
        error = node.ask(request("starknet_call", []), V0_10, asked)["error"]
        assert (error["code"], "above 100 bytes" in error["data"]) == (-32603, True)
        monkeypatch.setattr(upstream, "WAITING_MAX", 0)
        error = node.ask(request("starknet_call", []), V0_10, asked)["error"]
        assert (error["code"], "too many" in error["data"]) == (-32603, True)
