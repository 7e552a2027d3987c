"""``/ready`` and ``/ready/sync`` say what a load balancer needs to know, by their status code and by a reason."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node import pipeline
from tests.settings import settings_of
from tests.workers.rpc.support import generated
from workers.rpc import server
from workers.rpc.page.stream import Streams
from workers.rpc.watch import Watch
from workers.store.reader import Reader
from workers.store.writer import Writer

BLOCKS = 4
HEAD = BLOCKS - 1
ROWS = ("p2p", "assemble", "verify", "commit")
STAGES = (("p2p", ""), *((row.name, row.takes.name) for row in pipeline.PIPELINE[-3:]))


class Probed:
    """A store of four blocks, and a clock that a test moves."""

    def __init__(self, folder: Path) -> None:
        network, blocks = generated("0.13.4")
        writer = Writer(folder, network.chain_id)
        for block in blocks[:BLOCKS]:
            writer.store(block)
        writer.close()
        self.now = 0.0
        self.reader = Reader(folder)
        settings = settings_of(network, folder, stages=STAGES)
        self.watch = Watch(settings, self.reader, lambda _: {}, lambda: self.now)

    def hears(self, *rows: str, target: int | None = HEAD) -> None:
        """Have the broker's figures name these processes, and p2p this target."""
        said = {"p2p": {"peers": 3, "stuck": ""} | ({} if target is None else {"target": target})}
        workers = {
            row: {"status": said.get(row, {"stage": row}), "last_seen_s": 0.2} for row in rows
        }
        self.watch.look({"topics": {}, "workers": workers})

    def get(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Ask the application; return status, headers and body."""
        return asyncio.run(_ask(self.watch, path, method))

    def probe(self, path: str) -> tuple[int, Any]:
        """Ask a probe; return status and answer."""
        status, headers, body = self.get(path)
        assert headers["content-type"] == "application/json"
        return status, json.loads(body)


async def _ask(watch: Watch, path: str, method: str) -> tuple[int, dict[str, str], bytes]:
    application = server.application(watch, Streams(watch, lambda _: None))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
    await application(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Probed]:
    probed = Probed(tmp_path)
    yield probed
    probed.reader.close()


@pytest.mark.parametrize("path", ["/health", "/live"])
def test_whoever_answers_is_alive_whatever_else_is_the_matter(node: Probed, path: str) -> None:
    assert node.probe(path) == (200, {"status": "ok"})


def test_a_node_is_ready_once_each_of_its_processes_is_heard(node: Probed) -> None:
    status, answer = node.probe("/ready")
    assert (status, answer["why"]) == (503, ["the broker has not answered yet"])
    node.hears("p2p", "assemble", "commit")
    status, answer = node.probe("/ready")
    assert (status, answer["status"]) == (503, "not ready")
    assert answer["why"] == ["verify does not run"]
    node.hears(*ROWS, target=HEAD + 1000)  # far behind is no reason
    status, answer = node.probe("/ready")
    assert (status, answer["status"], answer["why"]) == (200, "ready", [])
    assert (answer["head"], answer["best"], answer["lag"]) == (HEAD, HEAD + 1000, 1000)
    assert answer["peers"] == 3
    assert answer["workers"]["verify"] == {"seen_seconds_ago": 0.2}


def test_a_broker_that_answers_no_more_makes_it_unready(node: Probed) -> None:
    node.hears(*ROWS)
    node.now = 14.0
    assert node.probe("/ready")[0] == 200
    node.now = 16.0
    status, answer = node.probe("/ready")
    assert (status, answer["why"]) == (503, ["the broker has not answered for 16 s"])


@pytest.mark.parametrize(
    ("behind", "status"), [(-1, 200), (0, 200), (6, 200), (7, 503), (1000, 503)]
)
def test_synced_is_at_most_six_blocks_behind_the_best_known(
    node: Probed, behind: int, status: int
) -> None:
    node.hears(*ROWS, target=HEAD + behind)
    for path in ("/ready/sync", "/ready/synced"):
        found, answer = node.probe(path)
        assert found == status
        assert answer["lag"] == max(0, behind)
        said = [f"{behind} blocks behind, more than 6"] if status == 503 else []
        assert answer["why"] == said


def test_synced_is_nobody_who_knows_of_no_newest_block(node: Probed) -> None:
    node.hears(*ROWS, target=None)
    status, answer = node.probe("/ready/sync")
    assert (status, answer["lag"], answer["best"]) == (503, None, HEAD)
    assert answer["why"] == ["no source has told of its newest block yet"]
    assert node.probe("/ready")[0] == 200
