"""Finds where the gateway's chain leaves the stored one. Each step is one question; no block is believed unsigned."""

from collections.abc import Mapping
from dataclasses import dataclass

from starknet.block import RuleBroken, check_header
from starknet.felt import from_bytes
from starknet.wire.delimited import split
from starknet.wire.sync_pb2 import BlockHeadersResponse
from workers.feeder.block import fetch
from workers.feeder.client import BadAnswer, Gateway
from workers.settings import Settings


@dataclass(frozen=True)
class Common:
    """The last block that both chains have."""

    number: int
    block_hash: bytes


def find_common(settings: Settings, gateway: Gateway, stored: Mapping[int, bytes]) -> Common | None:
    """Return the highest of the ``stored`` blocks (hash by number) that the gateway has too; None if it has none.

    Raises BadAnswer where the block that follows there is not signed, and what the gateway's client raises.
    """

    def shared(number: int) -> bool:
        return gateway.block_hash(number) == stored[number]

    head, floor = max(stored), min(stored)
    low, step = head, 1  # gallop down to a block that both have …
    while low > floor and not shared(low):
        low = max(floor, low - step)
        step *= 2
    if not shared(low):
        return None
    high = head + 1
    while high - low > 1:  # … then bisect up to the last one
        middle = (low + high) // 2
        low, high = (middle, high) if shared(middle) else (low, middle)
    if low < head:
        _require_signed(settings, gateway, low + 1, stored[low])
    return Common(low, stored[low])


def _require_signed(settings: Settings, gateway: Gateway, number: int, parent: bytes) -> None:
    fetched = fetch(gateway, number)
    if fetched is None:
        raise BadAnswer(f"block {number}: gone again")
    (payload,) = split(fetched.header, len(fetched.header))
    header = BlockHeadersResponse.FromString(bytes(payload)).header
    try:
        check_header(settings.network, settings.public_key, header, from_bytes(parent))
    except RuleBroken as broken:
        raise BadAnswer(f"block {number}: {broken.rule}: {broken.detail}") from broken
