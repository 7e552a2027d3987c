"""Writes constants.h: the numbers the kernel is built on, derived from their definitions and checked.

Run ``python starknet/native/make_constants.py > starknet/native/constants.h`` in the root. The Poseidon
constants are SHA-256 digests of "Hades0", "Hades1", …; the five points of the Pedersen hash and the
generator are the curve's published parameters, and have to satisfy the curve's equation.
"""

import hashlib
import sys
from collections.abc import Sequence

P = 2**251 + 17 * 2**192 + 1
ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
BETA = 0x6F21413EFBE40DE150E596D72F7A8C5609AD26C15C915C1F4CDFCB99CEE9E89
R = 2**256  # of the Montgomery form

FULL_ROUNDS = 8
PARTIAL_ROUNDS = 83
PARTIAL_OFFSET = 3  # multiples of p that keep a partial round's sum positive

GENERATOR = (
    0x1EF15C18599971B7BECED415A40F0C7DEACFD9B0D1819E03D723D8BC943CFCA,
    0x5668060AA49730B7BE4801DF46EC62DE53ECD11ABE43A32873000C36E8DC1F,
)
# The shift point, then the points multiplied by a's low 248 bits, a's high 4, b's low 248, b's high 4.
PEDERSEN_POINTS = (
    (
        0x49EE3EBA8C1600700EE1B87EB599F16716B0B1022947733551FDE4050CA6804,
        0x3CA0CFE4B3BC6DDF346D49D06EA0ED34E621062C0E056C1D0405D266E10268A,
    ),
    (
        0x234287DCBAFFE7F969C748655FCA9E58FA8120B6D56EB0C1080D17957EBE47B,
        0x3B056F100F96FB21E889527D41F4E39940135DD7A6C94CC6ED0268EE89E5615,
    ),
    (
        0x4FA56F376C83DB33F9DAB2656558F3399099EC1DE5E3018B7A6932DBA8AA378,
        0x3FA0984C931C9E38113E0C0E47E4401562761F92A7A23B45168F4E80FF5B54D,
    ),
    (
        0x4BA4CC166BE8DEC764910F75B45F74B40C690C74709E90F3AA372F0BD2D6997,
        0x40301CF5C1751F4B971E46C4EDE85FCAC5C59A5CE5AE7C48151F27B24B219C,
    ),
    (
        0x54302DCB0E6CC1C6E44CCA8F61A63BB2CA65048D53FB325D36FF12C49A58202,
        0x1B77B3E37D13504B348046268D8AE25CE98AD783C25561A879DCC77E99C2426,
    ),
)

Triple = tuple[int, int, int]


def round_constants() -> list[Triple]:
    """What each of the 91 rounds adds to the three felts of the state."""
    digests = [
        int(hashlib.sha256(b"Hades%d" % i).hexdigest(), 16) % P
        for i in range(3 * (FULL_ROUNDS + PARTIAL_ROUNDS))
    ]
    return [(digests[i], digests[i + 1], digests[i + 2]) for i in range(0, len(digests), 3)]


def mix(x: int, y: int, z: int) -> Triple:
    """The linear layer."""
    return (3 * x + y + z) % P, (x - y + z) % P, (x + y - 2 * z) % P


def compressed_constants() -> tuple[list[Triple], list[int], list[Triple]]:
    """The same rounds with one constant for each partial round.

    A partial round cubes the third felt only, so what it adds to the other two can be added later.
    """
    rounds = round_constants()
    half = FULL_ROUNDS // 2
    partial: list[int] = []
    late: Triple = (0, 0, 0)
    for x, y, z in rounds[half : half + PARTIAL_ROUNDS]:
        partial.append((late[2] + z) % P)
        late = mix(late[0] + x, late[1] + y, 0)
    first, *rest = rounds[half + PARTIAL_ROUNDS :]
    after = (first[0] + late[0]) % P, (first[1] + late[1]) % P, (first[2] + late[2]) % P
    return rounds[:half], partial, [after, *rest]


def is_on_curve(point: tuple[int, int]) -> bool:
    """Whether a point of two felts satisfies the curve's equation."""
    x, y = point
    return (y * y - x**3 - x - BETA) % P == 0


def words(number: int) -> str:
    """A number below 2^256 as four words in C, least significant first."""
    parts = (f"0x{number >> shift & 2**64 - 1:016x}ULL" for shift in range(0, 256, 64))
    return "{{" + ", ".join(parts) + "}}"


def felt(number: int) -> str:
    """A felt in Montgomery form."""
    return words(number * R % P)


def table(name: str, entries: Sequence[str], columns: str = "") -> str:
    """An array of felts in C."""
    lines = ",\n".join(f"    {entry}" for entry in entries)
    return f"static const fe {name}[]{columns} = {{\n{lines},\n}};"


def row(triple: Triple) -> str:
    """Three felts in Montgomery form, each with p added."""
    return "{" + ", ".join(words(part * R % P + P) for part in triple) + "}"


def header() -> str:
    """The whole of constants.h."""
    points = (GENERATOR, *PEDERSEN_POINTS)
    assert all(is_on_curve(point) for point in points)
    before, partial, after = compressed_constants()
    shifted = [words(number * R % P + PARTIAL_OFFSET * P) for number in partial]
    single = {
        "ONE": words(R % P),
        "R_SQUARED": words(R * R % P),
        "R_CUBED": words(R**3 % P),
        "ONE_PLAIN": words(1),
        "BETA": felt(BETA),
        "P_PLAIN": words(P),
        "ORDER_PLAIN": words(ORDER),
        "ORDER_R_SQUARED": words(R * R % ORDER),
    }
    parts = [
        "/* Written by make_constants.py; felts in Montgomery form unless a name says otherwise. */",
        '#ifndef HERA_CONSTANTS_H\n#define HERA_CONSTANTS_H\n\n#include "field.h"\n',
        "#if defined(__GNUC__)",
        '#pragma GCC diagnostic ignored "-Wunused-variable" /* each file uses some of them */',
        "#endif\n",
        *(f"static const fe {name} = {text};" for name, text in single.items()),
        f"#define ORDER_NEGATED_INVERSE 0x{-pow(ORDER, -1, 2**64) % 2**64:016x}ULL\n",
        f"#define POSEIDON_HALF {FULL_ROUNDS // 2}",
        f"#define POSEIDON_PARTIAL {PARTIAL_ROUNDS}",
        f"#define POSEIDON_PARTIAL_OFFSET {PARTIAL_OFFSET}",
        "/* The keys of full rounds have p added. */",
        table("POSEIDON_BEFORE", [row(triple) for triple in before], "[3]"),
        "/* Each with POSEIDON_PARTIAL_OFFSET times p added. */",
        table("POSEIDON_PARTIAL_KEYS", shifted),
        f"static const fe POSEIDON_LAST_KEY = {words(PARTIAL_OFFSET * P)};",
        table("POSEIDON_AFTER", [row(triple) for triple in after], "[3]"),
        table("GENERATOR", [felt(part) for part in GENERATOR]),
        "/* Shift point, then for a's low bits, a's high bits, b's low bits, b's high bits. */",
        table(
            "PEDERSEN_POINTS",
            ["{" + f"{felt(x)}, {felt(y)}" + "}" for x, y in PEDERSEN_POINTS],
            "[2]",
        ),
        "\n#endif",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(header())
