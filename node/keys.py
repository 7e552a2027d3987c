"""Keys: the verbs that make CURVE keys and keep the list of workers on other machines that may join a node."""

from collections.abc import Sequence
from pathlib import Path

import click

from broker import curve
from broker.curve import key as key  # how the text of a key is read
from broker.endpoint import EndpointError
from node import processes
from node.config import ConfigError


def new(out: Path, broker: bytes | None) -> int:
    """Make a pair in ``out`` and print its public key; with ``broker`` it is a worker's. ConfigError as below."""
    try:
        public = curve.new(out, broker)
    except EndpointError as error:
        raise ConfigError(str(error)) from None
    click.echo(public.hex())
    return 0


def allow(keys: Path, public: bytes, name: str, rows: Sequence[str]) -> int:
    """Put a worker's public key on the list in the broker's folder ``keys``; ConfigError says why it cannot be."""
    valid = [row.name for row in processes.every_row()]
    for row in rows:
        if row not in valid:
            raise ConfigError(f'--rows: there is no worker "{row}": use some of {", ".join(valid)}')
    try:
        curve.allow(keys, curve.worker(public, name, rows))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return 0


def show(keys: Path) -> int:
    """Print the broker's public key and its list, a line each; ConfigError as above."""
    try:
        broker = curve.load_broker(keys)
        allowed = curve.allowed(keys)
    except EndpointError as error:
        raise ConfigError(str(error)) from None
    click.echo(f"{broker.public.hex()} (this broker)")
    for worker in allowed.values():
        click.echo(f"{worker.key.hex()} {worker.name} {','.join(worker.rows)}")
    return 0
