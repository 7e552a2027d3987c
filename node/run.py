"""Run: starts a whole node, from the banner to the supervisor's last word."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import click
from setproctitle import setproctitle

from node import juno, key_file, locks, processes, sources
from node.banner import VERSION, banner
from node.config import Config
from node.public_key import public_key
from node.supervisor import Signals, Supervisor
from workers import hash_table, restarts
from workers import log as logs
from workers.log import fields, log

OLDEST_VERSION = "0.12.3"  # of a chain that began after Starknet 0.7
NEW_VERSION = "0.13.4"
# Each of glibc's arenas keeps what it was given. Its thresholds: broker/heap.py. A person's own setting wins.
MALLOC = {"MALLOC_ARENA_MAX": "2"}


def run(config: Config) -> int:
    """Run the node until a signal or a failure; return the exit code. ConfigError: it cannot run as configured."""
    config.check_broker()
    if config.p2p:
        key_file.known(config)  # to find out now, not in a process that dies of it
    setproctitle("hera")
    logs.setup(config.log_level, config.log_format, "hera", colour=config.colour)
    with suppress(OSError):  # where stdout goes to a full disk; what follows says so of the store
        click.echo(banner())
    log.debug("Running Hera with config:", extra=fields(**config.shown()))
    processes.say_what_was_read(config)
    config.make_folders()
    signals = Signals()
    try:
        return _run(config, signals)
    finally:
        signals.close()


def _run(config: Config, signals: Signals) -> int:
    locks.hold(config.run_folder)  # until this process ends
    lock = locks.hold_for_processes(config.run_folder, signals.wait)
    if lock is None:
        return 0
    _say_what_to_know(config)
    key = public_key(config, lambda seconds: bool(signals.wait(seconds)))
    if key is None:
        return 0
    told = config.with_given(public_key=hex(key))
    if config.p2p:
        told = told.with_drawn_key()
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith((sources.ENV_PREFIX, juno.ENV_PREFIX))
    }
    environ = MALLOC | environ | told.environment()
    supervisor = Supervisor(
        processes.children(told),
        signals,
        environ=environ,
        keep_open=(lock,),
        tell=lambda counted: _note_restarts(config.restarts_file, counted),
    )
    code = supervisor.run()
    log.info("Hera has stopped", extra=fields(code=code))
    return code


def _say_what_to_know(config: Config) -> None:
    log.info(
        "Starting Hera",
        extra=fields(version=VERSION, network=config.network.name, db_path=str(config.db_path)),
    )
    if config.p2p:
        log.warning("P2P features enabled. Please note P2P is in experimental stage")
    for name, is_set in (
        ("p2p-feeder-node", config.p2p_feeder_node),
        ("p2p-peers", bool(config.p2p_peers)),
    ):
        if is_set and not config.p2p:
            log.warning(f"--{name} has no effect without --p2p")
    _say_what_is_unbound(config)


def _say_what_is_unbound(config: Config) -> None:
    """Name what a peer could change in a block without any check noticing; old forms of the hash leave out much."""
    from starknet.block import unbound_fields  # here: the protocol's rules take a while to load

    until = None
    if config.block_hash_table is not None:
        until = hash_table.entries(config.block_hash_table) - 1
        log.info(
            "A table of block hashes binds what old hashes leave open",
            extra=fields(table=str(config.block_hash_table), up_to_block=until),
        )
    oldest = "" if config.network.first_07_block > 0 else OLDEST_VERSION
    log.info(
        "Neither block hash nor signature binds these fields: they are as true as the peer that sent them",
        extra=fields(
            in_blocks_before_0_13_2=unbound_fields(oldest),
            **({} if until is None else {"these_only_after_block": until}),
            in_later_blocks=unbound_fields(NEW_VERSION),
        ),
    )


def _note_restarts(path: Path, counted: Mapping[str, int]) -> None:
    with suppress(OSError):  # a full disk is told of by who needs it to store blocks
        restarts.write(path, counted)
