"""The fetch stages cut one answer into parts of single blocks, and name the rule that a false answer breaks."""

from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.message import Message

from broker.codec import Body
from starknet.commitments import read_state_diff, state_diff_commitment
from starknet.felt import to_bytes32
from starknet.network import Network
from starknet.wire.delimited import join
from starknet.wire.sync_pb2 import (
    Address,
    Class,
    ClassesResponse,
    ContractDiff,
    ContractStoredValue,
    DeclaredClass,
    Event,
    EventsResponse,
    Felt252,
    Fin,
    Hash,
    StateDiffsResponse,
    TransactionsResponse,
    TransactionWithReceipt,
)
from tests.settings import settings_of
from workers import fetch
from workers.component import Component
from workers.errors import PeerFault
from workers.frames import EVENTS, carried
from workers.messages import (
    BlockPart,
    BodiesFetched,
    ClassesReceived,
    ClassesWanted,
    EventsReceived,
    HeaderInfo,
    StateDiffsReceived,
    TransactionsReceived,
)

SETTINGS = settings_of(
    Network("devnet", "SN_TEST", "", "", 1, "0x1", None), Path("unused"), memory_bytes=1 << 20
)


def info(
    number: int, transactions: int = 0, events: int = 0, diff: int = 0, version: str = "0.13.4"
) -> HeaderInfo:
    return HeaderInfo(number, bytes([number]) * 32, version, transactions, events, diff)


def body(*messages: Message) -> Body:
    return Body(join(messages))


def event(name: int) -> EventsResponse:
    return EventsResponse(event=Event(from_address=Felt252(elements=bytes([name]))))


def events_received(headers: list[HeaderInfo], *messages: Message) -> EventsReceived:
    return EventsReceived(5, headers[0].number, "peer", tuple(headers), body(*messages))


def cut_events(headers: list[HeaderInfo], *messages: Message) -> list[BlockPart | BodiesFetched]:
    return list(fetch.events.cut(SETTINGS, events_received(headers, *messages)))


def test_events_go_to_their_blocks_by_the_headers_counts() -> None:
    sent = [event(n) for n in range(1, 6)]
    outputs = cut_events([info(10, events=2), info(11), info(12, events=3)], *sent)
    assert outputs == [
        BlockPart(5, 10, bytes([10]) * 32, Component.EVENTS, "peer", body(*sent[:2])),
        BlockPart(5, 11, bytes([11]) * 32, Component.EVENTS, "peer", Body(b"")),
        BlockPart(5, 12, bytes([12]) * 32, Component.EVENTS, "peer", body(*sent[2:])),
        BodiesFetched(5, Component.EVENTS, 10, 3, "peer", ()),
    ]


def test_an_answer_that_ends_at_a_border_gives_the_blocks_before_it() -> None:
    outputs = cut_events([info(10, events=1), info(11, events=1)], event(1))
    assert outputs[-1] == BodiesFetched(5, Component.EVENTS, 10, 1, "peer", ())
    assert len(outputs) == 2


@pytest.mark.parametrize(
    ("count", "rule"), [(1, "events.truncated"), (3, "events.count"), (50, "events.count")]
)
def test_too_few_or_too_many_events_are_their_senders_fault(count: int, rule: str) -> None:
    with pytest.raises(PeerFault) as caught:
        cut_events([info(10, events=2)], *[event(1)] * count)
    assert (caught.value.rule, caught.value.number) == (rule, 10)
    assert caught.value.guilty == (Component.EVENTS,)


def test_before_0_13_2_a_wrong_count_may_be_the_headers_lie_as_well() -> None:
    with pytest.raises(PeerFault) as caught:
        cut_events([info(10, events=2, version="0.12.3")], event(1))
    assert caught.value.guilty == (Component.HEADERS, Component.EVENTS)


def test_a_broken_length_is_malformed() -> None:
    received = EventsReceived(5, 10, "peer", (info(10, events=1),), Body(b"\xff\xff\xff"))
    with pytest.raises(PeerFault, match=r"events\.malformed"):
        list(fetch.events.cut(SETTINGS, received))


@pytest.mark.parametrize("message", [b"\x0a\x05cut", b"\x0b\x0c", b"\x0a\x00\x0a\x00"])
def test_a_message_that_verify_cannot_read_is_malformed(message: bytes) -> None:
    with pytest.raises(PeerFault, match=r"events\.malformed"):
        carried(EVENTS, "event", Body(join([message])), 10, Component.EVENTS)


def test_transactions_are_cut_by_their_own_count() -> None:
    sent = [TransactionsResponse(transaction_with_receipt=TransactionWithReceipt())] * 3
    received = TransactionsReceived(
        5, 1, "peer", (info(1, transactions=1, events=9), info(2, transactions=2)), body(*sent)
    )
    outputs = list(fetch.transactions.cut(SETTINGS, received))
    assert [len(out.body) for out in outputs if isinstance(out, BlockPart)] == [
        len(body(sent[0])),
        len(body(*sent[1:])),
    ]


def contract(
    address: int, values: int = 0, class_hash: int | None = None, nonce: bool = False
) -> StateDiffsResponse:
    diff = ContractDiff(address=Address(elements=bytes([address])))
    diff.values.extend(
        [ContractStoredValue(key=Felt252(elements=b"\1"), value=Felt252(elements=b"\1"))] * values
    )
    if class_hash is not None:
        diff.class_hash.CopyFrom(Hash(elements=bytes([class_hash])))
    if nonce:
        diff.nonce.CopyFrom(Felt252(elements=b"\1"))
    return StateDiffsResponse(contract_diff=diff)


def declared(name: int) -> StateDiffsResponse:
    return StateDiffsResponse(declared_class=DeclaredClass(class_hash=Hash(elements=bytes([name]))))


def cut_diffs(headers: list[HeaderInfo], *messages: Message) -> list[BlockPart | BodiesFetched]:
    received = StateDiffsReceived(5, headers[0].number, "peer", tuple(headers), body(*messages))
    return list(fetch.state_diffs.cut(SETTINGS, received))


def felt(name: int) -> bytes:
    return bytes([name]).rjust(32, b"\0")


def test_state_diffs_count_values_nonces_class_hashes_and_declarations() -> None:
    sent = [contract(1, values=2, nonce=True), declared(7), contract(2, values=1, class_hash=9)]
    outputs = cut_diffs([info(1, diff=4), info(2, diff=2)], *sent)
    assert [out.body for out in outputs if isinstance(out, BlockPart)] == [
        body(*sent[:2]),
        body(sent[2]),
    ]
    assert outputs[-1] == BodiesFetched(
        5,
        Component.STATE_DIFFS,
        1,
        2,
        "peer",
        (
            ClassesWanted(1, bytes([1]) * 32, (felt(7),), ()),
            ClassesWanted(2, bytes([2]) * 32, (), (felt(9),)),
        ),
    )


def test_from_0_14_1_a_declared_class_may_be_an_old_one_with_a_new_compiled_hash() -> None:
    outputs = cut_diffs([info(1, diff=1, version="0.14.1")], declared(7))
    (fetched,) = [out for out in outputs if isinstance(out, BodiesFetched)]
    assert fetched.classes == (ClassesWanted(1, bytes([1]) * 32, (), (felt(7),)),)


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (contract(1), "state_diffs.empty"),
        (contract(1, values=3), "state_diffs.count"),
        (StateDiffsResponse(fin=Fin()), "state_diffs.field"),
        (
            StateDiffsResponse(declared_class=DeclaredClass(class_hash=Hash(elements=b"1" * 33))),
            "state_diffs.felt",
        ),
    ],
)
def test_a_false_state_diff_is_named_by_rule(message: StateDiffsResponse, rule: str) -> None:
    need = 1 if rule == "state_diffs.felt" else 2
    with pytest.raises(PeerFault) as caught:
        cut_diffs([info(1, diff=need)], message)
    assert caught.value.rule == rule


def test_a_state_diff_that_its_header_does_not_commit_to_names_no_classes() -> None:
    """Who is asked for the classes that a false diff names would be blamed for not having them."""
    true, false = contract(1, class_hash=9), contract(1, class_hash=8)
    header = replace(
        info(1, diff=1),
        state_diff_commitment=to_bytes32(state_diff_commitment(read_state_diff([true]))),
    )
    assert len(cut_diffs([header], true)) == 2
    with pytest.raises(PeerFault) as caught:
        cut_diffs([header], false)
    assert caught.value.rule == "header.state_diff_commitment.root"
    assert caught.value.guilty == (Component.STATE_DIFFS,)


def test_a_commitment_that_the_block_hash_does_not_bind_is_not_looked_at() -> None:
    assert len(cut_diffs([info(1, diff=1, version="0.13.1")], contract(1, class_hash=8))) == 2


def a_class(name: int) -> ClassesResponse:
    response = ClassesResponse()
    getattr(response, "class").CopyFrom(Class(class_hash=Hash(elements=bytes([name]))))
    return response


def cut_classes(wanted: list[ClassesWanted], *messages: Message) -> list[BlockPart | BodiesFetched]:
    return list(
        fetch.classes.cut(SETTINGS, ClassesReceived(5, 1, "peer", tuple(wanted), body(*messages)))
    )


def test_classes_go_to_the_block_that_brings_them() -> None:
    wanted = [
        ClassesWanted(1, bytes([1]) * 32, (felt(1), felt(2)), ()),
        ClassesWanted(2, bytes([2]) * 32, (), (felt(9),)),
        ClassesWanted(3, bytes([3]) * 32, (felt(3),), (felt(8),)),
    ]
    outputs = cut_classes(wanted, a_class(2), a_class(1), a_class(8), a_class(3))
    assert [out.body for out in outputs if isinstance(out, BlockPart)] == [
        body(a_class(2), a_class(1)),
        Body(b""),
        body(a_class(8), a_class(3)),
    ]
    assert outputs[-1] == BodiesFetched(5, Component.CLASSES, 1, 3, "peer", ())


def test_classes_that_end_early_give_the_whole_blocks_before() -> None:
    wanted = [
        ClassesWanted(1, bytes([1]) * 32, (felt(1),), ()),
        ClassesWanted(2, bytes([2]) * 32, (felt(2),), ()),
    ]
    assert cut_classes(wanted, a_class(1))[-1] == BodiesFetched(
        5, Component.CLASSES, 1, 1, "peer", ()
    )


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        ([5], "classes.extra"),
        ([1, 1], "classes.extra"),
        ([3], "classes.missing"),
        ([1, 2, 3, 4], "classes.extra"),
    ],
)
def test_false_classes_are_named_by_rule(names: list[int], rule: str) -> None:
    wanted = [
        ClassesWanted(1, bytes([1]) * 32, (felt(1), felt(2)), ()),
        ClassesWanted(2, bytes([2]) * 32, (felt(3),), ()),
    ]
    with pytest.raises(PeerFault) as caught:
        cut_classes(wanted, *map(a_class, names))
    assert caught.value.rule == rule
    assert caught.value.guilty == (Component.CLASSES,)


def test_a_block_left_half_by_the_end_of_the_answer_is_missing_a_class() -> None:
    wanted = [ClassesWanted(1, bytes([1]) * 32, (felt(1), felt(2)), ())]
    with pytest.raises(PeerFault, match=r"classes\.missing"):
        cut_classes(wanted, a_class(1))
