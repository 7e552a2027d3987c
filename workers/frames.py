"""The messages inside a part's body, with the limits of the sync protocols; a broken one is its sender's fault."""

from collections.abc import Iterable, Iterator

from broker.codec import Body
from starknet.wire.delimited import MalformedBody, spans
from starknet.wire.parse import MalformedMessage, Parsed, parse_all
from workers.component import Component
from workers.errors import PeerFault

MESSAGE_BYTES_MAX = 1 << 20  # SYNC-SPEC: Each message must be less than 1MB
CLASS_BYTES_MAX = 4 << 20  # … except for the Class message which is allowed to be up to 4MB


def frames(body: Body, number: int, component: Component) -> Iterator[tuple[int, int, bytes]]:
    """Yield (start, end, payload) of each message; ``body[start:end]`` is it with its length prefix.

    Raises ``PeerFault`` (``<component>.malformed``) for a broken length or a message over the limit.
    """
    message_max = CLASS_BYTES_MAX if component is Component.CLASSES else MESSAGE_BYTES_MAX
    try:
        for start, payload, end in spans(body, message_max):
            yield start, end, bytes(body[payload:end])
    except MalformedBody as broken:
        raise PeerFault(f"{component}.malformed", number, (component,), str(broken)) from broken


def decode(kind: type[Parsed], payload: bytes, number: int, component: Component) -> Parsed:
    """Decode one message; raise ``PeerFault`` (``<component>.malformed``) if it is none."""
    return _decode(kind, [payload], number, component)[0]


def decode_all(kind: type[Parsed], body: Body, number: int, component: Component) -> list[Parsed]:
    """Decode all messages of a body; raise ``PeerFault`` (``<component>.malformed``) for a broken one."""
    payloads = [payload for _, _, payload in frames(body, number, component)]
    return _decode(kind, payloads, number, component)


def _decode(
    kind: type[Parsed], payloads: Iterable[bytes], number: int, component: Component
) -> list[Parsed]:
    try:
        return parse_all(kind, payloads)
    except MalformedMessage as broken:
        raise PeerFault(f"{component}.malformed", number, (component,), str(broken)) from broken
