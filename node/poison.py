"""Poison: turns a message that killed its workers into the Fault that has its part of a block fetched again."""

from collections.abc import Callable, Sequence
from typing import Any

from broker import codec
from broker.topic import Topic
from workers.component import Component
from workers.log import fields, log
from workers.messages import (
    BlockAssembled,
    BlockPart,
    BlockVerified,
    ClassesReceived,
    EventsReceived,
    Fault,
    HeadersReceived,
    StateDiffsReceived,
    TransactionsReceived,
)

RULE = "poison"
_RECEIVED: dict[type[object], Component] = {
    HeadersReceived: Component.HEADERS,
    StateDiffsReceived: Component.STATE_DIFFS,
    ClassesReceived: Component.CLASSES,
    TransactionsReceived: Component.TRANSACTIONS,
    EventsReceived: Component.EVENTS,
}


def record_of(topics: Sequence[Topic[Any]]) -> Callable[[str, bytes, int], list[bytes] | None]:
    """Return the broker's poison handler for these topics."""
    carried = {topic.name: topic.carries for topic in topics}

    def record(topic: str, head: bytes, deliveries: int) -> list[bytes] | None:
        kind = carried[topic]
        try:
            message = codec.decode(kind, [head, *[b""] * codec.bodies(kind)])
        except codec.CodecError as error:
            log.error("Dropped an unreadable message", extra=fields(topic=topic, error=str(error)))
            return None
        fault = fault_of(message, deliveries)
        return None if fault is None else codec.encode(fault)

    return record


def fault_of(message: object, deliveries: int) -> Fault | None:
    """Return what has the message's blocks fetched anew, or None for a message that holds no part of a block."""
    detail = f"{type(message).__name__} was given out {deliveries} times and never finished"
    match message:
        case (
            HeadersReceived()
            | StateDiffsReceived()
            | ClassesReceived()
            | TransactionsReceived()
            | EventsReceived()
        ):
            parts = (_RECEIVED[type(message)],)
            return Fault(
                message.attempt,
                message.start,
                message.count,
                parts,
                (message.peer,),
                RULE,
                detail,
            )
        case BlockPart(attempt=attempt, number=number, component=component, peer=peer):
            return Fault(attempt, number, 1, (component,), (peer,), RULE, detail)
        case BlockAssembled() | BlockVerified():
            return Fault(
                message.attempt, message.number, 1, tuple(Component), message.peers, RULE, detail
            )
    return None
