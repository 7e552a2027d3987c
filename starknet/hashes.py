"""The protocol's hash functions over felts; the only place that knows what computes them.

All inputs and outputs are integers 0 … P-1; the kernel refuses others with ValueError.
"""

from collections.abc import Callable, Sequence

import sha3  # safe-pysha3

from starknet import native
from starknet.felt import from_bytes, to_bytes32

PairHash = Callable[[int, int], int]
ListHash = Callable[[Sequence[int]], int]

_MASK_250 = 2**250 - 1
_LIST_HEIGHT = 64

pedersen: PairHash = native.pedersen_int
"""Pedersen hash of two felts."""

pedersen_array = native.pedersen_array_ints
"""Pedersen hash of a list: fold from 0, then fold in the length."""

poseidon: PairHash = native.poseidon_int
"""Poseidon hash of exactly two felts (tries, class leaves); differs from ``poseidon_many([a, b])``."""

poseidon_many = native.poseidon_many_ints
"""Poseidon sponge over a list of felts of any length."""

_KINDS = {pedersen: native.PEDERSEN, poseidon: native.POSEIDON}


def list_root(leaves: Sequence[int], pair: PairHash) -> int:
    """The root of the trie of height 64 that holds ``leaves`` under their indices; 0 for an empty list.

    ``pair`` is one of ``pedersen`` and ``poseidon``.
    """
    values = b"".join(map(to_bytes32, leaves))
    return from_bytes(native.patricia_root(_KINDS[pair], _LIST_HEIGHT, values))


def keccak(data: bytes) -> int:
    """Keccak-256 (the original, not SHA3-256) as a big-endian integer of 256 bits."""
    return int.from_bytes(sha3.keccak_256(data).digest(), "big")


def sn_keccak(data: bytes) -> int:
    """Keccak-256 cut to its lower 250 bits, so that it is a felt."""
    return keccak(data) & _MASK_250
