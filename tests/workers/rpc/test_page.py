"""The status page without a browser: what it may do, what it is told, and what its streams cost at most."""

import asyncio
import json
import re
import socket
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.workers.rpc.test_probes import HEAD, ROWS, Probed
from workers.rpc import server
from workers.rpc.page import stream
from workers.rpc.page.board import STAGES, board, stage_of
from workers.rpc.page.stream import STREAMS_MAX, Streams

CLIENT = ("127.0.0.1", 50000)
SECONDS_MAX = 20.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Probed]:
    probed = Probed(tmp_path)
    yield probed
    probed.reader.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_get_shows_the_page_and_bots_read_200(node: Probed, method: str) -> None:
    status, headers, body = node.get("/", method)
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert b"<title>Hera</title>" in body


def test_the_page_may_run_what_is_written_in_it_and_ask_this_node_alone(node: Probed) -> None:
    _, headers, body = node.get("/")
    told = dict(
        part.split(" ", 1) for part in headers["content-security-policy"].split("; ") if " " in part
    )
    assert told["default-src"] == "'none'"
    assert told["connect-src"] == "'self'"
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        (inline,) = re.findall(f"<{tag}>(.*?)</{tag}>", body.decode(), re.DOTALL)
        digest = b64encode(sha256(inline.encode()).digest()).decode()
        assert told[name] == f"'sha256-{digest}'"
    text = body.decode()
    assert not re.search(r"""(src|href)=["'](?!data:|/)""", text)
    assert "innerHTML" not in text
    assert not re.search(r"<[^>]+\son\w+=", text)


def test_rows_of_the_pipeline_page_are_folded_into_the_five_stages(node: Probed) -> None:
    rows = ("p2p", "fetch-headers", "fetch-events", "assemble", "verify", "commit", "feeder")
    assert [stage_of(row) for row in rows] == [*("io", "fetch", "fetch"), *STAGES[2:], "io"]
    node.hears(*ROWS)
    shown = board(node.watch)
    assert [stage["name"] for stage in shown["stages"]] == list(STAGES)
    assert [stage["used"] for stage in shown["stages"]] == [True, False, True, True, True]


@pytest.mark.parametrize(
    ("target", "state", "says"),
    [
        (HEAD, "head", "Every block that the gateway knows of is checked and stored."),
        (HEAD + 50, "syncing", "Blocks are checked and stored as fast as they come from"),
        (None, "starting", "Waiting for the gateway to say how long the chain is."),
    ],
)
def test_each_state_is_told_in_words(
    node: Probed, target: int | None, state: str, says: str
) -> None:
    node.hears(*ROWS, target=target)
    node.now = 10.0
    shown = board(node.watch)
    assert shown["state"] == state
    assert shown["says"].startswith(says)


def test_why_it_is_stuck_is_told_in_the_words_of_p2p(node: Probed) -> None:
    workers: dict[str, Any] = {row: {"status": {"stage": row}} for row in ROWS[1:]}
    workers["p2p"] = {"status": {"peers": 1, "stuck": "block 4 has not come"}}
    node.watch.look({"topics": {}, "workers": workers})
    assert board(node.watch)["state"] == "starting"
    node.now = 10.0
    shown = board(node.watch)
    assert (shown["state"], shown["says"]) == ("stuck", "Block 4 has not come")


# ---- streams -------------------------------------------------------------------------------------------------


class Reader:
    """One who reads events; ``left`` is set when it leaves, ``may_read`` while it takes what is sent."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.may_read.wait()
        self.sent.append(message)

    def read(self, streams: Streams) -> "asyncio.Task[None]":
        """Open a stream."""
        scope = {"type": "http", "client": CLIENT}
        return asyncio.ensure_future(streams.response()(scope, self.receive, self.send))

    def events(self) -> list[Any]:
        """What came so far."""
        text = b"".join(message.get("body", b"") for message in self.sent).decode()
        return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not holds():
            await asyncio.sleep(0.005)


def played(node: Probed, play: Callable[[Streams, list[object]], Awaitable[None]]) -> None:
    """Run a play with streams that sample as often as they can; it is given who was cut as well."""
    node.hears(*ROWS)
    cut: list[object] = []

    async def run() -> None:
        await play(Streams(node.watch, cut.append, slow_seconds=0.05), cut)

    asyncio.run(run())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "EVENT_SECONDS", 0.02)


def test_events_come_until_the_reader_leaves_and_nothing_is_worked_out_after(
    node: Probed,
) -> None:
    async def play(streams: Streams, _: list[object]) -> None:
        reader = Reader()
        task = reader.read(streams)
        await until(lambda: len(reader.events()) >= 3)
        assert reader.events()[0]["head"]["number"] == HEAD
        reader.left.set()
        await task
        assert streams.open == 0
        made = streams.made
        await asyncio.sleep(0.1)
        assert streams.made == made

    played(node, play)


def test_readers_share_what_is_worked_out(node: Probed) -> None:
    async def play(streams: Streams, _: list[object]) -> None:
        readers = [Reader() for _ in range(STREAMS_MAX)]
        tasks = [reader.read(streams) for reader in readers]
        await until(lambda: min(len(reader.events()) for reader in readers) >= 5)
        assert streams.made < sum(len(reader.events()) for reader in readers) / 3
        streams.close()
        await asyncio.gather(*tasks)

    played(node, play)


def test_one_stream_too_many_is_refused_until_another_ends(node: Probed) -> None:
    async def play(streams: Streams, _: list[object]) -> None:
        readers = [Reader() for _ in range(STREAMS_MAX)]
        tasks = [reader.read(streams) for reader in readers]
        await until(lambda: streams.open == STREAMS_MAX)
        refusal = streams.response()
        assert refusal.status_code == 503
        assert refusal.headers["retry-after"] == "30"
        readers[0].left.set()
        await tasks[0]
        assert streams.response().status_code == 200
        streams.close()
        await asyncio.gather(*tasks)

    played(node, play)


def test_who_does_not_read_is_cut(node: Probed) -> None:
    async def play(streams: Streams, cut: list[object]) -> None:
        reader = Reader()
        task = reader.read(streams)
        await until(lambda: bool(reader.events()))
        reader.may_read.clear()
        await until(lambda: cut == [CLIENT])
        reader.left.set()
        await task
        assert streams.open == 0

    played(node, play)


def test_streams_end_with_the_server_and_by_themselves(
    node: Probed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "EVENTS_MAX", 4)

    async def play(streams: Streams, _: list[object]) -> None:
        reader = Reader()
        await reader.read(streams)
        assert len(reader.events()) == 3
        assert reader.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
        streams.close()
        again = Reader()
        await again.read(streams)
        assert len(again.events()) == 1

    played(node, play)


def test_a_connection_that_is_cut_ends_though_much_waits_to_be_read(
    node: Probed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real socket: what the kernel holds back must not keep the place taken."""
    node.hears(*ROWS)
    monkeypatch.setattr(Streams, "event", lambda _: b"data: " + bytes(16 << 20) + b"\n\n")

    async def run() -> None:
        streams = Streams(node.watch, lambda client: running.cut(client), slow_seconds=0.2)
        application = server.application(node.watch, streams)
        running = server._Server(uvicorn.Config(application, log_config=None, port=0))
        running.when_stopping = streams.close
        task = asyncio.create_task(running.serve())
        await until(lambda: running.started)
        port = running.servers[0].sockets[0].getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: hera\r\n\r\n")
            await until(lambda: streams.open == 1)
            await until(lambda: streams.open == 0 and not running.server_state.connections)
        running.should_exit = True
        await task

    asyncio.run(run())
