"""Stage fetch-classes: gives each class to the block that brings it; every declared class must be there.

The protocol sends classes without a border between blocks, so the wanted hashes of the state diffs cut the answer.
A class that is deployed without a declaration (before 0.9) comes with the first block that deploys it: whether that
is this block only ``commit`` can know, so such a class may come and need not.
"""

from collections.abc import Iterator

from broker.codec import Body
from starknet.wire.sync_pb2 import ClassesResponse
from workers.component import Component
from workers.errors import PeerFault
from workers.fetch.cutting import part_of
from workers.frames import decode, frames
from workers.messages import BlockPart, BodiesFetched, ClassesReceived
from workers.settings import Settings

ME = Component.CLASSES


def cut(settings: Settings, received: ClassesReceived) -> Iterator[BlockPart | BodiesFetched]:
    """Yield one part a block, then how many whole blocks the answer held.

    Raises ``PeerFault``: ``classes.extra`` for a class that no block wants, ``classes.missing`` where a later
    block's class comes before all of an earlier one have.
    """
    wanted = received.wanted
    missing = [set(want.declared) for want in wanted]
    open_to = [set(want.declared) | set(want.deployed) for want in wanted]
    bodies = [bytearray() for _ in wanted]
    at = 0
    for start, end, payload in frames(received.body, received.start, ME):
        name = _hash(payload, wanted[at].number)
        block = next((i for i in range(at, len(wanted)) if name in open_to[i]), None)
        if block is None:
            raise PeerFault("classes.extra", wanted[at].number, (ME,), f"0x{name.hex()}")
        for skipped in range(at, block):
            _require_complete(missing[skipped], wanted[skipped].number)
        at = block
        open_to[at].discard(name)
        missing[at].discard(name)
        bodies[at] += received.body[start:end]
    whole = next((i for i, left in enumerate(missing) if left), len(wanted))
    if whole < len(wanted) and bodies[whole]:
        _require_complete(missing[whole], wanted[whole].number)
    for want, body in zip(wanted[:whole], bodies, strict=False):
        yield part_of(received, want, ME, Body(bytes(body)))
    yield BodiesFetched(received.attempt, ME, received.start, whole, received.peer, ())


def _require_complete(left: set[bytes], number: int) -> None:
    if left:
        raise PeerFault("classes.missing", number, (ME,), f"0x{min(left).hex()}")


def _hash(payload: bytes, number: int) -> bytes:
    message = decode(ClassesResponse, payload, number, ME)
    if message.WhichOneof("class_message") != "class":
        raise PeerFault("classes.field", number, (ME,), "no class in the message")
    definition = getattr(message, "class")  # a Python keyword
    elements: bytes = definition.class_hash.elements
    if not definition.HasField("class_hash") or len(elements) > 32:
        raise PeerFault("classes.field", number, (ME,), "no usable class_hash")
    return elements.rjust(32, b"\0")
