"""Frozen dataclass <-> frames; lets through exactly what the dataclass declares and refuses everything else.

Frame 0 is the msgpack of ``[class name, field, field, ...]`` in declared order without the ``Body`` fields; each
``Body`` field then travels as one frame of its own, untouched, so that megabytes are never packed or unpacked.
Declarable types: ``int`` (64 bits), ``str``, ``bytes``, ``bool``, ``None``, ``StrEnum``, ``X | None``, tuples, and
nested frozen dataclasses of the same.
"""

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

import msgpack

Body = NewType("Body", bytes)
"""Opaque bytes that travel as a frame of their own."""

Message = TypeVar("Message")
Convert = Callable[[Any], Any]

HEAD_BYTES_MAX = (
    16 << 20
)  # bodies belong into Body fields; a head larger than this is a bug or an attack


class CodecError(ValueError):
    """The message or the frames are not what the class declares."""


def encode(message: object) -> list[bytes]:
    """Return ``[head, body, ...]``; bodies are the very objects of the message, not copies."""
    shape = _shape(type(message))
    values = [pack(value) for pack, value in zip(shape.packs, shape.values(message), strict=True)]
    bodies = [_body(value) for value in shape.body_values(message)]
    try:
        head: bytes = msgpack.packb([shape.name, *values])
    except (OverflowError, ValueError) as error:  # an int over 64 bits, text that is not UTF-8
        raise CodecError(f"{shape.name}: {error}") from error
    return [head, *bodies]


def decode(cls: type[Message], frames: Sequence[bytes | memoryview]) -> Message:
    """Return the message the frames hold, or raise ``CodecError``."""
    shape = _shape(cls)
    if len(frames) != 1 + len(shape.body_names):
        raise CodecError(
            f"{shape.name}: {len(frames)} frames instead of {1 + len(shape.body_names)}"
        )
    values = _unpack(shape.name, frames[0])
    if len(values) != 1 + len(shape.unpacks) or values[0] != shape.name:
        raise CodecError(f"{shape.name}: the head holds other fields than declared")
    fields_ = {
        name: unpack(value)
        for name, unpack, value in zip(shape.names, shape.unpacks, values[1:], strict=True)
    }
    for name, frame in zip(shape.body_names, frames[1:], strict=True):
        fields_[name] = frame if type(frame) is bytes else bytes(frame)
    return cls(**fields_)


def priority(message: object) -> int:
    """Return the block number the message is about (``number`` or ``start``); 0 where it is about none."""
    number = getattr(message, "number", None)
    if number is None:
        number = getattr(message, "start", 0)
    assert isinstance(number, int)
    return number


def bodies(cls: type[Any]) -> int:
    """Return how many ``Body`` frames follow the head of this class."""
    return len(_shape(cls).body_names)


@dataclass(frozen=True)
class _Shape:
    """What one class declares, compiled once: how to read, pack and unpack each field."""

    name: str
    names: tuple[str, ...]
    packs: tuple[Convert, ...]
    unpacks: tuple[Convert, ...]
    values: Callable[[Any], tuple[Any, ...]]
    body_names: tuple[str, ...]
    body_values: Callable[[Any], tuple[Any, ...]]


def _compile(cls: type[Any]) -> _Shape:
    if not (is_dataclass(cls) and cls.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise CodecError(f"{cls.__name__} is not a frozen dataclass")
    hints = get_type_hints(cls)
    named = [(field.name, hints[field.name]) for field in fields(cls)]
    plain = [(name, hint) for name, hint in named if hint is not Body]
    converts = [_convert(f"{cls.__name__}.{name}", hint) for name, hint in plain]
    body_names = tuple(name for name, hint in named if hint is Body)
    return _Shape(
        name=cls.__name__,
        names=tuple(name for name, _ in plain),
        packs=tuple(pack for pack, _ in converts),
        unpacks=tuple(unpack for _, unpack in converts),
        values=_getter(tuple(name for name, _ in plain)),
        body_names=body_names,
        body_values=_getter(body_names),
    )


_shape: Callable[[Any], _Shape] = cache(_compile)


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _: ()
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda message: (one(message),)
    return attrgetter(*names)


def _body(value: Any) -> bytes:
    if type(value) is not bytes:
        raise CodecError(f"a body is {type(value).__name__}, not bytes")
    return value


def _unpack(name: str, head: bytes | memoryview) -> list[Any]:
    if len(head) > HEAD_BYTES_MAX:
        raise CodecError(f"{name}: a head of {len(head)} bytes")
    try:
        values = msgpack.unpackb(head, max_ext_len=0, max_map_len=0)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise CodecError(f"{name}: the head is not msgpack: {error}") from error
    if type(values) is not list or not values:
        raise CodecError(f"{name}: the head is not a list")
    return values


def _convert(where: str, hint: Any) -> tuple[Convert, Convert]:
    """Return how a value declared as ``hint`` is packed and unpacked; both refuse any other type."""
    if hint in (int, str, bytes, bool, types.NoneType):
        same = _exactly(where, hint)
        return same, same
    if get_origin(hint) in (Union, types.UnionType):
        return _optional(where, hint)
    if get_origin(hint) is tuple:
        return _tuple(where, get_args(hint))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum(where, hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return _nested(where, hint)
    raise CodecError(f"{where}: {hint} cannot travel")


def _wrong(where: str, value: object, wanted: str) -> CodecError:
    return CodecError(f"{where}: {type(value).__name__} instead of {wanted}")


def _exactly(where: str, cls: type[Any]) -> Convert:
    def same(value: Any) -> Any:
        if type(value) is not cls:
            raise _wrong(where, value, cls.__name__)
        return value

    return same


def _optional(where: str, hint: Any) -> tuple[Convert, Convert]:
    others = [arg for arg in get_args(hint) if arg is not types.NoneType]
    if len(others) != 1:
        raise CodecError(f"{where}: {hint} cannot travel")
    pack, unpack = _convert(where, others[0])
    return (
        lambda value: None if value is None else pack(value),
        lambda value: None if value is None else unpack(value),
    )


def _tuple(where: str, args: tuple[Any, ...]) -> tuple[Convert, Convert]:
    if len(args) == 2 and args[1] is Ellipsis:
        return _tuple_of_many(where, *_convert(where, args[0]))
    converts = [_convert(where, arg) for arg in args]

    def through(value: Any, kind: type[Any], side: int) -> Any:
        if type(value) is not kind or len(value) != len(converts):
            raise _wrong(where, value, f"{kind.__name__} of {len(converts)}")
        return [pair[side](item) for pair, item in zip(converts, value, strict=True)]

    return lambda value: through(value, tuple, 0), lambda value: tuple(through(value, list, 1))


def _tuple_of_many(where: str, pack: Convert, unpack: Convert) -> tuple[Convert, Convert]:
    def pack_all(value: Any) -> Any:
        if type(value) is not tuple:
            raise _wrong(where, value, "tuple")
        return [pack(item) for item in value]

    def unpack_all(value: Any) -> Any:
        if type(value) is not list:
            raise _wrong(where, value, "list")
        return tuple([unpack(item) for item in value])

    return pack_all, unpack_all


def _enum(where: str, cls: type[StrEnum]) -> tuple[Convert, Convert]:
    def pack(value: Any) -> Any:
        if type(value) is not cls:
            raise _wrong(where, value, cls.__name__)
        return str(value)

    def unpack(value: Any) -> Any:
        try:
            return cls(value)
        except ValueError as error:
            raise CodecError(f"{where}: {error}") from error

    return pack, unpack


def _nested(where: str, cls: type[Any]) -> tuple[Convert, Convert]:
    shape = _shape(cls)
    if shape.body_names:
        raise CodecError(
            f"{where}: a Body inside {cls.__name__} cannot travel; put it into the message itself"
        )

    def pack(value: Any) -> Any:
        if type(value) is not cls:
            raise _wrong(where, value, cls.__name__)
        return [each(item) for each, item in zip(shape.packs, shape.values(value), strict=True)]

    def unpack(value: Any) -> Any:
        if type(value) is not list or len(value) != len(shape.unpacks):
            raise _wrong(where, value, f"list of {len(shape.unpacks)}")
        return cls(*[each(item) for each, item in zip(shape.unpacks, value, strict=True)])

    return pack, unpack
