"""Opening a store: lets through one writer, and only to a store of its own chain and schema; creates what is missing.

Beside the database folder ``chain`` stand ``writer.lock`` (held by the one writer), ``readers.lock`` (held while a
reader makes its folder) and one private folder ``secondary-<pid>-<random>`` for each reader, with a lock inside that
tells the living from the dead. The locks go with their process, however it ends.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from workers.store import DiskFull, StoreError
from workers.store.rocks import FULL, Rocks, families_of, open_primary, open_secondary
from workers.store.schema import CHAIN_KEY, SCHEMA_KEY, SCHEMA_VERSION, Family

FOLDER = "chain"
WRITER_LOCK = "writer.lock"
READERS_LOCK = "readers.lock"
SECONDARY = "secondary-"
ALIVE = "alive"
UNFINISHED = "unfinished-"
OPEN_TRIES_MAX = 5  # the writer may move files away while a view opens


@dataclass(frozen=True)
class Identity:
    """What a store says of itself."""

    schema: int
    chain: str


@dataclass(frozen=True)
class View:
    """A database open for reading, with the private folder that this needs."""

    rocks: Rocks
    _identity: bytes
    _private: "_Private"

    def follow(self) -> bool:
        """Catch up with the writer; False if that is not possible any more."""
        if _database_identity(self.rocks.path) != self._identity:
            return False  # deleted, or made anew in the same place: RocksDB would not notice
        try:
            self.rocks.catch_up()
        except StoreError:
            return False
        return True

    def written(self) -> tuple[int, int]:
        """Return how far the writer's log reaches: number and bytes of the newest file that is not empty."""
        sizes = {int(log.stem): size_of(log) for log in self.rocks.path.glob("[0-9]*.log")}
        return max(((number, size) for number, size in sizes.items() if size), default=(0, 0))

    def close(self) -> None:
        """Release both."""
        self.rocks.close()
        self._private.remove()


def size_of(file: Path) -> int:
    """Return the bytes of a file of the database; 0 once a writer needs it no more."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def exists(db_path: Path) -> bool:
    """Whether a store is there; it appears whole, by one rename."""
    return (db_path / FOLDER / "CURRENT").is_file()


def identify(db_path: Path) -> Identity:
    """Return what the store says of itself; StoreError if it is none, cannot be read or has another schema."""
    path = db_path / FOLDER
    if Family.META not in families_of(path):
        raise _not_a_store(path)
    private = _new_private(db_path)
    try:
        rocks = open_secondary(path, private.path, (Family.META,))
        try:
            schema = rocks.get(Family.META, SCHEMA_KEY)
            chain = rocks.get(Family.META, CHAIN_KEY)
        finally:
            rocks.close()
    finally:
        private.remove()
    if schema is None or chain is None or not schema.isdigit():
        raise _not_a_store(path)
    if int(schema) != SCHEMA_VERSION:
        raise StoreError(
            f"{path}: has schema {int(schema)}, this program knows {SCHEMA_VERSION};"
            " use the program that wrote it or another --db-path"
        )
    return Identity(int(schema), chain.decode(errors="replace"))


def open_view(db_path: Path) -> View:
    """Open an existing store for reading; touches nothing in it."""
    for tries_left in reversed(range(OPEN_TRIES_MAX)):
        try:
            identify(db_path)
            return _open_view(db_path)
        except StoreError:
            if not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def _open_view(db_path: Path) -> View:
    private = _new_private(db_path)
    try:
        identity = _database_identity(db_path / FOLDER)
        return View(open_secondary(db_path / FOLDER, private.path), identity, private)
    except StoreError:
        private.remove()
        raise


def _database_identity(path: Path) -> bytes:
    """Return what RocksDB draws once for each database; nothing if there is none."""
    try:
        return (path / "IDENTITY").read_bytes()
    except FileNotFoundError:
        return b""


@contextmanager
def _errors_of(db_path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(db_path) from error
        raise StoreError(f"{db_path}: cannot be written: {error.strerror}") from error


def lock_for_writing(db_path: Path) -> int:
    """Become the one writer, until the returned descriptor is closed or the process ends."""
    with _errors_of(db_path):
        db_path.mkdir(parents=True, exist_ok=True)
        lock = os.open(db_path / WRITER_LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreError(
            f"{db_path}: another process writes this store; stop it or choose another --db-path"
        ) from error
    return lock


def open_for_writing(db_path: Path, chain_id: str) -> Rocks:
    """Open the store of ``chain_id``, creating it if there is none; refuses, untouched, one that is not ours.

    The caller holds the writer's lock.
    """
    path = db_path / FOLDER
    for leftover in db_path.glob(f"{UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    if not exists(db_path):
        if path.exists():
            raise _not_a_store(path)
        _create(db_path, chain_id)
    require_chain(db_path, identify(db_path).chain, chain_id)
    return open_primary(path)


def require_chain(db_path: Path, found: str, chain_id: str) -> None:
    """Let through a store only to whom wants its chain; StoreError says which one it ``found`` there."""
    if found != chain_id:
        raise StoreError(
            f"{db_path / FOLDER}: holds chain {found}, not {chain_id};"
            " choose another --db-path or --network"
        )


def _create(db_path: Path, chain_id: str) -> None:
    """Make an empty store aside and move it into place, so that a store is whole or not there."""
    with _errors_of(db_path):
        aside = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=db_path))
        rocks = open_primary(aside)
        batch = rocks.batch()
        batch.put(Family.META, SCHEMA_KEY, str(SCHEMA_VERSION).encode())
        batch.put(Family.META, CHAIN_KEY, chain_id.encode())
        rocks.write(batch, sync=True)
        rocks.close()
        aside.rename(db_path / FOLDER)


def _not_a_store(path: Path) -> StoreError:
    return StoreError(f"{path}: is not a Hera store; choose another --db-path")


@dataclass(frozen=True)
class _Private:
    """A reader's own folder; its lock says that the reader lives."""

    path: Path
    lock: int

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def _new_private(db_path: Path) -> _Private:
    """Make and lock a folder; remove those whose owners are dead. One process at a time does this."""
    with _errors_of(db_path), (db_path / READERS_LOCK).open("a") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        _remove_dead(db_path)
        path = Path(tempfile.mkdtemp(prefix=f"{SECONDARY}{os.getpid()}-", dir=db_path))
        lock = os.open(path / ALIVE, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return _Private(path, lock)


def _remove_dead(db_path: Path) -> None:
    for path in db_path.glob(f"{SECONDARY}*"):
        try:
            lock = os.open(path / ALIVE, os.O_RDWR)
        except FileNotFoundError:  # its owner died before it made the lock, or is just leaving
            shutil.rmtree(path, ignore_errors=True)
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)
