"""The store: keeps verified blocks and the state they lead to in RocksDB; one writer, any number of readers."""

from dataclasses import dataclass
from pathlib import Path


class StoreError(Exception):
    """The store cannot be opened, read or written; the message is one line that names the store and what to do."""


class DiskFull(StoreError):
    """There is no space left for the store; what it holds is whole."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path}: the disk is full; make room, then start the node again: what is stored is kept"
        )


@dataclass(frozen=True)
class Head:
    """The last stored block. Hash and root are 32 bytes, big-endian."""

    number: int
    block_hash: bytes
    state_root: bytes
