"""How fast the kernel is beside the packages on PyPI, in one run on one core.

Run ``python -m benchmarks.hashing [rounds]`` in the root with starknet-pathfinder-crypto and
fast-stark-crypto installed. Both sides of a row take turns, so a slower clock slows both. Figures are medians
of the processor time of the thread; the ratio is the median of the rounds' ratios.
"""

import array
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fast_stark_crypto
import starknet_pathfinder_crypto as pathfinder

from benchmarks import HEADER, Figure
from starknet import native
from starknet.felt import P
from starknet.native._kernel import choose

ROUNDS = 21
PATHFINDER = "starknet-pathfinder-crypto"
FAST_STARK = "fast-stark-crypto"


@dataclass(frozen=True)
class Row:
    """One operation, ours and theirs; each callable does `count` of it (a tenth: a tenth of one)."""

    label: str
    beside: str
    reach: float
    ours: Callable[[], object]
    our_count: int
    theirs: Callable[[], object]
    their_count: float


def felt_bytes(felts: list[int]) -> bytes:
    """The felts as 32 bytes each."""
    return b"".join(felt.to_bytes(32, "big") for felt in felts)


def repeat(
    call: Callable[[bytes, bytes], object], pairs: list[tuple[bytes, bytes]]
) -> Callable[[], None]:
    """A callable that hashes each of the pairs in a call of its own."""

    def run() -> None:
        for a, b in pairs:
            call(a, b)

    return run


def pair_rows(felts: list[int]) -> list[Row]:
    """Single and batched hashes of two felts."""
    raw = [felt.to_bytes(32, "big") for felt in felts]
    pairs = list(zip(raw[0::2], raw[1::2], strict=True))
    few = pairs[:64]
    flat, flat_64 = b"".join(raw), b"".join(raw[:128])
    poseidon = repeat(pathfinder.poseidon_hash_func, few)
    pedersen = repeat(pathfinder.pedersen_hash_func, few)
    n = len(pairs)
    return [
        Row(
            "poseidon of two, batch",
            PATHFINDER,
            3.5,
            lambda: native.poseidon_pairs(flat),
            n,
            poseidon,
            64,
        ),
        Row(
            "poseidon of two, single call",
            PATHFINDER,
            0,
            repeat(native.poseidon, few),
            64,
            poseidon,
            64,
        ),
        Row(
            "pedersen, batch of 64",
            PATHFINDER,
            5,
            lambda: native.pedersen_pairs(flat_64),
            64,
            pedersen,
            64,
        ),
        Row(
            "pedersen, batch of 1,000",
            PATHFINDER,
            5,
            lambda: native.pedersen_pairs(flat),
            n,
            pedersen,
            64,
        ),
        Row("pedersen, single call", PATHFINDER, 3, repeat(native.pedersen, few), 64, pedersen, 64),
    ]


def int_rows(felts: list[int]) -> list[Row]:
    """The functions on integers."""
    pairs = list(zip(felts[0:128:2], felts[1:128:2], strict=True))

    def each(call: Callable[[int, int], int]) -> Callable[[], None]:
        def run() -> None:
            for a, b in pairs:
                call(a, b)

        return run

    thousand = felts[:1000]
    ours, theirs = native.pedersen_int, pathfinder.pedersen_hash
    many, their_many = native.poseidon_many_ints, pathfinder.poseidon_hash_many
    offsets = array.array("Q", range(0, 1001, 10))
    flat = felt_bytes(thousand)
    return [
        Row("pedersen of two ints", PATHFINDER, 3, each(ours), 64, each(theirs), 64),
        Row(
            "poseidon_many of 1,000 ints",
            PATHFINDER,
            3.5,
            lambda: many(thousand),
            1,
            lambda: their_many(thousand),
            1,
        ),
        Row(
            "poseidon_many, 100 of 10 felts",
            PATHFINDER,
            3.5,
            lambda: native.poseidon_many(flat, offsets),
            100,
            lambda: [their_many(felts[i : i + 10]) for i in range(0, 100, 10)],
            10,
        ),
        Row(
            "pedersen chains, 100 of 10 felts",
            PATHFINDER,
            0,
            lambda: native.pedersen_chains(flat, offsets),
            1100,
            each(theirs),
            64,
        ),
    ]


def trie_rows(felts: list[int]) -> list[Row]:
    """Roots of lists beside as many bare hashes, which is less than what a root takes."""
    flat = felt_bytes(felts[:1000])
    raw = [felt.to_bytes(32, "big") for felt in felts]
    pairs = list(zip(raw[:1000], raw[1000:], strict=True))
    height = 64
    return [
        Row(
            "patricia root of 1,000, poseidon",
            PATHFINDER,
            4,
            lambda: native.patricia_root(native.POSEIDON, height, flat),
            1,
            repeat(pathfinder.poseidon_hash_func, pairs[:100]),
            0.1,
        ),
        Row(
            "patricia root of 1,000, pedersen",
            PATHFINDER,
            5,
            lambda: native.patricia_root(native.PEDERSEN, height, flat),
            1,
            repeat(pathfinder.pedersen_hash_func, pairs[:100]),
            0.1,
        ),
    ]


def signature_rows() -> list[Row]:
    """Verification of signatures by one key, and by another key each time."""
    records: list[tuple[int, int, int, int]] = []
    for secret in range(1, 17):
        message = random.randrange(2**250)
        r, s = fast_stark_crypto.sign(secret, message)
        records.append((fast_stark_crypto.get_public_key(secret), message, r, s))
    one_key = felt_bytes(list(records[0])) * 16
    all_keys = felt_bytes([number for record in records for number in record])

    def theirs() -> None:
        for key, message, r, s in records[:4]:
            fast_stark_crypto.verify(key, message, r, s)

    return [
        Row("ecdsa, one key", FAST_STARK, 10, lambda: native.ecdsa_verify(one_key), 16, theirs, 4),
        Row(
            "ecdsa, a new key each time",
            FAST_STARK,
            10,
            lambda: native.ecdsa_verify(all_keys),
            16,
            theirs,
            4,
        ),
    ]


def microseconds(run: Callable[[], object], count: float) -> float:
    """Processor time of one of `count` operations."""
    started = time.thread_time_ns()
    run()
    return (time.thread_time_ns() - started) / count / 1000


def measure(row: Row, rounds: int) -> Figure:
    """Ours beside theirs; the ratio is how many times faster ours is."""
    row.ours(), row.theirs()
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(microseconds(row.ours, row.our_count))
        theirs.append(microseconds(row.theirs, row.their_count))
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    note = (
        f"{statistics.median(ours):.2f} us (least {min(ours):.2f}),"
        f" {row.beside} {statistics.median(theirs):.2f} us"
    )
    return Figure(row.label, ratio, row.reach or None, "at least", note)


def machine() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on one core, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def rows() -> list[Row]:
    """All operations, over random felts."""
    felts = [random.randrange(P) for _ in range(2000)]
    return [*pair_rows(felts), *int_rows(felts), *trie_rows(felts), *signature_rows()]


def run(rounds: int = ROUNDS) -> list[Figure]:
    """All operations as the processor does them best."""
    with one_core():
        return [measure(row, rounds) for row in rows()]


def main() -> None:
    """Print one line an operation, as the processor does it best and then in plain C."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{machine()}, one core, Python {platform.python_version()}, {rounds} rounds")
    try:
        for wanted in (True, False):
            adx, wide = choose(wanted, wanted)
            print(
                f"MULX and ADX: {'yes' if adx else 'no'}, AVX-512 IFMA: {'yes' if wide else 'no'}"
            )
            print(HEADER)
            for figure in run(rounds):
                print(figure)
            if not (adx or wide):
                break
    finally:
        choose(True, True)


if __name__ == "__main__":
    main()
