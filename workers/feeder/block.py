"""Turns a gateway's answers about one block into the five bodies that peers would have sent."""

from collections.abc import Iterable
from dataclasses import dataclass

from broker.codec import Body
from starknet.gateway import (
    GatewayFormatError,
    block_from_gateway,
    class_from_gateway,
    with_stated_roots,
)
from starknet.versions import UnknownVersion
from starknet.wire.delimited import join
from starknet.wire.sync_pb2 import (
    BlockHeadersResponse,
    ClassesResponse,
    EventsResponse,
    TransactionsResponse,
)
from workers.component import Component
from workers.feeder.client import BadAnswer, Gateway, Json, NotThere
from workers.messages import GATEWAY, BlockAssembled


class PartMissing(Exception):
    """The gateway knows block ``number`` but not this part of it."""

    def __init__(self, number: int, part: str) -> None:
        super().__init__(f"block {number}: {part} is not at the gateway")
        self.number = number
        self.part = part


@dataclass(frozen=True)
class Fetched:
    """One block without its classes; ``declared`` and ``deployed`` are class hashes it names."""

    number: int
    header: Body
    state_diff: Body
    transactions: Body
    events: Body
    declared: tuple[int, ...]
    deployed: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of all bodies."""
        bodies = (self.header, self.state_diff, self.transactions, self.events)
        return sum(len(body) for body in bodies)


def fetch(gateway: Gateway, number: int) -> Fetched | None:
    """Fetch one block; None beyond the gateway's head. Raises PartMissing and FeederError."""
    try:
        block, state_update = gateway.block_with_state_update(number)
    except NotThere:
        if gateway.has_block(number):
            raise PartMissing(number, "the state update") from None
        return None
    try:
        signature = gateway.signature(number)
    except NotThere:
        raise PartMissing(number, "the signature") from None
    return convert(number, block, state_update, signature)


def convert(number: int, block: Json, state_update: Json, signature: Json) -> Fetched:
    """Turn JSON into bodies; raises BadAnswer where it does not fit them."""
    try:
        wire = with_stated_roots(block_from_gateway(block, state_update, signature), block)
    except (GatewayFormatError, UnknownVersion) as error:
        raise BadAnswer(f"block {number}: {error}") from error
    if wire.header.number != number:
        raise BadAnswer(f"block {number}: the gateway sent block {wire.header.number}")
    return Fetched(
        number=number,
        header=Body(join([BlockHeadersResponse(header=wire.header)])),
        state_diff=Body(join(wire.state_diff)),
        transactions=Body(
            join(TransactionsResponse(transaction_with_receipt=pair) for pair in wire.transactions)
        ),
        events=Body(join(EventsResponse(event=event) for event in wire.events)),
        declared=tuple(wire.declared),
        deployed=tuple(wire.deployed),
    )


def fetch_classes(
    gateway: Gateway, number: int, wanted: Iterable[int], got: dict[int, bytes]
) -> int:
    """Add to ``got`` the frame of each wanted class it lacks; return how many. Raises PartMissing and FeederError."""
    before = len(got)
    for class_hash in wanted:
        if class_hash in got:
            continue
        try:
            definition = gateway.class_definition(class_hash)
        except NotThere:
            raise PartMissing(number, f"class {class_hash:#x}") from None
        message = ClassesResponse()
        try:
            getattr(message, "class").CopyFrom(class_from_gateway(definition, class_hash))
        except GatewayFormatError as error:
            raise BadAnswer(f"block {number}: class {class_hash:#x}: {error}") from error
        got[class_hash] = join([message])
    return len(got) - before


def assemble(attempt: int, fetched: Fetched, classes: Iterable[bytes]) -> BlockAssembled:
    """Make the message that peers' parts would have become."""
    return BlockAssembled(
        attempt=attempt,
        number=fetched.number,
        peers=(GATEWAY,) * len(Component),
        header=fetched.header,
        state_diff=fetched.state_diff,
        classes=Body(b"".join(classes)),
        transactions=fetched.transactions,
        events=fetched.events,
    )
