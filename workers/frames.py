"""The messages inside a part's body, with the limits of the sync protocols; a broken one is its sender's fault."""

from collections.abc import Iterator
from contextlib import contextmanager

from broker.codec import Body
from starknet.felt import FeltError
from starknet.wire.delimited import MalformedBody, spans
from starknet.wire.parse import MalformedMessage, Parsed, parse, parse_all
from starknet.wire.rows import OneOf
from starknet.wire.sync_pb2 import EventsResponse, TransactionsResponse
from workers.component import Component, message_bytes_max
from workers.errors import PeerFault

TRANSACTIONS = OneOf(TransactionsResponse.DESCRIPTOR, "transaction_message")
EVENTS = OneOf(EventsResponse.DESCRIPTOR, "event_message")


def frames(body: Body, number: int, component: Component) -> Iterator[tuple[int, int, bytes]]:
    """Yield (start, end, payload) of each message; ``body[start:end]`` is it with its length prefix.

    Raises ``PeerFault`` (``<component>.malformed``) for a broken length or a message over the limit.
    """
    with _reading(number, component):
        for start, payload, end in spans(body, message_bytes_max(component)):
            yield start, end, body[payload:end]


def decode(kind: type[Parsed], payload: bytes, number: int, component: Component) -> Parsed:
    """Decode one message; raise ``PeerFault`` (``<component>.malformed``) if it is none."""
    with _reading(number, component):
        return parse(kind, payload)


def decode_all(kind: type[Parsed], body: Body, number: int, component: Component) -> list[Parsed]:
    """Decode all messages of a body; raise ``PeerFault`` (``<component>.malformed``) for a broken one."""
    with _reading(number, component):
        return parse_all(kind, _payloads(body, component))


def carried(oneof: OneOf, name: str, body: Body, number: int, component: Component) -> list[bytes]:
    """What all messages of a body carry under a name, undecoded; raise ``PeerFault`` as ``decode_all`` does."""
    with _reading(number, component):
        return oneof.members(name, _payloads(body, component))


def _payloads(body: Body, component: Component) -> list[bytes]:
    return [body[payload:end] for _, payload, end in spans(body, message_bytes_max(component))]


@contextmanager
def _reading(number: int, component: Component) -> Iterator[None]:
    try:
        yield
    except (MalformedBody, MalformedMessage, FeltError) as broken:
        raise PeerFault(f"{component}.malformed", number, (component,), str(broken)) from broken
