"""Compares stores family by family, so that a difference says where it is."""

from hashlib import sha256
from pathlib import Path

from workers.store.reader import Reader, dump
from workers.store.schema import Family


def digests(db_path: Path) -> dict[Family, str]:
    """Return one hash for each family of the store."""
    hashers = {family: sha256() for family in Family}
    for family, key, value in dump(db_path):
        for text in (key, value):
            hashers[family].update(len(text).to_bytes(8, "big") + text)
    return {family: hasher.hexdigest() for family, hasher in hashers.items()}


def different(db_path: Path, other: Path) -> list[str]:
    """Name the families in which two stores differ."""
    mine, theirs = digests(db_path), digests(other)
    return [str(family) for family in Family if mine[family] != theirs[family]]


def stored_head(db_path: Path) -> int:
    """Return the number of the store's head, -1 if there is none; does not need a living node."""
    reader = Reader(db_path)
    try:
        head = reader.head()
    finally:
        reader.close()
    return -1 if head is None else head.number
