from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.brokers import Broker, InMemory, OnSocket


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that only this user may enter."""
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(params=["memory", "socket"])
def broker(request: pytest.FixtureRequest, folder: Path) -> Iterator[Broker]:
    found: Broker = InMemory() if request.param == "memory" else OnSocket(folder)
    yield found
    found.close()


@pytest.fixture
def on_socket(folder: Path) -> Iterator[OnSocket]:
    found = OnSocket(folder)
    yield found
    found.close()
