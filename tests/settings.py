"""What a worker under test is told, where the test does not care."""

from pathlib import Path
from typing import Any

from starknet.network import Network
from workers.settings import Settings


def settings_of(network: Network, db_path: Path, **changes: Any) -> Settings:
    """Return settings of a worker alone: no peers, no gateway, no key; ``changes`` name what is otherwise."""
    told: dict[str, Any] = {
        "network": network,
        "db_path": db_path,
        "broker": "",
        "memory_bytes": 1 << 28,
        "log_level": "info",
        "log_format": "console",
        "p2p": None,
        "feeder_url": "",
        "feeder_poll_seconds": 1.0,
        "http_host": "127.0.0.1",
        "http_port": 0,
        "public_key": None,
        "version": "0",
    }
    return Settings(**(told | changes))
