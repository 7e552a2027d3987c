"""A container's health is told by its sockets."""

import socket
from pathlib import Path

import pytest

from broker import curve
from node import healthcheck
from node.config import Config, ConfigError, load
from tests.process.nodes import free_port


def config(folder: Path, broker: int, **more: str) -> Config:
    joining = {
        "broker": f"tcp://127.0.0.1:{broker}",
        "broker-keys": str(folder),
        "network": "sepolia",
    }
    return load(joining | {name.replace("_", "-"): value for name, value in more.items()}, {})


def test_a_worker_is_well_while_it_is_connected_with_its_broker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        port = broker.getsockname()[1]
        told = config(tmp_path, port)
        assert healthcheck.check(told, "verify") == 1
        with socket.create_connection(("127.0.0.1", port)):
            assert healthcheck.check(told, "verify") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"unhealthy: not connected with tcp://127.0.0.1:{port}",
        "healthy",
    ]


@pytest.mark.parametrize(("name", "option"), [("rpc", "http_port"), ("metrics", "metrics_port")])
def test_a_worker_that_serves_is_well_once_it_listens(
    tmp_path: Path, name: str, option: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        port = broker.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert (
                healthcheck.check(config(tmp_path, port, **{option: str(free_port())}), name) == 1
            )
            assert healthcheck.check(config(tmp_path, port, **{option: str(port)}), name) == 0


def test_a_broker_is_well_once_it_listens_for_other_machines(tmp_path: Path) -> None:
    curve.new(tmp_path / "keys")
    listening = {
        "broker-listen": f"tcp://127.0.0.1:{free_port()}",
        "broker-keys": str(tmp_path / "keys"),
    }
    with socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "broker"))
        local.listen()
        assert healthcheck.check(load({}, {}), None) == 0
        assert healthcheck.check(load(listening, {}), "broker") == 1


def test_what_cannot_be_checked_is_told() -> None:
    with pytest.raises(ConfigError, match='no worker "verfy": use one of broker, p2p'):
        healthcheck.check(load({}, {}), "verfy")
    with pytest.raises(ConfigError, match="give the --broker that the worker joins"):
        healthcheck.check(load({}, {}), "verify")
