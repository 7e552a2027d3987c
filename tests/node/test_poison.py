"""A message that kills its workers has its part of a block fetched again, from others."""

from typing import Any

import pytest

from broker import codec
from broker.codec import Body
from node import pipeline, poison, processes
from workers.component import Component
from workers.messages import (
    BlockAssembled,
    BlockPart,
    BlockStored,
    ClassesReceived,
    ClassesWanted,
    EventsReceived,
    Fault,
    HeaderInfo,
    HeadersReceived,
)

BODY = Body(b"body")
INFO = HeaderInfo(7, bytes(32), "0.13.4", 1, 1, 1)
WANTED = ClassesWanted(7, bytes(32), (), ())
PEERS = ("a", "b", "c", "d", "e")
ALL = tuple(Component)


@pytest.mark.parametrize(
    ("message", "start", "count", "components", "peers"),
    [
        (HeadersReceived(3, 7, 100, "a", bytes(32), BODY), 7, 100, (Component.HEADERS,), ("a",)),
        (EventsReceived(3, 7, "b", (INFO, INFO), BODY), 7, 2, (Component.EVENTS,), ("b",)),
        (ClassesReceived(3, 7, "c", (WANTED,), BODY), 7, 1, (Component.CLASSES,), ("c",)),
        (
            BlockPart(3, 7, bytes(32), Component.TRANSACTIONS, "d", BODY),
            7,
            1,
            (Component.TRANSACTIONS,),
            ("d",),
        ),
        (BlockAssembled(3, 7, PEERS, BODY, BODY, BODY, BODY, BODY), 7, 1, ALL, PEERS),
    ],
)
def test_it_becomes_a_fault_of_the_parts_it_held(
    message: object,
    start: int,
    count: int,
    components: tuple[Component, ...],
    peers: tuple[str, ...],
) -> None:
    fault = through_the_broker(message)
    assert fault is not None
    assert (fault.attempt, fault.start, fault.count) == (3, start, count)
    assert (fault.components, fault.peers, fault.rule) == (components, peers, "poison")
    assert "3 times" in fault.detail


def test_a_message_that_holds_no_part_becomes_nothing() -> None:
    assert through_the_broker(BlockStored(3, 7, bytes(32))) is None


def test_a_message_that_nobody_can_read_becomes_nothing() -> None:
    record = poison.record_of(processes.topics())
    assert record(pipeline.BLOCK_PARTS.name, b"\xc1", 3) is None


def through_the_broker(message: object) -> Fault | None:
    record = poison.record_of(processes.topics())
    (topic,) = [each.name for each in processes.topics() if each.carries is type(message)]
    frames: Any = record(topic, codec.encode(message)[0], 3)
    return None if frames is None else codec.decode(Fault, frames)
