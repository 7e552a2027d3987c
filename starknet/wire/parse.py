"""Lets a protobuf message in, or says in one exception that it is none."""

from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

Parsed = TypeVar("Parsed", bound=Message)


class MalformedMessage(Exception):
    """The bytes are not a message of the asked type."""


def parse(kind: type[Parsed], payload: bytes) -> Parsed:
    """Decode ``payload``; raise ``MalformedMessage`` if it is not well-formed protobuf of ``kind``."""
    return parse_all(kind, [payload])[0]


def parse_all(kind: type[Parsed], payloads: Iterable[bytes]) -> list[Parsed]:
    """Decode many payloads, as ``parse`` does each."""
    try:
        return list(map(kind.FromString, payloads))
    except DecodeError as broken:
        raise MalformedMessage(f"not a {kind.DESCRIPTOR.name}") from broken


def bytes_of(messages: Iterable[Message]) -> list[bytes]:
    """Each message as the wire has it."""
    return [message.SerializeToString() for message in messages]
