"""How much a node's sync loses while its JSON-RPC is asked without pause.

Run ``python -m benchmarks.rpc_sync`` in the root. A feeder node has a generated chain of heavy blocks; nodes sync it
one after the other, every second one while clients ask it for a whole block and for the number of the head, as in
``benchmarks.rpc``. The clients run at a low priority: they stand for other machines, whose cores these are not.
"""

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import Figure
from tests.process.nodes import Node, custom_network, feeding, gateway, nodes

BLOCKS = 100
HEAVY_CALLS = 100
FROM = 10  # a node's first blocks are its start as well
PAIRS = 3
REACH = 0.8
SECONDS_MAX = 300.0
NICE = 10
CLIENTS = 2  # of each kind
ANSWER_SECONDS_MAX = 30.0
ASKED: tuple[tuple[str, list[object]], ...] = (
    ("starknet_getBlockWithTxs", [{"block_number": 5}]),
    ("starknet_blockNumber", []),
)


def run() -> list[Figure]:
    """Blocks a second with both loads to those without; the median of pairs."""
    chain = ("--devnet", "--blocks", str(BLOCKS), "--heavy-calls", str(HEAVY_CALLS))
    with (
        tempfile.TemporaryDirectory() as name,
        gateway(*chain) as url,
        nodes(Path(name)) as make,
    ):
        arguments, address = feeding()
        told = custom_network(url)
        make("feeder", *told, *arguments).wait_head(BLOCKS - 1, SECONDS_MAX)
        peer = (*told, "--p2p", "--p2p-peers", address)
        ratios, answers = [], Counter[str]()
        for pair in range(PAIRS):
            alone = _speed(make(f"alone-{pair}", *peer))
            node = make(f"asked-{pair}", *peer)
            with asking(node) as came:
                asked = _speed(node)
            answers += came
            ratios.append(asked / alone)
    listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    note = (
        f"{PAIRS} pairs: {listed}; {alone:.1f} blocks/s alone in the last; answers {dict(answers)}"
    )
    return [
        Figure(
            "sync speed while both are asked for, to without",
            statistics.median(ratios),
            REACH,
            "at least",
            note,
        )
    ]


def _speed(node: Node) -> float:
    node.wait_head(FROM, SECONDS_MAX)
    began, first = time.monotonic(), node.head()
    node.wait_head(BLOCKS - 1, SECONDS_MAX)
    took = time.monotonic() - began
    assert node.stop() == 0
    return (BLOCKS - 1 - first) / took


@contextmanager
def asking(node: Node) -> Iterator[Counter[str]]:
    """Ask for both as fast as answers come; at the end the counter has the answers to each."""
    command = ["nice", "-n", str(NICE), sys.executable, "-m", "benchmarks.rpc_sync"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    clients = subprocess.Popen([*command, str(node.http_port)], text=True, **pipes)  # type: ignore[call-overload]
    answers: Counter[str] = Counter()
    try:
        yield answers
    finally:
        answers.update(json.loads(clients.communicate(timeout=ANSWER_SECONDS_MAX * 2)[0]))


def ask(port: int) -> None:
    """Be the clients until the input ends, then tell how many answers came."""
    answers: Counter[str] = Counter()
    stop = threading.Event()
    threads = [
        threading.Thread(target=_ask, args=(port, method, params, stop, answers))
        for method, params in ASKED
        for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps(answers))


def _ask(
    port: int, method: str, params: list[object], stop: threading.Event, answers: Counter[str]
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
    while not stop.is_set():
        try:
            client.request("POST", "/", body)
            client.getresponse().read()
            answers[method] += 1
        except (OSError, http.client.HTTPException):  # the node is about to begin or to end
            client.close()
            stop.wait(0.1)
    client.close()


def main() -> None:
    """Print the figure; with a port be the clients."""
    if len(sys.argv) > 1:
        ask(int(sys.argv[1]))
        return
    for figure in run():
        print(figure)


if __name__ == "__main__":
    main()
