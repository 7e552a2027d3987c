"""A link over a real socket: what its descriptor says, how it keeps its worker alive, how it notices a lost broker."""

import select
import time
from pathlib import Path

import pytest
import trio

from broker.link import BrokerLost, Delivery, Link, Refused
from broker.memory import MemoryBroker
from tests.broker.brokers import OnSocket, get, give, kill, line, python
from tests.broker.samples import PARTS, TOPICS, WIDE, part

BROKER = """
import sys
from broker.router import serve
from tests.broker.samples import TOPICS
print("up", flush=True)
serve(sys.argv[1], TOPICS, stop=lambda: False)
"""


def readable(link: Link, wait_s: float) -> bool:
    return bool(select.select([link.fileno()], [], [], wait_s)[0])


def test_the_descriptor_is_readable_exactly_while_a_delivery_waits(on_socket: OnSocket) -> None:
    with (
        on_socket.link("source", gives=(WIDE,)) as source,
        on_socket.link("worker", takes=(WIDE,), credit=2) as worker,
    ):
        assert not readable(worker, 0.1)
        give(source, part(1), part(2))
        assert readable(worker, 5)
        assert worker.take_nowait() is not None
        assert readable(worker, 5)
        assert worker.take_nowait() is not None
        assert worker.take_nowait() is None
        assert not readable(worker, 0.1)


def test_a_delivery_that_comes_while_the_worker_sends_is_not_missed(on_socket: OnSocket) -> None:
    count = 300
    with (
        on_socket.link("source", gives=(WIDE,)) as source,
        on_socket.link("worker", takes=(WIDE,)) as worker,
    ):
        give(source, *[part(number) for number in range(16)])
        given = 16
        for number in range(count):
            assert readable(worker, 5), f"message {number} was never announced"
            delivery = worker.take_nowait()
            assert delivery is not None
            worker.done((delivery.ticket,))
            if given < count and source.give(part(given)):
                given += 1
            source.take(0)
            if given < count and number == given - 1:
                give(source, part(given))
                given += 1


def test_what_came_in_before_a_send_is_announced_after_it() -> None:
    """In memory no second thread can save it."""
    broker = MemoryBroker(TOPICS)
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("worker", takes=(WIDE,), credit=2) as worker,
    ):
        give(source, part(1))
        delivery = worker.take_nowait()
        assert delivery is not None
        assert not readable(worker, 0)
        give(source, part(2))
        worker.done((delivery.ticket,))
        assert readable(worker, 0)


def test_the_descriptor_tells_of_room(on_socket: OnSocket) -> None:
    with (
        on_socket.link("source", gives=(PARTS,)) as source,
        on_socket.link("worker", takes=(PARTS,), credit=4) as worker,
    ):
        give(source, *[part(number) for number in range(4)])
        assert source.give(part(4))
        assert not source.flush(0.2)
        assert not readable(source, 0)
        assert not source.give(part(5))
        assert not readable(source, 0.1)
        worker.done([get(worker).ticket for _ in range(4)])
        assert readable(source, 5)
        assert source.take_nowait() is None
        assert not readable(source, 0.1)
        assert source.give(part(5))


def test_trio_waits_on_a_link(on_socket: OnSocket) -> None:
    async def take_all(link: Link, count: int) -> list[int]:
        found: list[int] = []
        while len(found) < count:
            delivery: Delivery[object] | None = link.take_nowait()
            if delivery is None:
                await trio.lowlevel.wait_readable(link.fileno())
                continue
            found.append(delivery.ticket)
            link.done((delivery.ticket,))
        return found

    async def main(source: Link, worker: Link) -> None:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(take_all, worker, 500)
                for number in range(500):
                    while not source.give(part(number)):
                        await trio.lowlevel.wait_readable(source.fileno())
                        source.take_nowait()

    with (
        on_socket.link("source", gives=(WIDE,)) as source,
        on_socket.link("worker", takes=(WIDE,), credit=4) as worker,
    ):
        trio.run(main, source, worker)
        assert worker.stats()["topics"]["wide"]["items"] == 0


def test_a_worker_that_computes_for_long_stays_alive(on_socket: OnSocket) -> None:
    with (
        on_socket.link("source", gives=(WIDE,)) as source,
        on_socket.link("worker", takes=(WIDE,)) as worker,
    ):
        give(source, part(1))
        ticket = get(worker).ticket
        until = time.monotonic() + 6  # more than the silence that means death
        while time.monotonic() < until:
            sum(range(10_000))
        worker.done((ticket,))  # travels on another socket than the question
        until = time.monotonic() + 5
        while source.stats()["topics"]["wide"]["items"]:
            assert time.monotonic() < until, "the work of a living worker was not taken"


def test_a_killed_broker_is_noticed_by_taking_giving_finishing_and_the_descriptor(
    folder: Path,
) -> None:
    endpoint = f"ipc://{folder}/broker"
    process = python(BROKER, endpoint)
    line(process)
    source, worker, watcher = (
        Link(endpoint, name, takes=(WIDE,) if name == "worker" else (), gives=(WIDE,))
        for name in ("source", "worker", "watcher")
    )
    give(source, part(1))
    ticket = get(worker).ticket
    watcher.fileno()
    kill(process)
    started = time.monotonic()
    with pytest.raises(BrokerLost, match="silent"):
        source.take(60)
    assert 3 < time.monotonic() - started < 8
    assert readable(watcher, 3)
    with pytest.raises(BrokerLost):
        watcher.take_nowait()
    with pytest.raises(BrokerLost):
        worker.done((ticket,))
    with pytest.raises(BrokerLost):
        source.give(part(2))
    for link in (source, worker, watcher):
        link.close()


def test_a_restarted_broker_is_noticed_at_once(folder: Path) -> None:
    endpoint = f"ipc://{folder}/broker"
    process = python(BROKER, endpoint)
    line(process)
    worker = Link(endpoint, "worker", takes=(WIDE,))
    kill(process)
    process = python(BROKER, endpoint)
    line(process)
    with pytest.raises(BrokerLost, match="does not know this worker"):
        worker.take(60)
    worker.close()
    kill(process)


def test_a_source_that_begins_anew_with_a_killed_broker_loses_and_doubles_nothing(
    folder: Path,
) -> None:
    """Who stores goes by number, as commit does; the source begins behind what is stored, as p2p does."""
    endpoint = f"ipc://{folder}/broker"
    stored: list[int] = []
    for kill_after in (3, 5, 12):
        process = python(BROKER, endpoint)
        line(process)
        with (
            Link(endpoint, "source", gives=(WIDE,)) as source,
            Link(endpoint, "worker", takes=(WIDE,), credit=4) as worker,
        ):
            give(source, *[part(number) for number in range(len(stored), 12)])
            while len(stored) < kill_after:
                delivery = get(worker)
                assert delivery.message.number == len(stored)
                stored.append(delivery.message.number)
                if len(stored) < kill_after:  # the last one's word is lost with the broker
                    worker.done((delivery.ticket,))
            kill(process)
    assert stored == list(range(12))


def test_no_broker_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.link.HELLO_S", 0.3)
    with pytest.raises(BrokerLost, match="no broker answers"):
        Link(f"ipc://{folder}/broker", "worker")


def test_a_worker_may_start_before_its_broker(folder: Path) -> None:
    endpoint = f"ipc://{folder}/broker"
    worker = python(
        "import sys; from broker.link import Link; Link(sys.argv[1], 'w').close(); print('met')",
        endpoint,
    )
    process = python(BROKER, endpoint)
    assert line(worker) == "met"
    kill(worker)
    kill(process)


def test_another_protocol_version_is_refused(
    on_socket: OnSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.link.head", lambda *_: b"\x63\x01\x90")
    with pytest.raises(Refused, match="protocol version 99 instead of 1"):
        on_socket.link("worker")


def test_a_broker_in_memory_can_be_restarted() -> None:
    broker = MemoryBroker(TOPICS)
    worker = broker.link("worker", takes=(WIDE,))
    broker.restart()
    with pytest.raises(BrokerLost):
        worker.take(10)
