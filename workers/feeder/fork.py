"""Finds where the gateway's chain leaves the stored one. Each step is one question; no block is believed unsigned."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from starknet.block import RuleBroken, check_header
from starknet.felt import from_bytes
from starknet.wire.delimited import split
from starknet.wire.sync_pb2 import BlockHeadersResponse
from workers.feeder.block import PartMissing, fetch
from workers.feeder.client import BadAnswer, FeederError, Gateway
from workers.feeder.trouble import Trouble
from workers.log import fields, log
from workers.messages import RETREAT_BLOCKS_MAX, Fault
from workers.settings import Settings
from workers.store.reader import Reader


@dataclass(frozen=True)
class Common:
    """The last block that both chains have."""

    number: int
    block_hash: bytes


class ForkSearch:
    """Looks for a fork in a thread, at most for one at a time, and says in one line what it is."""

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway,
        reader: Reader,
        pool: ThreadPoolExecutor,
        trouble: Trouble,
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._reader = reader
        self._pool = pool
        self._trouble = trouble
        self._search: Future[Common | None] | None = None
        self._fault: Fault | None = None

    @property
    def under_way(self) -> bool:
        """Whether the gateway is being asked."""
        return self._search is not None

    def begin(self, head: int, fault: Fault | None = None) -> None:
        """Look where the gateway left the stored chain; ``fault`` is of the block that showed that it did."""
        if self._search is not None:
            return
        self._fault = fault
        self._reader.refresh()
        numbers = range(max(0, head - RETREAT_BLOCKS_MAX), head + 1)
        hashes = {number: self._reader.block_hash(number) for number in numbers}
        stored = {number: known for number, known in hashes.items() if known is not None}
        if stored:
            self._search = self._pool.submit(find_common, self._settings, self._gateway, stored)

    def found(self, head: int) -> Common | None:
        """Return, once, the block below ``head`` to go back to; None while there is none."""
        if self._search is None or not self._search.done():
            return None
        search, self._search = self._search, None
        try:
            common = search.result()
        except (FeederError, PartMissing) as error:
            self._tell(head, f"the gateway left our chain: {error}")
            return None
        if common is None:
            self._tell(
                head, f"the gateway shares none of our last {RETREAT_BLOCKS_MAX} blocks; staying"
            )
        elif common.number < head:
            log.warning(
                "The gateway left our chain: we follow",
                extra=fields(last_common=common.number, head=head),
            )
            return common
        elif self._fault is not None:
            self._trouble.lied(self._fault.start, self._fault.rule, self._fault.detail)
        return None

    def _tell(self, head: int, text: str) -> None:
        self._trouble.tell(head + 1, text, logging.ERROR)


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
