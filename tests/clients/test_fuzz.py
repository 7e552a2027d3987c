"""Whatever is asked, the node answers as the specification has it: no 500, no hang, no traceback, no growth.

``HERA_FUZZ_SECONDS=600 python -m pytest -s tests/clients/test_fuzz.py`` runs longer, ``HERA_FUZZ_SEED=N`` repeats.
"""

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest

from tests.clients import fuzzing
from tests.clients.conftest import Chain
from tests.clients.fuzzing import Finding, Fuzzer
from tests.clients.requests import Json, Specification
from tests.workers.rpc.support import specs_folder
from workers.rpc.specs import LATEST, SPECS

SECONDS = float(os.environ.get("HERA_FUZZ_SECONDS", "30"))
WARM = 0.4  # of the time: caches and the allocator have what they take by then
GROWTH_BYTES_MAX = 24 << 20


@pytest.mark.timeout(SECONDS + 300)
def test_no_request_brings_a_node_out_of_step(generated: Chain) -> None:
    seed = os.environ.get("HERA_FUZZ_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"HERA_FUZZ_SEED={seed}")  # noqa: T201 (whoever repeats the run needs it)
    server = generated.node.child("rpc")
    assert server is not None
    known = known_of(generated)
    specifications = [Specification(specs_folder(), spec, known, generated.head) for spec in SPECS]
    with closing(Fuzzer(generated.node.http_port, specifications, seed)) as fuzzer:
        warm = follow(fuzzer, server, SECONDS * WARM)
        grown = follow(fuzzer, server, SECONDS * (1 - WARM)) - warm
    asked = sum(fuzzer.kinds.values())
    print(fuzzer, f"memory {warm >> 20} MiB, grown by {grown >> 10} KiB")  # noqa: T201 (the same)
    assert generated.node.child("rpc") == server
    assert "Traceback" not in generated.node.text()
    assert "A request failed" not in generated.node.text()
    assert grown < GROWTH_BYTES_MAX
    assert fuzzer.codes["result"] > asked / 10
    assert {-32700, -32600, -32601, -32602, 20, 24, 27, 28, 29} <= fuzzer.codes.keys()


def follow(fuzzer: Fuzzer, server: psutil.Process, seconds: float) -> int:
    """Ask for a while; return the server's memory afterwards, in bytes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        fuzzer.step()
    return int(server.memory_info().rss)


def known_of(chain: Chain) -> dict[str, list[str]]:
    """Return what the chain has, by the names of the specification's schemas."""
    updates = [update["state_diff"] for _, update in chain.blocks]
    deployed = [each for diff in updates for each in diff["deployed_contracts"]]
    addresses = [each["address"] for each in deployed]
    classes = [each["class_hash"] for each in deployed]
    keys = [
        entry["key"]
        for diff in updates
        for entries in diff["storage_diffs"].values()
        for entry in entries
    ]
    return {
        "BLOCK_HASH": [block["block_hash"] for block, _ in chain.blocks],
        "TXN_HASH": [each[2]["transaction_hash"] for each in chain.transactions()],
        "ADDRESS": addresses,
        "STORAGE_KEY": keys,
        "FELT": [*classes, *addresses, *keys],
    }


# ---- the fuzzer by itself: it finds what is wrong ------------------------------------------------------------------

ASKED = {"jsonrpc": "2.0", "id": 1, "method": "starknet_specVersion", "params": []}
GOOD = {"jsonrpc": "2.0", "id": 1, "result": "0.10.2"}


def failed(code: int, message: str) -> Json:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}}


WRONG: dict[str, tuple[int, Json | bytes]] = {
    "a status of 500": (500, GOOD),
    "another id": (200, GOOD | {"id": 2}),
    "neither result nor error": (200, {"jsonrpc": "2.0", "id": 1}),
    "no JSON": (200, b"{"),
    "nothing at all": (200, b""),
    "an internal error": (200, failed(-32603, "Internal error")),
    "words of its own": (200, failed(24, "No such block")),
    "a code of its own": (200, failed(1234, "Block not found")),
    "a valid request refused": (200, failed(-32602, "Invalid params")),
    "a known method unknown": (200, failed(-32601, "Method not found")),
    "a result of another kind": (200, GOOD | {"result": 10}),
}


class Answering(BaseHTTPRequestHandler):
    """Says the same whatever it is asked; nothing at all if it has nothing to say."""

    protocol_version = "HTTP/1.1"
    status = 200
    said: bytes | None = None

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.said is None:
            return
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.said)))
        self.end_headers()
        self.wfile.write(self.said)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def answering(status: int, said: Json | bytes | None) -> Iterator[Fuzzer]:
    """A fuzzer beside a server that says the same whatever it is asked."""
    text = json.dumps(said).encode() if isinstance(said, dict) else said
    handler = type("Handler", (Answering,), {"status": status, "said": text})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            with closing(Fuzzer(server.server_port, [specification()], "0")) as fuzzer:
                yield fuzzer
        finally:
            server.shutdown()


def specification() -> Specification:
    return Specification(specs_folder(), LATEST, {}, 0)


@pytest.mark.parametrize("name", WRONG)
def test_the_fuzzer_finds_an_answer_with(name: str) -> None:
    with answering(*WRONG[name]) as fuzzer, pytest.raises(Finding):
        fuzzer.ask_well(specification(), ASKED)


def test_the_fuzzer_lets_a_right_answer_through() -> None:
    with answering(200, GOOD) as fuzzer:
        fuzzer.ask_well(specification(), ASKED)


def test_the_fuzzer_finds_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "ANSWER_SECONDS_MAX", 0.2)
    with answering(200, None) as fuzzer, pytest.raises(Finding, match="no answer in"):
        fuzzer.ask_well(specification(), ASKED)
