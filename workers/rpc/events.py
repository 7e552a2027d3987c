"""Events by filter, page by page. The store's index says which blocks may have some; only those are read."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from starknet.wire.rows import Row
from workers.rpc import receipts
from workers.rpc.errors import (
    invalid_continuation_token,
    invalid_params,
    page_size_too_big,
    too_many_keys,
)
from workers.rpc.felts import FELT_BYTES, hex_of
from workers.rpc.params import BlockId, BlockNumber, block_id, felt_bytes, list_of, natural
from workers.rpc.view import LAST, View
from workers.store.reader import Reader
from workers.store.schema import EVENT_KEYS_INDEXED

Json = dict[str, Any]
Groups = tuple[
    tuple[int, frozenset[bytes]], ...
]  # the place of a felt (0 the sender, n the n-th key), its values

CHUNK_MAX = 10_240
KEYS_MAX = 1024
ITEMS_MAX = 1 << 20
PAGE_SECONDS = 0.3  # a page that takes longer ends early, with a token to go on from
_TOKEN = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


@dataclass(frozen=True)
class Filter:
    """What is looked for: events that have one of its values in the place of each group."""

    first: BlockId | None
    last: BlockId | None
    groups: Groups
    keys: int  # in all groups but the sender's
    chunk: int
    token: str | None


def read_filter(value: Any) -> Filter:
    """Read the parameter of getEvents; raises ``RpcError`` -32602."""
    if not isinstance(value, dict):
        raise invalid_params("not an object")
    chunk = natural(value.get("chunk_size"))
    if chunk == 0:
        raise invalid_params("chunk_size is 1 at least")
    token = value.get("continuation_token")
    if token is not None and not isinstance(token, str):
        raise invalid_params("continuation_token is no text")
    keys = read_keys(value.get("keys") or [])
    senders = value.get("address")
    listed = senders if isinstance(senders, list) else [] if senders is None else [senders]
    groups = groups_of(list_of(felt_bytes)(listed), keys)
    first, last = (
        None if value.get(name) is None else block_id(value[name])
        for name in ("from_block", "to_block")
    )
    return Filter(first, last, groups, count_of(keys), chunk, token)


def read_keys(value: Any) -> list[list[bytes]]:
    """Read the keys of a filter; too many are answered with a code of their own, so all that a body has are read."""
    read: list[list[bytes]] = list_of(list_of(felt_bytes, ITEMS_MAX), ITEMS_MAX)(value)
    return read


def count_of(keys: Sequence[Sequence[bytes]]) -> int:
    """Return what is held against ``KEYS_MAX``."""
    return sum(map(len, keys)) + len(keys)


def groups_of(senders: Collection[bytes], keys: Sequence[Sequence[bytes]]) -> Groups:
    """Return the groups of a filter; a place for which nothing is named may have any felt."""
    groups = [(place, frozenset(allowed)) for place, allowed in enumerate(keys, 1) if allowed]
    return ((0, frozenset(senders)), *groups) if senders else tuple(groups)


def next_block(reader: Reader, groups: Groups, number: int) -> int | None:
    """Return a block from ``number`` on below which there is none that all groups may have events in; None for none."""
    for place, values in groups:
        if place > EVENT_KEYS_INDEXED:
            continue
        found = reader.next_with_event(place, values, number)
        if found is None:
            return None
        number = found
    return number


def in_block(view: View, number: int, groups: Groups, skip: int = 0) -> Iterator[tuple[int, Json]]:
    """Yield place and JSON of the events of a block that the groups allow, but for its first ``skip``."""
    rows = receipts.event_rows(view, number)
    places = _places(rows, view.reader.transaction_hashes(number) or [])
    block_hash = hex_of(view.reader.block_hash(number))
    for at in range(skip, len(rows)):
        if not all(_felt_at(rows[at], place) in values for place, values in groups):
            continue
        written = receipts.event_object(rows[at]) | {
            "block_hash": block_hash,
            "block_number": number,
            "transaction_hash": hex_of(rows[at].transaction_hash),
        }
        yield at, written | places[at] if view.spec.event_places else written


def _felt_at(row: Row, place: int) -> bytes | None:
    if place == 0:
        sender: bytes = row.from_address or bytes(FELT_BYTES)
        return sender
    found: bytes = row.keys[FELT_BYTES * (place - 1) : FELT_BYTES * place]
    return found


def get_events(view: View, query: Filter) -> object:
    """starknet_getEvents."""
    if query.chunk > CHUNK_MAX:
        raise page_size_too_big()
    if query.keys > KEYS_MAX:
        raise too_many_keys()
    first, last = _range(view, query)
    start, skip = _go_on(query.token, first, last)
    return _Page(view, query).fill(start, skip, last)


def _range(view: View, query: Filter) -> tuple[int, int]:
    """First and last block; of the one that is being built, and beyond the head, no events are known."""
    head = view.last().number
    first, last = query.first or BlockNumber(0), query.last or LAST
    start = head + 1 if view.is_next(first) else view.block(first)
    if view.is_next(last) or (isinstance(last, BlockNumber) and last.value > head):
        return start, head
    return start, view.block(last)


def _go_on(token: str | None, first: int, last: int) -> tuple[int, int]:
    if token is None:
        return first, 0
    found = _TOKEN.fullmatch(token)
    if found is None or not first <= int(found[1]) <= last:
        raise invalid_continuation_token()
    return int(found[1]), int(found[2])


class _Page:
    """One answer while it is filled."""

    def __init__(self, view: View, query: Filter) -> None:
        self._view = view
        self._query = query
        self._deadline = monotonic() + PAGE_SECONDS
        self._events: list[Json] = []

    def fill(self, number: int, skip: int, last: int) -> Json:
        """Take events from block ``number`` on, but for its first ``skip``; end at ``last``, or with a token."""
        is_first = True
        while number <= last:
            if not is_first and monotonic() > self._deadline:
                return self._answer(f"{number}-0")
            is_first = False
            found = next_block(self._view.reader, self._query.groups, number)
            if found is None:
                break
            if found == number:
                stop = self._take(number, skip)
                if stop is not None:
                    return self._answer(f"{number}-{stop}")
                found = number + 1
            number, skip = found, 0
        return self._answer(None)

    def _take(self, number: int, skip: int) -> int | None:
        """Take the events of a block; return the place of the first one that finds no room on the page."""
        for at, event in in_block(self._view, number, self._query.groups, skip):
            if len(self._events) == self._query.chunk:
                return at
            self._events.append(event)
        return None

    def _answer(self, token: str | None) -> Json:
        more = {} if token is None else {"continuation_token": token}
        return {"events": self._events} | more


def _places(rows: Sequence[Row], hashes: Sequence[bytes]) -> list[Json]:
    """Say of each event which transaction's it is and which of its events."""
    index: dict[bytes, int] = {}
    for at, found in enumerate(hashes):
        index.setdefault(found, at)
    counts: dict[bytes, int] = {}
    places = []
    for row in rows:
        found = row.transaction_hash or bytes(FELT_BYTES)
        counts[found] = counts.get(found, -1) + 1
        places.append({"transaction_index": index.get(found, 0), "event_index": counts[found]})
    return places
