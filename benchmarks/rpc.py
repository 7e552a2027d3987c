"""How many JSON-RPC requests one rpc process answers a second, over real sockets, and how evenly.

Run ``python -m benchmarks.rpc`` in the root. A block of at least 268 transactions as large as mainnet's is stored; then
the real rpc process beside a real broker is asked by a few clients that keep their connections, over and over.
"""

import json
import multiprocessing
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks import Figure
from broker import router
from starknet.devnet import Devnet
from tests.flow import chains
from tests.process.nodes import answers, free_port, wait_until
from tests.settings import settings_of
from tests.workers import sources
from workers import verify
from workers.settings import Settings
from workers.store.writer import Writer

TRANSACTIONS = 268
BLOCKS_REACH = 150.0
NUMBERS_REACH = 3000.0
SPREAD_REACH = 5.0
CLIENTS = 4
SECONDS = 8.0
READ_BYTES = 1 << 20
SPAWN = multiprocessing.get_context("spawn")


def run() -> list[Figure]:
    """Requests a second for a whole block and for the head's number, and how far the slowest are from the usual."""
    with tempfile.TemporaryDirectory() as name:
        chain = Devnet(length=2, heavy_calls=TRANSACTIONS)
        settings = settings_of(
            chain.network(),
            Path(name),
            broker=f"ipc://{name}/broker",
            http_port=free_port(),
            public_key=chain.public_key,
        )
        _store(settings, chain)
        with _serving(settings) as server:
            block, size = _load(settings, server, "starknet_getBlockWithTxs", [{"block_number": 1}])
            number, _ = _load(settings, server, "starknet_blockNumber", [])
    return [
        Figure(
            "getBlockWithTxs, to 150 requests/s",
            block.rate / BLOCKS_REACH,
            1.0,
            "at least",
            f"{block}, {size / 1e6:.2f} MB each",
        ),
        Figure("the same: p99 to p50", block.spread, SPREAD_REACH, "at most", f"{CLIENTS} clients"),
        Figure(
            "blockNumber, to 3,000 requests/s",
            number.rate / NUMBERS_REACH,
            1.0,
            "at least",
            str(number),
        ),
    ]


class Load:
    """What came of asking for a while: ``seconds`` of each request, the time of all, the server's CPU time."""

    def __init__(self, seconds: list[float], took: float, cpu: float) -> None:
        self.rate = len(seconds) / took
        self.cpu = cpu / len(seconds)
        self.usual = statistics.median(seconds)
        self.slow = sorted(seconds)[len(seconds) * 99 // 100]
        self.spread = self.slow / self.usual

    def __str__(self) -> str:
        """The numbers behind a figure."""
        times = f"p50 {self.usual * 1e3:.1f} ms, p99 {self.slow * 1e3:.1f} ms"
        return f"{self.rate:.0f}/s, {times}, {self.cpu * 1e3:.2f} ms CPU each"


def _store(settings: Settings, chain: Devnet) -> None:
    writer = Writer(settings.db_path, settings.network.chain_id)
    for block in chains.assembled(chain):
        writer.store(next(verify.verify(settings, block)))
    writer.close()


@contextmanager
def _serving(settings: Settings) -> Iterator[psutil.Process]:
    stop = threading.Event()
    broker = threading.Thread(
        target=router.serve, args=(settings.broker, []), kwargs={"stop": stop.is_set}
    )
    broker.start()
    process = SPAWN.Process(target=sources.run, args=("rpc", settings))
    process.start()
    try:
        url = f"http://127.0.0.1:{settings.http_port}/health"
        wait_until(lambda: answers(url), 60, lambda: "the rpc process does not answer")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.join()
        stop.set()
        broker.join()


def _load(
    settings: Settings, server: psutil.Process, method: str, params: list[object]
) -> tuple[Load, int]:
    """Ask for ``SECONDS`` by ``CLIENTS`` at once; return what came of it, and an answer's bytes."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    head = f"POST / HTTP/1.1\r\nHost: hera\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    seconds: list[float] = []
    sizes: set[int] = set()

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", settings.http_port)) as connection:
            while time.monotonic() < end:
                began = time.perf_counter()
                connection.sendall(head + body)
                sizes.add(_read(connection))
                seconds.append(time.perf_counter() - began)

    began, cpu = time.monotonic(), _cpu(server)
    end = began + SECONDS
    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    (size,) = sizes
    return Load(seconds, time.monotonic() - began, _cpu(server) - cpu), size


def _read(connection: socket.socket) -> int:
    """Read one answer; return the bytes of its body."""
    buffer = bytearray()
    while b"\r\n\r\n" not in buffer:
        buffer += connection.recv(READ_BYTES)
    head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    left = size - len(rest)
    while left:
        left -= len(connection.recv(min(left, READ_BYTES)))
    return size


def _cpu(server: psutil.Process) -> float:
    times = server.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    for figure in run():
        print(figure)
