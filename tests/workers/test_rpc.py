"""The HTTP server over real sockets, on a real store, beside a real broker."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, MutableMapping
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.applications import Starlette

from broker.link import Link
from broker.memory import MemoryBroker
from starknet.network import Network
from tests.settings import settings_of as told
from tests.workers.blocks import generated
from tests.workers.rpc.sockets import SECONDS_MAX, TOPIC, free_port, processes, wait_for
from workers.messages import BlockStored, BlockVerified
from workers.rpc import rpc, server
from workers.rpc.page.stream import Streams
from workers.rpc.watch import Watch
from workers.settings import P2PSettings, Settings
from workers.store import DiskFull
from workers.store.reader import Reader
from workers.store.writer import Writer


@pytest.fixture(scope="module")
def blocks() -> list[BlockVerified]:
    return generated(4)


def settings_of(folder: Path, port: int, *, serve_only: bool = False) -> Settings:
    network = Network(
        name="devnet",
        chain_id="SN_HERA_DEVNET",
        feeder_url="",
        gateway_url="",
        l1_chain_id=1,
        core_contract="0x0",
        public_key=7,
    )
    return told(
        network,
        folder,
        broker=f"ipc://{folder}/run/broker",
        memory_bytes=1 << 20,
        p2p=P2PSettings((), (), (), bytes(32), serve_only),
        http_port=port,
        public_key=7,
        version="0.1.0",
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Settings, BaseProcess, threading.Event]]:
    """A broker in a thread, and the rpc process beside it; the event stops the broker."""
    settings = settings_of(tmp_path, free_port())
    with processes(settings, ["rpc"]) as ([process], stop):
        wait_for(lambda: get(settings, "/health")[0] == 200)
        yield settings, process, stop


def get(settings: Settings, path: str) -> tuple[int, Any]:
    return _ask(urllib.request.Request(f"http://127.0.0.1:{settings.http_port}{path}"))


def post(settings: Settings, body: object, path: str = "/") -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return _ask(urllib.request.Request(f"http://127.0.0.1:{settings.http_port}{path}", data))


def _ask(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            is_json = error.headers.get_content_type() == "application/json"
            return error.code, json.loads(text) if is_json else None
    except OSError:
        return 0, None


def call(settings: Settings, method: str) -> Any:
    status, answer = post(settings, {"jsonrpc": "2.0", "id": 1, "method": method})
    assert status == 200
    return answer.get("result", answer.get("error"))


def test_it_answers_from_the_store_as_it_grows(
    running: tuple[Settings, BaseProcess, threading.Event], blocks: list[BlockVerified]
) -> None:
    settings, process, _ = running

    status = get(settings, "/status")[1]
    assert status["head"] is None
    assert (status["network"], status["chain_id"]) == ("devnet", "SN_HERA_DEVNET")
    assert (status["role"], status["version"], status["syncing"]) == ("peer", "0.1.0", False)
    assert call(settings, "starknet_blockNumber") == {"code": 32, "message": "There are no blocks"}

    writer = Writer(settings.db_path, settings.network.chain_id)
    for block in blocks:
        writer.store(block)
        wait_for(lambda: (get(settings, "/status")[1]["head"] or {}).get("number") == block.number)  # noqa: B023
    writer.close()

    last = blocks[-1]
    status = get(settings, "/status")[1]
    assert status["head"] == {
        "number": last.number,
        "hash": hex(int.from_bytes(last.block_hash)),
        "state_root": hex(int.from_bytes(last.state_root)),
    }
    assert call(settings, "starknet_blockNumber") == last.number
    assert call(settings, "starknet_blockHashAndNumber") == {
        "block_hash": hex(int.from_bytes(last.block_hash)),
        "block_number": last.number,
    }
    assert call(settings, "starknet_chainId") == hex(int.from_bytes(b"SN_HERA_DEVNET"))
    assert call(settings, "starknet_syncing") is False

    wait_for(lambda: get(settings, "/status")[1]["blocks_per_second"] > 0)
    wait_for(lambda: "blocks.stored" in get(settings, "/status")[1]["queues"])
    queue = get(settings, "/status")[1]["queues"]["blocks.stored"]
    assert (queue["items"], queue["bytes"], queue["items_max"]) == (0, 0, 10)

    with Link(settings.broker, "p2p", gives=(TOPIC,)) as source:
        source.status(
            {"target": 99, "peers": 3, "blocks_served_events": 2, "blocks_served_headers": 5}
        )
        assert source.give(BlockStored(1, 0, bytes(32)))
        wait_for(lambda: get(settings, "/status")[1]["target"] == 99)
        status = get(settings, "/status")[1]
        assert (status["syncing"], status["peers"]) == (True, 3)
        assert status["queues"]["blocks.stored"]["items"] == 1
        assert status["workers"]["p2p"]["peers"] == 3
        assert status["p2p"]["served"] == 7
        syncing = call(settings, "starknet_syncing")
        assert syncing["current_block_num"] == last.number
        assert (syncing["starting_block_num"], syncing["highest_block_num"]) == (0, 99)

    assert post(settings, b"x" * (server.BODY_BYTES_MAX + 1))[0] == 413
    for path, version in (("/rpc", "0.10.2"), ("/rpc/v0_9", "0.9.0"), ("/v0_8", "0.8.0")):
        asked = {"jsonrpc": "2.0", "id": 1, "method": "starknet_specVersion"}
        assert post(settings, asked, path)[1]["result"] == version
    status, refused = post(settings, {}, "/rpc/v0_7")
    assert (status, refused["error"]["code"]) == (404, -32600)
    assert "/rpc/v0_10" in refused["error"]["data"]
    assert get(settings, "/nowhere")[0] == 404
    assert get(settings, "/rpc")[0] == 405  # at / it is the status page
    assert allowed_origin(settings) is None
    process.terminate()
    process.join(SECONDS_MAX)
    assert process.exitcode == 0
    assert not list(settings.db_path.glob("secondary-*"))


def test_a_lost_broker_ends_it_with_code_75(
    running: tuple[Settings, BaseProcess, threading.Event],
) -> None:
    _, process, stop = running
    stop.set()
    process.join(SECONDS_MAX)
    assert process.exitcode == 75


def test_a_busy_port_is_one_line_and_code_78(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as left:
            rpc.main(settings_of(tmp_path, port), MemoryBroker([TOPIC]).link("rpc"))
    assert left.value.code == 78
    (record,) = caplog.records
    assert f"port {port}" in record.getMessage()
    assert "--http-port" in record.getMessage()


def test_a_store_that_cannot_be_read_any_more_ends_it_and_is_no_traceback(
    chain: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk, where a view has no room for its own folder."""
    asked_to_end = []
    chain.when_lost = lambda: asked_to_end.append(True)

    def refuse(_: Reader) -> None:
        raise DiskFull(Path("store"))

    monkeypatch.setattr(Reader, "refresh", refuse)
    assert chain.status()["head"] is None
    assert isinstance(chain.unreadable, DiskFull)
    assert asked_to_end


# ---- the watch by itself -----------------------------------------------------------------------------------------


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Watch]:
    reader = Reader(tmp_path)
    yield Watch(settings_of(tmp_path, 1), reader, lambda _: {})
    reader.close()


def test_a_client_that_leaves_amid_its_body_raises_nothing(chain: Watch) -> None:
    """What the application raises would be a traceback in the log for each."""
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    heard = iter(
        (
            {"type": "http.request", "body": b'{"id"', "more_body": True},
            {"type": "http.disconnect"},
        )
    )
    said: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return next(heard)

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    asyncio.run(server.application(chain, Streams(chain, lambda _: None))(scope, receive, send))
    assert said[0]["status"] == 200


def test_what_is_written_to_a_client_that_left_is_dropped() -> None:
    async def leave() -> None:
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        address = listening.sockets[0].getsockname()
        transport, _ = await loop.create_connection(asyncio.Protocol, *address)
        transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="closed"):
            transport.write(b"answer")
        server._Dropping(transport).write(b"answer")
        listening.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(leave())


def test_speed_is_measured_over_the_last_half_minute(tmp_path: Path) -> None:
    now = [0.0]
    reader = Reader(tmp_path)
    watch = Watch(settings_of(tmp_path, 1), reader, lambda _: {}, clock=lambda: now[0])
    writer = Writer(tmp_path, "SN_HERA_DEVNET")
    try:
        for block in generated(3):
            watch.note()
            writer.store(block)
            now[0] += 10
        watch.note()
        assert watch.speed() == pytest.approx(3 / 30)
        now[0] += 20
        watch.note()
        assert watch.speed() == pytest.approx(1 / 30)
    finally:
        writer.close()
        reader.close()


@pytest.mark.parametrize("code", [signal.SIGINT])
def test_ctrl_c_ends_it_cleanly(
    running: tuple[Settings, BaseProcess, threading.Event], code: int
) -> None:
    _, process, _ = running
    assert process.pid is not None
    os.kill(process.pid, code)
    process.join(SECONDS_MAX)
    assert process.exitcode == 0


def test_a_second_signal_while_it_ends_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """As after a lost broker, when the supervisor stops it as well."""
    ended = []

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        for _second in range(2):
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        yield
        ended.append(True)

    config = uvicorn.Config(Starlette(lifespan=lifespan), log_config=None, lifespan="on")
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server._Server(config).run(sockets=[bound])
    assert ended
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def allowed_origin(settings: Settings) -> str | None:
    """Ask as a page of another origin; return which origins the answer is for."""
    url = f"http://127.0.0.1:{settings.http_port}/status"
    asked = urllib.request.Request(url, headers={"Origin": "https://app.example"})
    with urllib.request.urlopen(asked, timeout=5) as answer:
        allowed: str | None = answer.headers.get("Access-Control-Allow-Origin")
        return allowed


def test_several_may_answer_on_one_port_and_pages_of_any_origin_ask(tmp_path: Path) -> None:
    settings = replace(settings_of(tmp_path, free_port()), rpc_workers=2, rpc_cors=True)
    with processes(settings, ["rpc-1", "rpc-2"]):
        wait_for(lambda: get(settings, "/health")[0] == 200)
        wait_for(lambda: {"rpc-1", "rpc-2"} <= set(get(settings, "/status")[1]["workers"]))
        assert call(settings, "starknet_specVersion") == "0.10.2"
        assert allowed_origin(settings) == "*"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = replace(settings, http_port=taken.getsockname()[1])
        with pytest.raises(SystemExit):
            rpc.main(busy, MemoryBroker([TOPIC]).link("rpc"))
