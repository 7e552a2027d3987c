"""A server in a process of its own over a store that the test writes, and a real WebSocket client beside it."""

import json
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

from websockets.sync.client import ClientConnection, connect

from broker import router
from broker.topic import Topic
from starknet.network import Network
from tests.settings import settings_of
from tests.workers import sources
from workers.messages import BlockStored, BlockVerified
from workers.settings import Settings
from workers.store.writer import Writer

SECONDS_MAX = 20.0
SPAWN = multiprocessing.get_context("spawn")
TOPIC = Topic("blocks.stored", BlockStored, 10, 1000)


class Client:
    """One connection: ``call`` returns results or errors, ``told`` what comes without being asked."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._count = 0
        self._notes: list[dict[str, Any]] = []

    def ask(self, method: str, *params: object, **named: object) -> dict[str, Any]:
        """Return the whole answer of a method."""
        self._count += 1
        body = {"jsonrpc": "2.0", "id": self._count, "method": f"starknet_{method}"}
        if params or named:
            body["params"] = named or list(params)
        self.connection.send(json.dumps(body))
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                return answer
            self._notes.append(answer)

    def call(self, method: str, *params: object, **named: object) -> Any:
        """Return the result of a method, or its error."""
        answer = self.ask(method, *params, **named)
        return answer["result"] if "result" in answer else answer["error"]

    def told(self) -> tuple[str, str, Any]:
        """Return the next notification: its method, the subscription's id, the result."""
        note = self._notes.pop(0) if self._notes else self._receive()
        assert note.keys() == {"jsonrpc", "method", "params"}
        method = note["method"].removeprefix("starknet_subscription")
        return method, note["params"]["subscription_id"], note["params"]["result"]

    def is_told_nothing(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for a while."""
        try:
            self._notes.append(json.loads(self.connection.recv(seconds)))
        except TimeoutError:
            return not self._notes
        return False

    def _receive(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.connection.recv(SECONDS_MAX))
        return answer


class Served:
    """A store that is written, and the processes that serve it."""

    def __init__(self, settings: Settings, writer: Writer) -> None:
        self.settings = settings
        self.writer = writer
        self.clients: list[ClientConnection] = []

    def store(self, *blocks: BlockVerified) -> None:
        """Store blocks on top."""
        for block in blocks:
            self.writer.store(block)

    def open(self, path: str = "/", port: int | None = None, **options: Any) -> Client:
        """Connect at a path."""
        url = f"ws://127.0.0.1:{port or self.settings.http_port}{path}"
        options = {"max_size": None, "proxy": None, "ping_interval": None} | options
        connection = connect(url, **options)
        self.clients.append(connection)
        return Client(connection)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something holds, for a bounded time."""
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def serving(
    network: Network, path: Path, blocks: Iterable[BlockVerified] = (), **changes: Any
) -> Iterator[Served]:
    """Serve a store from one process, or from as many as ``rpc_workers`` says."""
    settings = replace(
        settings_of(network, path), broker=f"ipc://{path}/broker", http_port=free_port(), **changes
    )
    writer = Writer(path, network.chain_id)
    served = Served(settings, writer)
    served.store(*blocks)
    stop = Event()
    broker = Thread(
        target=router.serve, args=(settings.broker, [TOPIC]), kwargs={"stop": stop.is_set}
    )
    broker.start()
    names = [f"rpc-{number}" for number in range(1, settings.rpc_workers + 1)]
    processes = [SPAWN.Process(target=sources.run, args=("rpc", settings, name)) for name in names]
    for process in processes:
        process.start()
    try:
        wait_for(lambda: _is_open(settings.http_port if settings.http else settings.ws_port or 0))
        yield served
    finally:
        for client in served.clients:
            client.close_socket()
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(SECONDS_MAX)
            process.close()
        writer.close()
        stop.set()
        broker.join()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
