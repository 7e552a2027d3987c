"""The read-only view: keeps what the writer has committed readable in any other process, a little behind it.

A RocksDB secondary instance; nothing is written into the database itself. A Reader serves one thread at a time.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from time import monotonic

from starknet.wire.delimited import split
from starknet.wire.parse import MalformedMessage, parse
from starknet.wire.sync_pb2 import BlockHeadersResponse, SignedBlockHeader
from workers.component import Component
from workers.metrics import Figures
from workers.store import Head, StoreError
from workers.store.opening import View, exists, open_view
from workers.store.rocks import Rocks
from workers.store.schema import (
    CHAIN_KEY,
    FELT_BYTES,
    HEAD_KEY,
    NUMBER_MAX,
    PART_FAMILY,
    Family,
    Kind,
    cut_hashes,
    event_prefix,
    felt,
    number_key,
    unpack_head,
    unpack_location,
)

TORN_TRIES_MAX = 20
FROZEN_SECONDS = 1.0  # that the writer's log may reach beyond what the view shows


class Reader:
    """A view of the store in ``db_path``; empty until a writer has created it there."""

    def __init__(self, db_path: Path, figures: Figures | None = None) -> None:
        self._db_path = db_path
        self._figures = figures or Figures()
        self._view: View | None = None
        self._whole: Head | None = None  # the head whose block was seen to be all there
        self._shown: Head | None = None  # by the last refresh
        self._shown_from = (0, 0)  # how far the writer's log reached when that was first shown
        self._behind_since: float | None = None
        self.refresh()

    def refresh(self) -> None:
        """See what was committed until now. A view that cannot follow (writer restarted) is opened anew.

        RocksDB follows one family after the other. Where a killed writer's successor has just rewritten some of
        them, the head may be there before its block is: such a view is never shown, it catches up once more.
        """
        with self._figures.timed("hera_store_read_duration_seconds", op="refresh"):
            written = self._written()
            self._catch_up()
            if self._is_frozen(written):
                self._open_anew()
                self._catch_up()

    def _catch_up(self) -> None:
        for _ in range(TORN_TRIES_MAX):
            if self._view is None or not self._view.follow():
                self._open_anew()
            if self._is_whole():
                return
        self._open_anew()

    def _is_frozen(self, written: tuple[int, int]) -> bool:
        """Whether the view has long not shown what the writer's log holds; ``written`` is as before the catching up.

        A view that was opened beside a writer which had just been killed and started again was seen to stand still
        for ever, while RocksDB said each time that it had caught up.
        """
        head, now = self.head(), monotonic()
        if head != self._shown:
            self._shown, self._shown_from = head, self._written()
            self._behind_since = None
        elif written <= self._shown_from:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = now
        return self._behind_since is not None and now - self._behind_since >= FROZEN_SECONDS

    def _written(self) -> tuple[int, int]:
        return (0, 0) if self._view is None else self._view.written()

    def _open_anew(self) -> None:
        if exists(self._db_path):
            fresh = open_view(self._db_path)
            self._close_view()
            self._view = fresh
            self._whole = None
            self._shown_from, self._behind_since = self._written(), None

    def _is_whole(self) -> bool:
        head = self.head()
        if head is None or head == self._whole:
            return True
        if self.block_hash(head.number) != head.block_hash:
            return False
        if any(self.part(component, head.number) is None for component in Component):
            return False
        self._whole = head
        return True

    def close(self) -> None:
        """Release the view and remove its private folder."""
        self._close_view()

    def head(self) -> Head | None:
        """Return the last block of this view."""
        value = self.get(Family.META, HEAD_KEY)
        return None if value is None else unpack_head(value)

    def chain_id(self) -> str | None:
        """Return the chain whose blocks these are, as ``SN_MAIN``; None while there is no store."""
        value = self.get(Family.META, CHAIN_KEY)
        return None if value is None else value.decode()

    def part(self, component: Component, number: int) -> bytes | None:
        """Return one part of a block as the sync protocol sends it (delimited messages without ``Fin``)."""
        with self._figures.timed("hera_store_read_duration_seconds", op="part"):
            return self._part(component, number)

    def _part(self, component: Component, number: int) -> bytes | None:
        if component is not Component.CLASSES:
            return self.get(PART_FAMILY[component], number_key(number))
        hashes = self.get(Family.BLOCK_CLASSES, number_key(number))
        if hashes is None or self._view is None:
            return None
        frames = self._view.rocks.get_many(Family.CLASSES, cut_hashes(hashes))
        return b"".join(frame for frame in frames if frame is not None)

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash of a stored block."""
        body = self.get(Family.HEADERS, number_key(number))
        return None if body is None else hash_of(decode_header(body))

    def number_of(self, block_hash: bytes) -> int | None:
        """Return the number of the block with this hash."""
        value = self.get(Family.NUMBER_BY_HASH, block_hash)
        return None if value is None else int.from_bytes(value, "big")

    def transaction_at(self, transaction_hash: bytes) -> tuple[int, int] | None:
        """Return (block number, index in the block) of a transaction."""
        value = self.get(Family.TX_INDEX, transaction_hash)
        return None if value is None else unpack_location(value)

    def transaction_hashes(self, number: int) -> list[bytes] | None:
        """Return the hashes of a block's transactions, in order."""
        value = self.get(Family.TX_HASHES, number_key(number))
        return None if value is None else cut_hashes(value)

    def has_class(self, class_hash: bytes) -> bool:
        """Whether the definition of this class is here."""
        return self._view is not None and is_defined(self._view.rocks, class_hash)

    def class_frame(self, class_hash: bytes) -> bytes | None:
        """Return a class as one length-delimited ClassesResponse."""
        return self.get(Family.CLASSES, class_hash)

    def storage_at(self, address: int, key: int, number: int) -> int:
        """Return the value of a storage key after block ``number``, 0 if it was never set."""
        return self._value_at(Kind.STORAGE + felt(address) + felt(key), number)

    def nonce_at(self, address: int, number: int) -> int:
        """Return the nonce of a contract after block ``number``."""
        return self._value_at(Kind.NONCE + felt(address), number)

    def class_hash_at(self, address: int, number: int) -> int:
        """Return the class of a contract after block ``number``, 0 if there was none."""
        return self._value_at(Kind.CLASS_HASH + felt(address), number)

    def last_set(self, what: bytes, number: int) -> tuple[int, int] | None:
        """Return (value, block that set it) of a history row up to block ``number``: ``what`` is kind and name."""
        found = (
            None if self._view is None else self._view.rocks.get_last(Family.HISTORY, what, number)
        )
        if found is None:
            return None
        key, value = found
        return int.from_bytes(value, "big"), int.from_bytes(key[len(what) :], "big")

    def next_with_event(self, place: int, values: Iterable[bytes], number: int) -> int | None:
        """Return the lowest block from ``number`` on that may have an event with one of the felts in that place.

        Place 0 is the sender, place n the n-th key, up to ``EVENT_KEYS_INDEXED``.
        """
        if self._view is None:
            return None
        rocks = self._view.rocks
        prefixes = {event_prefix(place, value) for value in values}
        found = [rocks.get_next(Family.EVENT_INDEX, prefix, number) for prefix in prefixes]
        return min((each for each in found if each is not None), default=None)

    def contract(self, address: int) -> tuple[int, int, int]:
        """Return class hash, nonce and storage root of a contract at the head of this view; all 0 for none."""
        record = self.get(Family.CONTRACTS, felt(address))
        if record is None:
            return 0, 0, 0
        class_hash, nonce, root = (int.from_bytes(part, "big") for part in cut_hashes(record))
        return class_hash, nonce, root

    def trie_pages(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Return pages of the tries at the head of this view, as ``starknet.trie`` names them."""
        if self._view is None:
            return [None] * len(names)
        return self._view.rocks.get_many(Family.TRIE_PAGES, names)

    def get(self, family: Family, key: bytes) -> bytes | None:
        """Return one value as it is stored, None where there is none."""
        return None if self._view is None else self._view.rocks.get(family, key)

    def items(self, family: Family, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys of one family that begin with ``prefix``, and their values, keys ascending."""
        if self._view is not None:
            yield from self._view.rocks.items(family, prefix)

    def sizes(self) -> dict[Family, int]:
        """Return bytes of each family: its files, and what is still in memory; nothing without a store."""
        return {} if self._view is None else self._view.rocks.sizes()

    def counts(self) -> dict[Family, int]:
        """Return about how many keys each family has; nothing without a store."""
        return {} if self._view is None else self._view.rocks.counts()

    def _value_at(self, prefix: bytes, number: int) -> int:
        found = self.last_set(prefix, number)
        return 0 if found is None else found[0]

    def _close_view(self) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None


def dump(db_path: Path) -> Iterator[tuple[Family, bytes, bytes]]:
    """Yield every (family, key, value) of a store in a fixed order; nothing for a store that is not there."""
    reader = Reader(db_path)
    try:
        for family in Family:
            for key, value in reader.items(family):
                yield family, key, value
    finally:
        reader.close()


def digest(db_path: Path) -> str:
    """Return one hash of all that ``dump`` yields: equal for equal stores."""
    hasher = sha256()
    for family, key, value in dump(db_path):
        for field in (family.encode(), key, value):
            hasher.update(len(field).to_bytes(8, "big") + field)
    return hasher.hexdigest()


def is_defined(rocks: Rocks, class_hash: bytes) -> bool:
    """Whether the definition of a class is stored: its mark is looked for, a definition may be megabytes."""
    return rocks.get_last(Family.HISTORY, Kind.DEFINED + class_hash, NUMBER_MAX) is not None


def decode_header(body: bytes) -> SignedBlockHeader:
    """Decode a stored header part, which is one message; StoreError if it is none."""
    try:
        (payload,) = split(body, len(body))
        return parse(BlockHeadersResponse, bytes(payload)).header
    except (ValueError, MalformedMessage) as error:
        raise StoreError("a stored header cannot be read: the store is damaged") from error


def hash_of(header: SignedBlockHeader) -> bytes:
    """Return the block hash that a stored header states, which is verified."""
    return header.block_hash.elements.rjust(FELT_BYTES, b"\0")
