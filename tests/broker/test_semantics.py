"""One suite over both brokers: the one in memory is worth testing with only if it behaves like the real one."""

from contextlib import suppress
from typing import Any

import pytest

from broker import protocol
from broker.link import BrokerLost, Link, Refused
from broker.topic import Topic
from tests.broker.brokers import Broker, get, give
from tests.broker.samples import PARTS, RECORDS, WHOLES, WIDE, Part, Record, Whole, part


def test_the_lowest_block_is_handed_out_first(broker: Broker) -> None:
    with broker.link("source", gives=(WIDE,)) as source:
        give(source, *[part(number) for number in (7, 3, 9, 1, 3)])
        with broker.link("worker", takes=(WIDE,)) as worker:
            found = []
            for _ in range(5):
                delivery = get(worker)
                found.append(delivery.message.number)
                worker.done((delivery.ticket,))
    assert found == [1, 3, 3, 7, 9]


def test_messages_of_one_block_keep_their_order(broker: Broker) -> None:
    with broker.link("source", gives=(WIDE,)) as source:
        give(source, part(5, "a"), part(5, "b"), part(5, "c"))
        with broker.link("worker", takes=(WIDE,), credit=3) as worker:
            assert [get(worker).message.name for _ in range(3)] == ["a", "b", "c"]


def test_a_worker_holds_no_more_than_its_credit(broker: Broker) -> None:
    with broker.link("source", gives=(WIDE,)) as source:
        give(source, part(1), part(2), part(3))
        with broker.link("worker", takes=(WIDE,), credit=2) as worker:
            first, _second = get(worker), get(worker)
            assert worker.take(0.1) is None
            worker.done((first.ticket,))
            assert get(worker).message.number == 3


def test_done_credits_several_tickets_together(broker: Broker) -> None:
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("worker", takes=(WIDE,), gives=(WHOLES,), credit=3) as worker,
        broker.link("taker", takes=(WHOLES,)) as taker,
    ):
        give(source, part(1, "a"), part(1, "b"), part(1, "c"))
        held = [get(worker) for _ in range(3)]
        worker.done(
            [delivery.ticket for delivery in held],
            [Whole(1, tuple(delivery.message.name for delivery in held))],
        )
        assert get(taker).message == Whole(1, ("a", "b", "c"))
        assert worker.stats()["topics"]["wide"]["items"] == 0


def test_outputs_reach_the_topic_that_carries_their_type(broker: Broker) -> None:
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("worker", takes=(WIDE,), gives=(WHOLES, RECORDS)) as worker,
        broker.link("wholes", takes=(WHOLES,)) as wholes,
        broker.link("records", takes=(RECORDS,)) as records,
    ):
        give(source, part(4))
        worker.done((get(worker).ticket,), (Record(4, 1), Whole(4, ())))
        assert get(wholes).message == Whole(4, ())
        assert get(records).message == Record(4, 1)


def test_an_output_of_no_given_topic_is_refused_before_anything_is_sent(broker: Broker) -> None:
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("worker", takes=(WIDE,), gives=(WHOLES,)) as worker,
    ):
        give(source, part(4))
        ticket = get(worker).ticket
        with pytest.raises(TypeError, match="Record"):
            worker.done((ticket,), (Whole(4, ()), Record(4, 1)))
        assert worker.stats()["topics"]["wide"]["leased"] == 1
        assert worker.stats()["topics"]["wholes"]["items"] == 0


@pytest.mark.parametrize(
    ("size", "kept_max"),
    [(10, PARTS.items_max), (300, 3)],
    ids=["items", "bytes"],
)
def test_a_full_topic_refuses_its_source_until_there_is_room(
    broker: Broker, size: int, kept_max: int
) -> None:
    with broker.link("source", gives=(PARTS,)) as source:
        given = 0
        for _ in range(40):  # the topic's bound and the link's window
            if not source.give(part(given, size=size)):
                break
            given += 1
            source.flush(0.1)
        else:
            raise AssertionError("never full")
        assert source.stats()["topics"]["parts"]["items"] == kept_max

        with broker.link("worker", takes=(PARTS,)) as worker:
            found = []
            for _ in range(given):
                delivery = get(worker)
                found.append(delivery.message.number)
                worker.done((delivery.ticket,))
                assert worker.stats()["topics"]["parts"]["items"] <= kept_max
                source.take(0)
        assert found == list(range(given))
        assert source.give(part(given))
        assert source.flush(5)


def test_a_lower_block_that_was_refused_overtakes_what_waits(broker: Broker) -> None:
    with (
        broker.link("source", gives=(PARTS,)) as source,
        broker.link("worker", takes=(PARTS,)) as worker,
    ):
        give(source, *[part(number) for number in (7, 8, 9, 10)])
        assert source.give(part(1))
        assert not source.flush(0.2)
        found = []
        for _ in range(5):
            delivery = get(worker)
            found.append(delivery.message.number)
            worker.done((delivery.ticket,))
            source.flush(0.2)
    assert found.index(1) <= 2  # two were handed out, at most, before there was room
    assert sorted(found) == [1, 7, 8, 9, 10]


def test_leased_messages_count_towards_the_bound(broker: Broker) -> None:
    with (
        broker.link("source", gives=(PARTS,)) as source,
        broker.link("worker", takes=(PARTS,), credit=4) as worker,
    ):
        give(source, *[part(number) for number in range(4)])
        held = [get(worker) for _ in range(4)]
        assert source.give(part(4))  # the link's to keep, until there is room
        assert not source.flush(0.2)
        assert not source.give(part(5))
        worker.done([delivery.ticket for delivery in held])
        assert source.flush(5)


def test_take_returns_early_when_a_refused_gift_may_be_tried_again(broker: Broker) -> None:
    with (
        broker.link("source", gives=(PARTS,)) as source,
        broker.link("worker", takes=(PARTS,), credit=4) as worker,
    ):
        give(source, *[part(number) for number in range(4)])
        assert source.give(part(4))
        assert not source.flush(0.2)
        assert not source.give(part(5))
        worker.done([get(worker).ticket for _ in range(4)])
        assert source.take(60) is None
        assert source.give(part(5))


def test_a_message_larger_than_the_bound_passes_an_empty_topic(broker: Broker) -> None:
    with (
        broker.link("source", gives=(PARTS,)) as source,
        broker.link("worker", takes=(PARTS,)) as worker,
    ):
        give(source, part(1, size=PARTS.bytes_max + 1))
        assert len(get(worker).message.body) == PARTS.bytes_max + 1


def test_outputs_of_a_stage_are_kept_over_the_bound(broker: Broker) -> None:
    """Were they refused, two stages could wait for each other; the bound of the inputs bounds them."""
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("worker", takes=(WIDE,), gives=(WHOLES,)) as worker,
    ):
        give(source, part(1))
        outputs = [Whole(number, ()) for number in range(2 * WHOLES.items_max)]
        worker.done((get(worker).ticket,), outputs)
        assert worker.stats()["topics"]["wholes"]["items"] == len(outputs)


def test_a_dead_workers_message_goes_to_another(broker: Broker) -> None:
    with broker.link("source", gives=(WIDE,)) as source:
        give(source, part(1))
        dead = broker.link("dead", takes=(WIDE,))
        assert get(dead).deliveries == 1
        dead.abandon()
        with broker.link("heir", takes=(WIDE,)) as heir:
            assert (get(heir).message.number, source.stats()["poisoned"]) == (1, 0)


def test_a_clean_goodbye_returns_leases_and_blames_nobody(broker: Broker) -> None:
    with broker.link("source", gives=(WIDE,)) as source:
        give(source, part(1))
        for life in range(5):
            with broker.link("worker", takes=(WIDE,)) as worker:
                assert get(worker).deliveries == life + 1
        assert source.stats()["poisoned"] == 0
        assert source.stats()["topics"]["wide"] == {
            "items": 1,
            "leased": 0,
            "bytes": source.stats()["topics"]["wide"]["bytes"],
            "items_max": WIDE.items_max,
            "bytes_max": WIDE.bytes_max,
        }


def test_a_message_that_kills_three_workers_becomes_a_record(broker: Broker) -> None:
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("records", takes=(RECORDS,)) as records,
    ):
        give(source, part(9))
        for life in range(3):
            worker = broker.link(f"worker-{life}", takes=(WIDE,))
            assert get(worker).deliveries == life + 1
            worker.abandon()
        assert get(records).message == Record(9, 3)
        assert source.stats()["poisoned"] == 1
        assert source.stats()["topics"]["wide"]["items"] == 0


def test_of_many_leases_only_the_one_being_worked_on_is_blamed(broker: Broker) -> None:
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("records", takes=(RECORDS,)) as records,
    ):
        give(source, *[part(number) for number in range(5)])
        for life in range(3):
            worker = broker.link(f"worker-{life}", takes=(WIDE,), credit=5)
            assert [get(worker).message.number for _ in range(3)] == [0, 1, 2]
            worker.abandon()
        assert get(records).message == Record(2, 3)
        with broker.link("heir", takes=(WIDE,), credit=5) as heir:
            assert [get(heir).message.number for _ in range(4)] == [0, 1, 3, 4]


def test_a_death_between_two_messages_is_blamed_on_none_that_is_held(broker: Broker) -> None:
    with broker.link("source", gives=(WIDE,)) as source:
        give(source, part(1), part(2))
        for life in range(4):
            worker = broker.link(f"worker-{life}", takes=(WIDE,), credit=3)
            held, other = get(worker), get(worker)
            assert (held.message.number, other.message.number) == (1, 2 + life)
            worker.done((other.ticket,))
            worker.abandon()
            give(source, part(3 + life))
        assert source.stats()["poisoned"] == 0


def test_what_a_dead_worker_says_late_changes_nothing(broker: Broker) -> None:
    """Its message is another's by now, who finishes it with the same outputs."""
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("end", takes=(WHOLES,), credit=4) as end,
    ):
        give(source, part(1))
        late = broker.link("worker", takes=(WIDE,), gives=(WHOLES,))
        ticket = get(late).ticket
        with broker.link("worker", takes=(WIDE,), gives=(WHOLES,)) as heir:
            again = get(heir)
            with suppress(BrokerLost):
                late.done((ticket,), (Whole(1, ("late",)),))
            heir.done((again.ticket,), (Whole(1, ("heir",)),))
            assert get(end).message == Whole(1, ("heir",))
            assert end.take(0.1) is None
            assert source.stats()["topics"]["wide"]["items"] == 0
        late.close()


def test_a_new_worker_of_the_same_name_takes_the_place_of_the_old(broker: Broker) -> None:
    with broker.link("source", gives=(WIDE,)) as source:
        give(source, part(1))
        old = broker.link("worker", takes=(WIDE,))
        assert get(old).message.number == 1
        with broker.link("worker", takes=(WIDE,)) as new:
            delivery = get(new)
            assert delivery.deliveries == 2
            with pytest.raises(BrokerLost):
                finish_until_told(old)
            old.close()
            new.done((delivery.ticket,))


def test_a_message_asked_for_again_comes_later_and_blames_nobody(broker: Broker) -> None:
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("worker", takes=(WIDE,)) as worker,
    ):
        give(source, part(1), part(2))
        worker.again(get(worker).ticket, delay_s=0.3)
        other = get(worker)
        assert other.message.number == 2
        worker.done((other.ticket,))
        delivery = get(worker)
        assert (delivery.message.number, delivery.deliveries) == (1, 2)


def test_a_message_asked_for_again_without_end_is_set_aside(broker: Broker) -> None:
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("worker", takes=(WIDE,)) as worker,
        broker.link("records", takes=(RECORDS,)) as records,
    ):
        give(source, part(1))
        for _ in range(241):
            worker.again(get(worker).ticket, delay_s=0)
        assert get(records).message == Record(1, 241)


def test_topics_of_one_worker_take_turns(broker: Broker) -> None:
    topics: tuple[Topic[Any], ...] = (WIDE, WHOLES)
    with broker.link("source", gives=topics) as source:
        give(source, *[part(0) for _ in range(4)], *[Whole(100, ()) for _ in range(4)])
        with broker.link("worker", takes=topics) as worker:
            found = []
            for _ in range(8):
                delivery = get(worker)
                found.append(delivery.topic)
                worker.done((delivery.ticket,))
    assert found == ["wide", "wholes"] * 4


def test_workers_of_one_topic_share_it(broker: Broker) -> None:
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("one", takes=(WIDE,), credit=2) as one,
        broker.link("two", takes=(WIDE,), credit=2) as two,
    ):
        give(source, *[part(number) for number in range(4)])
        assert sorted(get(link).message.number for link in (one, two, one, two)) == [0, 1, 2, 3]


def test_stats_tell_of_topics_and_workers(broker: Broker) -> None:
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("worker", takes=(WIDE,)) as worker,
    ):
        give(source, part(1), part(2))
        get(worker)
        worker.status({"done": 3, "stage": "x"})
        found: dict[str, Any] = {}
        for _ in range(50):  # the status comes with the next heartbeat
            worker.take(0.1)
            found = source.stats()
            if found["workers"]["worker"]["status"]:
                break
        assert found["workers"]["worker"]["status"] == {"done": 3, "stage": "x"}
        assert found["workers"]["worker"]["leased"] == 1
        assert found["topics"]["wide"]["items"] == 2
        assert found["topics"]["wide"]["leased"] == 1
        assert found["poisoned"] == 0


def test_an_unknown_topic_is_refused_in_one_line(broker: Broker) -> None:
    with pytest.raises(Refused, match="no topic elsewhere"):
        broker.link("worker", takes=(Topic("elsewhere", Part, items_max=1, bytes_max=1),))


def test_a_worker_of_another_message_version_is_refused(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = protocol.MESSAGE_VERSION
    monkeypatch.setattr("broker.protocol.MESSAGE_VERSION", 99)
    with pytest.raises(Refused, match=f"message version 99 instead of {ours}"):
        broker.link("worker", takes=(WIDE,))


def test_many_messages_arrive_once_and_in_order(broker: Broker) -> None:
    count = 2000
    with (
        broker.link("source", gives=(WIDE,)) as source,
        broker.link("worker", takes=(WIDE,), gives=(WHOLES,), credit=8) as worker,
        broker.link("end", takes=(WHOLES,), credit=8) as end,
    ):
        given = 0
        found: list[int] = []
        while len(found) < count:
            while given < count and source.give(part(given)):
                given += 1
            step(worker)
            delivery = end.take(0)
            if delivery is not None:
                found.append(delivery.message.number)
                end.done((delivery.ticket,))
    assert found == list(range(count))


def step(worker: Link) -> None:
    delivery = worker.take(0)
    if delivery is not None:
        worker.done((delivery.ticket,), (Whole(delivery.message.number, ()),))


def finish_until_told(link: Link) -> None:
    """The broker's answer comes at this call or one of the next."""
    for _ in range(50):
        link.done((1,))
        link.take(0.1)
