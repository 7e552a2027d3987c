"""How long an honest peer waits for a node's answers while another client floods the node, and what memory that takes.

Run ``python -m benchmarks.p2p_flood`` in the root. A feeder node stores a generated chain. An honest peer asks it for
headers, one request after the other, first alone, then while a client opens 200 connections, each under another
PeerID, and on each asks by five streams as fast as it can; a connection that is refused is opened again.

What one address may ask is bounded, so the honest peer comes from another one than the flood (IPv6's loopback; the
flood uses IPv4's). How one fares that shares the flood's address, as behind one router, is noted beside the figure.

The flood is a process of a low priority: in the world it has a machine of its own, here it shares the node's.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import psutil
import trio

from benchmarks import Figure
from tests.process.nodes import Node, custom_network, feeding, free_port, gateway, nodes
from workers.component import Component
from workers.p2p import addresses, keys, protocols
from workers.p2p.addresses import Address
from workers.p2p.ask import NoAnswer, Patience, ask
from workers.p2p.host import CannotReach, Host
from workers.p2p.protocols import Range
from workers.p2p.streams import BadAnswer

BLOCKS = 60
CONNECTIONS = 200
STREAMS = 5
PROCESSES = 2  # of the flooding client: one alone is slower than the node
WARM_SECONDS = 10.0  # for the flood to stand
MEASURE_SECONDS = 12.0
PAUSE_SECONDS = 0.05  # between two honest requests
AGAIN_SECONDS = 0.5  # until a refused connection is tried again
REACH = 3.0
MEMORY_REACH_BYTES = 256 << 20  # on top of what the process has without a flood
FLOOD_NICE = 10
MIB = 1 << 20
CHAIN_ID = "SN_HERA_DEVNET"


def run() -> list[Figure]:
    """Latency with the flood by latency without it, and growth of the p2p process by what it may grow."""
    with (
        tempfile.TemporaryDirectory() as name,
        gateway("--devnet", "--blocks", str(BLOCKS)) as url,
        nodes(Path(name)) as make,
    ):
        told, address = feeding()
        other = f"/ip6/::1/tcp/{free_port()}"
        listen = f"{address.partition('/p2p/')[0]},{other}"
        node = make("server", *custom_network(url), *told, "--p2p-addr", listen)
        node.wait_head(BLOCKS - 1)
        node.wait_log("Listening on")
        peer_id = address.rpartition("/")[2]
        return trio.run(_measure, node, address, f"{other}/p2p/{peer_id}")


async def _measure(node: Node, address: str, other: str) -> list[Figure]:
    p2p = node.child("p2p")
    assert p2p is not None
    host, neighbour = Host(keys.generate(), "hera/honest"), Host(keys.generate(), "hera/honest")
    async with host.run([]), neighbour.run([]):
        once = await _connected(host, addresses.parse_peer(other))
        near = await _connected(neighbour, addresses.parse_peer(address))
        await _latencies(once, p2p)
        alone, before = await _latencies(once, p2p)
        command = [sys.executable, "-m", "benchmarks.p2p_flood", address]
        floods = [
            subprocess.Popen(["nice", "-n", str(FLOOD_NICE), *command]) for _ in range(PROCESSES)
        ]
        try:
            await trio.sleep(WARM_SECONDS)
            served, busy = _served(node), _busy(p2p)
            beside, after = await _latencies(once, p2p)
            flooded = (_served(node) - served - len(beside)) / MEASURE_SECONDS
            busy = (_busy(p2p) - busy) / MEASURE_SECONDS
            shared, _ = await _latencies(near, p2p)
        finally:
            for flood in floods:
                flood.terminate()
                flood.wait()
    return [_latency(alone, beside, shared, flooded, busy), _memory(before, after)]


def _busy(p2p: psutil.Process) -> float:
    """The process's CPU seconds."""
    times = p2p.cpu_times()
    return float(times.user + times.system)


def _served(node: Node) -> int:
    status = node.status()
    return 0 if status is None else int(status["p2p"]["requests_served"])


async def _latencies(
    once: Callable[[], Awaitable[bool]], p2p: psutil.Process
) -> tuple[list[float], int]:
    """The seconds of each request, and the process's greatest RSS meanwhile."""
    found, rss, end = [], 0, trio.current_time() + MEASURE_SECONDS
    while (began := trio.current_time()) < end:
        assert await once(), "the honest peer got no answer"
        found.append(trio.current_time() - began)
        rss = max(rss, p2p.memory_info().rss)
        await trio.sleep(PAUSE_SECONDS)
    return found, rss


async def _connected(host: Host, server: Address) -> Callable[[], Awaitable[bool]]:
    """Connect; return what asks once and says whether an answer came."""
    assert server.peer_id is not None
    await host.dial(server.peer_id, [server.transport])
    name = protocols.protocol_id(CHAIN_ID, Component.HEADERS)
    opener = partial(host.open, server.peer_id, name)

    async def once() -> bool:
        try:
            body = await ask(opener, Component.HEADERS, Range(0, BLOCKS), Patience())
        except (CannotReach, NoAnswer, BadAnswer):
            return False
        return bool(body)

    return once


def _latency(
    alone: list[float], beside: list[float], shared: list[float], flooded: float, busy: float
) -> Figure:
    middle = [statistics.median(seconds) * 1e3 for seconds in (alone, beside)]
    most = [statistics.quantiles(seconds, n=20)[-1] * 1e3 for seconds in (alone, beside)]
    note = (
        f"median {middle[0]:.1f} ms alone, {middle[1]:.1f} ms beside {CONNECTIONS}x{STREAMS} streams; "
        f"95 % within {most[0]:.0f} and {most[1]:.0f} ms; from the flood's address "
        f"{statistics.median(shared) * 1e3:.0f} ms; of the flood {flooded:.0f} requests a second answered, "
        f"p2p busy for {busy:.0%} of the time"
    )
    return Figure(
        "honest request in a flood, latency", middle[1] / middle[0], REACH, "at most", note
    )


def _memory(before: int, after: int) -> Figure:
    note = f"RSS of p2p {before // MIB} MiB alone, {after // MIB} MiB at most in the flood"
    ratio = (after - before) / MEMORY_REACH_BYTES
    return Figure("memory in a flood, of 256 MiB more", ratio, 1.0, "at most", note)


# ---- the flood, in a process of its own ------------------------------------------------------------------------


async def _flood(address: str) -> None:
    server = addresses.parse_peer(address)
    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS // PROCESSES):
            nursery.start_soon(_flood_one, server)


async def _flood_one(server: Address) -> None:
    """One connection of the flood, again and again."""
    while True:
        host = Host(keys.generate(), "hera/flood")
        async with host.run([]):
            try:
                once = await _connected(host, server)
            except CannotReach:
                await trio.sleep(AGAIN_SECONDS)
                continue
            async with trio.open_nursery() as nursery:
                for _ in range(STREAMS):
                    nursery.start_soon(_ask_for_ever, host, once)


async def _ask_for_ever(host: Host, once: Callable[[], Awaitable[bool]]) -> None:
    while host.peers():
        await once()


def main() -> None:
    """Print the figures; with an address, flood it until a signal comes."""
    if sys.argv[1:]:
        trio.run(_flood, sys.argv[1])
        return
    for figure in run():
        print(figure, flush=True)


if __name__ == "__main__":
    main()
