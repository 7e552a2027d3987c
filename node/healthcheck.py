"""Healthcheck: says whether the part of a node that runs in this container is joined with the rest, by its sockets.

It asks nobody, so that it costs the node nothing and leaves no line in a log: a worker that hangs is ended by its
watchdog, one that is silent is cut by the broker, and one that lost its broker ends; what is left is connected.
"""

from pathlib import PurePath

import click
import psutil

from broker.endpoint import address_of
from node import pipeline, processes
from node.config import Config, ConfigError

EX_UNHEALTHY = 1


def check(config: Config, name: str | None) -> int:
    """Print one line, and return 0 if what runs here is well. ``name``: a worker, the broker, or None for a whole node.

    ConfigError names the valid ones, or what a worker's check must be told.
    """
    lacking = _lacking(config, name)
    click.echo(f"unhealthy: {lacking}" if lacking else "healthy")
    return EX_UNHEALTHY if lacking else 0


def _lacking(config: Config, name: str | None) -> str:
    if name is None or name == processes.BROKER:
        return _of_broker(config)
    valid = [processes.BROKER, *(row.name for row in processes.every_row())]
    if name not in valid:
        raise ConfigError(f'there is no worker "{name}": use one of {", ".join(valid)}')
    if config.broker_elsewhere is None:
        raise ConfigError(f"healthcheck {name}: give the --broker that the worker joins")
    return _of_worker(config, name, address_of(config.broker_elsewhere)[1])


def _of_broker(config: Config) -> str:
    name = PurePath(config.broker).name  # a container has one node, whatever its --db-path
    if all(PurePath(str(each.laddr)).name != name for each in psutil.net_connections("unix")):
        return "no broker runs here"
    if config.broker_listen is not None and address_of(config.broker_listen)[1] not in _listening():
        return f"no broker at {config.broker_listen}"
    return ""


def _of_worker(config: Config, name: str, broker: int) -> str:
    joined = any(
        each.status == psutil.CONN_ESTABLISHED and each.raddr[1:] == (broker,)
        for each in psutil.net_connections("tcp")
    )
    if not joined:
        return f"not connected with {config.broker_elsewhere}"
    served = {pipeline.RPC.name: config.http_port, pipeline.METRICS.name: config.metrics_port}
    if name in served and served[name] not in _listening():
        return f"nothing listens on port {served[name]}"
    return ""


def _listening() -> set[int]:
    return {
        each.laddr.port
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr
    }
