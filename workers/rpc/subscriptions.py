"""What can be subscribed to: one class for each kind, which tells of one block after the other, from the store.

A subscription has no queue. It knows the next block that it has not told of, so one that waits for a slow client
takes no memory, and blocks of the past and of the future are told of in the same way.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from starknet.transactions import Transaction
from workers.rpc import blocks, events, receipts, transactions
from workers.rpc.errors import (
    block_not_found,
    invalid_params,
    too_many_addresses,
    too_many_blocks_back,
    too_many_keys,
)
from workers.rpc.felts import hex_of
from workers.rpc.follower import Reorg
from workers.rpc.params import (
    BlockId,
    BlockTag,
    Param,
    block_id,
    felt,
    felt_bytes,
    flags,
    list_of,
)
from workers.rpc.specs import V0_9, V0_10
from workers.rpc.view import View

Json = dict[str, Any]

HISTORY_MAX = 1024
ADDRESSES_MAX = 1024
REORG = "starknet_subscriptionReorg"
ACCEPTED = frozenset({receipts.FINALITY})


class Kind(Protocol):
    """What a subscription tells."""

    @property
    def method(self) -> str:
        """The notification's name."""
        ...

    def first(self, view: View) -> int:
        """Return the first block to tell of."""
        ...

    def following(self, view: View, number: int) -> int | None:
        """Return the first block from ``number`` on that there may be something to tell of; None for none."""
        ...

    def tell(self, view: View, number: int) -> Iterator[object]:
        """Yield what there is to tell of a stored block. All that is read is read before the first."""
        ...


@dataclass
class Subscription:
    """One of a connection; ``next`` is the first block that was not told of, ``since`` the head as it was opened."""

    identity: str
    kind: Kind
    next: int
    since: int = -1
    reorg: Reorg | None = None  # not told of yet

    def behind(self, head: int) -> int:
        """Return how many blocks it is behind, of those that were stored since it is there."""
        return head - max(self.next - 1, self.since)

    def lose(self, reorg: Reorg) -> None:
        """Go back to where the chain was left, if blocks beyond were told of."""
        if self.next > reorg.start:
            self.next = reorg.start
            self.reorg = reorg if self.reorg is None else self.reorg.before(reorg)

    def step(self, view: View) -> Iterator[tuple[str, object]] | None:
        """Return notifications of the next block that has some, by method; None once there is nothing new."""
        if self.reorg is not None:
            told, self.reorg = self.reorg, None
            return iter([(REORG, told.object())])
        if view.head is None or self.next > view.head.number:
            return None
        number = self.kind.following(view, self.next)
        if number is None or number > view.head.number:
            self.next = view.head.number + 1
            return None
        self.next = number + 1
        return ((self.kind.method, result) for result in self.kind.tell(view, number))


@dataclass(frozen=True)
class NewHeads:
    """Headers."""

    start: BlockId | None
    method = "starknet_subscriptionNewHeads"

    def first(self, view: View) -> int:
        """See ``Kind``."""
        return _start(view, self.start)

    def following(self, view: View, number: int) -> int | None:
        """See ``Kind``."""
        return number

    def tell(self, view: View, number: int) -> Iterator[object]:
        """See ``Kind``."""
        yield blocks.header_object(blocks.header_at(view, number), view.spec)


@dataclass(frozen=True)
class Events:
    """Events by sender and keys."""

    start: BlockId | None
    groups: events.Groups
    method = "starknet_subscriptionEvents"

    def first(self, view: View) -> int:
        """See ``Kind``."""
        return _start(view, self.start)

    def following(self, view: View, number: int) -> int | None:
        """See ``Kind``."""
        return events.next_block(view.reader, self.groups, number)

    def tell(self, view: View, number: int) -> Iterator[object]:
        """See ``Kind``."""
        status = {"finality_status": receipts.FINALITY} if view.spec.finality_told else {}
        for _, event in events.in_block(view, number, self.groups):
            yield event | status


@dataclass(frozen=True)
class TransactionStatus:
    """The status of one transaction, each time that it comes into a block."""

    transaction_hash: bytes
    method = "starknet_subscriptionTransactionStatus"

    def first(self, view: View) -> int:
        """See ``Kind``."""
        number = self.following(view, 0)
        return _beyond(view) if number is None else number

    def following(self, view: View, number: int) -> int | None:
        """See ``Kind``."""
        place = view.reader.transaction_at(self.transaction_hash)
        return None if place is None or place[0] < number else place[0]

    def tell(self, view: View, number: int) -> Iterator[object]:
        """See ``Kind``."""
        yield {
            "transaction_hash": hex_of(self.transaction_hash),
            "status": receipts.status(view, self.transaction_hash),
        }


@dataclass(frozen=True)
class Transactions:
    """Transactions or receipts of new blocks; ``write`` says what of them. ``senders``: of these alone, if any."""

    method: str
    write: Callable[[View, int], Iterable[tuple[str, Any]]]
    senders: frozenset[str]
    statuses: frozenset[str] = ACCEPTED

    def first(self, view: View) -> int:
        """See ``Kind``."""
        return _beyond(view)

    def following(self, view: View, number: int) -> int | None:
        """See ``Kind``."""
        return number if receipts.FINALITY in self.statuses else None

    def tell(self, view: View, number: int) -> Iterator[object]:
        """See ``Kind``."""
        for sender, written in self.write(view, number):
            if not self.senders or sender in self.senders:
                yield written


def _start(view: View, start: BlockId | None) -> int:
    """Return the block that is begun with: the head unless another is named, no more than 1024 back."""
    if start is None or start == BlockTag("latest"):
        return 0 if view.head is None else view.head.number
    if isinstance(start, BlockTag):
        raise invalid_params("block_id: a subscription begins at latest, or at a hash or number")
    number = view.block(start)
    if view.head is None:
        raise block_not_found()
    if view.head.number - number > HISTORY_MAX:
        raise too_many_blocks_back()
    return number


def _beyond(view: View) -> int:
    return 0 if view.head is None else view.head.number + 1


# ---- of transactions ----------------------------------------------------------------------------------------


def _sent(view: View, number: int, flags: frozenset[str]) -> Iterator[tuple[str, Json]]:
    """Yield sender and JSON of each transaction."""
    pairs, hashes = transactions.in_block(view, number)
    rows = transactions.read(pairs)
    for row, found, address in zip(rows, hashes, receipts.addresses_of(rows), strict=True):
        deployed = None if address is None else hex_of(address)
        yield deployed or _sender(row), transactions.with_hash(row, found, flags)


def _sender(transaction: Transaction) -> str:
    """Return who sent it. What is deployed is its own sender, and so is what L1 speaks to."""
    _, fields = transactions.KINDS[transaction.kind]
    sender: str = (fields.get("sender_address") or fields["contract_address"])(transaction.body)
    return sender


def _receipts(view: View, number: int) -> Iterator[tuple[str, Json]]:
    place = {"block_hash": hex_of(view.reader.block_hash(number)), "block_number": number}
    for row, receipt in receipts.in_block(view, number):
        yield receipt.get("contract_address") or _sender(row), receipt | place


def _with_status(flags: frozenset[str]) -> Callable[[View, int], Iterable[tuple[str, Json]]]:
    def write(view: View, number: int) -> Iterator[tuple[str, Json]]:
        for sender, written in _sent(view, number, flags):
            yield sender, written | {"finality_status": receipts.FINALITY}

    return write


def _hashes(view: View, number: int) -> Iterator[tuple[str, str]]:
    for sender, written in _sent(view, number, frozenset()):
        yield sender, written["transaction_hash"]


# ---- methods ------------------------------------------------------------------------------------------------


def _new_heads(start: BlockId | None) -> Kind:
    return NewHeads(start)


def _events(
    senders: frozenset[bytes], keys: list[list[bytes]], start: BlockId | None, _: str
) -> Kind:
    if events.count_of(keys) > events.KEYS_MAX:
        raise too_many_keys()
    return Events(start, events.groups_of(senders, keys))


def _receipts_of(statuses: frozenset[str], senders: list[int]) -> Kind:
    method = "starknet_subscriptionNewTransactionReceipts"
    return Transactions(method, _receipts, _senders(senders), statuses)


def _transactions_of(
    statuses: frozenset[str], senders: list[int], flags: frozenset[str] = frozenset()
) -> Kind:
    method = "starknet_subscriptionNewTransaction"
    return Transactions(method, _with_status(flags), _senders(senders), statuses)


def _pending(is_whole: bool, senders: list[int]) -> Kind:
    """No peer knows the block that is being built: transactions are told of once they are in a block."""
    write = (lambda view, number: _sent(view, number, frozenset())) if is_whole else _hashes
    return Transactions("starknet_subscriptionPendingTransactions", write, _senders(senders))


def _senders(addresses: list[int]) -> frozenset[str]:
    if len(addresses) > ADDRESSES_MAX:
        raise too_many_addresses()
    return frozenset(map(hex, addresses))


def _one_or_many(value: Any) -> frozenset[bytes]:
    listed = value if isinstance(value, list) else [value]
    if len(listed) > ADDRESSES_MAX:
        raise too_many_addresses()
    return frozenset(map(felt_bytes, listed))


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise invalid_params("neither true nor false")
    return value


def _word(*known: str) -> Callable[[Any], str]:
    read = flags(*known)
    return lambda value: str(*read([value]))


START = Param("block_id", block_id, required=False)
SENDERS = Param("sender_address", list_of(felt, events.ITEMS_MAX), required=False, default=[])
SEEN = ("PRE_CONFIRMED", receipts.FINALITY)
HEARD = ("RECEIVED", "CANDIDATE", *SEEN)


@dataclass(frozen=True)
class Opening:
    """A method that subscribes: its parameters, and the kind that their values make; in ``since`` to ``until``."""

    make: Callable[..., Kind]
    params: tuple[Param, ...]
    since: tuple[int, int] = (0, 0)
    until: tuple[int, int] = (99, 0)


OPENINGS = {
    "starknet_subscribeNewHeads": Opening(_new_heads, (START,)),
    "starknet_subscribeEvents": Opening(
        _events,
        (
            Param("from_address", _one_or_many, required=False, default=frozenset()),
            Param("keys", events.read_keys, required=False, default=[]),
            START,
            Param("finality_status", _word(*SEEN), required=False, since=V0_9.since),
        ),
    ),
    "starknet_subscribeTransactionStatus": Opening(
        TransactionStatus, (Param("transaction_hash", felt_bytes),)
    ),
    "starknet_subscribeNewTransactionReceipts": Opening(
        _receipts_of,
        (Param("finality_status", flags(*SEEN), required=False, default=ACCEPTED), SENDERS),
        since=V0_9.since,
    ),
    "starknet_subscribeNewTransactions": Opening(
        _transactions_of,
        (
            Param("finality_status", flags(*HEARD), required=False, default=ACCEPTED),
            SENDERS,
            Param(
                "tags",
                flags(transactions.PROOF_FACTS),
                required=False,
                default=frozenset(),
                since=V0_10.since,
            ),
        ),
        since=V0_9.since,
    ),
    "starknet_subscribePendingTransactions": Opening(
        _pending,
        (Param("transaction_details", _boolean, required=False, default=False), SENDERS),
        until=(0, 8),
    ),
}
