"""The planner: unit tests of each decision, and a whole simulated node beside lying, failing and ending peers."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.p2p.support import block_hash
from workers.component import Component
from workers.messages import (
    BlockStored,
    BodiesFetched,
    ClassesReceived,
    ClassesWanted,
    Fault,
    HeaderInfo,
    HeadersFetched,
    HeadersReceived,
    StateDiffsReceived,
)
from workers.p2p import plan
from workers.p2p.plan import PeerState, Plan, Planner, Received, Request

GB = 1 << 30
FIRST = 1_000


def planner(
    head: int | None = None, memory: int = GB, seed: int = 0, first: int = FIRST
) -> Planner:
    known = None if head is None else (head, block_hash(head))
    return Planner(known, first, memory, random.Random(seed))


def infos(start: int, count: int) -> tuple[HeaderInfo, ...]:
    return tuple(
        HeaderInfo(n, block_hash(n), "0.13.4", 2, 2, 2) for n in range(start, start + count)
    )


def wanted(start: int, count: int, declared: bool = True) -> tuple[ClassesWanted, ...]:
    names = (b"\1" * 32,) if declared else ()
    return tuple(ClassesWanted(n, bytes(32), names, ()) for n in range(start, start + count))


def give(p: Planner, request: Request, size: int = 1000) -> Received:
    assert p.is_current(request)
    message = p.message(request, b"x" * size)
    p.given(request, size)
    return message


def headers(p: Planner, request: Request, count: int | None = None, now: float = 0.0) -> None:
    give(p, request)
    found = infos(request.start, request.count if count is None else count)
    p.headers_fetched(HeadersFetched(request.attempt, request.start, request.peer, found), now)


def bodies(
    p: Planner,
    request: Request,
    count: int | None = None,
    now: float = 0.0,
    declared: bool = True,
    size: int = 1000,
) -> None:
    give(p, request, size)
    n = request.count if count is None else count
    classes = (
        wanted(request.start, n, declared) if request.component is Component.STATE_DIFFS else ()
    )
    p.bodies_fetched(
        BodiesFetched(request.attempt, request.component, request.start, n, request.peer, classes),
        now,
    )


def by_component(made: Plan) -> dict[Component, Request]:
    return {request.component: request for request in made.requests}


ONE = [PeerState("a", 10_000)]
THREE = [PeerState(name, 10_000) for name in "abc"]


def test_an_answer_may_have_as_many_messages_as_the_headers_state() -> None:
    p = planner()
    first = p.plan(ONE, 0).requests[0]
    assert p.messages_max(first) == first.count
    give(p, first)
    found = [HeaderInfo(n, block_hash(n), "0.13.4", n, 10 * n, 100 * n) for n in range(4)]
    p.headers_fetched(HeadersFetched(first.attempt, 0, "a", tuple(found)), 0)
    asked = by_component(p.plan(ONE, 0))
    assert [asked[part].count for part in plan.BODIES] == [4, 4, 4]
    assert p.messages_max(asked[Component.TRANSACTIONS]) == 6
    assert p.messages_max(asked[Component.EVENTS]) == 60
    diffs = asked[Component.STATE_DIFFS]
    assert p.messages_max(diffs) == 600
    give(p, diffs)
    classes = tuple(ClassesWanted(n, bytes(32), (b"1",), (b"2", b"3")) for n in range(4))
    p.bodies_fetched(BodiesFetched(diffs.attempt, Component.STATE_DIFFS, 0, 4, "a", classes), 0)
    assert p.messages_max(by_component(p.plan(ONE, 0))[Component.CLASSES]) == 12
    # Nobody waits for these any more; who still answers with headers must not be blamed.
    assert (p.messages_max(diffs), p.messages_max(first)) == (0, first.count)


# ---- ranges and window ---------------------------------------------------------------------------------------


def test_the_first_request_is_the_headers_of_the_first_hundred_blocks() -> None:
    p = planner()
    made = p.plan(ONE, 0.0)
    assert made.opened == 1
    assert made.requests == (Request(FIRST, "a", Component.HEADERS, 0, 100),)
    message = give(p, made.requests[0])
    assert isinstance(message, HeadersReceived)
    assert message.parent_hash == bytes(32)
    assert message.count == 100


def test_ranges_and_window_are_as_long_as_the_plan_is_told() -> None:
    p = Planner(None, FIRST, GB, random.Random(0), range_blocks=3, window_blocks=6)
    starts = []
    for _ in range(5):
        made = by_component(p.plan(ONE, 0.0))
        if Component.HEADERS in made:
            starts.append((made[Component.HEADERS].start, made[Component.HEADERS].count))
            headers(p, made[Component.HEADERS])
    assert starts == [(0, 3), (3, 3)]


def test_headers_link_to_the_stored_head_and_then_to_the_last_verified_one() -> None:
    p = planner(head=41)
    (first,) = p.plan(ONE, 0.0).requests
    assert first.start == 42
    message = p.message(first, b"")
    assert isinstance(message, HeadersReceived)
    assert message.parent_hash == block_hash(41)
    headers(p, first)
    second = by_component(p.plan(ONE, 0.0))[Component.HEADERS]
    message = p.message(second, b"")
    assert isinstance(message, HeadersReceived)
    assert (message.start, message.parent_hash) == (142, block_hash(141))


def test_the_last_partial_range_is_exact() -> None:
    p = planner(head=3299)
    (request,) = p.plan([PeerState("a", 3344)], 0.0).requests
    assert (request.start, request.count) == (3300, 45)


def test_at_the_head_and_without_peers_nothing_is_asked() -> None:
    p = planner(head=99)
    assert p.plan([PeerState("a", 99), PeerState("b", 3)], 0.0) == Plan((), 0)
    assert p.plan([], 0.0) == Plan((), 0)
    assert p.is_idle


def test_the_window_ends_four_hundred_blocks_beyond_the_head_and_moves_with_it() -> None:
    p = planner()
    starts = []
    for _ in range(10):
        made = by_component(p.plan(ONE, 0.0))
        if Component.HEADERS not in made:
            break
        starts.append(made[Component.HEADERS].start)
        headers(p, made[Component.HEADERS])
    assert starts == [0, 100, 200, 300]
    p.stored(98, block_hash(98), 1.0)
    assert p.plan(ONE, 1.0).opened == 0
    p.stored(99, block_hash(99), 1.0)
    assert by_component(p.plan(ONE, 1.0))[Component.HEADERS].start == 400


def test_without_memory_the_lowest_block_alone_is_asked_for() -> None:
    p = planner(memory=1)
    (first,) = p.plan(THREE, 0.0).requests
    headers(p, first)
    made = p.plan(THREE, 0.0).requests
    assert {(r.component, r.start, r.count) for r in made} == {(part, 0, 1) for part in plan.BODIES}
    for request in made:
        bodies(p, request)
    (classes,) = p.plan(THREE, 0.0).requests
    assert (classes.component, classes.start, classes.count) == (Component.CLASSES, 0, 1)
    bodies(p, classes)
    assert p.plan(THREE, 0.0).requests == ()
    p.stored(0, block_hash(0), 1.0)
    assert {(r.start, r.count) for r in p.plan(THREE, 1.0).requests} == {(1, 1)}


def test_a_request_is_a_slice_of_the_memory_and_all_of_them_fit_it() -> None:
    memory = 16 * plan.SLICES * plan.BYTES_PER_BLOCK_GUESS
    p = planner(memory=memory)
    (first,) = p.plan(THREE, 0.0).requests
    headers(p, first)
    asked = [r for r in p.plan(THREE, 0.0).requests if r.component in plan.BODIES]
    assert max(r.count for r in asked) == 16
    assert memory * 0.9 < p.used_bytes <= memory
    assert {r.start for r in asked if r.component is Component.TRANSACTIONS} >= {0, 16, 32}


def test_bytes_count_until_the_last_block_of_their_answer_is_stored() -> None:
    p = planner(memory=GB)
    (first,) = p.plan([PeerState("a", 9)], 0.0).requests
    headers(p, first)
    for request in p.plan([PeerState("a", 9)], 0.0).requests:
        bodies(p, request, size=5000)
    p.stored(8, block_hash(8), 0.0)
    assert p.used_bytes >= 3 * 5000
    p.stored(9, block_hash(9), 0.0)
    assert p.used_bytes == 0


def test_only_the_answer_with_the_lowest_block_is_read_beyond_the_memory() -> None:
    memory = 16 * plan.SLICES * plan.BYTES_PER_BLOCK_GUESS
    p = planner(memory=memory)
    (first,) = p.plan(ONE, 0.0).requests
    headers(p, first)
    events = [r for r in p.plan(ONE, 0.0).requests if r.component is Component.EVENTS]
    lowest, higher = min(events, key=lambda r: r.start), max(events, key=lambda r: r.start)
    assert p.received(higher, 1000)
    assert not p.received(higher, memory)
    assert p.received(lowest, memory)
    p.failed(higher, 0.0)
    p.failed(lowest, 0.0)
    assert p.used_bytes <= memory


def test_requests_for_higher_blocks_never_keep_the_lowest_from_being_asked() -> None:
    p = planner(memory=1 << 29)
    made: list[Request] = []
    for _ in range(8):
        made += p.plan(ONE, 0.0).requests
        for request in [r for r in made if r.component is Component.HEADERS]:
            headers(p, request)
            made.remove(request)
    assert len(made) == plan.REQUESTS_PER_PEER_MAX
    lowest = next(r for r in made if r.component is Component.EVENTS and r.start == 0)
    p.failed(lowest, 0.0)
    assert len(p.plan(ONE, 0.0).requests) == 1  # the peer has no turn left
    again = [r for r in p.plan(ONE, 1.0).requests if r.start == 0]
    assert [r.component for r in again] == [Component.EVENTS]


# ---- components and peers ------------------------------------------------------------------------------------


def test_the_other_parts_are_asked_together_once_the_headers_hold() -> None:
    p = planner()
    (first,) = p.plan(THREE, 0.0).requests
    headers(p, first)
    made = by_component(p.plan(THREE, 0.0))
    assert set(made) == {*plan.BODIES, Component.HEADERS}
    message = p.message(made[Component.STATE_DIFFS], b"body")
    assert isinstance(message, StateDiffsReceived)
    assert message.headers == infos(0, 100)
    assert message.body == b"body"


def test_classes_are_asked_once_the_state_diffs_name_them() -> None:
    p = planner()
    (first,) = p.plan(THREE, 0.0).requests
    headers(p, first)
    bodies(p, by_component(p.plan(THREE, 0.0))[Component.STATE_DIFFS])
    request = by_component(p.plan(THREE, 0.0))[Component.CLASSES]
    assert not request.is_empty
    message = p.message(request, b"")
    assert isinstance(message, ClassesReceived)
    assert message.wanted == wanted(0, 100)


def test_where_no_class_is_wanted_nobody_is_asked() -> None:
    p = planner()
    (first,) = p.plan(ONE, 0.0).requests
    headers(p, first)
    bodies(p, by_component(p.plan(ONE, 0.0))[Component.STATE_DIFFS], declared=False)
    request = by_component(p.plan([], 0.0))[Component.CLASSES]
    assert request.is_empty
    assert request.peer == "a"


@given(seed=st.integers(0, 10_000), count=st.integers(2, 6))
def test_no_peer_gets_every_part_of_a_range_when_there_are_others(seed: int, count: int) -> None:
    p = planner(seed=seed)
    peers = [PeerState(f"p{n}", 10_000) for n in range(count)]
    (first,) = p.plan(peers, 0.0).requests
    headers(p, first)
    asked = [first.peer]
    made = by_component(p.plan(peers, 0.0))
    asked += [made[part].peer for part in plan.BODIES]
    bodies(p, made[Component.STATE_DIFFS])
    asked.append(by_component(p.plan(peers, 0.0))[Component.CLASSES].peer)
    assert max(Counter(asked).values()) <= -(-5 // count)


def test_a_peer_is_asked_only_for_what_it_has() -> None:
    p = planner()
    peers = [PeerState("short", 49), PeerState("long", 149)]
    (first,) = p.plan(peers, 0.0).requests
    assert (first.peer, first.count) == ("long", 100)
    headers(p, first)
    for request in p.plan(peers, 0.0).requests:
        assert request.start + request.count <= {"short": 50, "long": 150}[request.peer]


def test_where_only_short_peers_are_left_they_give_what_they_have_and_others_the_rest() -> None:
    p = planner()
    (first,) = p.plan(ONE, 0.0).requests
    headers(p, first)
    made = by_component(p.plan([PeerState("short", 29)], 0.0))
    assert (made[Component.EVENTS].start, made[Component.EVENTS].count) == (0, 30)
    rest = by_component(p.plan([PeerState("long", 500)], 0.0))
    assert (rest[Component.EVENTS].start, rest[Component.EVENTS].count) == (30, 70)


def test_attempts_grow_with_every_request() -> None:
    p = planner(first=7)
    (first,) = p.plan(ONE, 0.0).requests
    p.failed(first, 0.0)
    (second,) = p.plan(ONE, 60.0).requests
    assert (first.attempt, second.attempt) == (7, 8)


def test_requests_to_one_peer_are_bounded() -> None:
    p = planner()
    asked: list[Request] = []
    for _ in range(20):
        made = p.plan(ONE, 0.0).requests
        asked += made
        for request in made:
            if request.component is Component.HEADERS:
                headers(p, request)
    assert 0 < sum(p.is_current(r) for r in asked) <= plan.REQUESTS_PER_PEER_MAX


# ---- what fails ----------------------------------------------------------------------------------------------


def test_another_peer_is_asked_at_once_and_the_same_one_after_a_growing_while() -> None:
    p = planner()
    (first,) = p.plan(ONE, 0.0).requests
    p.failed(first, 0.0)
    assert not p.is_current(first)
    assert not p.plan(ONE, 0.1).requests
    (other,) = p.plan([*ONE, PeerState("b", 500)], 0.1).requests
    assert other.peer == "b"
    now, waits = 0.1, []
    request = other
    for _ in range(14):
        p.failed(request, now)
        failed_at = now
        while not (made := p.plan([PeerState("b", 500)], now).requests):
            now += 0.05
        (request,) = made
        waits.append(now - failed_at)
    assert waits[0] < waits[3] < waits[6]
    assert max(waits) <= plan.RETRY_SECONDS_MAX + 0.1


def test_a_range_too_big_is_halved_down_to_one_block() -> None:
    p = planner(memory=64 * GB)
    (first,) = p.plan(ONE, 0.0).requests
    headers(p, first)
    request = by_component(p.plan(ONE, 0.0))[Component.EVENTS]
    sizes = [request.count]
    while request.count > 1:
        p.too_big(request, 0.0)
        parts = [r for r in p.plan(ONE, 0.0).requests if r.component is Component.EVENTS]
        request = min(parts, key=lambda r: r.start)
        sizes.append(request.count)
    assert sizes == [100, 50, 25, 12, 6, 3, 1]
    p.too_big(request, 0.0)
    assert not [r for r in p.plan(ONE, 0.0).requests if r.start == 0]


def test_the_rest_of_a_short_answer_is_asked_of_another_peer() -> None:
    p = planner()
    (first,) = p.plan(ONE, 0.0).requests
    headers(p, first)
    request = by_component(p.plan(ONE, 0.0))[Component.TRANSACTIONS]
    bodies(p, request, count=60)
    peers = [PeerState("b", 500), *ONE]
    rest = next(r for r in p.plan(peers, 0.0).requests if r.component is Component.TRANSACTIONS)
    assert (rest.peer, rest.start, rest.count) == ("b", 60, 40)


def test_headers_that_end_early_shorten_the_range_and_the_next_one_follows_on() -> None:
    p = planner()
    (first,) = p.plan(ONE, 0.0).requests
    headers(p, first, count=30)
    made = by_component(p.plan(ONE, 0.0))
    assert (made[Component.EVENTS].start, made[Component.EVENTS].count) == (0, 30)
    assert (made[Component.HEADERS].start, made[Component.HEADERS].count) == (30, 100)


def test_an_answer_nobody_waits_for_any_more_is_not_current() -> None:
    p = planner()
    (first,) = p.plan(ONE, 0.0).requests
    p.stored(99, block_hash(99), 0.0)
    assert not p.is_current(first)
    p.failed(first, 0.0)
    p.given(first, 5)
    assert p.plan(ONE, 0.0).requests[0].start == 100


# ---- what broke a rule ---------------------------------------------------------------------------------------


def fault(request: Request, start: int, count: int = 1, attempt: int | None = None) -> Fault:
    number = request.attempt if attempt is None else attempt
    return Fault(number, start, count, (request.component,), (request.peer,), "some.rule", "")


def whole_range(
    p: Planner, peers: Sequence[PeerState], now: float = 0.0
) -> dict[Component, Request]:
    """Let all five parts of the lowest range through their fetch stages."""
    done: dict[Component, Request] = {}
    for _ in range(4):
        for request in p.plan(peers, now).requests:
            if request.start >= 100:
                continue
            done[request.component] = request
            if request.component is Component.HEADERS:
                headers(p, request, now=now)
            else:
                bodies(p, request, now=now)
    assert set(done) == set(Component)
    return done


def test_a_block_that_was_refused_later_comes_anew_with_all_five_parts_from_others() -> None:
    p = planner()
    peers = [PeerState("a", 99), PeerState("b", 99)]
    done = whole_range(p, peers)
    bad = done[Component.EVENTS]
    p.fault(fault(bad, 42, attempt=max(r.attempt for r in done.values())), 1.0)
    (again,) = p.plan(peers, 1.0).requests
    rest_of_answer = bad.start + bad.count - 42  # what came after the lie may be lies as well
    assert (again.component, again.start, again.count) == (Component.HEADERS, 42, rest_of_answer)
    assert again.peer != bad.peer
    message = p.message(again, b"")
    assert isinstance(message, HeadersReceived)
    assert message.parent_hash == block_hash(41)
    headers(p, again, now=1.0)
    made = p.plan(peers, 1.0).requests
    assert {r.component for r in made} == set(plan.BODIES)
    assert {(r.start, r.count) for r in made} == {(42, rest_of_answer)}
    assert min(r.attempt for r in made) > max(r.attempt for r in done.values())


def test_a_lie_before_one_that_is_repaired_is_repaired_up_to_there() -> None:
    p = planner()
    peers = [PeerState("a", 99), PeerState("b", 99)]
    done = whole_range(p, peers)
    newest = max(r.attempt for r in done.values())
    p.fault(fault(done[Component.EVENTS], 42, attempt=newest), 1.0)
    p.fault(fault(done[Component.EVENTS], 40, attempt=newest), 1.0)
    p.fault(fault(done[Component.EVENTS], 43, attempt=newest), 1.0)
    made = p.plan(peers, 1.0).requests
    assert sorted((r.start, r.start + r.count) for r in made) == [(40, 42), (42, 100)]


def test_the_same_fault_twice_makes_one_repair() -> None:
    p = planner()
    peers = [PeerState("a", 99), PeerState("b", 99)]
    done = whole_range(p, peers)
    newest = max(r.attempt for r in done.values())
    p.fault(fault(done[Component.EVENTS], 42, attempt=newest), 1.0)
    p.fault(fault(done[Component.CLASSES], 42, attempt=newest), 1.0)
    assert len(p.plan(peers, 1.0).requests) == 1


def test_a_repair_that_is_refused_again_waits_longer_each_time() -> None:
    p = planner()
    whole_range(p, [PeerState("a", 99)])
    now, waits = 0.0, []
    attempt = FIRST + 50
    for _ in range(8):
        p.fault(Fault(attempt, 7, 1, (Component.EVENTS,), ("a",), "rule", ""), now)
        began = now
        made: tuple[Request, ...] = ()
        while not (made := p.plan([PeerState("a", 99)], now).requests):
            now += 0.25
        waits.append(now - began)
        headers(p, made[0], now=now)
        finish = p.plan([PeerState("a", 99)], now).requests
        for request in finish:
            bodies(p, request, now=now)
        for request in p.plan([PeerState("a", 99)], now).requests:
            bodies(p, request, now=now)
            attempt = request.attempt
    assert waits == sorted(waits)
    assert waits[1] == 0, "another peer may well be honest"
    assert waits[-1] >= 8


def test_a_refused_answer_is_asked_of_another_peer_after_a_moment() -> None:
    p = planner()
    (first,) = p.plan(ONE, 0.0).requests
    headers(p, first)
    request = by_component(p.plan(ONE, 0.0))[Component.EVENTS]
    give(p, request)
    p.fault(fault(request, 5), 0.0)
    peers = [*ONE, PeerState("b", 500)]
    assert not [r for r in p.plan(peers, 0.1).requests if r.component is Component.EVENTS]
    again = next(r for r in p.plan(peers, 1.0).requests if r.component is Component.EVENTS)
    assert (again.peer, again.start, again.count) == ("b", 0, 100)


def test_a_second_refusal_of_the_same_part_brings_the_whole_block_anew() -> None:
    p = planner()
    (first,) = p.plan(ONE, 0.0).requests
    headers(p, first)
    now = 0.0
    for _ in range(2):
        made = p.plan(THREE, now).requests
        request = next(r for r in made if r.component is Component.EVENTS and r.start == 0)
        give(p, request)
        p.fault(fault(request, 5), now)
        now += 40.0
    made = p.plan(THREE, now).requests
    assert any((r.component, r.start, r.count) == (Component.HEADERS, 5, 1) for r in made)


def test_a_fault_that_overtakes_the_news_of_the_cut_repairs_the_block_and_asks_nothing_twice() -> (
    None
):
    p = planner()
    (first,) = p.plan(ONE, 0.0).requests
    headers(p, first)
    request = by_component(p.plan([PeerState("a", 99)], 0.0))[Component.EVENTS]
    give(p, request)
    p.fault(fault(request, 5), 0.0)
    p.bodies_fetched(BodiesFetched(request.attempt, Component.EVENTS, 0, 100, "a", ()), 0.1)
    made = p.plan([PeerState("a", 99), PeerState("b", 99)], 2.0).requests
    assert [(r.component, r.start) for r in made] == [(Component.HEADERS, 5)]


def test_faults_of_stored_and_of_unknown_blocks_change_nothing() -> None:
    p = planner()
    done = whole_range(p, [PeerState("a", 99)])
    p.stored(99, block_hash(99), 0.0)
    for start in (5, 99, 100, 5000):
        p.fault(fault(done[Component.EVENTS], start, attempt=FIRST + 99), 0.0)
    assert p.is_idle


def test_a_head_that_was_read_before_a_retreat_moves_nothing() -> None:
    p = planner()
    whole_range(p, [PeerState("a", 99)])
    began = p.new_attempt()
    p.retreat(40, b"\xaa" * 32)
    p.block_stored(BlockStored(began, 60, block_hash(60)), 1.0)
    assert p.base == 41
    p.block_stored(BlockStored(p.new_attempt(), 41, b"\xbb" * 32), 2.0)
    assert p.base == 42


def test_a_repaired_header_with_another_hash_drops_what_followed() -> None:
    p = planner()
    whole_range(p, [PeerState("a", 99)])
    p.fault(Fault(FIRST + 90, 50, 1, (Component.HEADERS,), ("a",), "rule", ""), 0.0)
    (again,) = p.plan([PeerState("b", 99)], 0.0).requests
    give(p, again)
    other = HeaderInfo(50, b"\xee" * 32, "0.13.4", 0, 0, 0)
    p.headers_fetched(HeadersFetched(again.attempt, 50, "b", (other,)), 0.0)
    assert p.frontier == 51
    request = next(r for r in p.plan([PeerState("b", 99)], 0.0).requests if r.start == 51)
    message = p.message(request, b"")
    assert isinstance(message, HeadersReceived)
    assert message.parent_hash == b"\xee" * 32


def test_what_a_repair_did_not_get_is_repaired_by_another_peer() -> None:
    p = planner()
    peers = [PeerState("a", 99), PeerState("b", 99)]
    whole_range(p, peers)
    p.fault(Fault(FIRST + 90, 20, 10, (Component.EVENTS,), ("c",), "rule", ""), 0.0)
    (again,) = p.plan(peers, 0.0).requests
    assert (again.start, again.count) == (20, 10)
    headers(p, again, count=4)
    rest = by_component(p.plan(peers, 0.0))[Component.HEADERS]
    assert (rest.start, rest.count) == (24, 6)
    assert rest.peer != again.peer
    message = p.message(rest, b"")
    assert isinstance(message, HeadersReceived)
    assert message.parent_hash == block_hash(23)


def test_a_short_peer_repairs_what_it_has_and_another_the_rest() -> None:
    p = planner()
    whole_range(p, [PeerState("a", 99)])
    p.fault(Fault(FIRST + 90, 20, 10, (Component.EVENTS,), ("c",), "rule", ""), 0.0)
    (first,) = p.plan([PeerState("short", 24)], 0.0).requests
    assert (first.start, first.count) == (20, 5)
    (rest,) = p.plan([PeerState("a", 99)], 0.0).requests
    assert (rest.start, rest.count) == (25, 5)


# ---- stuck ---------------------------------------------------------------------------------------------------


def test_a_head_that_does_not_move_is_explained_by_the_peers_that_do_not_answer() -> None:
    p = planner()
    p.plan(ONE, 0.0)
    assert p.watch(29.0) is None
    stuck = p.watch(31.0)
    assert stuck is not None
    assert (stuck.number, stuck.action) == (0, "none")
    assert "headers (asked)" in stuck.waits_for
    assert p.watch(40.0) is None


def test_parts_lost_inside_the_node_are_fetched_anew_first_the_lowest_range_then_all() -> None:
    p = planner()
    peers = [PeerState("a", 99)]
    whole_range(p, peers)
    stuck = p.watch(31.0)
    assert stuck is not None
    assert "lowest range" in stuck.action
    (again,) = p.plan(peers, 31.0).requests
    assert (again.component, again.start, again.count) == (Component.HEADERS, 0, 100)
    headers(p, again)
    for _ in range(2):
        for request in p.plan(peers, 31.0).requests:
            bodies(p, request)
    stuck = p.watch(95.0)
    assert stuck is not None
    assert "window" in stuck.action
    assert p.plan(peers, 95.0).requests[0].start == 0


def test_nothing_is_stuck_while_nothing_is_under_way() -> None:
    p = planner(head=99)
    assert p.watch(1000.0) is None
    p.plan([PeerState("a", 150)], 1000.0)
    assert p.watch(1029.0) is None


# ---- the whole loop ------------------------------------------------------------------------------------------


class World:
    """A node's stages and its peers, simulated: peers fail, end early and lie; news comes in any order."""

    def __init__(self, seed: int, length: int, memory: int) -> None:
        self.rng = random.Random(seed)
        self.planner = planner(memory=memory, seed=seed)
        self.length = length
        self.now = 0.0
        self.base = 0
        self.peers = [PeerState(f"p{n}", length - 1 - n * self.rng.randrange(60)) for n in range(4)]
        self.liars = {"p1"} if self.rng.random() < 0.5 else set()
        self.news: list[HeadersFetched | BodiesFetched | Fault] = []
        self.parts: dict[int, dict[Component, tuple[int, str, bool]]] = defaultdict(dict)
        self.verified: set[int] = set()

    def step(self) -> None:
        self.now += 0.5
        made = self.planner.plan(self.peers, self.now)
        for request in made.requests:
            assert request.count <= 100
            assert request.start + request.count <= self.base + plan.WINDOW_BLOCKS
            self.answer(request)
        self.rng.shuffle(self.news)
        for _ in range(self.rng.randrange(len(self.news) + 1)):
            self.tell(self.news.pop())
        while self.base in self.verified:
            self.planner.stored(self.base, block_hash(self.base), self.now)
            self.base += 1

    def tell(self, message: HeadersFetched | BodiesFetched | Fault) -> None:
        match message:
            case HeadersFetched():
                self.planner.headers_fetched(message, self.now)
            case BodiesFetched():
                self.planner.bodies_fetched(message, self.now)
            case Fault():
                self.planner.fault(message, self.now)

    def answer(self, request: Request) -> None:
        luck = self.rng.random()
        if luck < 0.1 and not request.is_empty:
            self.planner.failed(request, self.now)
            return
        if luck < 0.15 and not request.is_empty:
            self.planner.too_big(request, self.now)
            return
        message = give(self.planner, request, request.count * 2000)
        count = request.count if luck < 0.9 else self.rng.randrange(request.count + 1)
        lies = request.peer in self.liars and self.rng.random() < 0.3
        if lies and self.rng.random() < 0.5 and not request.is_empty:
            number = request.start + self.rng.randrange(request.count)
            self.news.append(fault(request, number))
            return
        for number in range(request.start, request.start + count):
            self.part(number, request, good=not (lies and number == request.start))
        if isinstance(message, HeadersReceived):
            found = infos(request.start, count)
            self.news.append(HeadersFetched(request.attempt, request.start, request.peer, found))
            return
        classes: tuple[ClassesWanted, ...] = ()
        if request.component is Component.STATE_DIFFS:
            classes = wanted(request.start, count, declared=request.start % 200 == 0)
        self.news.append(
            BodiesFetched(
                request.attempt, request.component, request.start, count, request.peer, classes
            )
        )

    def part(self, number: int, request: Request, good: bool) -> None:
        held = self.parts[number]
        if held.get(request.component, (0, "", True))[0] > request.attempt:
            return
        held[request.component] = (request.attempt, request.peer, good)
        if len(held) < len(Component):
            return
        del self.parts[number]
        bad = [(part, peer) for part, (_, peer, fine) in held.items() if not fine]
        if not bad:
            self.verified.add(number)
            return
        newest = max(attempt for attempt, _, _ in held.values())
        names, peers = zip(*bad, strict=True)
        self.news.append(Fault(newest, number, 1, names, peers, "some.rule", ""))


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 1 << 32), length=st.integers(1, 700))
def test_every_chain_is_synced_whole_beside_failing_and_lying_peers(seed: int, length: int) -> None:
    world = World(seed, length, memory=GB)
    for _ in range(8_000):
        if world.base == length:
            break
        world.step()
    assert world.base == length
    world.step()
    assert world.planner.is_idle


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_every_chain_is_synced_whole_with_hardly_any_memory(seed: int) -> None:
    world = World(seed, 350, memory=1)
    for _ in range(8_000):
        if world.base == 350:
            break
        world.step()
    assert world.base == 350
