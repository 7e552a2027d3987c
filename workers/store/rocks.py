"""The one door to RocksDB: keeps its options within our memory, its errors within ``StoreError``.

Memory: write buffers 32 MiB for all families together, block cache 24 MiB, Bloom filters and indexes inside the
cache (in partitions, so that a large database does not need them all at once). With buffers in flight and open
files that makes about 64 MiB for the writer; a reader has a cache of 8 MiB and holds what the writer has not
yet flushed.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import rocksdict

from workers.store import DiskFull, StoreError
from workers.store.schema import Family, number_key

MIB = 1 << 20
WRITE_BUFFERS_BYTES_MAX = 32 * MIB
WRITE_BUFFER_BYTES = 8 * MIB
WAL_BYTES_MAX = 64 * MIB
WRITER_CACHE_BYTES = 24 * MIB
READER_CACHE_BYTES = 8 * MIB
MANIFEST_BYTES_MAX = 16 * MIB
LOG_BYTES_MAX = MIB
LOGS_MAX = 2
WRITER_FILES_MAX = 512
BLOOM_BITS = 10  # a missing key costs 2 us instead of 7 to 17
BLOCK_BYTES = 8 << 10
SIZE_PROPERTIES = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
COUNT_PROPERTY = "rocksdb.estimate-num-keys"
JOBS_MAX = 2
FULL = (errno.ENOSPC, errno.EDQUOT)  # what the system says where there is no space left


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn what RocksDB raises into one ``StoreError`` line about ``path``."""
    try:
        yield
    except rocksdict.DbClosedError as error:
        raise StoreError(f"{path}: the store is closed") from error
    except Exception as error:  # rocksdict raises the bare class for every I/O error
        if type(error) is not Exception:
            raise
        reason = " ".join(str(error).split())
        if any(os.strerror(number) in reason for number in FULL):
            raise DiskFull(path) from error
        raise StoreError(f"{path}: {reason}") from error


def families_of(path: Path) -> set[str]:
    """List the families of the database in ``path`` without opening it; StoreError if there is none."""
    with errors_of(path):
        return set(rocksdict.Rdict.list_cf(str(path), rocksdict.Options(raw_mode=True)))


class Batch:
    """Writes that become visible and durable together or not at all."""

    def __init__(self, handles: dict[Family, rocksdict.ColumnFamily]) -> None:
        self._handles = handles
        self.batch = rocksdict.WriteBatch(raw_mode=True)

    def put(self, family: Family, key: bytes, value: bytes) -> None:
        """Write one value."""
        self.batch.put(key, value, self._handles[family])

    def delete(self, family: Family, key: bytes) -> None:
        """Delete one key, whether it is there or not."""
        self.batch.delete(key, self._handles[family])


class Rocks:
    """An open database: raw bytes in families. Reads may come from several threads."""

    def __init__(self, path: Path, db: rocksdict.Rdict, families: Sequence[Family]) -> None:
        self.path = path
        self._db = db
        self._families = {family: db.get_column_family(family) for family in families}
        self._handles = {family: db.get_column_family_handle(family) for family in families}

    def get(self, family: Family, key: bytes) -> bytes | None:
        """Return the value, or None."""
        with errors_of(self.path):
            value: bytes | None = self._families[family].get(key)
        return value

    def get_many(self, family: Family, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values in the order of ``keys``, None where there is none."""
        with errors_of(self.path):
            values: list[bytes | None] | None = self._families[family].get(list(keys))
        return values or []

    def get_last(self, family: Family, prefix: bytes, number: int) -> tuple[bytes, bytes] | None:
        """Return (key, value) of the highest number up to ``number`` under ``prefix``."""
        with errors_of(self.path):
            cursor = self._families[family].iter()
            cursor.seek_for_prev(prefix + number_key(number))
            key = _key_under(cursor, prefix)
            return None if key is None else (key, cursor.value())

    def get_next(self, family: Family, prefix: bytes, number: int) -> int | None:
        """Return the lowest number from ``number`` on that has a key under ``prefix``."""
        with errors_of(self.path):
            cursor = self._families[family].iter()
            cursor.seek(prefix + number_key(number))
            key = _key_under(cursor, prefix)
        return None if key is None else int.from_bytes(key[len(prefix) :], "big")

    def items(self, family: Family, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield every key of a family that begins with ``prefix``, and its value, keys ascending."""
        with errors_of(self.path):
            cursor = self._families[family].iter()
            cursor.seek(prefix)
            while cursor.valid() and cursor.key().startswith(prefix):
                yield cursor.key(), cursor.value()
                cursor.next()
            cursor.status()

    def batch(self) -> Batch:
        """Begin a batch."""
        return Batch(self._handles)

    def write(self, batch: Batch, *, sync: bool) -> None:
        """Write the batch as one; with ``sync`` it survives loss of power, without it only of the process."""
        options = rocksdict.WriteOptions()
        options.sync = sync
        with errors_of(self.path):
            self._db.write(batch.batch, options)

    def sizes(self) -> dict[Family, int]:
        """Return bytes of each family: its files, and what is still in memory."""
        with errors_of(self.path):
            return {
                family: sum(columns.property_int_value(name) or 0 for name in SIZE_PROPERTIES)
                for family, columns in self._families.items()
            }

    def counts(self) -> dict[Family, int]:
        """Return how many keys each family has, as RocksDB estimates it."""
        with errors_of(self.path):
            return {
                family: columns.property_int_value(COUNT_PROPERTY) or 0
                for family, columns in self._families.items()
            }

    def catch_up(self) -> None:
        """Read what the writer has written since; only for a secondary."""
        with errors_of(self.path):
            self._db.try_catch_up_with_primary()

    def close(self, *, sync: bool = False) -> None:
        """Release the database; with ``sync`` all that was written survives loss of power."""
        with errors_of(self.path):
            try:
                if sync:
                    self._db.flush_wal(True)
            finally:
                for family in self._families.values():
                    family.close()
                self._handles.clear()  # each one keeps the database open
                self._db.close()


def open_primary(path: Path) -> Rocks:
    """Open for writing, creating what is missing. RocksDB itself refuses a second process."""
    options = _options(WRITER_CACHE_BYTES)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_max_open_files(WRITER_FILES_MAX)
    options.set_atomic_flush(
        True
    )  # all families at once, or a reader could see one ahead of the others
    return _open(path, options, tuple(Family), rocksdict.AccessType.read_write())


def _key_under(cursor: rocksdict.RdictIter, prefix: bytes) -> bytes | None:
    """Return the key at which the cursor stands if it is ``prefix`` and a number, else None."""
    if not cursor.valid():
        cursor.status()
        return None
    key: bytes = cursor.key()
    is_under = len(key) == len(prefix) + len(number_key(0)) and key.startswith(prefix)
    return key if is_under else None


def open_secondary(path: Path, private: Path, families: Sequence[Family] = tuple(Family)) -> Rocks:
    """Open for reading beside a living writer; ``private`` is a folder of this reader alone."""
    options = _options(READER_CACHE_BYTES)
    options.set_max_open_files(-1)  # the writer may delete a file that this view still needs
    # catch_up starts these threads once a family: 0.1 ms with one, 10 ms with the default 16
    options.set_max_file_opening_threads(1)
    return _open(path, options, families, rocksdict.AccessType.secondary(str(private)))


def _open(
    path: Path,
    options: rocksdict.Options,
    families: Sequence[Family],
    access: rocksdict.AccessType,
) -> Rocks:
    with errors_of(path):
        columns = {str(family): options for family in families}
        return Rocks(path, rocksdict.Rdict(str(path), options, columns, access), families)


def _options(cache_bytes: int) -> rocksdict.Options:
    table = rocksdict.BlockBasedOptions()
    table.set_bloom_filter(BLOOM_BITS, False)
    table.set_block_size(BLOCK_BYTES)
    table.set_block_cache(rocksdict.Cache(cache_bytes))
    table.set_index_type(rocksdict.BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_top_level_index_and_filter(True)
    options = rocksdict.Options(raw_mode=True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES_MAX)
    options.set_max_total_wal_size(WAL_BYTES_MAX)
    options.set_wal_recovery_mode(rocksdict.DBRecoveryMode.point_in_time())
    options.set_max_manifest_file_size(MANIFEST_BYTES_MAX)
    options.set_max_log_file_size(LOG_BYTES_MAX)
    options.set_keep_log_file_num(LOGS_MAX)
    options.set_max_background_jobs(JOBS_MAX)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options
