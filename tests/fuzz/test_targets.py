"""The quick pass of ``make fuzz``: every target takes its corpus and a few hundred mutations of it."""

import random
import time
import zlib

import pytest

from tests.fuzz import seeds
from tests.fuzz.targets import BY_NAME, TARGETS, Target

MUTATIONS = 300
SECONDS_MAX = 0.4  # of one target: slow ones take fewer mutations
EDGES = (0, 1, 0x7F, 0x80, 0xFF)


def mutated(draw: random.Random, inputs: list[bytes]) -> bytes:
    """Return an input with up to four things wrong with it."""
    data = bytearray(draw.choice(inputs))
    for _ in range(draw.randrange(1, 5)):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(6):
            case 0:
                data[at : at + 1] = bytes([draw.choice(EDGES)])
            case 1:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 2:
                del data[at : at + draw.randrange(1, 40)]
            case 3:
                data[at:at] = draw.randbytes(draw.randrange(1, 20))
            case 4:
                other = draw.choice(inputs)
                begin = draw.randrange(len(other) + 1)
                data[at:at] = other[begin : begin + draw.randrange(1, 60)]
            case 5:
                data = data[:at]
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_but_the_declared_is_raised(target: Target) -> None:
    inputs = seeds.inputs(target.name)
    taken = [target.feed(data) for data in inputs]
    assert any(taken)
    draw = random.Random(zlib.crc32(target.name.encode()))
    began = time.monotonic()
    for _ in range(MUTATIONS):
        target.feed(mutated(draw, inputs))
        if time.monotonic() - began > SECONDS_MAX:
            break


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {folder.name for folder in seeds.CORPUS.iterdir()} == set(BY_NAME) == set(seeds.seeds())


def test_the_seeds_are_what_the_generated_chain_gives() -> None:
    for name, expected in seeds.seeds().items():
        found = [path for path in (seeds.CORPUS / name).iterdir() if path.name.startswith("seed-")]
        assert [(seeds.CORPUS / name / f"seed-{n}").read_bytes() for n in range(len(found))] == (
            expected
        ), f"{name}: run python -m tests.fuzz.seeds"


def test_the_table_of_what_was_run_names_every_target() -> None:
    page = (seeds.CORPUS.parents[2] / "docs" / "security.md").read_text()
    table = page[page.index("| target |") :]
    named = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(named) == sorted(BY_NAME)
