"""The p2p process put together: host, server, client, dialling and status, all in one trio loop."""

import random
import signal
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import trio

from workers.component import Component
from workers.log import fields, log
from workers.p2p import addresses, forms, keys
from workers.p2p.answer import Answerer
from workers.p2p.book import Book
from workers.p2p.bridge import Bridge, Link
from workers.p2p.dialer import Dialer, by_peer, open_book
from workers.p2p.discovery import Discovery
from workers.p2p.gate import Gate, GateLimits, parse_network
from workers.p2p.host import AGENTS, DIRECTIONS, Host
from workers.p2p.ledger import Ledger
from workers.p2p.peers import Peers
from workers.p2p.plan import Planner
from workers.p2p.roster import peer_rows
from workers.p2p.syncer import Syncer
from workers.p2p.view import StoredBlocks, View
from workers.p2p.warden import Warden, open_standings
from workers.settings import P2PSettings, Settings

STATUS_SECONDS = 1.0


async def run(
    settings: Settings,
    link: Link,
    blocks: StoredBlocks,
    *,
    on_listening: Callable[[Host], None] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. Raises ``CannotListen``, and what the link raises, in exception groups."""
    p2p = settings.p2p
    assert p2p is not None, "only nodes with --p2p have this process"
    public = [addresses.parse(text) for text in p2p.public]
    allow, deny = ([parse_network(text) for text in texts] for texts in (p2p.allow, p2p.deny))
    gate = Gate(GateLimits(), allow, deny)
    host = Host(keys.from_seed(p2p.private_key), f"hera/{settings.version}", public, gate)
    view = View(blocks)
    answerer = Answerer(view, figures=settings.figures)
    forms.serve(host, settings.network.chain_id, answerer, view)
    async with host.run([addresses.parse_listen(text) for text in p2p.listen]):
        for address in host.listening():
            log.info("Listening on", extra=fields(addr=str(address)))
        if on_listening is not None:
            on_listening(host)
        await _speak(settings, p2p, link, host, answerer, view)


async def _speak(
    settings: Settings,
    p2p: P2PSettings,
    link: Link,
    host: Host,
    answerer: Answerer,
    view: View,
) -> None:
    """Dial, sync (unless only serving) and tell the status until a signal comes."""
    ledger = Ledger(settings.db_path)
    epoch = time.time() - trio.current_time()
    peers = Peers(host.peer_id, open_standings(ledger), epoch)
    warden = Warden(host, peers, ledger)
    bridge = Bridge(link)
    given = by_peer([addresses.parse_peer(text) for text in p2p.peers], host.peer_id)
    chain_id = settings.network.chain_id
    discovery = Discovery(chain_id, host, peers, asks=not p2p.serve_only)
    book = open_book(Book(settings.db_path))
    dialer = Dialer(host, peers, book, given, discovery.learned, settings.figures)
    syncer: Syncer | None = None
    if not p2p.serve_only:
        head = await view.head()
        planner = Planner(
            None if head is None else (head.number, head.block_hash),
            time.time_ns(),
            settings.in_flight_bytes,
            random.Random(),
            trio.current_time(),
        )
        syncer = Syncer(settings, host, peers, planner, bridge, view)
    try:
        async with trio.open_nursery() as nursery:
            if syncer is None:
                nursery.start_soon(bridge.pump, _ignore)
                nursery.start_soon(_count_peers, host, peers)
            else:
                nursery.start_soon(dialer.run)
                nursery.start_soon(syncer.run)
            if p2p.discovery:
                discovery.serve()
                nursery.start_soon(discovery.run)
            nursery.start_soon(warden.run)
            nursery.start_soon(_report, settings, bridge, host, peers, answerer, syncer)
            await _signal()
            nursery.cancel_scope.cancel()
    finally:
        dialer.save()
        warden.save()


async def _report(
    settings: Settings,
    bridge: Bridge,
    host: Host,
    peers: Peers,
    answerer: Answerer,
    syncer: Syncer | None,
) -> None:
    """Say how the process is, once a second: in its status, and in the gauges of the metrics."""
    while True:
        target = None if syncer is None else syncer.target()
        if target is not None and target < 0:
            target = None
        bridge.status(_status(host, peers, answerer, syncer, target))
        _measure(settings, host, peers, syncer, target)
        await trio.sleep(STATUS_SECONDS)


def _status(
    host: Host, peers: Peers, answerer: Answerer, syncer: Syncer | None, target: int | None
) -> dict[str, Any]:
    served = answerer.served
    given = None if syncer is None else syncer.streams
    values: dict[str, Any] = {
        "peers": len(peers),
        "bytes_out": served.bytes_out,
        "requests_served": served.requests,
        "requests_refused": served.refused,
        "requests_late": served.late,
        "answers_stalled": served.stalled,
        "connections_refused": host.inbound.refused,
        "peer_rows": peer_rows(host, peers, given, answerer.streams, trio.current_time()),
    }
    values |= {f"blocks_served_{part.value}": served.blocks[part] for part in Component}
    if syncer is not None:
        values["requests"] = syncer.asked.requests
        values["bytes_in"] = syncer.asked.bytes_in
        values["faults"] = syncer.verdicts.faults
        values["stuck"] = syncer.obstacle.line
        values["last_faults"] = syncer.verdicts.last_faults.rows()
        values["window_bytes"] = syncer.window_bytes()
        values["requests_under_way"] = syncer.asked.under_way
    if target is not None:
        values["target"] = target
    return values


def _measure(
    settings: Settings, host: Host, peers: Peers, syncer: Syncer | None, target: int | None
) -> None:
    figures, now = settings.figures, trio.current_time()
    kinds, banned = host.kinds(), peers.banned(now)
    for agent, direction in product(AGENTS, DIRECTIONS):
        figures.set("hera_p2p_peers", kinds[agent, direction], agent=agent, direction=direction)
    figures.set("hera_p2p_quarantined_peers", peers.left_alone(now) - banned)
    figures.set("hera_p2p_banned_peers", banned)
    if syncer is not None:
        figures.set("hera_sync_window_bytes", syncer.window_bytes())
        figures.set("hera_sync_window_capacity_bytes", settings.in_flight_bytes)
    if target is not None:
        figures.set("hera_sync_best_known_block", target)


async def _count_peers(host: Host, peers: Peers) -> None:
    while True:
        peers.update(host.peers())
        await trio.sleep(STATUS_SECONDS)


async def _signal() -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            return


def _ignore(message: object) -> None:
    """A node that only serves takes no topic."""
