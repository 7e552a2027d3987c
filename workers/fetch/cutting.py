"""Cuts the answer of a peer into blocks by the counts that the headers gave; shared by the fetch stages."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from broker.codec import Body
from starknet.versions import rules_for
from workers.component import Component
from workers.errors import PeerFault
from workers.frames import frames
from workers.messages import (
    BlockPart,
    BodiesFetched,
    EventsReceived,
    HeaderInfo,
    TransactionsReceived,
)


def suspects(component: Component, version: str) -> tuple[Component, ...]:
    """Who may have lied when a part misses its header's count: before 0.13.2 the header is not bound either."""
    if component is Component.HEADERS or rules_for(version).receipts_in_hash:
        return (component,)
    return (Component.HEADERS, component)


def cut_by_weight(
    body: Body,
    component: Component,
    headers: Sequence[HeaderInfo],
    need: Callable[[HeaderInfo], int],
    weigh: Callable[[bytes, HeaderInfo], int],
) -> Iterator[tuple[HeaderInfo, Body]]:
    """Yield the part of each whole block: messages until their weights reach what its header states.

    Yields fewer blocks than ``headers`` where the peer ended at a block's border (``Fin``: it has no more).
    Raises ``PeerFault``: ``<component>.count`` for a message that crosses a border or comes after the last block,
    ``<component>.truncated`` where the answer ends inside a block.
    """
    parts = frames(body, headers[0].number, component)
    for header in headers:
        missing = need(header)
        begin = finish = -1
        while missing > 0:
            frame = next(parts, None)
            if frame is None:
                if begin < 0:
                    return
                raise PeerFault(
                    f"{component}.truncated",
                    header.number,
                    suspects(component, header.version),
                    f"{missing} missing of {need(header)}",
                )
            start, finish, payload = frame
            begin = start if begin < 0 else begin
            missing -= weigh(payload, header)
        if missing < 0:
            raise PeerFault(
                f"{component}.count",
                header.number,
                suspects(component, header.version),
                f"{-missing} more than {need(header)}",
            )
        yield header, Body(bytes(body[begin:finish]) if begin >= 0 else b"")
    if next(parts, None) is not None:
        last = headers[-1]
        raise PeerFault(
            f"{component}.count",
            last.number,
            suspects(component, last.version),
            "more than the headers of the range state",
        )


def cut_by_count(
    received: TransactionsReceived | EventsReceived,
    component: Component,
    need: Callable[[HeaderInfo], int],
) -> Iterator[BlockPart | BodiesFetched]:
    """Yield one part a block, of as many messages as its header states, then how many blocks the answer held.

    Raises ``PeerFault``.
    """
    blocks = list(cut_by_weight(received.body, component, received.headers, need, _one))
    for header, body in blocks:
        yield part_of(received, header, component, body)
    yield BodiesFetched(received.attempt, component, received.start, len(blocks), received.peer, ())


def part_of(received: Any, header: Any, component: Component, body: Body) -> BlockPart:
    """The part of the block that ``header`` (a HeaderInfo or ClassesWanted) names, as it was ``received``."""
    return BlockPart(
        received.attempt, header.number, header.block_hash, component, received.peer, body
    )


def _one(payload: bytes, header: HeaderInfo) -> int:
    return 1
