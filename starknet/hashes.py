"""The protocol's hash functions over felts; the only place that knows which library computes them.

All inputs and outputs are integers 0 … P-1; callers have checked the range. The libraries are loaded at the first
hash: they take 45 MB and most of a second, and most processes of a node never hash.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache

import sha3  # safe-pysha3

from starknet.felt import P

PairHash = Callable[[int, int], int]
ListHash = Callable[[Sequence[int]], int]

_MASK_250 = 2**250 - 1


def pedersen(a: int, b: int) -> int:
    """Pedersen hash of two felts."""
    return int(_pedersen()(a, b))


def pedersen_array(xs: Iterable[int]) -> int:
    """Pedersen hash of a list: fold from 0, then fold in the length."""
    state = 0
    length = 0
    for x in xs:
        state = pedersen(state, x)
        length += 1
    return pedersen(state, length)


def poseidon(a: int, b: int) -> int:
    """Poseidon hash of exactly two felts (tries, class leaves); differs from ``poseidon_many([a, b])``."""
    return _hades()([a, b, 2])[0]


def poseidon_many(xs: Iterable[int]) -> int:
    """Poseidon sponge over a list of felts of any length."""
    padded = [*xs, 1]
    if len(padded) % 2:
        padded.append(0)
    permute = _hades()
    state = [0, 0, 0]
    for i in range(0, len(padded), 2):
        state = permute([(state[0] + padded[i]) % P, (state[1] + padded[i + 1]) % P, state[2]])
    return int(state[0])


def keccak(data: bytes) -> int:
    """Keccak-256 (the original, not SHA3-256) as a big-endian integer of 256 bits."""
    return int.from_bytes(sha3.keccak_256(data).digest(), "big")


def sn_keccak(data: bytes) -> int:
    """Keccak-256 cut to its lower 250 bits, so that it is a felt."""
    return keccak(data) & _MASK_250


@cache
def _pedersen() -> PairHash:
    from crypto_cpp_py.cpp_bindings import cpp_hash

    hash_two: PairHash = cpp_hash
    return hash_two


@cache
def _hades() -> Callable[[list[int]], list[int]]:
    from poseidon_py.c_bindings import hades_permutation

    permute: Callable[[list[int]], list[int]] = hades_permutation
    return permute
