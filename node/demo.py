"""Demo: three nodes on this machine sync a generated chain from each other, and must end up holding the same.

gateway -> feeder node -> node A -> node B: the last one knows only node A and may find no other, so its blocks have
passed through peers twice. Everything listens on loopback ports that were free; keys are derived from the seed, so
PeerIDs are known.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from node import asking
from node.config import ConfigError
from starknet.ages import version_named
from starknet.felt import short
from starknet.versions import UnknownVersion
from workers.p2p import keys

CHAIN_ID = "SN_HERA_DEVNET"
POLL_SECONDS = 0.5
LINE_SECONDS = 2.0  # between two plain lines of progress
STOP_SECONDS_MAX = 15.0
TAIL_LINES = 15
EX_DIFFERENT = 1
EX_INTERRUPTED = 130
MIB = 1 << 20


class _Unfinished(Exception):
    """The demo cannot reach its end; the text says why."""


@dataclass(frozen=True)
class _Plan:
    """One process tree to start: ``argv`` follows ``python -m node``."""

    name: str
    argv: tuple[str, ...]
    url: str


@dataclass
class _Member:
    """A started node and what is known of its sync. Times are monotonic seconds."""

    plan: _Plan
    process: subprocess.Popen[bytes]
    log: Path
    status: dict[str, Any] | None = None
    first_seen: tuple[float, int] | None = None
    finished: float | None = None
    asked_to_stop: bool = False

    def ask_to_stop(self) -> None:
        """Send SIGTERM, once: a second one would kill."""
        if not self.asked_to_stop:
            self.asked_to_stop = True
            self.process.terminate()

    @property
    def number(self) -> int:
        head = (self.status or {}).get("head")
        return -1 if head is None else int(head["number"])

    def speed(self) -> float:
        """Blocks a second between the first look at the node and the moment its last block was there."""
        if self.first_seen is None or self.finished is None:
            return 0.0
        began, first = self.first_seen
        return (self.number - first) / max(self.finished - began, POLL_SECONDS)


@dataclass
class _Usage:
    """The greatest memory and the CPU time of each process seen, by (node, process name)."""

    rss: dict[tuple[str, str], int] = field(default_factory=dict)
    cpu: dict[tuple[str, str, int], float] = field(default_factory=dict)

    def sample(self, members: Sequence[_Member]) -> None:
        """Look at all processes of all nodes once."""
        for member in members:
            with suppress(psutil.Error):
                root = psutil.Process(member.process.pid)
                for process in (root, *sorted(root.children(), key=lambda child: child.pid)):
                    self._sample_one(member.plan.name, process)

    def _sample_one(self, node: str, process: psutil.Process) -> None:
        with suppress(psutil.Error):  # it may have ended meanwhile
            title = (process.cmdline() or [""])[0]
            if not title.startswith("hera"):
                return  # Python is still starting it
            name = title.removeprefix("hera: ")
            times = process.cpu_times()
            key = (node, name)
            self.rss[key] = max(self.rss.get(key, 0), process.memory_info().rss)
            self.cpu[(*key, process.pid)] = times.user + times.system


def run(*, blocks: int, seed: int, version: str, keep: Path | None, seconds_max: float) -> int:
    """Run the demo; return 0 only if all three nodes hold the last block with one hash and one state root."""
    try:
        version_named(version)
    except UnknownVersion as error:
        raise ConfigError(f"--protocol-version: {error}") from None
    console = Console(highlight=False)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    try:
        with ExitStack() as stack:
            folder = _folder(keep, stack)
            members = _start(folder, blocks, seed, version, console, stack)
            for member in members:
                stack.callback(member.ask_to_stop)  # all at once, before each is waited for
            return _follow_to_end(members, _Usage(), blocks, seconds_max, console)
    except _Unfinished as error:
        click.echo(f"Error: {error}", err=True)
        return EX_DIFFERENT
    except KeyboardInterrupt:
        click.echo("Interrupted: everything was stopped", err=True)
        return EX_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _folder(keep: Path | None, stack: ExitStack) -> Path:
    if keep is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hera-demo-")))
    if keep.exists() and any(keep.iterdir()):
        raise ConfigError(f"--keep: {keep} is not empty: give another folder")
    keep.mkdir(parents=True, exist_ok=True)
    return keep.absolute()


def _start(
    folder: Path, blocks: int, seed: int, version: str, console: Console, stack: ExitStack
) -> list[_Member]:
    """Start the gateway, wait until it answers, then start the three nodes."""
    ports = _free_ports(7)
    gateway_url = f"http://127.0.0.1:{ports[0]}"
    serve = ("gateway", "serve", "--devnet", "--port", str(ports[0]))
    chain = ("--blocks", str(blocks), "--seed", str(seed), "--protocol-version", version)
    gateway = _Plan("gateway", (*serve, *chain), gateway_url)
    console.print(
        f"Devnet of {blocks} blocks, protocol version {version}, seed {seed}, at {gateway_url}"
    )
    started = stack.enter_context(_running(gateway, folder))
    _wait_for_port(started, ports[0])
    members = []
    for plan in _plans(folder, gateway_url, seed, ports[1:]):
        console.print(f"Starting {plan.name}: {plan.url}/status")
        members.append(stack.enter_context(_running(plan, folder)))
    return members


def _plans(folder: Path, gateway_url: str, seed: int, ports: Sequence[int]) -> tuple[_Plan, ...]:
    pairs = {
        name: keys.from_seed(sha256(f"hera demo {seed} {name}".encode()).digest())
        for name in ("feeder", "node-a", "node-b")
    }
    addresses = {
        name: f"/ip4/127.0.0.1/tcp/{port}" for name, port in zip(pairs, ports[:3], strict=True)
    }
    known = {name: f"{addresses[name]}/p2p/{pair.peer_id}" for name, pair in pairs.items()}
    role = {
        "feeder": ("--p2p-feeder-node",),
        "node-a": ("--p2p-peers", known["feeder"]),
        "node-b": ("--p2p-peers", known["node-a"], "--p2p-discovery=false"),
    }
    network = (
        *("--cn-name", "devnet", "--cn-l2-chain-id", CHAIN_ID, "--cn-l1-chain-id", "1"),
        *("--cn-feeder-url", gateway_url, "--cn-gateway-url", gateway_url),
        *("--cn-core-contract-address", "0x" + "0" * 40, "--cn-unverifiable-range", "[]"),
    )
    return tuple(
        _Plan(
            name,
            (
                *("--db-path", str(folder / name), *network, "--verify-workers", "1"),
                *("--http", "--http-host", "127.0.0.1", "--http-port", str(port)),
                *("--p2p", "--p2p-addr", addresses[name]),
                *("--p2p-private-key", pairs[name].private_hex, *role[name]),
            ),
            f"http://127.0.0.1:{port}",
        )
        for name, port in zip(pairs, ports[3:], strict=True)
    )


@contextmanager
def _running(plan: _Plan, folder: Path) -> Iterator[_Member]:
    """Run a process with its log in a file; at the end stop it, and kill it if it does not stop."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HERA_")}
    log = folder / f"{plan.name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            (sys.executable, "-m", "node", *plan.argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
            process_group=0,  # Ctrl-C reaches the demo, which then stops all in order
        )
    member = _Member(plan, process, log)
    try:
        yield member
    finally:
        member.ask_to_stop()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _follow_to_end(
    members: Sequence[_Member], usage: _Usage, blocks: int, seconds_max: float, console: Console
) -> int:
    began = time.monotonic()
    show = _Bars(members, blocks, console) if console.is_terminal else _Lines(console)
    with show:
        while not all(member.finished for member in members):
            _look(members, blocks - 1)
            usage.sample(members)
            show.update(members, blocks)
            if time.monotonic() - began > seconds_max:
                raise _Unfinished(_story(f"not finished after {seconds_max:g} s", members))
            time.sleep(POLL_SECONDS)
    seconds = time.monotonic() - began
    console.print(f"All three nodes are at block {blocks - 1} after {seconds:.1f} s\n")
    _print_heads(members, console)
    _print_usage(usage, console)
    heads = {json.dumps(member.status["head"]) for member in members if member.status}
    if len(heads) == 1:
        console.print("All heads are equal.")
        return 0
    raise _Unfinished(_story("the nodes hold different heads", members))


def _look(members: Sequence[_Member], last: int) -> None:
    """Ask each node for its status once; raise if one has ended."""
    for member in members:
        code = member.process.poll()
        if code is not None:
            raise _Unfinished(_story(f"{member.plan.name} ended with code {code}", [member]))
        try:
            member.status = asking.over_http(member.plan.url)
        except asking.Unreachable:
            continue  # it is starting, or its rpc process is being started again
        now = time.monotonic()
        if member.first_seen is None:
            member.first_seen = (now, member.number)
        if member.finished is None and member.number >= last:
            member.finished = now


class _Lines:
    """Progress for a file or a pipe: one line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = 0.0

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def update(self, members: Sequence[_Member], blocks: int) -> None:
        """Print a line if the last one is old or all is done."""
        now = time.monotonic()
        if now - self._said < LINE_SECONDS and not all(member.finished for member in members):
            return
        self._said = now
        heads = "  ".join(f"{m.plan.name} {m.number + 1}/{blocks}" for m in members)
        self._console.print(f"blocks stored: {heads}")


class _Bars:
    """Progress for a terminal: one bar a node."""

    def __init__(self, members: Sequence[_Member], blocks: int, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]} blocks/s, {task.fields[peers]} peers"),
            console=console,
        )
        self._tasks: Mapping[str, TaskID] = {
            m.plan.name: self._progress.add_task(m.plan.name, total=blocks, speed="-", peers="-")
            for m in members
        }

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, members: Sequence[_Member], blocks: int) -> None:
        """Move the bars."""
        for member in members:
            known = member.status or {}
            self._progress.update(
                self._tasks[member.plan.name],
                completed=min(member.number + 1, blocks),
                speed=known.get("blocks_per_second", "-"),
                peers=known.get("peers", "-"),
            )


def _print_heads(members: Sequence[_Member], console: Console) -> None:
    table = Table("node", box=None, pad_edge=False)
    table.add_column("head", justify="right")
    table.add_column("hash")
    table.add_column("state root")
    table.add_column("blocks/s", justify="right")
    for member in members:
        head = (member.status or {})["head"]
        table.add_row(
            member.plan.name,
            str(head["number"]),
            short(int(head["hash"], 16)),
            short(int(head["state_root"], 16)),
            f"{member.speed():.1f}",
        )
    console.print(table)
    console.print()


def _print_usage(usage: _Usage, console: Console) -> None:
    """Show the greatest memory of each process and the CPU seconds of each kind, node by node."""
    nodes = tuple(dict.fromkeys(node for node, _ in usage.rss))
    names = tuple(dict.fromkeys(name for _, name in usage.rss))
    cpu: dict[tuple[str, str], float] = defaultdict(float)
    for (node, name, _), seconds in usage.cpu.items():
        cpu[(node, name)] += seconds
    table = Table("process", box=None, pad_edge=False)
    for node in nodes:
        table.add_column(f"{node} MB", justify="right")
        table.add_column("CPU s", justify="right")
    for name in names:
        cells = []
        for node in nodes:
            there = (node, name) in usage.rss
            cells.append(f"{usage.rss[(node, name)] / MIB:.0f}" if there else "-")
            cells.append(f"{cpu[(node, name)]:.1f}" if there else "-")
        table.add_row(name, *cells)
    sums = []
    for node in nodes:
        sums.append(f"{sum(rss for (of, _), rss in usage.rss.items() if of == node) / MIB:.0f}")
        sums.append(f"{sum(seconds for (of, _), seconds in cpu.items() if of == node):.1f}")
    table.add_row("all", *sums)
    console.print(table)
    console.print()


def _story(what: str, members: Sequence[_Member]) -> str:
    """Say what went wrong, how far each node is, and how its log ends."""
    lines = [what]
    for member in members:
        text = member.log.read_text("utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        lines += [f"--- {member.plan.name}: block {member.number}; its log ends:", *text]
    return "\n".join(lines)


def _free_ports(count: int) -> list[int]:
    """Return different loopback ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait_for_port(member: _Member, port: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while time.monotonic() < deadline and member.process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise _Unfinished(_story("the gateway does not answer", [member]))
