"""The devnet as a chain to serve: blocks are generated when first asked for, in order, one at a time."""

import json
import threading

from starknet.devnet import Devnet


class Generated:
    """Serves a ``Devnet``; safe for calls from several threads."""

    def __init__(self, devnet: Devnet) -> None:
        self._devnet = devnet
        self._lock = threading.Lock()

    def latest(self) -> int | None:
        """Return the last number of the chain, whether or not it is generated yet."""
        return self._devnet.length - 1 if self._devnet.length else None

    def number_of(self, block_hash: int) -> int | None:
        """Return the number of a block that was generated before."""
        with self._lock:
            return self._devnet.number_of(block_hash)

    def block(self, number: int) -> bytes | None:
        """Return the block, generating the chain up to it."""
        return self._part(number, 0)

    def state_update(self, number: int) -> bytes | None:
        """Return the state update, generating the chain up to it."""
        return self._part(number, 1)

    def signature(self, number: int) -> bytes | None:
        """Return the signature, generating the chain up to it."""
        return self._part(number, 2)

    def class_definition(self, class_hash: int) -> bytes | None:
        """Return a class that a block generated so far declares."""
        with self._lock:
            return _text(self._devnet.class_definition(class_hash))

    def compiled_class(self, class_hash: int) -> bytes | None:
        """Return the compiled form of a class that a block generated so far declares."""
        with self._lock:
            return _text(self._devnet.compiled_class(class_hash))

    def public_key(self) -> bytes | None:
        """Return the devnet sequencer's key."""
        return _text(hex(self._devnet.public_key))

    def _part(self, number: int, index: int) -> bytes | None:
        if number >= self._devnet.length:
            return None
        with self._lock:
            return _text(self._devnet.block(number)[index])


def _text(value: object) -> bytes | None:
    return None if value is None else json.dumps(value, separators=(",", ":")).encode()
