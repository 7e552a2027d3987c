"""``hera db``: tells what a store holds and how much room it takes, and takes blocks back. The node may run, or not."""

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from node import locks, networks
from node.config import ConfigError, load, run_folder
from node.progress import progress
from starknet.wire.sync_pb2 import SignedBlockHeader
from workers.component import Component
from workers.exits import EX_IOERR
from workers.store import DiskFull, Head, StoreError
from workers.store.opening import FOLDER, exists, size_of
from workers.store.reader import Reader, decode_header
from workers.store.schema import SCHEMA_VERSION, Family
from workers.store.writer import revert_to

ROOM = "{:,}"
COLUMNS = ("bytes", "keys")


def info(db_path: Path) -> int:
    """Print as indented JSON which chain the store holds and up to which block; ConfigError if there is no store."""
    with opened(db_path) as reader:
        head = reader.head()
        header = None if head is None else header_at(reader, head.number)
        chain = reader.chain_id() or ""
    click.echo(json.dumps(_info(db_path, chain, head, header), indent=2))
    return 0


def _info(
    db_path: Path, chain: str, head: Head | None, header: SignedBlockHeader | None
) -> dict[str, Any]:
    """The keys are Juno's; what is known of layer 1, which this node does not follow, is nothing."""
    return {
        "network": " or ".join(networks.of_chain(chain)) or chain,
        "chain_height": None if head is None else head.number,
        "latest_block_hash": None if head is None else f"0x{head.block_hash.hex()}",
        "latest_state_root": None if head is None else f"0x{head.state_root.hex()}",
        "l1_height": None,
        "l1_block_hash": None,
        "l1_state_root": None,
        "chain_id": chain,
        "latest_block_timestamp": None if header is None else header.time,
        "latest_block_version": None if header is None else header.protocol_version,
        "schema": SCHEMA_VERSION,
        "in_use": locks.is_held(run_folder(db_path.absolute()) / locks.SUPERVISOR),
    }


def size(db_path: Path, *, as_json: bool) -> int:
    """Print bytes and keys of each family, and what the folder takes; ConfigError if there is no store."""
    with opened(db_path) as reader:
        sizes, counts = reader.sizes(), reader.counts()
    families = {
        str(family): {"bytes": sizes[family], "keys": counts[family]}
        for family in sorted(Family, key=lambda family: -sizes[family])
    }
    on_disk = sum(size_of(path) for path in (db_path / FOLDER).rglob("*") if path.is_file())
    if as_json:
        total = {name: sum(row[name] for row in families.values()) for name in ("bytes", "keys")}
        click.echo(json.dumps({"families": families, "total": total, "on_disk": on_disk}, indent=2))
    else:
        _print_sizes(families, on_disk)
    return 0


def _print_sizes(families: dict[str, dict[str, int]], on_disk: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("family", footer="in all")
    for name, title in (("bytes", "bytes"), ("keys", "keys (about)")):
        total = sum(row[name] for row in families.values())
        table.add_column(title, justify="right", footer=ROOM.format(total))
    for family, row in families.items():
        table.add_row(family, ROOM.format(row["bytes"]), ROOM.format(row["keys"]))
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    console.print(f"on disk, with logs: {ROOM.format(on_disk)} bytes")


def revert(db_path: Path, number: int) -> int:
    """Take every block above ``number`` back, one after the other; ConfigError where that cannot be.

    Each block goes by one write: whenever this process is killed, the store holds whole blocks, and the same command
    goes on where it was.
    """
    _require_store(db_path)
    with _alone(db_path):
        try:
            return _revert(db_path, number)
        except DiskFull as error:
            click.echo(f"Error: {error}", err=True)
            return EX_IOERR
        except StoreError as error:
            raise ConfigError(str(error)) from None


def _revert(db_path: Path, number: int) -> int:
    with opened(db_path) as reader:
        head = reader.head()
    if head is None:
        raise ConfigError(f"{db_path} holds no block: there is nothing to take back")
    if not 0 <= number <= head.number:
        raise ConfigError(
            f"--to-block: {db_path} holds blocks 0 to {head.number}, "
            f"{number} is not among them: give one of these"
        )
    with progress(head.number - number) as advance:
        left = revert_to(db_path, number, advance)
    assert left is not None
    said = "nothing was taken back" if head == left else _taken(number + 1, head.number)
    click.echo(f"{said}; the last block is {left.number}, 0x{left.block_hash.hex()}")
    return 0


def _taken(first: int, last: int) -> str:
    if first == last:
        return f"block {first} was taken back"
    return f"blocks {first} to {last} were taken back"


@contextmanager
def _alone(db_path: Path) -> Iterator[None]:
    """Keep nodes from starting on this store meanwhile; ConfigError if one runs on it, or some process of one."""
    config = load({"db-path": str(db_path)}, {})
    config.make_folders()
    held = [locks.hold(config.run_folder)]
    try:
        lock = locks.hold_for_processes(config.run_folder, lambda _: None, seconds_max=0.0)
        assert lock is not None
        held.append(lock)
        yield
    finally:
        for lock in held:
            os.close(lock)


@contextmanager
def opened(db_path: Path) -> Iterator[Reader]:
    """Open the store for reading, beside a node or alone; ConfigError if there is none, or none of ours."""
    _require_store(db_path)
    try:
        with closing(Reader(db_path)) as reader:
            yield reader
    except StoreError as error:
        raise ConfigError(str(error)) from None


def header_at(reader: Reader, number: int) -> SignedBlockHeader:
    """Return the header of a stored block; StoreError where the store lacks it."""
    body = reader.part(Component.HEADERS, number)
    if body is None:
        raise StoreError(f"no header of block {number}: the store is damaged")
    return decode_header(body)


def _require_store(db_path: Path) -> None:
    if not exists(db_path):
        raise ConfigError(f"{db_path}: there is no store; give the node's --db-path")
