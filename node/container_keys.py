"""Container keys: makes at once the keys that a compose file needs; may run at every start, what is there stays.

``node``: those of one node whose workers are containers. ``network``: those of several nodes that know each other. A
node's P2P key, and whom it knows, stand in a file ``NAME.toml`` for its ``--config``.
"""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path

from broker import curve
from broker.endpoint import EndpointError, make_folder
from node import processes
from node.config import ConfigError, host, port
from workers.p2p import keys
from workers.p2p.keys import KeyPair

_P2P = "p2p.toml"


def node(out: Path) -> int:
    """Make a folder of CURVE keys for the broker and for each worker, and the P2P key in ``p2p.toml``.

    A worker's key may join for its own row alone. ConfigError: one line that says what is in the way.
    """
    try:
        make_folder(out)
        broker = _broker(out / processes.BROKER)
        for row in processes.every_row():
            _worker(out / row.name, row.name, broker)
    except EndpointError as error:
        raise ConfigError(str(error)) from None
    _pair(out / _P2P)
    return 0


def network(out: Path, listening: Sequence[tuple[str, int]]) -> int:
    """Make ``HOST.toml`` for each (host, port) that listens for peers; all but the first know the first.

    ConfigError as above.
    """
    try:
        make_folder(out)
    except EndpointError as error:
        raise ConfigError(str(error)) from None
    known = ""
    for name, number in listening:
        address = f'p2p-addr = "/ip4/0.0.0.0/tcp/{number}"\n'
        pair = _pair(out / f"{name}.toml", address + known)
        known = known or f'p2p-peers = "/dns4/{name}/tcp/{number}/p2p/{pair.peer_id}"\n'
    return 0


def listening(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``; ``ValueError`` says what it looks like."""
    name, colon, number = text.rpartition(":")
    if not colon:
        raise ValueError(f'"{text}" is not of the form HOST:PORT')
    return host(name), port(number)


def _broker(folder: Path) -> curve.BrokerKeys:
    if not (folder / curve.SECRET).exists():
        curve.new(folder)
    return curve.load_broker(folder)


def _worker(folder: Path, row: str, broker: curve.BrokerKeys) -> None:
    if not (folder / curve.SECRET).exists():
        curve.new(folder, broker.public)
    passport = curve.load_passport(folder, realm="")
    if passport.broker != broker.public:
        raise EndpointError(f"{folder} has the keys of another broker: remove it")
    if passport.public not in curve.allowed(broker.folder):
        curve.allow(broker.folder, curve.worker(passport.public, row, [row]))


def _pair(path: Path, more: str = "") -> KeyPair:
    """Return the key in the file; where there is no file, draw one and write it with ``more`` below it."""
    try:
        return keys.parse(tomllib.loads(path.read_text("utf-8"))["p2p-private-key"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(f"{path} holds no p2p-private-key: remove it ({error!r})") from None
    pair = keys.generate()
    _write(path, f'p2p-private-key = "{pair.private_hex}"\n{more}')
    return pair


def _write(path: Path, text: str) -> None:
    """Write the file whole or not at all, for this user alone."""
    unfinished = path.with_suffix(".new")
    try:
        unfinished.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(unfinished, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        unfinished.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
