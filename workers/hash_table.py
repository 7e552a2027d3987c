"""The table of block hashes: what blocks before 0.13.2 hash to by the rules of 0.13.2, one entry a height.

A file of 32-byte big-endian entries from block 0 on. Whoever names one trusts it; it binds what old hashes leave open.
"""

from pathlib import Path

ENTRY_BYTES = 32


class TableError(Exception):
    """A file that is no table of block hashes; the text is one line."""


def entries(path: Path) -> int:
    """Return how many entries the table has, at least one; raises TableError."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}") from None
    if size == 0 or size % ENTRY_BYTES:
        raise TableError(
            f"{path} is no table of block hashes: {size} bytes are not a multiple of {ENTRY_BYTES}"
            if size
            else f"{path} is no table of block hashes: it is empty"
        )
    return size // ENTRY_BYTES


def entry(path: Path, number: int) -> int | None:
    """Return the hash of block ``number``; None beyond the table's end. Raises OSError."""
    with path.open("rb") as file:
        file.seek(number * ENTRY_BYTES)
        found = file.read(ENTRY_BYTES)
    return int.from_bytes(found, "big") if len(found) == ENTRY_BYTES else None
