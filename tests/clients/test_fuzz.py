"""Whatever is asked, the node answers as the specification has it: no 500, no hang, no traceback, no growth.

``HERA_FUZZ_SECONDS=600 python -m pytest -s tests/clients/test_fuzz.py`` runs longer, ``HERA_FUZZ_SEED=N`` repeats.
"""

import os
import random
import time

import psutil

from tests.clients.conftest import Chain
from tests.clients.fuzzing import Fuzzer
from tests.clients.requests import Specification
from tests.workers.rpc.support import specs_folder
from workers.rpc.specs import SPECS

SECONDS = float(os.environ.get("HERA_FUZZ_SECONDS", "30"))
WARM = 0.4  # of the time: caches and the allocator have what they take by then
GROWTH_BYTES_MAX = 24 << 20
REQUESTS_MIN = 50  # a second


def test_no_request_brings_a_node_out_of_step(generated: Chain) -> None:
    seed = os.environ.get("HERA_FUZZ_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"HERA_FUZZ_SEED={seed}")  # noqa: T201 (whoever repeats the run needs it)
    server = generated.node.child("rpc")
    assert server is not None
    known = known_of(generated)
    specifications = [Specification(specs_folder(), spec, known, generated.head) for spec in SPECS]
    fuzzer = Fuzzer(generated.node.http_port, specifications, seed)
    warm = follow(fuzzer, server, SECONDS * WARM)
    grown = follow(fuzzer, server, SECONDS * (1 - WARM)) - warm
    fuzzer.close()
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
