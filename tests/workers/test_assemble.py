"""assemble hands on whole blocks only, keeps the newest part, and finishes a part with its block."""

from hypothesis import given
from hypothesis import strategies as st

from broker.codec import Body
from workers.assemble import BEHIND_MAX, Assembler
from workers.component import Component
from workers.messages import BlockAssembled, BlockPart
from workers.stage import Finished


def part(
    number: int,
    component: Component,
    attempt: int = 1,
    peer: str = "p",
    block_hash: bytes = b"ours",
) -> BlockPart:
    body = Body(f"{component}-{number}-{attempt}".encode())
    return BlockPart(attempt, number, block_hash, component, peer, body)


def feed(stage: Assembler, *parts: BlockPart) -> list[Finished]:
    return [done for ticket, message in enumerate(parts) for done in stage.take(ticket, message)]


def blocks(finished: list[Finished]) -> list[BlockAssembled]:
    return [
        output for done in finished for output in done.outputs if isinstance(output, BlockAssembled)
    ]


def test_four_parts_are_held_and_the_fifth_gives_the_block() -> None:
    stage = Assembler()
    parts = [part(7, component, peer=f"peer-{component}") for component in Component]
    assert feed(stage, *parts[:4]) == []
    (done,) = stage.take(4, parts[4])
    assert sorted(done.tickets) == [0, 1, 2, 3, 4]
    (block,) = blocks([done])
    assert block.peers == tuple(f"peer-{component}" for component in Component)
    assert (block.header, block.events) == (parts[0].body, parts[4].body)


@given(st.permutations([(number, component) for number in range(4) for component in Component]))
def test_any_order_gives_every_block_once(order: list[tuple[int, Component]]) -> None:
    finished = feed(Assembler(), *(part(number, component) for number, component in order))
    assert sorted(block.number for block in blocks(finished)) == [0, 1, 2, 3]
    tickets = [ticket for done in finished for ticket in done.tickets]
    assert sorted(tickets) == list(range(20))


def test_parts_of_two_blocks_of_one_number_are_never_joined() -> None:
    stage = Assembler()
    ours = [part(7, component, attempt=1) for component in Component]
    theirs = [part(7, component, attempt=2, block_hash=b"theirs") for component in Component]
    assert feed(stage, *ours[:4]) == []
    assert list(stage.take(10, theirs[4])) == [Finished((0, 1, 2, 3))]
    assert list(stage.take(11, ours[4])) == [Finished((11,))], "the older block is given up"
    (block,) = blocks(
        [done for i, message in enumerate(theirs[:4]) for done in stage.take(20 + i, message)]
    )
    assert block.header == theirs[0].body
    assert block.attempt == 2


def test_a_part_fetched_again_replaces_the_older_one_and_an_older_one_is_dropped() -> None:
    stage = Assembler()
    first, again = part(1, Component.EVENTS, attempt=1), part(1, Component.EVENTS, attempt=2)
    assert feed(stage, first) == []
    assert list(stage.take(10, again)) == [Finished((0,))]
    assert list(stage.take(11, first)) == [Finished((11,))]
    rest = [part(1, component) for component in Component if component is not Component.EVENTS]
    (block,) = blocks(
        [done for i, message in enumerate(rest) for done in stage.take(20 + i, message)]
    )
    assert block.events == again.body
    assert block.attempt == 2


def test_parts_far_behind_the_window_are_let_go() -> None:
    stage = Assembler()
    assert feed(stage, part(0, Component.EVENTS)) == []
    assert list(stage.take(1, part(BEHIND_MAX + 1, Component.EVENTS))) == [Finished((0,))]
    assert list(stage.take(2, part(0, Component.EVENTS))) == [Finished((2,))]
