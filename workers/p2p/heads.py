"""Finds the highest block of a peer in three questions at most: samples of its headers, ever closer to each other.

A claim is worth what can be checked of it: the highest header that came must be what the sequencer signed.
"""

from collections.abc import Awaitable, Callable

from broker.codec import Body
from starknet.block import RuleBroken, check_header
from starknet.network import Network
from starknet.wire.sync_pb2 import BlockHeadersResponse
from workers.component import Component
from workers.errors import PeerFault
from workers.frames import decode_all
from workers.p2p.protocols import Range
from workers.p2p.streams import BadAnswer

SAMPLES = ((1 << 14, 256), (1 << 7, 128), (1, 127))
"""(step, headers asked for): each question fills the gaps of the one before, the first one four million blocks."""

HeadersIn = Callable[[Range], Awaitable[int]]
"""How many headers of a range a peer has, counted from its start."""


async def find_head(headers_in: HeadersIn, known: int) -> int:
    """Return the highest number that the peer has, given that it has (or need not have) ``known``.

    Takes one question where nothing is new, three at most. Of a peer that is further away than the first question
    reaches, a head on the way is returned.
    """
    low = known
    for step, limit in SAMPLES:
        count = await headers_in(Range(low + 1, limit, step))
        if count == 0:
            break
        low += 1 + (count - 1) * step
    return low


def count_headers(network: Network, key: int | None, wanted: Range, body: bytes) -> int:
    """Return how many headers an answer holds, of which the last is checked; without a key only its number is.

    Raises ``BadAnswer`` with the rule that it broke.
    """
    assert isinstance(wanted.start, int)
    try:
        messages = decode_all(BlockHeadersResponse, Body(body), wanted.start, Component.HEADERS)
    except PeerFault as fault:
        raise BadAnswer(fault.rule, fault.detail) from fault
    if len(messages) > wanted.limit:
        raise BadAnswer("headers.count", f"{len(messages)}, {wanted.limit} asked for")
    for index, message in enumerate(messages):
        number = wanted.start + index * wanted.step
        if message.header.number != number:
            raise BadAnswer("headers.number", f"got {message.header.number}, not {number}")
    if messages and key is not None:
        try:
            check_header(network, key, messages[-1].header)
        except RuleBroken as broken:
            raise BadAnswer(broken.rule, broken.detail) from broken
    return len(messages)
