"""Key file: keeps a node's private key where nobody else reads it; refuses a file that others can read."""

import os
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from node.config import Config, ConfigError
from workers.p2p import keys

OPTION = "p2p-private-key-file"
BYTES_MAX = 4096
OTHERS = 0o077


def known(config: Config) -> Config:
    """Return the configuration with the key that its key file holds, if it names one; ConfigError."""
    if config.p2p_private_key_file is None:
        return config
    return replace(config, p2p_private_key=read(config.p2p_private_key_file).seed)


def read(path: Path) -> keys.KeyPair:
    """Return the key of a file that ``write`` made or that holds what genp2pkeypair prints; ConfigError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(
            f"{OPTION}: {path} cannot be read ({error.strerror}): "
            f"hera genp2pkeypair --out {path} makes one"
        ) from None
    try:
        _check(path, os.fstat(descriptor))
        raw = os.read(descriptor, BYTES_MAX)
    finally:
        os.close(descriptor)
    line = raw.decode(errors="replace").strip().partition("\n")[0]
    try:
        return keys.parse(line.removeprefix("P2P Private Key:"))
    except keys.BadKey as error:
        raise ConfigError(f"{OPTION}: {path}: {error}") from None


def write(path: Path) -> keys.KeyPair:
    """Draw a key into a new file for this user alone; ConfigError, and no file, if it cannot be written."""
    pair = keys.generate()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise ConfigError(f"--out: {path} exists and is kept: choose another name") from None
    except OSError as error:
        raise ConfigError(f"--out: {path} cannot be written: {error.strerror}") from None
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"{pair.private_hex}\n")
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise ConfigError(f"--out: {path} cannot be written: {error.strerror}") from None
    return pair


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{OPTION}: {path} is no file")
    if found.st_mode & OTHERS:
        raise ConfigError(
            f"{OPTION}: others may read {path} (mode {stat.S_IMODE(found.st_mode):04o}): run chmod 600 {path}"
        )
