"""Stage fetch-headers: lets through only headers whose number, parent link, hash and signature hold."""

from collections.abc import Iterator

from broker.codec import Body
from starknet.block import CheckedHeader, RuleBroken, check_header
from starknet.felt import to_bytes32
from starknet.wire.sync_pb2 import BlockHeadersResponse
from workers.component import Component
from workers.errors import PeerFault
from workers.fetch.cutting import part_of
from workers.frames import decode, frames
from workers.messages import BlockPart, ForkSeen, HeaderInfo, HeadersFetched, HeadersReceived
from workers.settings import Settings


def cut(
    settings: Settings, received: HeadersReceived
) -> Iterator[BlockPart | HeadersFetched | ForkSeen]:
    """Yield the headers' parts, then one ``HeadersFetched`` that says how far the peer's answer reached.

    A first header that the sequencer signed, and that follows another block than the one it was asked for, is no
    lie: it is reported as ``ForkSeen``, alone. Raises ``PeerFault`` with the rule that a header broke; then nothing
    of the answer is used.
    """
    infos: list[HeaderInfo] = []
    parts: list[BlockPart] = []
    parent = received.parent_hash
    for start, end, payload in frames(received.body, received.start, Component.HEADERS):
        number = received.start + len(infos)
        if len(infos) == received.count:
            raise PeerFault(
                "headers.count", number, (Component.HEADERS,), f"more than {received.count}"
            )
        checked = _check(settings, payload, number)
        if parent and to_bytes32(checked.parent_hash) != parent:
            if infos or settings.public_key is None:
                raise PeerFault("headers.parent", number, (Component.HEADERS,))
            yield ForkSeen(received.attempt, number, received.peer)
            return
        info = _info(checked)
        parent = info.block_hash
        infos.append(info)
        body = Body(bytes(received.body[start:end]))
        parts.append(part_of(received, info, Component.HEADERS, body))
    if received.parent_hash:
        yield from parts
    yield HeadersFetched(received.attempt, received.start, received.peer, tuple(infos))


def _check(settings: Settings, payload: bytes, number: int) -> CheckedHeader:
    response = decode(BlockHeadersResponse, payload, number, Component.HEADERS)
    if response.WhichOneof("header_message") != "header":
        raise PeerFault("headers.field", number, (Component.HEADERS,), "no header in the message")
    if response.header.number != number:
        raise PeerFault(
            "headers.number", number, (Component.HEADERS,), f"got {response.header.number}"
        )
    try:
        return check_header(settings.network, settings.public_key, response.header)
    except RuleBroken as broken:
        raise PeerFault(broken.rule, number, (Component.HEADERS,), broken.detail) from broken


def _info(checked: CheckedHeader) -> HeaderInfo:
    commitment = checked.state_diff_commitment
    return HeaderInfo(
        number=checked.number,
        block_hash=to_bytes32(checked.block_hash),
        version=checked.version,
        transactions=checked.transactions,
        events=checked.events,
        state_diff_length=checked.state_diff_length,
        state_diff_commitment=b"" if commitment is None else to_bytes32(commitment),
    )
