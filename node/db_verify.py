"""``hera db verify``: checks stored blocks as if a peer had just sent them, what was made of them, and the state.

The blocks are spread over processes, each with a view of its own; a node may run beside them.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context

import click

from broker.codec import Body
from node import networks
from node.config import Config, ConfigError, require_key
from node.db import header_at, opened
from node.progress import progress
from starknet.network import Network
from workers import verify
from workers.component import Component
from workers.errors import PeerFault
from workers.messages import BlockAssembled, BlockVerified
from workers.settings import Settings
from workers.store import Head, StoreError, check
from workers.store.opening import require_chain
from workers.store.reader import Reader
from workers.store.schema import ZERO

CHUNK_MAX = 256  # blocks that a process takes at once
CHUNKS_PER_PROCESS = 4  # at least, so that all end at about the same time
FAULTS_MAX = 100


@dataclass(frozen=True)
class Task:
    """Some blocks, as one process takes them."""

    config: Config
    first: int
    last: int


def run(config: Config, key: int | None, first: int, last: int | None, *, as_json: bool) -> int:
    """Check blocks ``first`` to ``last`` (None: the head) and the state at the head; print a line a fault; 1 if any.

    Of the configuration count the folder, network, hash table and number of verify workers; ``key`` is the sequencer's
    of a network that has none pinned. ConfigError: there is no store, or no such block, or its network is another.
    """
    with opened(config.db_path) as reader:
        head = reader.head()
        if head is None:
            raise ConfigError(f"{config.db_path} holds no block: there is nothing to check")
        last = head.number if last is None else last
        if not 0 <= first <= last <= head.number:
            raise ConfigError(
                f"--from, --to: {config.db_path} holds blocks 0 to {head.number}: give a range of these"
            )
        config = _of_store(config, key, reader.chain_id() or "")
        faults = _print_faults(_faults(config, reader, head, first, last), as_json=as_json)
    is_signed = _key(config) is not None
    if as_json:
        found = {"from": first, "to": last, "signatures": is_signed, "faults": faults}
        click.echo(json.dumps(found, indent=2))
    else:
        _print_summary(first, last, head.number, len(faults), is_signed=is_signed)
    return 1 if faults else 0


def _of_store(config: Config, key: int | None, chain: str) -> Config:
    """The configuration with the network of the store where none was given; ConfigError if it is another."""
    network = _network(config, chain)
    require_key(network, key)
    return replace(config, network=network, public_key=key)


def _network(config: Config, chain: str) -> Network:
    if "network" in dict(config.given):
        try:
            require_chain(config.db_path, chain, config.network.chain_id)
        except StoreError as error:
            raise ConfigError(str(error)) from None
        return config.network
    names = networks.of_chain(chain)
    if len(names) > 1:
        raise ConfigError(f"chain {chain} is that of {' and '.join(names)}: give --network")
    return networks.load(names[0]) if names else networks.unnamed(chain)


def _key(config: Config) -> int | None:
    return config.public_key or config.network.public_key


def _print_faults(faults: Iterator[str], *, as_json: bool) -> list[str]:
    """Print each fault as it is found, unless all are printed at the end; return them, at most ``FAULTS_MAX``."""
    found = []
    for fault in islice(faults, FAULTS_MAX):
        found.append(fault)
        if not as_json:
            click.echo(fault)
    return found


def _print_summary(first: int, last: int, head: int, faults: int, *, is_signed: bool) -> None:
    if not is_signed:
        click.echo("signatures were not checked: give the sequencer's --public-key", err=True)
    many = f"{faults} faults" if faults < FAULTS_MAX else f"{faults} faults, then it was given up"
    click.echo(f"blocks {first} to {last}, state at block {head}: {many}", err=True)


def _faults(config: Config, reader: Reader, head: Head, first: int, last: int) -> Iterator[str]:
    """Yield all faults, those of blocks first; a node that took blocks back meanwhile is one too."""
    with progress(last - first + 1) as advance:
        for found, count in _blocks(_tasks(config, first, last)):
            yield from found
            for _ in range(count):
                advance()
    try:
        yield from check.state_faults(reader, head, header_at(reader, head.number))
        reader.refresh()
        if reader.block_hash(head.number) != head.block_hash:
            yield f"block {head.number} was taken back by the node meanwhile: check again"
    except StoreError as error:
        yield f"state: {error}"


def _tasks(config: Config, first: int, last: int) -> list[Task]:
    count = last - first + 1
    size = max(1, min(CHUNK_MAX, count // (max(1, config.verify_workers) * CHUNKS_PER_PROCESS)))
    return [
        Task(config, start, min(start + size - 1, last)) for start in range(first, last + 1, size)
    ]


def _blocks(tasks: Sequence[Task]) -> Iterator[tuple[list[str], int]]:
    """The faults of each task's blocks, and how many these are, in order; one worker is this process itself."""
    workers = min(tasks[0].config.verify_workers, len(tasks))
    if workers <= 1:
        yield from map(check_task, tasks)
        return
    # fresh processes: a fork would copy the thread that draws the progress bar
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(check_task, tasks)
        except BrokenProcessPool:
            yield ["a process ended before its blocks were checked: memory may be short, "
                   "give fewer --workers"], 0  # fmt: skip
        finally:
            pool.shutdown(cancel_futures=True)


def check_task(task: Task) -> tuple[list[str], int]:
    """Return the faults of some blocks, and how many blocks these were; runs in a process of its own."""
    settings = task.config.settings(_key(task.config))
    reader = Reader(task.config.db_path)
    faults: list[str] = []
    try:
        for number in range(task.first, task.last + 1):
            faults += _block_faults(settings, reader, number)
            if len(faults) >= FAULTS_MAX:
                break
    finally:
        reader.close()
    return faults, task.last - task.first + 1


def _block_faults(settings: Settings, reader: Reader, number: int) -> list[str]:
    try:
        verified = _verified(settings, reader, number)
        faults = list(check.block_faults(reader, verified))
        if verified.parent_hash != (reader.block_hash(number - 1) if number else ZERO):
            faults.append(f"block {number}: its parent's hash is not that of block {number - 1}")
        return faults
    except (PeerFault, StoreError) as error:
        text = str(error)
        return [text if text.startswith("block ") else f"block {number}: {text}"]


def _verified(settings: Settings, reader: Reader, number: int) -> BlockVerified:
    """The block by the rules of the verify worker; PeerFault names the rule that its stored parts break."""
    parts = {component: reader.part(component, number) for component in Component}
    missing = [str(component) for component, part in parts.items() if part is None]
    if missing:
        raise StoreError(f"its {' and '.join(missing)} are not stored")
    header, diff, classes, transactions, events = (
        Body(parts[component] or b"")
        for component in (
            Component.HEADERS,
            Component.STATE_DIFFS,
            Component.CLASSES,
            Component.TRANSACTIONS,
            Component.EVENTS,
        )
    )
    block = BlockAssembled(0, number, (), header, diff, classes, transactions, events)
    (verified,) = verify.verify(settings, block)
    return verified
