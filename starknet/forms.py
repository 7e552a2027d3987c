"""Forms: tables that say which fields of a row, in which order, are hashed to one felt.

A form is written as the protocol's documents write it, hashes within hashes. The kernel runs it over all rows of a
kind at once, lists of the same depth together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias, Union

from starknet import native
from starknet.felt import FeltError, FieldMissing, to_bytes32
from starknet.wire.rows import Row, Shape

_LIST, _VALUE, _CONSTANT, _RESULT, _PACK, _WHEN = range(6)  # the kernel's steps, see `forms.c`


class Kind(IntEnum):
    """What a list is hashed by."""

    PEDERSEN = 0
    POSEIDON = 1
    ADDRESS = 2


class Given:
    """The felt that each call of a form is given: the chain id."""


CHAIN = Given()


@dataclass(frozen=True)
class Bits:
    """A field whose value has at most ``bits`` bits, ``shift`` bits up in a felt."""

    field: str
    shift: int
    bits: int


@dataclass(frozen=True)
class Packed:
    """One felt: a constant, and fields at their places in it."""

    base: int
    parts: tuple[Bits, ...]


@dataclass(frozen=True)
class When:
    """A part that is left out where the field is absent, empty or 0."""

    field: str
    part: "Part"


@dataclass(frozen=True)
class Hash:
    """The hash of a list of parts."""

    kind: Kind
    parts: tuple["Part", ...]


Part: TypeAlias = Union[str, int, Given, Packed, When, Hash]  # noqa: UP007  (named before it is)
"""What a list is made of: a field (a felt, a list of felts or a number), a constant, or what is made of them."""


def pedersen(*parts: Part) -> Hash:
    """Folded from 0 over the parts, then over their number."""
    return Hash(Kind.PEDERSEN, parts)


def poseidon(*parts: Part) -> Hash:
    """The sponge over the parts."""
    return Hash(Kind.POSEIDON, parts)


def address(*parts: Part) -> Hash:
    """As ``pedersen``, modulo the number of addresses."""
    return Hash(Kind.ADDRESS, parts)


class Form:
    """A form over the rows of one shape."""

    def __init__(self, shape: Shape, whole: Hash) -> None:
        self.whole = whole
        self._shape = shape
        self._constants: list[int] = []
        self._lists = sorted(dict.fromkeys(_hashes(whole)), key=_round)
        rounds = sorted(set(map(_round, self._lists)))
        self._steps = b"".join(
            self._list(entry, rounds.index(_round(entry))) for entry in self._lists
        )
        self._felts = b"".join(map(to_bytes32, self._constants))

    def hashes(self, rows: Sequence[Row], given: bytes) -> list[bytes]:
        """The hash of each row; ``given`` is the felt that stands for ``CHAIN``. Raises FeltError, FieldMissing."""
        try:
            return native.form_hashes(self._steps, given + self._felts, rows)
        except LookupError as error:
            name = self._shape.columns[error.args[0]]
            raise FieldMissing(f"{self._shape.name}.{name} is missing") from error
        except ValueError as error:
            raise FeltError(str(error)) from error

    def _list(self, entry: tuple[str, Hash], number: int) -> bytes:
        needed, whole = entry
        below = 1 + self._column(needed) if needed else 0
        parts = b"".join(self._part(part, needed) for part in whole.parts)
        return bytes([_LIST, whole.kind, number, below]) + parts

    def _part(self, part: Part, needed: str) -> bytes:
        match part:
            case str():
                return bytes([_VALUE, self._column(part), 0, 0])
            case int():
                return self._constant(part)
            case Given():
                return bytes([_CONSTANT, 0, 0, 0])
            case Packed(base, fields):
                packed = (
                    bytes([_PACK, self._column(each.field), each.shift, each.bits])
                    for each in fields
                )
                return self._constant(base) + b"".join(packed)
            case When(name, inner):
                steps = self._part(inner, name)
                return bytes([_WHEN, self._column(name), len(steps) // 4, 0]) + steps
            case Hash():
                return bytes([_RESULT, self._lists.index((needed, part)), 0, 0])

    def _column(self, name: str) -> int:
        return self._shape.columns.index(name)

    def _constant(self, felt: int) -> bytes:
        if felt not in self._constants:
            self._constants.append(felt)
        return bytes([_CONSTANT, 1 + self._constants.index(felt), 0, 0])


def _hashes(part: Part, needed: str = "") -> Iterator[tuple[str, Hash]]:
    """All hashes within a part and itself, each with the field without which it is not needed."""
    if isinstance(part, When):
        yield from _hashes(part.part, part.field)
    elif isinstance(part, Hash):
        for inner in part.parts:
            yield from _hashes(inner, needed)
        yield needed, part


def _round(entry: tuple[str, Hash]) -> tuple[int, int]:
    """Hashes of one round are made together: none is within another, and all are of one kind."""
    return _depth(entry[1]), entry[1].kind


def _depth(part: Part) -> int:
    if isinstance(part, When):
        return _depth(part.part)
    return 1 + max(map(_depth, part.parts), default=0) if isinstance(part, Hash) else 0
