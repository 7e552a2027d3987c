"""The whole p2p process beside a real broker: it syncs from real hosts, leaves liars, and stops when told to."""

import logging
import os
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from broker import router
from broker.link import Link
from node import pipeline
from starknet.network import Network
from starknet.wire.delimited import split
from tests.settings import settings_of as told
from tests.workers.p2p.support import (
    CHAIN,
    LOOPBACK,
    Chain,
    block_hash,
    expected,
    run,
    serving,
    transports,
)
from workers.component import Component
from workers.messages import (
    BlockStored,
    BodiesFetched,
    ClassesReceived,
    ClassesWanted,
    EventsReceived,
    HeaderInfo,
    HeadersFetched,
    HeadersReceived,
    StateDiffsReceived,
    TransactionsReceived,
)
from workers.p2p import keys, protocols, service, syncer
from workers.p2p.answer import Answerer
from workers.p2p.host import CannotReach, Host
from workers.p2p.streams import Stream
from workers.p2p.view import View
from workers.settings import P2PSettings, Settings

PARTS: dict[type[object], Component] = {
    StateDiffsReceived: Component.STATE_DIFFS,
    ClassesReceived: Component.CLASSES,
    TransactionsReceived: Component.TRANSACTIONS,
    EventsReceived: Component.EVENTS,
}


def messages_in(component: Component, number: int) -> int:
    """How many messages the source chain has of a part of a block."""
    part = Chain(1 << 30).part(component, number) or b""
    return sum(1 for _ in split(part, len(part)))


def header_info(number: int) -> HeaderInfo:
    """What a header of the source chain would state."""
    transactions, events, diffs = (
        messages_in(part, number)
        for part in (Component.TRANSACTIONS, Component.EVENTS, Component.STATE_DIFFS)
    )
    return HeaderInfo(number, block_hash(number), "0.13.4", transactions, events, diffs)


def names_in(number: int) -> tuple[bytes, ...]:
    """As many names as the source chain's block has classes."""
    return tuple(bytes([n]) * 32 for n in range(1, 1 + messages_in(Component.CLASSES, number)))


class Stages(threading.Thread):
    """The stages behind the real broker: cuts the made-up parts and stores whole blocks into ``store``."""

    def __init__(self, endpoint: str, store: Chain) -> None:
        super().__init__(daemon=True)
        self._endpoint = endpoint
        self._store = store
        self._parts: defaultdict[int, dict[Component, bytes]] = defaultdict(dict)
        self.peers: defaultdict[Component, Counter[str]] = defaultdict(Counter)
        self.attempts: list[int] = []
        self.ranges: list[tuple[int, int]] = []
        self.stop = threading.Event()

    def run(self) -> None:
        """Take until stopped."""
        takes = pipeline.P2P.gives
        gives = (pipeline.HEADERS_FETCHED, pipeline.BODIES_FETCHED, pipeline.BLOCKS_STORED)
        with Link(self._endpoint, "stages", takes=takes, gives=gives, credit=8) as link:
            while not self.stop.is_set():
                delivery = link.take(0.1)
                if delivery is not None:
                    link.done([delivery.ticket], [*self._cut(delivery.message), *self._stored()])

    def _cut(self, message: Any) -> Iterator[object]:
        self.attempts.append(message.attempt)
        if isinstance(message, HeadersReceived):
            self.ranges.append((message.start, message.count))
            whole = self._keep(Component.HEADERS, message, message.count)
            infos = tuple(map(header_info, range(message.start, message.start + whole)))
            yield HeadersFetched(message.attempt, message.start, message.peer, infos)
            return
        component = PARTS[type(message)]
        asked = message.wanted if isinstance(message, ClassesReceived) else message.headers
        whole = self._keep(component, message, len(asked))
        classes: tuple[ClassesWanted, ...] = ()
        if component is Component.STATE_DIFFS:
            classes = tuple(
                ClassesWanted(n, block_hash(n), names_in(n), ())
                for n in range(message.start, message.start + whole)
            )
        yield BodiesFetched(message.attempt, component, message.start, whole, message.peer, classes)

    def _keep(self, component: Component, message: Any, count: int) -> int:
        """Keep the whole blocks of an answer, each by the length it has in the source chain."""
        source = Chain(1 << 30)
        self.peers[component][message.peer] += 1
        position = 0
        for index in range(count):
            number = message.start + index
            part = source.part(component, number) or b""
            if message.body[position : position + len(part)] != part:
                return index
            position += len(part)
            self._parts[number][component] = part
        assert position == len(message.body)
        return count

    def _stored(self) -> Iterator[object]:
        while len(self._parts[self._store.length]) == len(Component):
            number = self._store.length
            del self._parts[number]
            self._store.length += 1
            yield BlockStored(time.time_ns(), number, block_hash(number))


@contextmanager
def broker(folder: Path, store: Chain) -> Iterator[tuple[str, Stages]]:
    """A broker in a thread and the stages in another."""
    folder.chmod(0o700)
    endpoint = f"ipc://{folder}/b"
    stop = threading.Event()
    topics = (*pipeline.P2P.takes, *pipeline.P2P.gives)
    served = threading.Thread(
        target=router.serve, args=(endpoint, topics), kwargs={"stop": stop.is_set}, daemon=True
    )
    served.start()
    stages = Stages(endpoint, store)
    stages.start()
    try:
        yield endpoint, stages
    finally:
        stages.stop.set()
        stages.join(10)
        stop.set()
        served.join(10)


def settings_of(folder: Path, endpoint: str, peers: tuple[str, ...]) -> Settings:
    network = Network("test", CHAIN, "", "", 1, "", None)
    own = P2PSettings((str(LOOPBACK),), (), peers, keys.generate().seed, serve_only=False)
    return told(
        network, folder / "db", broker=endpoint, log_level="debug", p2p=own, version="0.0.0"
    )


@asynccontextmanager
async def servers(*chains: Chain) -> AsyncIterator[list[Host]]:
    """Hosts that serve these chains."""
    hosts = [Host(keys.generate(), "hera/test") for _ in chains]
    for host, chain in zip(hosts, chains, strict=True):
        serving(chain)(host)
    async with trio.open_nursery() as nursery:
        for host in hosts:
            await nursery.start(_keep_running, host)
        yield hosts
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def serving_by(serve: Callable[[Host], None]) -> AsyncIterator[Host]:
    """A host whose handlers are set by ``serve``."""
    host = Host(keys.generate(), "hera/test")
    serve(host)
    async with trio.open_nursery() as nursery:
        await nursery.start(_keep_running, host)
        yield host
        nursery.cancel_scope.cancel()


async def _keep_running(host: Host, *, task_status: Any) -> None:
    async with host.run([LOOPBACK]):
        task_status.started()
        await trio.sleep_forever()


async def until_stored(store: Chain, length: int) -> None:
    while store.length < length:
        await trio.sleep(0.02)


def links(hosts: list[Host]) -> tuple[str, ...]:
    return tuple(str(host.listening()[0]) for host in hosts)


@asynccontextmanager
async def following(settings: Settings, store: Chain) -> AsyncIterator[Host]:
    """The process under test, run as its main runs it but for the signal."""
    takes, gives = pipeline.P2P.takes, pipeline.P2P.gives
    listening: list[Host] = []
    with Link(settings.broker, "p2p", takes=takes, gives=gives, credit=pipeline.P2P.credit) as link:
        async with trio.open_nursery() as nursery:

            async def start() -> None:
                await service.run(settings, link, store, on_listening=listening.append)

            nursery.start_soon(start)
            while not listening:
                await trio.sleep(0.01)
            yield listening[0]
            nursery.cancel_scope.cancel()


def test_a_chain_is_synced_in_ranges_from_two_peers_and_goes_on_with_the_head(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "hera")
    store, source = Chain(0), Chain(250)

    async def test() -> None:
        with broker(tmp_path, store) as (endpoint, stages):
            async with servers(source, source) as hosts:
                settings = settings_of(tmp_path, endpoint, links(hosts))
                async with following(settings, store):
                    await until_stored(store, 250)
                    assert [count for _, count in sorted(stages.ranges)] == [100, 100, 50]
                    both = {host.peer_id for host in hosts}
                    assert {peer for asked in stages.peers.values() for peer in asked} == both
                    source.length = 253
                    await until_stored(store, 253)
            assert stages.attempts
            assert len(set(stages.attempts)) == len(stages.attempts)

    run(test)
    for text in (
        "Listening on",
        "Continuous iteration",
        "Number of peers",
        "Random chosen peer's info",
    ):
        assert any(record.message == text for record in caplog.records), text
    assert (tmp_path / "db" / "peers.json").exists()


def test_a_node_serves_what_it_has_just_synced_to_the_next_one(tmp_path: Path) -> None:
    first, second, source = Chain(0), Chain(0), Chain(120)
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()

    async def test() -> None:
        with broker(tmp_path / "1", first) as (one, _), broker(tmp_path / "2", second) as (two, _):
            async with servers(source) as hosts:
                middle = settings_of(tmp_path / "1", one, links(hosts))
                async with following(middle, first) as between:
                    last = settings_of(tmp_path / "2", two, links([between]))
                    async with following(last, second):
                        await until_stored(second, 120)

    run(test)
    assert second.part(Component.EVENTS, 119) == source.part(Component.EVENTS, 119)


def test_a_liar_is_named_in_one_line_and_the_chain_is_synced_from_the_honest_peer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, source = Chain(0), Chain(30)

    async def lie(stream: Stream) -> None:
        while await stream.read(1000):
            pass
        await stream.write(protocols.fin(Component.HEADERS) * 2)
        await stream.close()

    async def test() -> None:
        with broker(tmp_path, store) as (endpoint, _):
            async with servers(source, source) as hosts:
                for component in Component:
                    hosts[0].serve(protocols.protocol_id(CHAIN, component), lie)
                settings = settings_of(tmp_path, endpoint, links(hosts))
                async with following(settings, store) as mine:
                    await until_stored(store, 30)
                    while hosts[0].peer_id in mine.peers():
                        await trio.sleep(0.02)
                liar.append(hosts[0].peer_id)

    liar: list[str] = []
    run(test)
    lines = [r for r in caplog.records if r.message.startswith("A peer broke a rule")]
    assert {(r.__dict__["fields"]["peer"], r.__dict__["fields"]["rule"]) for r in lines} == {
        (liar[0], "fin.after")
    }


def test_a_block_that_is_larger_than_any_honest_one_is_its_peers_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncer, "BLOCK_BYTES_MAX", 100_000)
    store, source, endless = Chain(0), Chain(1), Chain(1, message_bytes=60_000)
    liar: list[str] = []

    async def test() -> None:
        with broker(tmp_path, store) as (endpoint, _):
            async with servers(endless) as hosts:
                headers = Answerer(View(source)).handler(Component.HEADERS)
                hosts[0].serve(protocols.protocol_id(CHAIN, Component.HEADERS), headers)
                liar.append(hosts[0].peer_id)
                async with following(settings_of(tmp_path, endpoint, links(hosts)), store):
                    while not faults(caplog):
                        await trio.sleep(0.02)

    run(test)
    assert (liar[0], "message.flood") in faults(caplog)
    assert store.length == 0


def faults(caplog: pytest.LogCaptureFixture) -> set[tuple[str, str]]:
    """Who was sent away, and for which rule."""
    lines = [r for r in caplog.records if r.message.startswith("A peer broke a rule")]
    return {(r.__dict__["fields"]["peer"], r.__dict__["fields"]["rule"]) for r in lines}


def test_a_denied_network_cannot_connect_to_the_process(tmp_path: Path) -> None:
    store = Chain(0)

    async def test() -> None:
        with broker(tmp_path, store) as (endpoint, _):
            settings = settings_of(tmp_path, endpoint, ())
            assert settings.p2p is not None
            denying = replace(settings.p2p, deny=("127.0.0.0/8",))
            other = Host(keys.generate(), "hera/test")
            async with (
                following(replace(settings, p2p=denying), store) as mine,
                other.run([LOOPBACK]),
            ):
                with pytest.raises(CannotReach):
                    await other.dial(mine.peer_id, transports(mine))

    run(test)


def test_a_peer_that_goes_and_comes_back_is_dialled_again_and_synced_from(tmp_path: Path) -> None:
    store, source = Chain(0), Chain(10)
    key = keys.generate()

    async def test() -> None:
        with broker(tmp_path, store) as (endpoint, _):
            probe = Host(key, "hera/test")
            async with probe.run([LOOPBACK]):
                (address,) = probe.listening()
            async with following(settings_of(tmp_path, endpoint, (str(address),)), store):
                for length in (10, 20):
                    source.length = length
                    host = Host(key, "hera/test")
                    serving(source)(host)
                    async with host.run([address.transport]):
                        await until_stored(store, length)

    run(test)


def test_without_peers_one_line_says_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Chain(0)

    async def test() -> None:
        with broker(tmp_path, store) as (endpoint, _):
            async with following(settings_of(tmp_path, endpoint, ()), store):
                while not any("no peers: give --p2p-peers" in r.message for r in caplog.records):
                    await trio.sleep(0.02)
                await trio.sleep(1.2)

    run(test)
    assert sum("no peers" in record.message for record in caplog.records) == 1


def test_the_own_address_among_the_peers_is_skipped_with_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Chain(0)

    async def test() -> None:
        with broker(tmp_path, store) as (endpoint, _):
            settings = settings_of(tmp_path, endpoint, ())
            assert settings.p2p is not None
            own = keys.from_seed(settings.p2p.private_key).peer_id
            peer = f"/ip4/127.0.0.1/tcp/7777/p2p/{own}"
            mine = P2PSettings((str(LOOPBACK),), (), (peer,), settings.p2p.private_key, False)
            changed = Settings(**{**settings.__dict__, "p2p": mine})
            async with following(changed, store):
                while not any("is this node itself" in r.message for r in caplog.records):
                    await trio.sleep(0.02)

    run(test)


def test_sigterm_ends_it_soon_with_its_book_saved(tmp_path: Path) -> None:
    store, source = Chain(0), Chain(300)

    async def test() -> None:
        with broker(tmp_path, store) as (endpoint, _):
            async with servers(source) as hosts:
                settings = settings_of(tmp_path, endpoint, links(hosts))
                with Link(
                    endpoint, "p2p", takes=pipeline.P2P.takes, gives=pipeline.P2P.gives, credit=64
                ) as link:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(service.run, settings, link, store)
                        await until_stored(store, 100)
                        os.kill(os.getpid(), signal.SIGTERM)
                        with trio.fail_after(5):
                            while nursery.child_tasks:
                                await trio.sleep(0.02)

    run(test)
    assert (tmp_path / "db" / "peers.json").exists()


def test_serving_only_asks_nobody_and_answers(tmp_path: Path) -> None:
    store = Chain(12)

    async def test() -> None:
        with broker(tmp_path, Chain(0)) as (endpoint, stages):
            settings = settings_of(tmp_path, endpoint, ())
            assert settings.p2p is not None
            only = P2PSettings((str(LOOPBACK),), (), (), settings.p2p.private_key, True)
            async with following(Settings(**{**settings.__dict__, "p2p": only}), store) as feeder:
                target = Chain(0)
                (tmp_path / "2").mkdir()
                with broker(tmp_path / "2", target) as (other, _):
                    follower = settings_of(tmp_path / "2", other, links([feeder]))
                    async with following(follower, target):
                        await until_stored(target, 12)
            assert not stages.attempts

    run(test)
    body = expected(store, Component.HEADERS, range(12))
    assert len(list(split(body, 1000))) == 12


def test_nodes_that_know_the_feeder_node_alone_find_each_other(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("feeder", "a", "b")]

    async def test() -> None:
        async with AsyncExitStack() as stack:
            found: list[Host] = []
            for folder in folders:
                folder.mkdir()
                store = Chain(3)
                endpoint, _ = stack.enter_context(broker(folder, store))
                settings = settings_of(folder, endpoint, links(found[:1]))
                assert settings.p2p is not None
                p2p = replace(settings.p2p, serve_only=not found)
                found.append(
                    await stack.enter_async_context(following(replace(settings, p2p=p2p), store))
                )
            _, a, b = found
            while b.peer_id not in a.peers() or a.peer_id not in b.peers():
                await trio.sleep(0.02)

    run(test)
    assert all((folder / "db" / "peers.json").exists() for folder in folders[1:])
