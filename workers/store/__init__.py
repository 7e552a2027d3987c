"""The store: keeps verified blocks and the state they lead to in RocksDB; one writer, any number of readers."""

from dataclasses import dataclass


class StoreError(Exception):
    """The store cannot be opened, read or written; the message is one line that names the store and what to do."""


@dataclass(frozen=True)
class Head:
    """The last stored block. Hash and root are 32 bytes, big-endian."""

    number: int
    block_hash: bytes
    state_root: bytes
