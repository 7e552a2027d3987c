"""CURVE keys in files: lets through only whole keys, and secrets that nobody but this user can read.

A folder of keys is its owner's alone (0700). ``new`` makes one on each machine, so that no secret ever travels:

* the broker's:  ``secret.key``, ``public.key``, and ``allowed``, the list of workers that may join
* a worker's:    ``secret.key``, ``public.key``, and ``broker.key``, the public key of the broker it joins

A key is 64 hex digits on a line of its own; a line of ``allowed`` is ``KEY NAME ROW,ROW``.
"""

import os
import re
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from broker.endpoint import EndpointError, check_folder

SECRET, PUBLIC, BROKER, ALLOWED = "secret.key", "public.key", "broker.key", "allowed"
KEY_BYTES = 32
SHORT = 8  # hex digits by which a key is told from others where people read
ALLOWED_MAX = 4096  # workers on the list
_FILE_BYTES_MAX = 1 << 20
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ROWS = re.compile(r"[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)*")


class KeysError(EndpointError):
    """The keys cannot be used; the text is one line that names the file and what to do."""


@dataclass(frozen=True)
class BrokerKeys:
    """A broker's own pair, and the folder whose list says who may join."""

    folder: Path
    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class Passport:
    """What a worker shows at the door of a broker elsewhere. ``realm`` is what both must have been told alike."""

    public: bytes
    secret: bytes = field(repr=False)
    broker: bytes
    realm: str


@dataclass(frozen=True)
class Allowed:
    """One worker's line on the list: its public key, a name for people, and the rows of the pipeline it may run."""

    key: bytes
    name: str
    rows: tuple[str, ...]


def named(worker: str, public: bytes) -> str:
    """Return the worker's name beside those of other machines: with the beginning of its public key."""
    return f"{worker}@{public.hex()[:SHORT]}"


# ---- making -----------------------------------------------------------------------------------------------------


def new(folder: Path, broker: bytes | None = None) -> bytes:
    """Make a pair in ``folder`` and return its public key; with ``broker`` the folder is a worker's.

    Nothing that is there is overwritten.
    """
    for name in (SECRET, PUBLIC, BROKER, ALLOWED):
        if os.path.lexists(folder / name):
            raise KeysError(f"{folder / name} is there already: choose another folder")
    secret = secrets.token_bytes(KEY_BYTES)
    public = _public(secret)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_folder(folder)
        _write_new(folder / SECRET, f"{secret.hex()}\n", 0o600)
        _write_new(folder / PUBLIC, f"{public.hex()}\n", 0o644)
        if broker is None:
            _write_new(folder / ALLOWED, "", 0o600)
        else:
            _write_new(folder / BROKER, f"{broker.hex()}\n", 0o644)
    except OSError as error:
        raise KeysError(f"{folder}: keys cannot be written: {error.strerror}") from error
    return public


def allow(folder: Path, worker: Allowed) -> None:
    """Add a worker to the broker's list; a broker that runs takes notice at once."""
    load_broker(folder)  # it is the broker's folder, and in order
    found = allowed(folder)
    if worker.key in found:
        raise KeysError(
            f"{folder / ALLOWED}: this key is there already, as {found[worker.key].name}"
        )
    if worker.name in {each.name for each in found.values()}:
        raise KeysError(
            f'{folder / ALLOWED}: "{worker.name}" is there already: choose another name'
        )
    lines = [_line(each) for each in (*found.values(), worker)]
    temporary = folder / f"{ALLOWED}.{os.getpid()}"
    try:
        _write_new(temporary, "".join(lines), 0o600)
        temporary.replace(folder / ALLOWED)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise KeysError(f"{folder / ALLOWED} cannot be written: {error.strerror}") from error


# ---- reading ----------------------------------------------------------------------------------------------------


def key(text: str) -> bytes:
    """Read a key; ``ValueError`` says what one looks like."""
    if not _HEX.fullmatch(text):
        raise ValueError(f'"{text[:80]}" is no key: give its 64 hex digits')
    return bytes.fromhex(text)


def worker(public: bytes, name: str, rows: Sequence[str]) -> Allowed:
    """Return a line of the list; ``ValueError`` for a name or a row that does not fit into one."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f'"{name[:80]}" is no name: give up to 64 letters, digits, dots and dashes'
        )
    if not _ROWS.fullmatch(",".join(rows)):
        raise ValueError(f'"{",".join(rows)[:80]}" is no list of workers, such as verify,assemble')
    return Allowed(public, name, tuple(rows))


def load_broker(folder: Path) -> BrokerKeys:
    """Return the broker's keys; ``KeysError`` names what is missing, malformed, or open to others."""
    if (folder / BROKER).exists():
        raise KeysError(f"{folder} holds a worker's keys: give the broker the folder of its own")
    secret = _secret(folder)
    return BrokerKeys(folder, _public(secret), secret)


def load_passport(folder: Path, realm: str) -> Passport:
    """Return a worker's keys; ``KeysError`` as above."""
    secret = _secret(folder)
    return Passport(_public(secret), secret, _key_file(folder / BROKER), realm)


def allowed(folder: Path) -> dict[bytes, Allowed]:
    """Return the list by key; without a file nobody is on it. ``KeysError`` names a line that is none."""
    path = folder / ALLOWED
    found: dict[bytes, Allowed] = {}
    try:
        lines = _read(path).splitlines()
    except FileNotFoundError:
        return found
    for number, text in enumerate(lines, 1):
        words = text.partition("#")[0].split()
        if not words:
            continue
        try:
            public, name, rows = words
            line = worker(key(public), name, rows.split(","))
        except ValueError:
            raise KeysError(
                f"{path}:{number} is not KEY NAME ROW,ROW: correct or remove it"
            ) from None
        found[line.key] = line
    if len(found) > ALLOWED_MAX:
        raise KeysError(f"{path} names {len(found)} workers: {ALLOWED_MAX} are the most")
    return found


def stamp(folder: Path) -> tuple[int, ...]:
    """Return what changes whenever the list does."""
    try:
        found = (folder / ALLOWED).stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _secret(folder: Path) -> bytes:
    check_folder(folder)
    path = folder / SECRET
    with suppress(FileNotFoundError):
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise KeysError(f"{path}: others may read it; run chmod 600 {path}, or make new keys")
    return _key_file(path)


def _key_file(path: Path) -> bytes:
    try:
        return key(_read(path).strip())
    except FileNotFoundError:
        of_worker = " with --broker" if path.name == BROKER else ""
        raise KeysError(f"{path} does not exist: hera keys new{of_worker} makes it") from None
    except ValueError as error:
        if isinstance(error, KeysError):
            raise
        raise KeysError(f"{path} holds no key: 64 hex digits were expected") from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeysError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > _FILE_BYTES_MAX:
        raise KeysError(f"{path} is larger than {_FILE_BYTES_MAX} bytes")
    return content.decode("utf-8", "replace")


def _write_new(path: Path, text: str, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, mode), "w", encoding="utf-8") as file:
        file.write(text)


def _line(worker: Allowed) -> str:
    return f"{worker.key.hex()} {worker.name} {','.join(worker.rows)}\n"


def _public(secret: bytes) -> bytes:
    import zmq  # here, for a quick start: every command imports this module, and few have keys
    from zmq.utils import z85

    return z85.decode(zmq.curve_public(z85.encode(secret)))
