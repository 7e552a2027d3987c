"""A message that kills its workers has its part of a block fetched again, from others."""

from typing import Any

import pytest

from broker import codec
from broker.codec import Body
from node import pipeline, poison, processes
from tests.workers.p2p import test_plan as plans
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
from workers.p2p.plan import BODIES, PeerState

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


def test_a_poisoned_answer_is_asked_of_another_peer() -> None:
    planner = plans.planner()
    (first,) = planner.plan(plans.ONE, 0.0).requests
    fault = through_the_broker(plans.give(planner, first))
    assert fault is not None
    planner.fault(fault, 1.0)
    (again,) = planner.plan([*plans.ONE, PeerState("b", 10_000)], 60.0).requests
    assert (again.component, again.start, again.peer) == (Component.HEADERS, 0, "b")
    assert again.attempt > first.attempt


def test_a_poisoned_block_comes_anew_with_all_five_parts_from_others() -> None:
    planner = plans.planner()
    peers = [PeerState(name, 99) for name in "abcdef"]
    done = plans.whole_range(planner, peers[:3])
    senders = tuple(done[component].peer for component in Component)
    newest = max(request.attempt for request in done.values())
    block = BlockAssembled(newest, 42, senders, BODY, BODY, BODY, BODY, BODY)
    fault = through_the_broker(block)
    assert fault is not None
    planner.fault(fault, 1.0)
    (again,) = planner.plan(peers, 1.0).requests
    assert (again.component, again.start, again.count) == (Component.HEADERS, 42, 1)
    assert again.peer not in senders
    plans.headers(planner, again, now=1.0)
    assert {request.component for request in planner.plan(peers, 1.0).requests} == set(BODIES)


def through_the_broker(message: object) -> Fault | None:
    record = poison.record_of(processes.topics())
    (topic,) = [each.name for each in processes.topics() if each.carries is type(message)]
    frames: Any = record(topic, codec.encode(message)[0], 3)
    return None if frames is None else codec.decode(Fault, frames)
