"""The kernel's build with assertions on every bound, and the branches that no real input reaches."""

import importlib.util
import itertools
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from crypto_cpp_py.cpp_bindings import cpp_get_public_key, cpp_hash, cpp_sign
from poseidon_py.c_bindings import hades_permutation

from starknet.felt import P

ROOT = Path(__file__).resolve().parents[2]
R = 2**256
ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
BETA = 0x6F21413EFBE40DE150E596D72F7A8C5609AD26C15C915C1F4CDFCB99CEE9E89
G = (
    0x1EF15C18599971B7BECED415A40F0C7DEACFD9B0D1819E03D723D8BC943CFCA,
    0x5668060AA49730B7BE4801DF46EC62DE53ECD11ABE43A32873000C36E8DC1F,
)
Point = tuple[int, int]

# Not reduced: around each multiple of p and of 2^251, where an estimated quotient is off by one, with every
# other limb empty or full, so that carries and borrows run through.
UNREDUCED = sorted(
    {
        number
        for k in range(31)
        for base in (
            k * P,
            k * 2**251,
            k * 2**251 + 544 * 2**192,
            k * P + 2**192,
            k * 2**251 + 2**192,
        )
        for number in (base - 1, base, base + 1, base + 2**64 - 1, base + 2**192 - 1)
        if 0 <= number < 31 * P
    }
)


@pytest.fixture(scope="session")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The kernel compiled with HERA_CHECKED: a bound that does not hold aborts the process."""
    if shutil.which(os.environ.get("CC", "gcc")) is None:
        pytest.skip("no C compiler here")
    folder = tmp_path_factory.mktemp("checked")
    command = [sys.executable, "setup.py", "-q", "build_ext", "--define", "HERA_CHECKED"]
    command += ["--build-lib", str(folder), "--build-temp", str(folder / "temp")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return load(next((folder / "starknet" / "native").glob("_kernel*.so")))


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("starknet.native._kernel", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def raw(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def field(checked: Any, operation: str, a: int, b: int = 0) -> int:
    return int.from_bytes(checked.field(operation, raw(a), raw(b)), "big")


def test_products_are_right_and_bounded_for_unreduced_operands(checked: Any) -> None:
    inverse = pow(R, -1, P)
    chosen = UNREDUCED[::7] + UNREDUCED[-3:]
    for a, b in itertools.product(chosen, chosen):
        if a * b >= 900 * P * P:
            continue
        for operation in ("mul", "mul_call"):
            product = field(checked, operation, a, b)
            assert (product - a * b * inverse) % P == 0
            assert 0 < product * R <= P * R + a * b
    for a in UNREDUCED:
        if a < 29 * P:
            square = field(checked, "sqr", a)
            assert square == field(checked, "sqr_call", a)
            assert (square - a * a * inverse) % P == 0


def test_reductions_are_right_at_every_multiple_of_p(checked: Any) -> None:
    for a in UNREDUCED:
        if a < 30 * P:
            assert field(checked, "canonical", a) == a % P
        assert field(checked, "from_montgomery", a) == a * pow(R, -1, P) % P
        if a >= P:
            folded = field(checked, "fold", a)
            assert (folded - a) % P == 0
            assert P - 2**202 < folded < 2 * P


def test_inverses_and_roots_are_right(checked: Any) -> None:
    some = random.Random(1)
    for a in [*UNREDUCED[::9], 1, 2, P - 1, *(some.randrange(P) for _ in range(200))]:
        if a >= 30 * P:
            continue
        expected = pow(a * pow(R, -1, P), -1, P) * R % P if a % P else 0
        assert field(checked, "inverse", a) % P == expected
        for modulus in (P, ORDER):
            plain = a % modulus
            expected = pow(plain, -1, modulus) if plain else 0
            assert field(checked, "inverse_modulo", plain, modulus) == expected
        root = checked.field("sqrt", raw(a), raw(0))
        plain = a * pow(R, -1, P) % P
        assert (root is not None) == (plain == 0 or pow(plain, (P - 1) // 2, P) == 1)
        if root is not None:
            assert pow(int.from_bytes(root, "big") * pow(R, -1, P), 2, P) == plain


def add(p: Point, q: Point) -> Point | None:
    """The rule of the curve, on plain numbers."""
    if p[0] == q[0]:
        if (p[1] + q[1]) % P == 0:
            return None
        slope = (3 * p[0] * p[0] + 1) * pow(2 * p[1], -1, P)
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P)
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def test_additions_are_right_for_equal_opposite_and_other_points(checked: Any) -> None:
    double = add(G, G)
    assert double
    triple = add(double, G)
    assert triple
    opposite = G[0], P - G[1]
    for p, q in itertools.product((G, opposite, double, triple), repeat=2):
        arguments = [raw(number * R % P) for number in (*p, *q)]
        expected = add(p, q)
        for operation in ("add", "add_affine", "add_scaled"):
            result = checked.curve(operation, *arguments)
            if expected is None:
                assert result is None
            else:
                assert result == raw(*(number * R % P for number in expected))
        shared = checked.curve("add_many", *arguments)
        if p[0] == q[0]:
            assert shared is None
        else:
            assert expected
            assert shared == raw(*(number * R % P for number in expected))


def test_a_batch_whose_shared_inversion_fails_is_hashed_anyway(checked: Any) -> None:
    some = random.Random(2)
    xs = [some.randrange(P) for _ in range(300)]
    expected = [int(cpp_hash(a, b)) for a, b in zip(xs[0::2], xs[1::2], strict=True)]
    for wide in (False, True):
        checked.choose(True, wide)
        assert checked.pedersen_pairs(raw(*xs)) == raw(*expected)
        checked.refuse_shared_inversions(True)
        try:
            assert checked.pedersen_pairs(raw(*xs)) == raw(*expected)
        finally:
            checked.refuse_shared_inversions(False)
    assert field(checked, "pedersen_complete", xs[0], xs[1]) == expected[0]


def test_no_bound_is_broken_by_edge_and_random_values(checked: Any) -> None:
    some = random.Random(3)
    edges = [0, 1, 2, P - 1, P - 2, 2**192, 2**248 - 1, 2**248, 2**251 - 1, 2**251]
    edges += [some.randrange(P) for _ in range(10)]
    pairs = list(itertools.product(edges, edges))
    flat = raw(*itertools.chain.from_iterable(pairs))
    poseidon = raw(*(hades_permutation([a, b, 2])[0] for a, b in pairs))
    pedersen = raw(*(cpp_hash(a, b) for a, b in pairs))
    for adx, wide in itertools.product((False, True), repeat=2):
        checked.choose(adx, wide)
        assert checked.poseidon_pairs(flat) == poseidon
        assert checked.pedersen_pairs(flat) == pedersen
    for secret in (1, 2, 3, ORDER - 1, some.randrange(ORDER)):
        r, s = cpp_sign(edges[-1] % 2**251, secret)
        record = raw(cpp_get_public_key(secret), edges[-1] % 2**251, r, s)
        assert checked.ecdsa_verify(record) == b"\x01"
