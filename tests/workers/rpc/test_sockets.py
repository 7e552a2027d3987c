"""Connections: requests are answered as over HTTP, and no client can hold more of the node than its share."""

import json
import os
import socket
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.workers.rpc.sockets import (
    SECONDS_MAX,
    Served,
    free_port,
    serving,
    serving_apart,
    wait_for,
)
from tests.workers.rpc.support import generated
from tests.workers.rpc.test_upstream import Other, request
from workers.log import log
from workers.messages import BlockVerified
from workers.rpc import follower, sockets
from workers.rpc.specs import socket_paths

LENGTH = 12


@pytest.fixture(scope="module")
def blocks() -> tuple[BlockVerified, ...]:
    return generated("0.13.4", LENGTH)[1]


@pytest.fixture
def served(module_served: Served) -> Iterator[Served]:
    """No test leaves connections to the next one."""
    yield module_served
    module_served.hang_up()


@pytest.fixture(scope="module")
def module_served(
    tmp_path_factory: pytest.TempPathFactory, blocks: tuple[BlockVerified, ...]
) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("node"), blocks) as served:
        yield served


def serve(path: Path, blocks: tuple[BlockVerified, ...], **changes: Any) -> Any:
    return serving(generated("0.13.4", LENGTH)[0], path, blocks, **changes)


def post(url: str, body: object) -> tuple[int, Any]:
    asked = urllib.request.Request(url, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(asked, timeout=SECONDS_MAX) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_every_path_answers_as_over_http(served: Served) -> None:
    asked = [
        request("starknet_specVersion", []),
        request("starknet_getBlockWithReceipts", ["latest"]),
        [request("starknet_blockNumber", []), request("starknet_nothing", []), 5],
        [],
        request("starknet_getNonce", {"block_id": "latest"}),
    ]
    for path in socket_paths():
        client = served.open(path)
        over_http = path.removeprefix("/ws") or "/"
        for body in asked:
            client.send(body)
            url = f"http://127.0.0.1:{served.settings.http_port}{over_http}"
            assert client.receive() == post(url, body)[1]
    client.send("{")
    assert client.receive()["error"]["code"] == -32700
    client.send(json.dumps(asked[0]).encode())
    assert client.receive()["result"] == "0.8.0"


def test_a_notification_is_not_answered_and_several_requests_are_under_way_at_once(
    tmp_path: Path, blocks: tuple[BlockVerified, ...]
) -> None:
    with Other() as other, serve(tmp_path, blocks, rpc_upstream=other.url) as served:
        client = served.open()
        client.send(request("starknet_call", []))  # nobody serves it yet
        client.send({"jsonrpc": "2.0", "method": "starknet_blockNumber"})
        client.send(request("starknet_blockNumber", []) | {"id": "second"})
        assert client.receive()["id"] == "second"
        other.answer = b'{"result": "0x1"}'
        other.handle_request()
        assert client.receive() == {"jsonrpc": "2.0", "id": "mine", "result": "0x1"}


def test_no_more_requests_are_read_than_are_under_way_at_once(
    tmp_path: Path, blocks: tuple[BlockVerified, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "REQUESTS_MAX", 2)
    with Other() as other, serve(tmp_path, blocks, rpc_upstream=other.url) as served:
        client = served.open()
        for _ in range(2):
            client.send(request("starknet_call", []))
        client.send(request("starknet_blockNumber", []))
        assert client.all_told() == []
        other.answer = b'{"result": "0x1"}'
        for _ in range(2):
            other.handle_request()
        found = [client.receive()["result"] for _ in range(3)]
    assert sorted(map(str, found)) == ["0x1", "0x1", str(LENGTH - 1)]


def test_what_is_not_served_is_refused_with_json_that_says_why(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str, **options: Any) -> tuple[int, str]:
        with pytest.raises(InvalidStatus) as error:
            served.open(path, **options)
        response = error.value.response
        return response.status_code, json.loads(response.body)["error"]["data"]

    monkeypatch.setattr("tests.workers.rpc.sockets.socket_paths", Anything)
    status, why = refused("/rpc/v0_7")
    assert (status, "/rpc/v0_10" in why) == (404, True)
    status, why = refused("/", origin="https://app.example")
    assert (status, "--rpc-cors-enable" in why) == (403, True)
    host = f"127.0.0.1:{served.settings.http_port}"
    assert served.open("/", origin=f"http://{host}").call("blockNumber") == LENGTH - 1
    served.hang_up()
    monkeypatch.setattr(sockets, "CONNECTIONS_MAX", 2)
    clients = [served.open("/") for _ in range(2)]
    status, why = refused("/")
    assert (status, "2 connections" in why) == (503, True)
    clients[0].connection.close()
    served.open("/")


class Anything(dict[str, Any]):
    """Has every path."""

    def __missing__(self, path: str) -> Any:
        return None


def test_a_message_that_is_too_large_ends_the_connection(served: Served) -> None:
    client = served.open()
    client.send(b" " * (sockets.MESSAGE_BYTES_MAX - 2) + b"{}")
    assert client.receive()["error"]["code"] == -32600
    client.send(b" " * (sockets.MESSAGE_BYTES_MAX + 1))
    with pytest.raises(ConnectionClosed) as closed:
        client.receive()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_a_connection_has_a_bounded_number_of_subscriptions(served: Served) -> None:
    client = served.open()
    asked = [request("starknet_subscribeNewTransactions", {})] * (sockets.SUBSCRIPTIONS_MAX + 1)
    client.send(asked)
    answers = client.receive()
    assert answers[-1]["error"]["code"] == -32603
    assert str(sockets.SUBSCRIPTIONS_MAX) in answers[-1]["error"]["data"]
    identities = [answer["result"] for answer in answers[:-1]]
    assert len(set(identities)) == sockets.SUBSCRIPTIONS_MAX
    assert client.call("unsubscribe", int(identities[0])) is True
    assert client.call("subscribeNewTransactions") not in identities


def test_the_answer_is_there_before_what_is_told(served: Served) -> None:
    client = served.open()
    first = {"block_id": {"block_number": 0}}
    batch = [request("starknet_subscribeNewHeads", first)] * 2
    client.send([*batch, *[request("starknet_blockNumber", [])] * 20])
    assert [answer["result"] for answer in client.receive()[:2]] == ["1", "2"]
    assert len(client.all_told()) == 2 * LENGTH


@pytest.mark.parametrize("reads", [True, False])
def test_who_does_not_read_is_cut_and_may_still_read_why(
    reads: bool,
    tmp_path: Path,
    blocks: tuple[BlockVerified, ...],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", log.name)
    monkeypatch.setattr(sockets, "SLOW_SECONDS", 0.5)
    monkeypatch.setattr(sockets, "CUT_SECONDS", SECONDS_MAX if reads else 0.2)
    with serve(tmp_path, blocks[:-1]) as served, raw(served) as slow:
        other = served.open()
        other.call("subscribeNewHeads")
        first = request("starknet_subscribeNewHeads", {"block_id": {"block_number": 0}})
        slow.sendall(frame(first))
        page = request("starknet_getEvents", {"filter": {"chunk_size": 1000}})
        for _ in range(2):  # answers that no socket's buffer has room for
            slow.sendall(frame([page] * 128))
        served.store(blocks[-1])
        wait_for(lambda: "Cut a WebSocket client" in caplog.text)
        if reads:
            assert b"too slow: a message was not read in" in rest_of(slow)[-200:]
        wait_for(lambda: len(served.server.server_state.connections) == 1)
        assert [result["block_number"] for _, _, result in other.all_told()] == [10, 11]


def test_a_client_that_answers_no_ping_is_cut(
    tmp_path: Path, blocks: tuple[BlockVerified, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "PING_SECONDS", 0.2)
    monkeypatch.setattr(sockets, "PONG_SECONDS", 0.5)
    with serve(tmp_path, blocks) as served, raw(served) as silent:
        answering = served.open()
        assert b"no answer to a ping" in rest_of(silent)
        assert answering.call("blockNumber") == LENGTH - 1


def test_who_falls_too_far_behind_is_cut(
    tmp_path: Path, blocks: tuple[BlockVerified, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "BLOCKS_BEHIND_MAX", 0)
    with serve(tmp_path, blocks[:-1]) as served:
        client = served.open()
        first = client.call("getBlockWithTxHashes", {"block_number": 0})["transactions"][0]
        client.call("subscribeTransactionStatus", first)
        client.call("subscribeNewHeads", {"block_number": 0})
        assert len(client.all_told()) == LENGTH  # what was there before counts for nobody
        served.store(blocks[-1])
        with pytest.raises(ConnectionClosed) as closed:
            client.told()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, "0 blocks behind" in closed.value.rcvd.reason) == (1008, True)


def test_what_waits_for_all_clients_is_bounded(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "WAITING_BYTES_MAX", 1000)
    client = served.open()
    assert client.call("blockNumber") == LENGTH - 1
    with pytest.raises(ConnectionClosed) as closed:
        client.call("getBlockWithReceipts", "latest")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_the_store_is_looked_at_only_while_somebody_subscribes(
    tmp_path: Path, blocks: tuple[BlockVerified, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    look = follower.Follower.look

    def counted(self: follower.Follower) -> None:
        looks.append(time.monotonic())
        look(self)

    monkeypatch.setattr(follower.Follower, "look", counted)
    with serve(tmp_path, blocks) as served:
        client, other = served.open(), served.open()
        assert client.call("blockNumber") == LENGTH - 1
        assert client.all_told() == looks == []
        identity = client.call("subscribeNewTransactions")
        wait_for(lambda: len(looks) > 3)
        assert client.call("unsubscribe", identity) is True
        other.call("subscribeNewHeads")
        other.connection.close()
        wait_for(lambda: len(served.server.server_state.connections) == 1)
        looks.clear()
        assert client.all_told() == looks == []


def test_every_process_tells_its_clients_of_each_commit_on_either_port(
    tmp_path: Path, blocks: tuple[BlockVerified, ...]
) -> None:
    network, _ = generated("0.13.4", LENGTH)
    port = free_port()
    with serving_apart(
        network, tmp_path, blocks[:8], rpc_workers=2, ws_host="127.0.0.1", ws_port=port
    ) as served:
        wait_for(lambda: served.listeners() == 4)
        clients = [served.open("/", port if at % 2 else None) for at in range(16)]
        for client in clients:
            client.call("subscribeNewHeads")
            assert client.told()[2]["block_number"] == 7
        for number in range(8, LENGTH):
            served.store(blocks[number])
            for client in clients:
                assert client.told()[2]["block_number"] == number
        status, refused = post(f"http://127.0.0.1:{port}/", request("starknet_blockNumber", []))
        assert (status, refused["error"]["code"]) == (426, -32600)


# ---- a client by hand ---------------------------------------------------------------------------------------


def raw(served: Served) -> socket.socket:
    """Return a connection that reads and answers nothing by itself, and has little room for what comes."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(SECONDS_MAX)
    client.connect(("127.0.0.1", served.settings.http_port))
    key = b64encode(os.urandom(16)).decode()
    lines = (
        *("GET / HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket"),
        *("Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", ""),
    )
    client.sendall("\r\n".join(lines).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    assert head.startswith(b"HTTP/1.1 101")
    return client


def frame(body: object) -> bytes:
    """Return a message as a client sends it, masked with zeros."""
    text = json.dumps(body).encode().ljust(126)
    assert 126 <= len(text) < 1 << 16
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text


def rest_of(client: socket.socket) -> bytes:
    """Return all that comes until the connection ends."""
    told = bytearray()
    try:
        while piece := client.recv(1 << 16):
            told += piece
    except ConnectionResetError:
        pass
    return bytes(told)
