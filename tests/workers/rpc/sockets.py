"""A server over a store that the test writes, and a real client that holds all it hears against the schemas."""

import json
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread
from typing import Any

import jsonschema_rs
import psutil
import uvicorn
from websockets.sync.client import ClientConnection, connect

from broker import router
from broker.topic import Topic
from starknet.network import Network
from tests.settings import settings_of
from tests.workers import sources
from tests.workers.rpc.support import API, FOLDERS, mended, specs_folder
from workers.messages import BlockStored, BlockVerified
from workers.rpc import server
from workers.rpc.page.stream import Streams
from workers.rpc.specs import Spec, socket_paths
from workers.rpc.watch import Watch
from workers.settings import Settings
from workers.store.reader import Reader
from workers.store.writer import Writer

SECONDS_MAX = 20.0
QUIET_SECONDS = 0.4  # four looks at the store
SPAWN = multiprocessing.get_context("spawn")
TOPIC = Topic("blocks.stored", BlockStored, 10, 1000)
SOCKETS_API = "starknet_ws_api.json"


class Client:
    """One connection: ``call`` returns results or errors, ``told`` what comes without being asked."""

    def __init__(self, connection: ClientConnection, spec: Spec) -> None:
        self.connection = connection
        self.spec = spec
        self._count = 0
        self._notes: list[dict[str, Any]] = []

    def call(self, method: str, *params: object, **named: object) -> Any:
        """Return the result of a method, or its error."""
        self._count += 1
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": self._count, "method": f"starknet_{method}"}
        if params or named:
            body["params"] = named or list(params)
        self.send(body)
        while True:
            answer = self.receive()
            if answer.get("id") == self._count:
                break
            self._notes.append(answer)
        if "error" in answer:
            return answer["error"]
        if "ubscribe" in method:
            socket_schemas(self.spec).check_result(method, answer["result"])
        return answer["result"]

    def told(self) -> tuple[str, str, Any]:
        """Return the next notification, which the specification allows: its name, the subscription, the result."""
        note = self._notes.pop(0) if self._notes else self.receive()
        assert note.keys() == {"jsonrpc", "method", "params"}
        socket_schemas(self.spec).check_note(note["method"], note["params"])
        name = note["method"].removeprefix("starknet_subscription")
        return name, note["params"]["subscription_id"], note["params"]["result"]

    def all_told(self) -> list[tuple[str, str, Any]]:
        """Return every notification that came already, or comes within a while of the one before."""
        while True:
            try:
                self._notes.append(json.loads(self.connection.recv(QUIET_SECONDS)))
            except TimeoutError:
                return [self.told() for _ in range(len(self._notes))]

    def send(self, body: object) -> None:
        """Send text as it is, or a body as JSON."""
        self.connection.send(body if isinstance(body, str | bytes) else json.dumps(body))

    def receive(self) -> Any:
        """Return the next message of any kind."""
        return json.loads(self.connection.recv(SECONDS_MAX))


class Served:
    """A store that is written, and the ports where it is served; ``server`` where it is one of this process."""

    server: uvicorn.Server

    def __init__(self, settings: Settings, blocks: Iterable[BlockVerified]) -> None:
        self.settings = settings
        self.writer = Writer(settings.db_path, settings.network.chain_id)
        self._open = ExitStack()
        self.store(*blocks)

    def store(self, *blocks: BlockVerified) -> None:
        """Store blocks on top."""
        for block in blocks:
            self.writer.store(block)

    def undo(self, length: int) -> None:
        """Take the last blocks back, and wait until the server sees it."""
        for _ in range(length):
            self.writer.undo_head()
        self.wait()

    def wait(self) -> None:
        """Wait until the server's head is the store's."""
        assert self.writer.head is not None
        number = self.writer.head.number
        client = self.open()
        wait_for(lambda: client.call("blockNumber") == number)

    def listeners(self) -> int:
        """Return how many sockets listen on the ports of HTTP and of WebSockets."""
        ports = (self.settings.http_port, self.settings.ws_port)
        found = [each for each in psutil.net_connections("tcp") if each.status == "LISTEN"]
        return sum(getattr(each.laddr, "port", None) in ports for each in found)

    def hang_up(self) -> None:
        """End all connections."""
        self._open.close()

    def open(self, path: str = "/", port: int | None = None, **options: Any) -> Client:
        """Connect at a path."""
        url = f"ws://127.0.0.1:{port or self.settings.http_port}{path}"
        told = {"max_size": None, "proxy": None, "ping_interval": None, "max_queue": None}
        connection = self._open.enter_context(connect(url, **(told | options)))
        return Client(connection, socket_paths()[path])

    def close(self) -> None:
        """End what is open still."""
        self.hang_up()
        self.writer.close()


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


def _settings(network: Network, path: Path, changes: dict[str, Any]) -> Settings:
    told = settings_of(network, path, http_port=free_port(), broker=f"ipc://{path}/broker")
    return replace(told, **changes)


@contextmanager
def serving(
    network: Network, path: Path, blocks: Iterable[BlockVerified] = (), **changes: Any
) -> Iterator[Served]:
    """Serve a store from a thread of the test, so that it may change limits."""
    settings = _settings(network, path, changes)
    served = Served(settings, blocks)
    ready = Event()
    running: list[uvicorn.Server] = []

    def serve() -> None:
        reader = Reader(path)
        watch = Watch(settings, reader, lambda _: {})
        running.append(uvicorn.Server(server.configured(watch, Streams(watch, lambda _: None))))
        ready.set()
        running[0].run(sockets=server.bound(settings))
        reader.close()

    thread = Thread(target=serve)
    thread.start()
    try:
        ready.wait(SECONDS_MAX)
        served.server = running[0]
        wait_for(lambda: served.server.started)
        yield served
    finally:
        served.close()
        served.server.should_exit = True
        thread.join()


@contextmanager
def serving_apart(
    network: Network, path: Path, blocks: Iterable[BlockVerified] = (), **changes: Any
) -> Iterator[Served]:
    """Serve a store as a node does: from as many processes as ``rpc_workers`` says, beside a broker."""
    settings = _settings(network, path, changes)
    served = Served(settings, blocks)
    names = [f"rpc-{number}" for number in range(1, settings.rpc_workers + 1)]
    with processes(settings, names):
        try:
            wait_for(lambda: _is_open(settings.http_port))
            yield served
        finally:
            served.close()


@contextmanager
def processes(
    settings: Settings, names: Iterable[str]
) -> Iterator[tuple[list[BaseProcess], Event]]:
    """Run rpc processes beside a broker in a thread; the event stops the broker."""
    stop = Event()
    broker = Thread(
        target=router.serve, args=(settings.broker, [TOPIC]), kwargs={"stop": stop.is_set}
    )
    broker.start()
    started = [SPAWN.Process(target=sources.run, args=("rpc", settings, name)) for name in names]
    for process in started:
        process.start()
    try:
        yield list(started), stop
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.join(SECONDS_MAX)
            process.close()
        stop.set()
        broker.join()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# ---- schemas ------------------------------------------------------------------------------------------------


class SocketSchemas:
    """What one version of the specification lets a client hear."""

    def __init__(self, folder: Path, spec: Spec) -> None:
        known = folder / FOLDERS[spec.name]
        api, told = (_here(json.loads((known / name).read_text())) for name in (API, SOCKETS_API))
        own = {
            name: each.get("schema", each) for name, each in told["components"]["schemas"].items()
        }
        self._components = mended({"schemas": own | api["components"]["schemas"]})
        self._methods = {each["name"]: each for each in told["methods"]}
        self._errors = told["components"]["errors"] | api["components"]["errors"]
        self._validators: dict[tuple[str, str], Any] = {}

    def methods(self) -> set[str]:
        """Return the names of all methods that are asked, and of notifications."""
        return set(self._methods)

    def parameters(self, method: str) -> list[tuple[str, bool]]:
        """Return names of parameters, in order, and whether they are required."""
        found = self._methods[method]["params"]
        return [(param["name"], bool(param.get("required"))) for param in found]

    def errors(self, method: str) -> dict[int, str]:
        """Return the errors that a method may be answered with, by code."""
        named = [each["$ref"].rsplit("/", 1)[1] for each in self._methods[method]["errors"]]
        return {self._errors[name]["code"]: self._errors[name]["message"] for name in named}

    def check_result(self, method: str, result: object) -> None:
        """Raise ``ValidationError`` unless the method may have this result."""
        schema = self._methods[f"starknet_{method}"]["result"]["schema"]
        self._check((method, "result"), schema, result)

    def check_note(self, method: str, params: dict[str, object]) -> None:
        """Raise ``ValidationError`` unless the notification may have these parameters, and no others."""
        known = {param["name"]: param["schema"] for param in self._methods[method]["params"]}
        assert params.keys() == known.keys()
        for name, schema in known.items():
            self._check((method, name), schema, params[name])

    def _check(self, what: tuple[str, str], schema: dict[str, Any], value: object) -> None:
        if what not in self._validators:
            whole = {"allOf": [mended(schema)], "components": self._components}
            self._validators[what] = jsonschema_rs.validator_for(whole)
        self._validators[what].validate(value)


def _here(document: Any) -> Any:
    """Return a document whose references lead into itself."""
    text = json.dumps(document).replace(f"./api/{API}#", "#")
    return json.loads(text)


@cache
def socket_schemas(spec: Spec) -> SocketSchemas:
    """Return the schemas of a version."""
    return SocketSchemas(specs_folder(), spec)
