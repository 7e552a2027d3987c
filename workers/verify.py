"""Stage verify: lets through only blocks whose every hash, commitment and signature holds. Pure, so it scales."""

from collections.abc import Iterator

from broker.codec import Body
from starknet.block import RuleBroken, check_block
from starknet.felt import to_bytes32
from starknet.wire.rows import OneOf
from starknet.wire.sync_pb2 import (
    BlockHeadersResponse,
    ClassesResponse,
    EventsResponse,
    StateDiffsResponse,
    TransactionsResponse,
)
from workers import hash_table
from workers.component import Component
from workers.errors import PeerFault
from workers.frames import carried, decode_all
from workers.messages import BlockAssembled, BlockVerified
from workers.settings import Settings

TRANSACTIONS = OneOf(TransactionsResponse.DESCRIPTOR, "transaction_message")
EVENTS = OneOf(EventsResponse.DESCRIPTOR, "event_message")


def verify(settings: Settings, block: BlockAssembled) -> Iterator[BlockVerified]:
    """Yield the block with its recomputed hashes; raise ``PeerFault`` naming the rule and the guilty parts."""
    number = block.number
    headers = decode_all(BlockHeadersResponse, block.header, number, Component.HEADERS)
    if len(headers) != 1 or headers[0].header.number != number:
        raise PeerFault("headers.number", number, (Component.HEADERS,))
    state_diff = decode_all(StateDiffsResponse, block.state_diff, number, Component.STATE_DIFFS)
    classes = decode_all(ClassesResponse, block.classes, number, Component.CLASSES)
    transactions = carried(
        TRANSACTIONS,
        "transaction_with_receipt",
        block.transactions,
        number,
        Component.TRANSACTIONS,
    )
    events = carried(EVENTS, "event", block.events, number, Component.EVENTS)
    try:
        checked = check_block(
            settings.network,
            settings.public_key,
            headers[0].header,
            state_diff,
            [getattr(message, "class") for message in classes],
            transactions,
            events,
            _table_hash(settings, number),
        )
    except RuleBroken as broken:
        guilty = tuple(Component(name) for name in broken.guilty)
        raise PeerFault(broken.rule, number, guilty, broken.detail) from broken
    yield BlockVerified(
        attempt=block.attempt,
        number=number,
        peers=block.peers,
        block_hash=to_bytes32(checked.block_hash),
        parent_hash=to_bytes32(checked.parent_hash),
        state_root=to_bytes32(checked.state_root),
        header=block.header,
        state_diff=block.state_diff,
        classes=block.classes,
        transactions=block.transactions,
        events=block.events,
        transaction_hashes=Body(b"".join(map(to_bytes32, checked.transaction_hashes))),
        class_hashes=Body(b"".join(map(to_bytes32, checked.class_hashes))),
    )


def _table_hash(settings: Settings, number: int) -> int | None:
    table = settings.block_hash_table
    return None if table is None else hash_table.entry(table, number)
