"""A chain recorded as files: every file is served byte for byte as it was recorded."""

import json
from functools import cached_property
from pathlib import Path

from workers.gateway.source import GatewayError


class Recorded:
    """The folder ``block/ state_update/ signature/ class/ compiled_class/ public_key/`` of one network.

    File names are block numbers in decimal and class hashes in hex, with or without leading zeros.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise GatewayError(f"{folder} is not a folder: give the folder of one recorded network")
        self._blocks = _by_name(folder / "block", 10)
        self._state_updates = _by_name(folder / "state_update", 10)
        self._signatures = _by_name(folder / "signature", 10)
        self._classes = _by_name(folder / "class", 16)
        self._compiled = _by_name(folder / "compiled_class", 16)
        self._keys = sorted((folder / "public_key").glob("*.json"))
        if not self._blocks:
            raise GatewayError(
                f"{folder} holds no recorded block: block/0.json and its like are looked for there"
            )

    def latest(self) -> int | None:
        """Return the last of the unbroken run from 0 of blocks with state update and signature."""
        whole = self._blocks.keys() & self._state_updates.keys() & self._signatures.keys()
        number = 0
        while number in whole:
            number += 1
        return number - 1 if number else None

    def number_of(self, block_hash: int) -> int | None:
        """Return the number of the recorded block with this hash."""
        return self._numbers.get(block_hash)

    def block(self, number: int) -> bytes | None:
        """Return the recorded block, also beyond ``latest``."""
        return _read(self._blocks.get(number))

    def state_update(self, number: int) -> bytes | None:
        """Return the recorded state update."""
        return _read(self._state_updates.get(number))

    def signature(self, number: int) -> bytes | None:
        """Return the recorded signature."""
        return _read(self._signatures.get(number))

    def class_definition(self, class_hash: int) -> bytes | None:
        """Return the recorded class."""
        return _read(self._classes.get(class_hash))

    def compiled_class(self, class_hash: int) -> bytes | None:
        """Return the recorded compiled class."""
        return _read(self._compiled.get(class_hash))

    def public_key(self) -> bytes | None:
        """Return the recorded sequencer key."""
        return _read(self._keys[0] if self._keys else None)

    @cached_property
    def _numbers(self) -> dict[int, int]:
        """Block hash to number; read from the files once, when a hash is first asked for."""
        return {
            int(json.loads(path.read_bytes())["block_hash"], 16): number
            for number, path in self._blocks.items()
        }


def _by_name(folder: Path, base: int) -> dict[int, Path]:
    """Index a folder's JSON files by the number their name stands for."""
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[int(path.stem, base)] = path
        except ValueError as bad:
            raise GatewayError(
                f"{path} is not named after a {'number' if base == 10 else 'hash'}: rename or remove it"
            ) from bad
    return found


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
