"""The protocol's hash functions over felts; the only place that knows what computes them.

All inputs and outputs are felts: integers, or bytes of 32 where many are hashed at once. The kernel refuses others.
"""

from array import array
from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import accumulate

import sha3  # safe-pysha3

from starknet import native
from starknet.felt import HASH_BYTES, FeltError, from_bytes, to_bytes32

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

KERNEL_KINDS = {pedersen: native.PEDERSEN, poseidon: native.POSEIDON}


def list_root(leaves: Sequence[int], pair: PairHash) -> int:
    """The root of the trie of height 64 that holds ``leaves`` under their indices; 0 for an empty list.

    ``pair`` is one of ``pedersen`` and ``poseidon``.
    """
    return list_root_of_bytes(list(map(to_bytes32, leaves)), pair)


class Over(IntEnum):
    """What a list of felts is hashed by."""

    PEDERSEN = 0  # as `pedersen_array`
    PEDERSEN_PAIR = 1  # as `pedersen`, of exactly two
    POSEIDON = 2  # as `poseidon_many`


Felts = bytes  # of 32 bytes each, joined


def hash_lists(over: Over, lists: Sequence[Felts]) -> list[bytes]:
    """The hash of each list, all in one call; raises FeltError for a felt that is none."""
    if not lists:
        return []
    flat = b"".join(lists)
    sizes = [len(felts) // HASH_BYTES for felts in lists]
    if len(flat) != HASH_BYTES * sum(sizes):
        raise FeltError("felts are not all of 32 bytes")
    try:
        if over is Over.PEDERSEN_PAIR:
            hashes = native.pedersen_pairs(flat)
        else:
            hash_many = native.pedersen_chains if over is Over.PEDERSEN else native.poseidon_many
            hashes = hash_many(flat, array("Q", accumulate(sizes, initial=0)))
    except ValueError as error:
        raise FeltError("felt not below the field's prime") from error
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def list_root_of_bytes(leaves: Sequence[bytes], pair: PairHash) -> int:
    """As ``list_root``, of leaves of 32 bytes."""
    return from_bytes(native.patricia_root(KERNEL_KINDS[pair], _LIST_HEIGHT, b"".join(leaves)))


def keccak(data: bytes) -> int:
    """Keccak-256 (the original, not SHA3-256) as a big-endian integer of 256 bits."""
    return int.from_bytes(sha3.keccak_256(data).digest(), "big")


def sn_keccak(data: bytes) -> int:
    """Keccak-256 cut to its lower 250 bits, so that it is a felt."""
    return keccak(data) & _MASK_250
