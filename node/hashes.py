"""Hashes: makes a table of block hashes from a store that its owner trusts, for other nodes to check old blocks by."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from node.config import ConfigError
from starknet.block_hash import block_hash
from starknet.felt import to_bytes32
from starknet.versions import rules_for
from workers.component import Component
from workers.store.reader import Reader, decode_header


def build(db_path: Path, out: Path) -> int:
    """Write the hashes by the rules of 0.13.2 of all older blocks stored from 0 on. ConfigError if there are none."""
    reader = Reader(db_path)
    beside = out.with_name(f"{out.name}.new")  # so that `out` is never half a table
    try:
        count = 0
        with beside.open("wb") as file:
            for entry in _entries(reader):
                file.write(entry)
                count += 1
            file.flush()
            os.fsync(file.fileno())
        if count == 0:
            raise ConfigError(
                f"{db_path} holds no block before 0.13.2: give the --db-path of a node that has them"
            )
        beside.replace(out)
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written: {error.strerror}") from None
    finally:
        reader.close()
        beside.unlink(missing_ok=True)
    click.echo(f"{out}: {count} hashes, of blocks 0 to {count - 1}")
    return 0


def _entries(reader: Reader) -> Iterator[bytes]:
    """The hashes in order, up to the first block that is not stored or needs no table."""
    number = 0
    while (body := reader.part(Component.HEADERS, number)) is not None:
        header = decode_header(body)
        rules = rules_for(header.protocol_version)
        if rules.receipts_in_hash:
            return
        yield to_bytes32(block_hash(header, rules))
        number += 1
