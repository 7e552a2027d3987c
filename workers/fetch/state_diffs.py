"""Stage fetch-state_diffs: lets through state diffs of the stated length, and says which classes they need.

Where a header commits to its diff, that is checked here already: who is asked for the classes that a false diff names
would be blamed for not having them.
"""

from collections.abc import Iterator

from broker.codec import Body
from starknet.block import RuleBroken, check_state_diff
from starknet.felt import from_bytes
from starknet.versions import rules_for
from starknet.wire.sync_pb2 import StateDiffsResponse
from workers.component import Component
from workers.errors import PeerFault
from workers.fetch.cutting import cut_by_weight, part_of
from workers.frames import decode, frames
from workers.messages import (
    BlockPart,
    BodiesFetched,
    ClassesWanted,
    HeaderInfo,
    StateDiffsReceived,
)
from workers.settings import Settings

ME = Component.STATE_DIFFS


def cut(settings: Settings, received: StateDiffsReceived) -> Iterator[BlockPart | BodiesFetched]:
    """Yield one part a block, then how many there were with the classes they bring. Raises ``PeerFault``."""
    blocks = list(cut_by_weight(received.body, ME, received.headers, _need, _weigh))
    for header, body in blocks:
        _require_commitment(body, header)
    wanted = tuple(_classes(body, header) for header, body in blocks)
    for header, body in blocks:
        yield part_of(received, header, ME, body)
    yield BodiesFetched(received.attempt, ME, received.start, len(blocks), received.peer, wanted)


def _need(header: HeaderInfo) -> int:
    return header.state_diff_length


def _weigh(payload: bytes, header: HeaderInfo) -> int:
    # SYNC-SPEC: For DeclaredClass, the counter should increase by 1.
    message = _parse(payload, header.number)
    if message.WhichOneof("state_diff_message") == "declared_class":
        return 1
    diff = message.contract_diff
    weight = len(diff.values) + diff.HasField("class_hash") + diff.HasField("nonce")
    if weight == 0:
        # SYNC-SPEC: The only constraint is that each `ContractDiff` can't be empty
        raise PeerFault(
            "state_diffs.empty", header.number, (ME,), "a contract diff without content"
        )
    return weight


def _require_commitment(body: Body, header: HeaderInfo) -> None:
    if not header.state_diff_commitment:
        return
    messages = [_parse(payload, header.number) for _, _, payload in frames(body, header.number, ME)]
    try:
        check_state_diff(from_bytes(header.state_diff_commitment), messages)
    except RuleBroken as broken:
        raise PeerFault(broken.rule, header.number, (ME,), broken.detail) from broken


def _classes(body: Body, header: HeaderInfo) -> ClassesWanted:
    number = header.number
    declared: dict[bytes, None] = {}
    deployed: dict[bytes, None] = {}
    # From 0.14.1 on a class declared long before may be named again, for its new compiled hash: it need not come.
    named = deployed if rules_for(header.version).migrates_classes else declared
    for _, _, payload in frames(body, number, ME):
        message = _parse(payload, number)
        if message.WhichOneof("state_diff_message") == "declared_class":
            named[_hash(message.declared_class.class_hash.elements, number)] = None
        elif message.contract_diff.HasField("class_hash"):
            deployed[_hash(message.contract_diff.class_hash.elements, number)] = None
    rest = tuple(name for name in deployed if name not in declared)
    return ClassesWanted(number, header.block_hash, tuple(declared), rest)


def _parse(payload: bytes, number: int) -> StateDiffsResponse:
    message = decode(StateDiffsResponse, payload, number, ME)
    if message.WhichOneof("state_diff_message") not in ("contract_diff", "declared_class"):
        raise PeerFault("state_diffs.field", number, (ME,), "neither a contract nor a class")
    return message


def _hash(elements: bytes, number: int) -> bytes:
    if len(elements) > 32:
        raise PeerFault("state_diffs.felt", number, (ME,), "a class hash of more than 32 bytes")
    return elements.rjust(32, b"\0")
