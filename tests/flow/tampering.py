"""Every way to change one field of a wire message, and what a body of such messages looks like afterwards."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


def tamperings(message: Message) -> Iterator[tuple[str, Message]]:
    """Yield (path, changed copy): each set scalar changed once, each sub-message and list element taken away once.

    Of a list only the first and the last element are looked into.
    """
    for path, steps in _leaves(message, (), ()):
        copy = type(message)()
        copy.CopyFrom(message)
        _change(copy, steps)
        yield ".".join(path), copy


Step = tuple[FieldDescriptor, int | None]


def _leaves(
    message: Message, path: tuple[str, ...], steps: tuple[Step, ...]
) -> Iterator[tuple[tuple[str, ...], tuple[Step, ...]]]:
    for field, value in message.ListFields():
        if field.is_repeated:
            for index in sorted({0, len(value) - 1}):
                here = (*path, field.name)
                yield (*here, "removed"), (*steps, (field, index), (field, None))
                if field.message_type is not None:
                    yield from _leaves(value[index], here, (*steps, (field, index)))
                else:
                    yield here, (*steps, (field, index))
        elif field.message_type is not None:
            if value.ByteSize():  # an empty one means what none means
                yield (*path, field.name, "removed"), (*steps, (field, None), (field, None))
            yield from _leaves(value, (*path, field.name), (*steps, (field, None)))
        else:
            yield (*path, field.name), (*steps, (field, None))


def _change(message: Message, steps: tuple[Step, ...]) -> None:
    parent: Any = message
    last_field, last_index = steps[-1]
    if len(steps) > 1 and steps[-2][0] is last_field and last_index is None:
        for field, index in steps[:-2]:
            parent = _into(parent, field, index)
        _remove(parent, *steps[-2])
        return
    for field, index in steps[:-1]:
        parent = _into(parent, field, index)
    if last_index is not None:
        values = getattr(parent, last_field.name)
        values[last_index] = _other(last_field, values[last_index])
    else:
        setattr(parent, last_field.name, _other(last_field, getattr(parent, last_field.name)))


def _into(parent: Any, field: FieldDescriptor, index: int | None) -> Any:
    child = getattr(parent, field.name)
    return child if index is None else child[index]


def _remove(parent: Any, field: FieldDescriptor, index: int | None) -> None:
    if index is None:
        parent.ClearField(field.name)
    else:
        del getattr(parent, field.name)[index]


def _other(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        return 1 - value
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1]) if value else b"\1"
    if isinstance(value, str):
        return value + "x"
    return value + 1
