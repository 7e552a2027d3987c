"""How long one big real block takes to verify: by the kernel, and by poseidon-py and crypto-cpp-py.

Run ``python -m benchmarks.verify_block`` with recorded blocks at hand (``HERA_FIXTURES``). Block 19199 of mainnet
(324 transactions, 1276 events, version 0.10.3) was recorded without its state update: its header is given the
commitment of an empty one and a signature by a key of our own, all else is checked as it was recorded. Both ways
run the same code; only what hashes lists, roots and pairs and verifies the signature is another.

How much of the time is spent outside the kernel is also said of the whole stage, messages decoded: for a generated
block, and for real ones of today's form, which are signed by the same key where their signature was not recorded.
"""

import json
import os
import statistics
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from crypto_cpp_py.cpp_bindings import cpp_hash, cpp_verify
from poseidon_py.poseidon_hash import poseidon_hash, poseidon_hash_many

from benchmarks import Figure
from benchmarks.blocks import SECRET, VERSION, heavy_block, signed
from benchmarks.verify_scaling import settings_for
from node import networks
from starknet import block_hash, commitments, forms, gateway, native, signatures
from starknet.block import check_block
from starknet.felt import HASH_BYTES, P, to_bytes32, to_wire, value
from starknet.hashes import PairHash
from starknet.network import Network
from starknet.transactions import ADDRESS_LIMIT
from starknet.wire.parse import bytes_of
from starknet.wire.rows import Row
from workers.messages import BlockAssembled
from workers.verify import verify

NETWORK, NUMBER = "mainnet", 19199
TODAY = (
    ("sepolia-integration", 3077642),  # 0.14.1: 201 transactions, 233 events
    ("sepolia-integration", 1164618),  # 0.14.0: 15 transactions, 18 events
    ("mainnet", 2238855),  # 0.14.0: 20 transactions, 133 events; recorded without its state update
)
ROUNDS = 9
FASTER_MIN = 40.0
OUTSIDE_MAX = 0.40


@dataclass(frozen=True)
class Case:
    """A block with what it takes to check it."""

    network: Network
    key: int
    wire: gateway.WireBlock

    def check(self) -> None:
        """Check the whole block; raises RuleBroken."""
        wire = self.wire
        check_block(
            self.network,
            self.key,
            wire.header,
            wire.state_diff,
            [],
            bytes_of(wire.transactions),
            bytes_of(wire.events),
        )


def fixtures() -> Path:
    """The folder of recorded blocks."""
    beside = Path(__file__).parents[2] / "shared" / "fixtures"
    return Path(os.environ.get("HERA_FIXTURES", beside))


def recorded_block() -> Case:
    """The block as the module says; raises FileNotFoundError without the recorded blocks."""
    file = fixtures() / NETWORK / "block" / f"{NUMBER}.json"
    wire = gateway.block_from_gateway(json.loads(file.read_text()), None, None)
    wire = gateway.fill_commitments(wire, wire.header.protocol_version)
    r, s = signatures.sign(SECRET, value(wire.header.block_hash))
    signature = wire.header.signatures.add()
    signature.r.elements, signature.s.elements = to_wire(r), to_wire(s)
    return Case(networks.load(NETWORK), signatures.public_key(SECRET), wire)


def stage_check(block: BlockAssembled, name: str) -> Callable[[], None]:
    """The verify stage on a block of a network."""
    settings = replace(settings_for(Path()), network=networks.load(name))

    def check() -> None:
        deque(verify(settings, block), maxlen=0)

    return check


def generated_check() -> Callable[[], None]:
    """The verify stage on a block of today's form, all Poseidon."""
    return stage_check(heavy_block(1), NETWORK)


def real_check(name: str, number: int) -> Callable[[], None]:
    """The verify stage on a recorded block; raises FileNotFoundError without it."""
    folder = fixtures() / name
    update = folder / "state_update" / f"{number}.json"
    wire = gateway.block_from_gateway(
        json.loads((folder / "block" / f"{number}.json").read_text()),
        json.loads(update.read_text()) if update.is_file() else None,
        None,
    )
    wire = gateway.fill_commitments(wire, wire.header.protocol_version)
    return stage_check(signed(wire), name)


# ---- the kernel's functions, by other packages --------------------------------------------------------------------


def cut(flat: bytes) -> list[int]:
    """The felts of a buffer."""
    starts = range(0, len(flat), HASH_BYTES)
    return [int.from_bytes(flat[at : at + HASH_BYTES], "big") for at in starts]


def lists(flat: bytes, offsets: Sequence[int]) -> Iterator[list[int]]:
    """The lists of a buffer."""
    felts = cut(flat)
    for first, end in pairwise(offsets):
        yield felts[first:end]


def fold(felts: Sequence[int]) -> int:
    """The Pedersen hash of a list."""
    state = 0
    for felt in (*felts, len(felts)):
        state = cpp_hash(state, felt)
    return state


def other_pairs(pairs: bytes) -> bytes:
    """As ``native.pedersen_pairs``."""
    felts = cut(pairs)
    return b"".join(
        to_bytes32(cpp_hash(*pair)) for pair in zip(felts[::2], felts[1::2], strict=True)
    )


def other_chains(flat: bytes, offsets: Sequence[int]) -> bytes:
    """As ``native.pedersen_chains``."""
    return b"".join(to_bytes32(fold(felts)) for felts in lists(flat, offsets))


def other_many(flat: bytes, offsets: Sequence[int]) -> bytes:
    """As ``native.poseidon_many``."""
    return b"".join(to_bytes32(poseidon_hash_many(felts)) for felts in lists(flat, offsets))


def other_form(form: forms.Form, rows: Sequence[Row], given: bytes) -> list[bytes]:
    """As ``Form.hashes``, row by row."""
    chain = int.from_bytes(given)
    return [to_bytes32(felt) for row in rows for felt in felts_of(form.whole, row, chain)]


def felts_of(part: forms.Part, row: Row, given: int) -> list[int]:
    """What a part of a form adds to its list."""
    match part:
        case int():
            return [part]
        case forms.Given():
            return [given]
        case str():
            found = getattr(row, part)
            return cut(found) if isinstance(found, bytes) else [found]
        case forms.Packed(base, fields):
            places = (felts_of(each.field, row, given)[0] << each.shift for each in fields)
            return [base + sum(places)]
        case forms.When(name, inner):
            return felts_of(inner, row, given) if getattr(row, name) else []
        case forms.Hash(kind, parts):
            listed = [felt for inner in parts for felt in felts_of(inner, row, given)]
            if kind is forms.Kind.POSEIDON:
                return [poseidon_hash_many(listed)]
            return [fold(listed) % (ADDRESS_LIMIT if kind is forms.Kind.ADDRESS else P)]


def other_root(kind: int, height: int, values: bytes) -> bytes:
    """As ``native.patricia_root``."""
    pair: PairHash = cpp_hash if kind == native.PEDERSEN else poseidon_hash
    leaves = [entry for entry in enumerate(cut(values)) if entry[1]]
    return to_bytes32(subtree(leaves, height, pair) if leaves else 0)


def subtree(leaves: Sequence[tuple[int, int]], height: int, pair: PairHash) -> int:
    """The hash of a trie's part of that height, above at least one leaf."""
    (first, value), (last, _) = leaves[0], leaves[-1]
    rest = (first ^ last).bit_length()
    if rest:
        right = bisect_left(leaves, 1, key=lambda leaf: leaf[0] >> rest - 1 & 1)
        value = pair(
            subtree(leaves[:right], rest - 1, pair), subtree(leaves[right:], rest - 1, pair)
        )
    if rest == height:
        return value
    return (pair(value, (first & (1 << height) - 1) >> rest) + height - rest) % P


def other_signature(signature: bytes) -> bytes:
    """As ``native.ecdsa_verify``, of one signature."""
    key, message, r, s = cut(signature)
    good = cpp_verify(message, r, pow(s, -1, signatures.ORDER), key)
    return b"\1" if good else b"\0"


OTHERS: Mapping[tuple[Any, str], Callable[..., Any]] = {
    (native, "pedersen_pairs"): other_pairs,
    (native, "pedersen_chains"): other_chains,
    (native, "poseidon_many"): other_many,
    (forms.Form, "hashes"): other_form,
    (native, "patricia_root"): other_root,
    (signatures, "ecdsa_verify"): other_signature,
}


@contextmanager
def replaced(functions: Mapping[tuple[Any, str], Callable[..., Any]]) -> Iterator[None]:
    """Other functions in place of the kernel's."""
    before = {place: getattr(*place) for place in functions}
    try:
        for (module, name), function in functions.items():
            setattr(module, name, function)
        yield
    finally:
        for (module, name), function in before.items():
            setattr(module, name, function)


KERNEL = (
    *(place for place in OTHERS if place[0] is not forms.Form),
    (native, "form_hashes"),
    (native, "wire_rows"),
    (native, "wire_spans"),
    (commitments, "poseidon_many"),
    (block_hash, "poseidon_many"),
)
"""Where the check finds the kernel's functions."""


class Clock:
    """Seconds inside the functions that it has wrapped."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*arguments: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.thread_time() - started
                self.calls += 1

        return timed


def seconds(run: Callable[[], None]) -> float:
    """How long one call takes."""
    started = time.thread_time()
    run()
    return time.thread_time() - started


def outside(check: Callable[[], None]) -> float:
    """The part of one check that is not spent in the kernel, medians of rounds."""
    check()
    whole = statistics.median(seconds(check) for _ in range(ROUNDS))
    return 1 - statistics.median(inside(check) for _ in range(ROUNDS)) / whole


def inside(check: Callable[[], None]) -> float:
    """The seconds of one check that are spent in the kernel; what looking at the clock takes is left out."""
    clock, idle = Clock(), Clock()
    with replaced({place: clock.wrap(getattr(*place)) for place in KERNEL}):
        check()
    nothing = idle.wrap(lambda: None)
    for _ in range(clock.calls):
        nothing()
    return clock.seconds - idle.seconds


def run() -> list[Figure]:
    """How many times faster the kernel's way is, and the part of it that is spent elsewhere."""
    case = recorded_block()
    case.check()
    ours = statistics.median(seconds(case.check) for _ in range(ROUNDS))
    with replaced(OTHERS):
        theirs = seconds(case.check)
    note = f"{ours * 1000:.0f} ms, by poseidon-py + crypto-cpp-py {theirs:.1f} s"
    label = f"{NETWORK} block {NUMBER} verified, one core"
    part = "part of it outside the kernel"
    again = f"the same, generated block of {VERSION}"
    whole = "the whole stage: messages decoded too"
    today = [
        Figure(
            f"the same, {name} block {number}",
            outside(real_check(name, number)),
            OUTSIDE_MAX,
            "at most",
            whole,
        )
        for name, number in TODAY
    ]
    return [
        Figure(label, theirs / ours, FASTER_MIN, "at least", note),
        Figure(part, outside(case.check), OUTSIDE_MAX, "at most", "calls of the kernel timed"),
        Figure(again, outside(generated_check()), OUTSIDE_MAX, "at most", whole),
        *today,
    ]


if __name__ == "__main__":
    for figure in run():
        print(figure)
