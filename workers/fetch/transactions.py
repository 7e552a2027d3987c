"""Stage fetch-transactions: lets through exactly as many transactions with receipts as each header states."""

from collections.abc import Iterator

from workers.component import Component
from workers.fetch.cutting import cut_by_weight
from workers.messages import BlockPart, BodiesFetched, HeaderInfo, TransactionsReceived
from workers.settings import Settings


def cut(settings: Settings, received: TransactionsReceived) -> Iterator[BlockPart | BodiesFetched]:
    """Yield one part a block, then how many blocks the answer held. Raises ``PeerFault``."""
    me = Component.TRANSACTIONS
    blocks = list(cut_by_weight(received.body, me, received.headers, _need, _weigh))
    for header, body in blocks:
        yield BlockPart(received.attempt, header.number, me, received.peer, body)
    yield BodiesFetched(received.attempt, me, received.start, len(blocks), received.peer, ())


def _need(header: HeaderInfo) -> int:
    return header.transactions


def _weigh(payload: bytes, header: HeaderInfo) -> int:
    return 1
