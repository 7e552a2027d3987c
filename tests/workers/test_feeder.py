"""The feeder hands on whole, right blocks in bounded number, says once why it is stuck, and goes on by itself.

Real parts: a gateway over HTTP, the broker over ZeroMQ, the store; the test plays the stages behind the feeder.
"""

import json
import logging
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from broker import router
from broker.link import Link
from node import pipeline
from starknet.devnet import Devnet
from starknet.felt import to_bytes32
from starknet.network import Network
from starknet.wire.delimited import split
from starknet.wire.sync_pb2 import ClassesResponse
from tests.settings import settings_of
from tests.workers import sources
from workers import exits
from workers.component import Component
from workers.feeder import loop
from workers.feeder.block import Fetched
from workers.feeder.client import (
    BadAnswer,
    FeederError,
    Unreachable,
    backoff,
    base_url,
    fetch_public_key,
)
from workers.feeder.window import WINDOW_BLOCKS, Entry, Step, Window
from workers.gateway import gateway
from workers.gateway.generated import Generated
from workers.gateway.recorded import Recorded
from workers.gateway.source import ChainSource
from workers.messages import GATEWAY, BlockAssembled, BlockStored, Fault
from workers.settings import Settings
from workers.store.reader import Reader
from workers.store.writer import Writer
from workers.verify import verify

SECONDS_MAX = 20.0
POLL_SECONDS = 0.2
LENGTH = 12


class Odd:
    """A chain that counts what it is asked for and can be told to misbehave."""

    def __init__(self, source: ChainSource) -> None:
        self._source = source
        self.asked: Counter[tuple[str, int]] = Counter()
        self.end: int | None = None  # blocks from here on are not there yet
        self.hidden: set[tuple[str, int]] = set()
        self.failing = 0  # so many calls break down
        self.swapped: dict[int, int] = {}  # number asked for -> number answered

    def latest(self) -> int | None:
        return self._source.latest() if self.end is None else self.end - 1

    def number_of(self, block_hash: int) -> int | None:
        return self._source.number_of(block_hash)

    def block(self, number: int) -> bytes | None:
        return self._call("block", number, self._source.block)

    def state_update(self, number: int) -> bytes | None:
        return self._call("state_update", number, self._source.state_update)

    def signature(self, number: int) -> bytes | None:
        return self._call("signature", number, self._source.signature)

    def class_definition(self, class_hash: int) -> bytes | None:
        return self._call("class", class_hash, self._source.class_definition)

    def compiled_class(self, class_hash: int) -> bytes | None:
        return self._source.compiled_class(class_hash)

    def public_key(self) -> bytes | None:
        return self._source.public_key()

    def _call(self, kind: str, key: int, find: Callable[[int], bytes | None]) -> bytes | None:
        self.asked[kind, key] += 1
        if self.failing > 0:
            self.failing -= 1
            raise ConnectionAbortedError("the test wants this answer to fail")
        if (kind, key) in self.hidden:
            return None
        if kind != "class" and self.end is not None and key >= self.end:
            return None
        return find(self.swapped.get(key, key) if kind != "class" else key)


@dataclass
class Bench:
    """The link of what stands behind the feeder, and the settings the feeder runs with."""

    link: Link
    settings: Settings

    def receive(self) -> BlockAssembled:
        """Take the next block; fails if none comes."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            delivery = self.link.take(0.2)
            if delivery is not None:
                self.link.done([delivery.ticket])
                assert isinstance(delivery.message, BlockAssembled)
                return delivery.message
        raise AssertionError("no block came")

    def receive_all(self, numbers: range, *, stored: bool = True) -> dict[int, BlockAssembled]:
        """Take these blocks and no others, and tell the feeder, in order, that they are stored."""
        came: dict[int, BlockAssembled] = {}
        told = numbers.start
        while len(came) < len(numbers):
            block = self.receive()
            assert block.number in numbers
            assert block.number not in came
            came[block.number] = block
            while stored and told in came:
                self.tell(BlockStored(0, told, bytes(32)))
                told += 1
        return came

    def nothing_comes(self, seconds: float) -> bool:
        return self.link.take(seconds) is None

    def tell(self, message: object) -> None:
        while not self.link.give(message):
            self.link.take(0.05)


@contextmanager
def served(source: ChainSource, port: int = 0) -> Iterator[str]:
    url: list[str] = []
    ready, stop = threading.Event(), threading.Event()

    def listening(at: str) -> None:
        url.append(at)
        ready.set()

    def serve() -> None:
        gateway.serve(source, "127.0.0.1", port, listening=listening, stop=stop)

    with running(serve, stop):
        assert ready.wait(10)
        yield url[0]


@contextmanager
def running(call: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    """Run a call in a thread until the end of the block; it must end in time, and without an error."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 (whatever it is, the assertion below shows it)
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(15)
        assert not thread.is_alive()
        assert errors == []


@contextmanager
def broker_at(folder: Path) -> Iterator[str]:
    folder.mkdir(mode=0o700, exist_ok=True)
    endpoint = f"ipc://{folder}/broker"
    stop = threading.Event()
    topics = (*pipeline.FEEDER.takes, *pipeline.FEEDER.gives)
    with running(lambda: router.serve(endpoint, topics, stop=stop.is_set), stop):
        yield endpoint


def settings_for(url: str, endpoint: str, db_path: Path, network: Network) -> Settings:
    return settings_of(
        network,
        db_path,
        broker=endpoint,
        memory_bytes=64 << 20,
        feeder_url=url,
        feeder_poll_seconds=POLL_SECONDS,
        public_key=network.public_key,
    )


@contextmanager
def bench(
    source: ChainSource | str, tmp_path: Path, network: Network, **changes: Any
) -> Iterator[Bench]:
    """Run the feeder against a chain, or against a URL."""
    with ExitStack() as stack:
        url = source if isinstance(source, str) else stack.enter_context(served(source))
        endpoint = stack.enter_context(broker_at(tmp_path / "broker"))
        link = stack.enter_context(
            Link(
                endpoint,
                "tester",
                takes=pipeline.FEEDER.gives,
                gives=pipeline.FEEDER.takes,
                credit=200,
            )
        )
        settings = settings_for(url, endpoint, tmp_path / "db", network)
        settings = replace(settings, **changes)
        stop = threading.Event()
        stack.enter_context(running(lambda: feed(settings, stop), stop))
        yield Bench(link, settings)


def feed(settings: Settings, stop: threading.Event) -> None:
    """What ``main`` does, but for signals and log, which belong to the main thread."""
    with Link(
        settings.broker,
        "feeder",
        takes=pipeline.FEEDER.takes,
        gives=pipeline.FEEDER.gives,
        credit=pipeline.FEEDER.credit,
    ) as link:
        loop.run(settings, link, stop)


@pytest.fixture(scope="module")
def devnet() -> Devnet:
    made = Devnet(length=LENGTH)
    made.block(LENGTH - 1)
    return made


@pytest.fixture
def chain(devnet: Devnet) -> Odd:
    return Odd(Generated(devnet))


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "hera")
    return caplog


def complaints(told: pytest.LogCaptureFixture) -> list[str]:
    """What the feeder warned of; the bench's broker, which sees its workers end, runs in this process as well."""
    warnings = [record for record in told.records if record.levelno >= logging.WARNING]
    return [
        record.getMessage()
        for record in warnings
        if record.name == "hera" and Path(record.pathname).parent.name != "broker"
    ]


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fails if it does not come true in time."""
    deadline = time.monotonic() + SECONDS_MAX
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        pause.wait(0.02)


# ---- whole chains ----------------------------------------------------------------------------------


def test_a_whole_chain_is_verified_and_stored_and_the_next_run_begins_at_its_head(
    chain: Odd, devnet: Devnet, tmp_path: Path
) -> None:
    chain.end = LENGTH - 4
    (tmp_path / "db").mkdir()
    writer = Writer(tmp_path / "db", devnet.network().chain_id)
    try:
        with bench(chain, tmp_path, devnet.network()) as first:
            store(first, writer, range(chain.end))
        before = chain.asked.copy()
        chain.end = None
        with bench(chain, tmp_path, devnet.network()) as second:
            store(second, writer, range(LENGTH - 4, LENGTH))
        again = chain.asked - before
        assert all(number >= LENGTH - 4 for kind, number in again if kind != "class")
        assert writer.head is not None
        assert writer.head.block_hash == to_bytes32(
            int(devnet.block(LENGTH - 1)[0]["block_hash"], 16)
        )
    finally:
        writer.close()
    reader = Reader(tmp_path / "db")
    assert all(count == 1 for (kind, _), count in chain.asked.items() if kind == "class")
    reader.close()


def store(behind: Bench, writer: Writer, numbers: range) -> None:
    """Do what verify and commit do, in order."""
    came: dict[int, BlockAssembled] = {}
    for number in numbers:
        while number not in came:
            block = behind.receive()
            came[block.number] = block
        (verified,) = verify(behind.settings, came[number])
        writer.store(verified)
        behind.tell(BlockStored(0, number, verified.block_hash))


def test_recorded_mainnet_verifies_and_each_class_comes_with_its_first_deployment(
    fixtures: Path, tmp_path: Path
) -> None:
    network = recorded_network("mainnet", "SN_MAIN", first_07_block=833)
    with bench(Recorded(fixtures / "mainnet"), tmp_path, network) as behind:
        came: dict[int, BlockAssembled] = {}
        while len(came) < 10:
            block = behind.receive()
            came[block.number] = block
    hashes = [class_hash for number in range(10) for class_hash in classes_of(came[number])]
    assert hashes
    assert len(hashes) == len(set(hashes))
    for number in range(10):
        (verified,) = verify(behind.settings, came[number])
        assert verified.number == number


def test_recorded_sepolia_stays_at_6_and_says_once_which_class_lacks(
    fixtures: Path, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    network = recorded_network("sepolia", "SN_SEPOLIA")
    with bench(Recorded(fixtures / "sepolia"), tmp_path, network) as behind:
        came = behind.receive_all(range(7))
        assert behind.nothing_comes(2.5)
    for block in came.values():
        assert [*verify(behind.settings, block)]
    (line,) = complaints(told)
    assert line.startswith("block 7: class 0x")
    assert line.endswith(" is not at the gateway; staying at block 6")


def recorded_network(name: str, chain_id: str, first_07_block: int = 0) -> Network:
    return Network(
        name=name,
        chain_id=chain_id,
        feeder_url="",
        gateway_url="",
        l1_chain_id=1,
        core_contract="0x0",
        public_key=None,
        first_07_block=first_07_block,
    )


def classes_of(block: BlockAssembled) -> list[bytes]:
    messages = [
        ClassesResponse.FromString(bytes(payload)) for payload in split(block.classes, 4 << 20)
    ]
    return [getattr(message, "class").class_hash.elements for message in messages]


def test_a_block_is_said_to_be_the_gateways_and_brings_declared_classes_in_order(
    chain: Odd, devnet: Devnet, tmp_path: Path
) -> None:
    with bench(chain, tmp_path, devnet.network()) as behind:
        came = behind.receive_all(range(LENGTH))
    assert {block.peers for block in came.values()} == {(GATEWAY,) * len(Component)}
    assert len({block.attempt for block in came.values()}) == LENGTH
    declared = devnet.block(0)[1]["state_diff"]["old_declared_contracts"]
    assert [int.from_bytes(found, "big") for found in classes_of(came[0])] == [
        int(class_hash, 16) for class_hash in declared
    ]


# ---- what the gateway does wrong -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "part"), [("signature", "the signature"), ("state_update", "the state update")]
)
def test_a_missing_part_is_one_line_and_the_block_comes_once_it_is_there(
    kind: str, part: str, chain: Odd, devnet: Devnet, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    chain.hidden.add((kind, 3))
    with bench(chain, tmp_path, devnet.network()) as behind:
        until(lambda: bool(complaints(told)))
        before = chain.asked[kind, 3]
        until(lambda: chain.asked[kind, 3] > before)
        chain.hidden.clear()
        behind.receive_all(range(LENGTH))
    assert complaints(told) == [f"block 3: {part} is not at the gateway; staying at block 2"]


def test_a_missing_class_is_one_line_and_the_block_comes_once_it_is_there(
    chain: Odd, devnet: Devnet, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    class_hash = int(devnet.block(0)[1]["state_diff"]["old_declared_contracts"][0], 16)
    chain.hidden.add(("class", class_hash))
    with bench(chain, tmp_path, devnet.network()) as behind:
        until(lambda: chain.asked["class", class_hash] >= 2)
        chain.hidden.clear()
        behind.receive_all(range(LENGTH))
    assert complaints(told) == [
        f"block 0: class {class_hash:#x} is not at the gateway; staying before the first block"
    ]


def test_the_wrong_block_is_one_line_and_not_handed_on(
    chain: Odd, devnet: Devnet, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    chain.swapped[2] = 5
    with bench(chain, tmp_path, devnet.network()) as behind:
        until(lambda: chain.asked["signature", 2] >= 2)
        chain.swapped.clear()
        behind.receive_all(range(LENGTH))
    assert complaints(told) == ["block 2: the gateway sent block 5; staying at block 1"]


def test_a_few_broken_answers_are_asked_for_again_without_a_word(
    chain: Odd, devnet: Devnet, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    chain.failing = 3
    with bench(chain, tmp_path, devnet.network()) as behind:
        behind.receive_all(range(LENGTH))
    assert complaints(told) == []


def test_an_unreachable_gateway_is_one_line_and_feeding_begins_once_it_answers(
    chain: Odd, devnet: Devnet, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    with served(chain) as url:
        port = int(url.rpartition(":")[2])
    with bench(url, tmp_path, devnet.network()) as behind:
        until(lambda: len(complaints(told)) == 1)
        assert behind.nothing_comes(1.5)
        with served(chain, port):
            behind.receive_all(range(LENGTH))
    (line,) = complaints(told)
    assert line.startswith(f"{url}/feeder_gateway/ does not answer: ")
    assert line.endswith("; check --feeder-url and the network, trying again")


def test_a_refused_block_is_an_error_line_and_comes_again_under_a_higher_attempt(
    chain: Odd, devnet: Devnet, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    with bench(chain, tmp_path, devnet.network()) as behind:
        first = behind.receive_all(range(LENGTH), stored=False)[4]
        guilty = (Component.EVENTS,)
        detail = "0x1, not 0x2"
        fault = Fault(first.attempt, 4, 1, guilty, (GATEWAY,), "events.commitment", detail)
        behind.tell(fault)
        second = behind.receive_all(range(4, 5), stored=False)[4]
        behind.tell(fault)  # an old one: the block was fetched anew since
        assert behind.nothing_comes(1.5)
    assert chain.asked["signature", 4] == 2
    assert second.attempt > first.attempt
    assert second.events == first.events
    assert complaints(told) == ["gateway: block 4 breaks rule events.commitment: 0x1, not 0x2"]


# ---- bounds and the head ---------------------------------------------------------------------------


def test_at_the_head_it_asks_at_its_own_pace_and_new_blocks_come(
    chain: Odd, devnet: Devnet, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    chain.end = 2
    with bench(chain, tmp_path, devnet.network()) as behind:
        behind.receive_all(range(2))
        until(lambda: "At the gateway's head" in told.messages)
        before = chain.asked["block", 2]
        assert behind.nothing_comes(10 * POLL_SECONDS)
        assert 5 <= (chain.asked["block", 2] - before) <= 2 * 11  # two looks each time
        chain.end = 4
        behind.receive_all(range(2, 4))
    assert complaints(told) == []


def test_no_more_than_the_window_is_in_flight(tmp_path: Path) -> None:
    devnet = Devnet(length=2)
    devnet.block(1)
    genesis, second = devnet.block(0), devnet.block(1)
    made: dict[int, tuple[Any, Any, Any]] = {0: genesis}
    for number in range(
        1, WINDOW_BLOCKS + 20
    ):  # enough of a chain for the feeder, which checks nothing
        block = {**second[0], "block_number": number}
        made[number] = (block, second[1], second[2])
    source = Odd(Prepared(devnet, made))
    with bench(source, tmp_path, devnet.network()) as behind:
        for _ in range(WINDOW_BLOCKS):
            assert behind.receive().number < WINDOW_BLOCKS
        assert behind.nothing_comes(0.5)
        behind.tell(BlockStored(0, 9, bytes(32)))
        assert {behind.receive().number for _ in range(10)} == set(
            range(WINDOW_BLOCKS, WINDOW_BLOCKS + 10)
        )
        assert behind.nothing_comes(0.3)


class Prepared(Generated):
    """A devnet whose blocks are given."""

    def __init__(self, devnet: Devnet, made: dict[int, tuple[Any, Any, Any]]) -> None:
        super().__init__(devnet)
        self._made = made

    def _part(self, number: int, index: int) -> bytes | None:
        return json.dumps(self._made[number][index]).encode() if number in self._made else None


def test_with_no_memory_to_spare_one_block_at_a_time_comes(
    chain: Odd, devnet: Devnet, tmp_path: Path
) -> None:
    with bench(chain, tmp_path, devnet.network(), memory_bytes=1) as behind:
        held = 1
        behind.receive()
        while not behind.nothing_comes(0.5):  # those asked for before a size was known
            held += 1
        assert held <= loop.REQUESTS_MAX
        for number in range(held):
            behind.tell(BlockStored(0, number, bytes(32)))
        assert behind.receive().number == held
        assert behind.nothing_comes(0.5)


def test_an_entry_is_asked_for_in_order_and_never_beyond_the_window() -> None:
    window = Window(4, bytes_max=1 << 30)
    asked = []
    while (entry := window.next_to_ask(0.0)) is not None:
        entry.step = Step.ASKED
        asked.append(entry.number)
    assert asked == list(range(5, 5 + WINDOW_BLOCKS))
    window.stored(6)
    assert [window.next_to_ask(0.0) is not None, window.get(5), window.head] == [True, None, 6]


def test_bytes_bound_the_window_but_never_the_next_block() -> None:
    window = Window(-1, bytes_max=100)
    first = ask(window)
    window.keep(first, 70)
    assert window.next_to_ask(0.0) is None
    window.stored(0)
    assert ask(window).number == 1


def test_a_failed_block_waits_longer_each_time_and_others_go_on() -> None:
    window = Window(-1, bytes_max=1 << 30)
    first = ask(window)
    waits = []
    for _ in range(9):
        window.failed(first, 100.0)
        waits.append(first.not_before - 100.0)
    assert waits[0] <= 1.0
    assert 40.0 <= waits[-1] <= 60.0
    assert ask(window, 100.0).number == 1
    assert ask(window, 200.0) is first


def test_blocks_beyond_the_gateways_head_are_not_asked_for_until_it_has_moved() -> None:
    window = Window(-1, bytes_max=1 << 30)
    for _ in range(3):
        ask(window)
    window.absent(2, ask_again_at=50.0)
    window.absent(1, ask_again_at=50.0)
    assert window.next_to_ask(49.0) is None
    assert window.next_due(49.0) == 1.0
    assert ask(window, 50.0).number == 1
    assert window.next_to_ask(50.0) is None
    window.present(1)
    assert ask(window, 50.0).number == 2


def test_classes_are_settled_in_the_order_of_blocks() -> None:
    window = Window(-1, bytes_max=1 << 30)
    first, second = ask(window), ask(window)
    fetched(second)
    assert list(window.unresolved()) == []
    fetched(first)
    assert list(window.unresolved()) == [first, second]
    first.wanted = (7, 8)
    assert window.brought_before(1) == {7, 8}
    assert window.brought_before(0) == set()


def ask(window: Window, now: float = 0.0) -> Entry:
    entry = window.next_to_ask(now)
    assert entry is not None
    entry.step = Step.ASKED
    return entry


def fetched(entry: Entry) -> None:
    empty: Any = b""
    entry.fetched = Fetched(entry.number, empty, empty, empty, empty, (), ())
    entry.step = Step.FETCHED


# ---- the process -----------------------------------------------------------------------------------


def test_sigterm_ends_the_process_with_code_0(chain: Odd, devnet: Devnet, tmp_path: Path) -> None:
    with served(chain) as url, broker_at(tmp_path / "broker") as endpoint:
        settings = settings_for(url, endpoint, tmp_path / "db", devnet.network())
        process = multiprocessing.get_context("spawn").Process(
            target=sources.run, args=("feeder", settings)
        )
        process.start()
        until(lambda: chain.asked["signature", LENGTH - 1] > 0)
        assert process.pid is not None
        process.terminate()
        process.join(10)
        assert process.exitcode == 0
        process.close()


def test_without_its_broker_the_process_asks_to_be_started_again(
    chain: Odd, devnet: Devnet, tmp_path: Path
) -> None:
    with served(chain) as url:
        with broker_at(tmp_path / "broker") as endpoint:
            settings = settings_for(url, endpoint, tmp_path / "db", devnet.network())
            process = multiprocessing.get_context("spawn").Process(
                target=sources.run, args=("feeder", settings)
            )
            process.start()
            until(lambda: chain.asked["signature", LENGTH - 1] > 0)
        process.join(15)
        assert process.exitcode == exits.EX_TEMPFAIL
        process.close()


# ---- asking ----------------------------------------------------------------------------------------


def test_the_public_key_is_asked_of_the_gateway(chain: Odd, devnet: Devnet) -> None:
    with served(chain) as url:
        assert fetch_public_key(url) == devnet.public_key
        assert fetch_public_key(f"{url}/feeder_gateway/") == devnet.public_key
    with pytest.raises(Unreachable, match=f"{url}/feeder_gateway/ does not answer: "):
        fetch_public_key(url)


@pytest.mark.parametrize("url", ["", "ftp://host/", "127.0.0.1:8085", "http://"])
def test_what_is_no_url_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(FeederError, match="is not an http or https URL"):
        base_url(url)
    with pytest.raises(BadAnswer):
        fetch_public_key(url)


def test_waiting_doubles_up_to_a_bound() -> None:
    waits = [backoff(tried, 1.0, 8.0) for tried in range(1, 30)]
    assert all(2 / 3 <= wait <= 8.0 for wait in waits)
    assert waits[0] <= 1.0
    assert all(wait > 5.0 for wait in waits[4:])
