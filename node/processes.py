"""Processes: which ones a configuration needs, and what each of them runs. All of it follows from the pipeline page."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from setproctitle import setproctitle

from broker import curve, router
from broker.door import Listen, Rows
from broker.endpoint import EndpointError
from broker.topic import Topic
from node import key_file, pipeline, poison
from node.banner import VERSION
from node.config import Config, ConfigError
from node.public_key import Wait, public_key
from node.supervisor import Child
from node.teller import Teller
from workers import log as logs
from workers import runtime
from workers.exits import EX_CONFIG, EX_IOERR
from workers.log import fields, log
from workers.metrics import Figures
from workers.notify import Notify
from workers.stage import Source, Stage
from workers.store import DiskFull, StoreError

Row = Source | Stage[Any]

ANYWHERE = frozenset(row.name for row in pipeline.ANYWHERE)
BROKER = "broker"
NAP_SECONDS = 0.2


def rows(config: Config) -> tuple[Row, ...]:
    """Return the rows of the page that this node runs, in the order in which a block meets them."""
    if config.p2p and not config.p2p_feeder_node:
        begin: tuple[Row, ...] = (pipeline.P2P, *pipeline.FETCH, pipeline.ASSEMBLE)
    else:
        begin = (pipeline.FEEDER, *((pipeline.P2P_SERVE,) if config.p2p else ()))
    ending = (
        *((pipeline.RPC,) if config.http or config.ws else ()),
        *((pipeline.METRICS,) if config.metrics else ()),
    )
    return (*begin, pipeline.VERIFY, pipeline.COMMIT, *ending)


def stages(config: Config) -> tuple[tuple[str, str], ...]:
    """Return name and topic of each row on a block's way, as ``workers.progress`` wants them."""
    return tuple(
        (row.name, row.takes.name if isinstance(row, Stage) else "")
        for row in rows(config)
        if row not in (pipeline.RPC, pipeline.METRICS)
    )


def every_row() -> tuple[Row, ...]:
    """Return every process that a node may have; their names are the NAMEs of ``hera worker``."""
    return (
        pipeline.P2P,
        pipeline.FEEDER,
        *pipeline.PIPELINE,
        pipeline.RPC,
        pipeline.METRICS,
    )


def topics() -> tuple[Topic[Any], ...]:
    """Return every topic of the page once."""
    found: dict[str, Topic[Any]] = {}
    for row in every_row():
        found |= {topic.name: topic for topic in (*row.taken, *row.gives)}
    return tuple(found.values())


def children(config: Config) -> tuple[Child, ...]:
    """Return the processes of a node: the broker first, which is also stopped last.

    Sources stop first, so that nothing new comes in; the stages follow in the order of the page.
    """
    last = len(every_row()) + 1
    stages: tuple[Row, ...] = pipeline.PIPELINE
    order = {stage.name: 1 + index for index, stage in enumerate(stages)}
    order |= {stage.name: 1 for stage in pipeline.FETCH}  # the five are one step of a block's way
    found = [Child(BROKER, _command("broker"), stops=last)]
    for row in rows(config):
        count = _count(config, row)
        for index in range(1, count + 1):
            is_numbered = count > 1 or row is pipeline.VERIFY
            name = f"{row.name}-{index}" if is_numbered else row.name
            argv = _command("worker", row.name, "--name", name)
            stops = order.get(row.name, 0)
            found.append(Child(name, argv, stops=stops, environ=config.secrets(row.name)))
    return tuple(found)


def _count(config: Config, row: Row) -> int:
    """Return how many processes of a row there are."""
    if row is pipeline.VERIFY:
        return config.verify_workers
    return config.rpc_workers if row is pipeline.RPC else 1


def run_worker(config: Config, name: str, instance: str | None = None) -> int:
    """Run one row of the page in this process; return its exit code. ConfigError names the valid rows.

    ``instance`` tells it from others of its row; of another machine it is unlike any other if absent.
    """
    row = _row_of(config, name)
    if name == pipeline.P2P.name:
        config = key_file.known(config)
    if config.broker_elsewhere is not None:
        instance = instance or f"{name}-{socket.gethostname()[:64]}-{os.getpid()}"
        _check_elsewhere(config, name)
    instance = instance or name
    stop = begin(config, instance)
    if config.broker_elsewhere is None or name not in ANYWHERE:
        config.make_folders()
    notify = Notify(os.environ)
    key = public_key(config, notify.patiently(stop.wait))
    if stop.asked():
        return 0
    settings = replace(config.settings(key), stages=stages(config))
    try:
        if isinstance(row, Source):
            return runtime.run_source(row, settings, worker=instance, notify=notify)
        return runtime.run_stage(row, settings, worker=instance, stop=stop.asked, notify=notify)
    except StoreError as error:
        # a full disk, or another chain's store, a newer schema's, one in use: only a person can help
        log.error(str(error))
        return EX_IOERR if isinstance(error, DiskFull) else EX_CONFIG


def _row_of(config: Config, name: str) -> Row:
    by_name = {row.name: row for row in every_row()}
    if name not in by_name:
        raise ConfigError(f'there is no worker "{name}": use one of {", ".join(by_name)}')
    if name == pipeline.P2P.name and not config.p2p:
        raise ConfigError("worker p2p needs --p2p")
    if name == pipeline.FEEDER.name and config.p2p and not config.p2p_feeder_node:
        raise ConfigError(
            "worker feeder beside --p2p needs --p2p-feeder-node, for p2p too: blocks have one source"
        )
    if name == pipeline.P2P.name and config.p2p_feeder_node:
        return pipeline.P2P_SERVE
    return by_name[name]


def _check_elsewhere(config: Config, name: str) -> None:
    """Find out before anything is waited for what a worker on another machine lacks; ConfigError."""
    config.passport(None)
    if name not in ANYWHERE and not config.db_path_given:
        raise ConfigError(
            f"worker {name} needs the node's store: give its --db-path, on a volume that both machines see"
        )


def run_broker(config: Config) -> int:
    """Run the broker in this process until SIGTERM; return its exit code."""
    config.check_broker()
    stop = begin(config, BROKER)
    config.make_folders()
    notify = Notify(os.environ)
    figures, teller = Figures(), Teller(stages(config))
    node = {"version": VERSION, "network": config.network.name}
    node |= {"chain_id": config.network.chain_id, "role": config.role}
    try:
        listen = _listen(config, notify.patiently(stop.wait))
        if stop.asked():
            return 0
        router.serve(
            config.broker,
            topics(),
            stop=stop.asked,
            poison=poison.record_of(topics()),
            poison_topic=pipeline.FAULTS.name,
            listen=listen,
            vitals=lambda: figures.report() | teller.vitals() | {"node": node},
            look=teller.look,
            turned=lambda: notify.turn(teller.status),
        )
        notify.stopping()
    except EndpointError as error:
        log.error(str(error))
        return EX_CONFIG
    return 0


def _listen(config: Config, wait: Wait) -> Listen | None:
    """Return the broker's door to other machines, if it is to have one; EndpointError for unfit keys."""
    if config.broker_listen is None:
        return None
    assert config.broker_keys is not None
    keys = curve.load_broker(config.broker_keys)
    realm = config.realm(public_key(config, wait))
    rows = {
        row.name: Rows(frozenset(_names(row.taken)), frozenset(_names(row.gives)))
        for row in every_row()
    }
    return Listen(config.broker_listen, keys, rows, realm)


def _names(topics: Sequence[Topic[Any]]) -> Iterator[str]:
    return (topic.name for topic in topics)


def run_gateway(
    folder: Path | None,
    host: str,
    port: int,
    *,
    blocks: int,
    seed: int,
    version: str,
    heavy_calls: int = 0,
    fork_at: int | None = None,
) -> int:
    """Serve the recorded folder, or a generated chain of ``version`` if there is none, until SIGTERM."""
    from starknet.versions import UnknownVersion
    from workers.gateway import gateway  # here: only this verb has a use for them
    from workers.gateway.source import ChainSource, GatewayError

    setproctitle("hera: gateway")
    logs.setup("info", "console", "gateway")
    try:
        source: ChainSource
        if folder is not None:
            from workers.gateway.recorded import Recorded

            source = Recorded(folder)
        else:
            from starknet.ages import version_named
            from starknet.devnet import Devnet
            from workers.gateway.generated import Generated

            named = version_named(version)
            chain = Devnet(
                seed=seed, length=blocks, version=named, heavy_calls=heavy_calls, fork_at=fork_at
            )
            source = Generated(chain)
        gateway.serve(source, host, port)
    except GatewayError as error:
        raise ConfigError(str(error)) from None
    except UnknownVersion as error:
        raise ConfigError(f"--protocol-version: {error}") from None
    return 0


class Stop:
    """Remembers that SIGTERM or SIGINT came; a second one ends the process at once."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGTERM, self._on)
        signal.signal(signal.SIGINT, self._on)

    def asked(self) -> bool:
        """Whether this process is to end."""
        return self._asked

    def wait(self, seconds: float) -> bool:
        """Sleep, little longer than until a signal; return whether this process is to end."""
        end = time.monotonic() + seconds
        while not self._asked and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, NAP_SECONDS))
        return self._asked

    def _on(self, number: int, _: object) -> None:
        if self._asked:
            os._exit(128 + number)
        self._asked = True


def begin(config: Config, instance: str) -> Stop:
    """Give this process its title, its log and its way to stop."""
    setproctitle(f"hera: {instance}")
    logs.setup(config.log_level, config.log_format, instance, colour=config.colour)
    say_what_was_read(config)
    return Stop()


def say_what_was_read(config: Config) -> None:
    """Log what was set for Juno and is used, and what was set in vain; a node's own children are told neither."""
    if config.read_as_juno:
        log.info(
            "Read what is set for Juno", extra=fields(variables=", ".join(config.read_as_juno))
        )
    if config.unused:
        log.warning(
            "These options of Juno have no meaning here",
            extra=fields(ignored="; ".join(config.unused)),
        )


def _command(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "node", *words)
