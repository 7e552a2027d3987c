"""The codec lets through what a dataclass declares, and nothing else."""

from dataclasses import dataclass
from typing import Any

import msgpack
import pytest

from broker import codec
from broker.codec import Body, CodecError, decode, encode, priority
from tests.broker.samples import Kind, Part, Record, Whole


@dataclass(frozen=True)
class Inner:
    number: int
    hash: bytes


@dataclass(frozen=True)
class Everything:
    start: int
    text: str
    raw: bytes
    yes: bool
    kind: Kind
    maybe: str | None
    many: tuple[Inner, ...]
    pair: tuple[int, str]
    first: Body
    second: Body


@dataclass
class Thawed:
    number: int


@dataclass(frozen=True)
class Nameless:
    value: object


@dataclass(frozen=True)
class BodyInside:
    parts: tuple[Part, ...]


SAMPLE = Everything(
    start=3,
    text="é",
    raw=b"\x00\xff",
    yes=True,
    kind=Kind.BLUE,
    maybe=None,
    many=(Inner(1, b"a"), Inner(2, b"b")),
    pair=(4, "d"),
    first=Body(b"first"),
    second=Body(b""),
)


def test_a_message_survives_the_way() -> None:
    assert decode(Everything, encode(SAMPLE)) == SAMPLE


def test_a_message_survives_as_memoryviews() -> None:
    found = decode(Everything, [memoryview(frame) for frame in encode(SAMPLE)])
    assert found == SAMPLE
    assert type(found.first) is bytes


def test_bodies_travel_as_frames_of_their_own_uncopied() -> None:
    frames = encode(SAMPLE)
    assert len(frames) == 1 + codec.bodies(Everything)
    assert frames[1] is SAMPLE.first


def test_priority_is_the_block_number() -> None:
    assert [priority(Part(5, "", Body(b""))), priority(SAMPLE), priority("x")] == [5, 3, 0]


WRONG_FIELDS: list[tuple[str, list[Any]]] = [
    ("missing", ["Record", 1]),
    ("extra", ["Record", 1, 2, 3]),
    ("text for int", ["Record", "1", 2]),
    ("bool for int", ["Record", True, 2]),
    ("None for int", ["Record", None, 2]),
    ("float for int", ["Record", 1.0, 2]),
    ("other class", ["Whole", 1, 2]),
    ("nothing", []),
]


@pytest.mark.parametrize("values", [v for _, v in WRONG_FIELDS], ids=[n for n, _ in WRONG_FIELDS])
def test_other_fields_are_refused(values: list[Any]) -> None:
    with pytest.raises(CodecError):
        decode(Record, [msgpack.packb(values)])


CHANGES: list[tuple[int, Any]] = [
    (2, "text"),  # bytes
    (3, 1),  # bool
    (4, "green"),  # not of the enum
    (4, 7),
    (5, b"maybe"),
    (6, [[1]]),  # nested: a field is missing
    (6, [[1, b"a", 2]]),
    (6, [[1, "a"]]),
    (6, {"a": 1}),
    (7, [4]),
    (7, [4, "d", 5]),
    (7, ["d", 4]),
]


@pytest.mark.parametrize(("at", "value"), CHANGES)
def test_each_declared_type_is_checked(at: int, value: Any) -> None:
    head, *bodies = encode(SAMPLE)
    values = msgpack.unpackb(head)
    values[1 + at] = value
    with pytest.raises(CodecError):
        decode(Everything, [msgpack.packb(values), *bodies])


@pytest.mark.parametrize(
    "frames",
    [
        [],
        encode(SAMPLE)[:2],
        [*encode(SAMPLE), b""],
        [b"", b"", b""],
        [b"\xc1", b"", b""],
        [encode(SAMPLE)[0][:-1], b"", b""],
        [encode(SAMPLE)[0] + b"\x00", b"", b""],
        [msgpack.packb(5), b"", b""],
        [b"\x00" * (codec.HEAD_BYTES_MAX + 1), b"", b""],
    ],
    ids=["none", "few", "many", "empty", "no msgpack", "cut", "trailing", "no list", "large"],
)
def test_other_frames_are_refused(frames: list[bytes]) -> None:
    with pytest.raises(CodecError):
        decode(Everything, frames)


WRONG_MESSAGES: list[tuple[str, Any]] = [
    ("int over 64 bits", Record(1 << 64, 1)),
    ("text for int", Record("1", 1)),  # type: ignore[arg-type]
    ("bool for int", Record(True, 1)),
    ("list for tuple", Whole(1, ["a"])),  # type: ignore[arg-type]
    ("wrong item", Whole(1, (b"a",))),  # type: ignore[arg-type]
    ("memoryview as body", Part(1, "", memoryview(b""))),  # type: ignore[arg-type]
    ("text that is not UTF-8", Part(1, "\ud800", Body(b""))),
    ("not frozen", Thawed(1)),
    ("undeclarable type", Nameless(1)),
    ("body inside", BodyInside(())),
    ("no dataclass", "text"),
]


@pytest.mark.parametrize(
    "message", [m for _, m in WRONG_MESSAGES], ids=[n for n, _ in WRONG_MESSAGES]
)
def test_our_own_mistakes_are_refused_before_they_are_sent(message: Any) -> None:
    with pytest.raises(CodecError):
        encode(message)
