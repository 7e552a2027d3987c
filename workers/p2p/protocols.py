"""The five sync protocols: their ids, requests, ``Fin`` and limits."""

from dataclasses import dataclass

from starknet.wire.parse import MalformedMessage, parse
from starknet.wire.sync_pb2 import BlockHeadersRequest, Iteration
from workers.component import Component

VERSION = "0.1.0-rc.0"
KAD_VERSION = "1.0.0"
FIN_FIELDS = {
    Component.HEADERS: 2,
    Component.STATE_DIFFS: 3,
    Component.CLASSES: 2,
    Component.TRANSACTIONS: 2,
    Component.EVENTS: 2,
}
REQUEST_BYTES_MAX = 64 * 1024
HASH_BYTES = 32
UINT64_MAX = (1 << 64) - 1


class BadIteration(ValueError):
    """A request that names no range of blocks."""


@dataclass(frozen=True)
class Range:
    """The blocks a request names: ``limit`` of them from ``start`` (number or 32-byte hash), each ``step``-th."""

    start: int | bytes
    limit: int
    step: int = 1
    backward: bool = False


def protocol_id(chain_id: str, component: Component) -> str:
    """The name under which a component is negotiated, e.g. ``/starknet/SN_SEPOLIA/sync/headers/0.1.0-rc.0``."""
    return f"/starknet/{chain_id}/sync/{component.value}/{VERSION}"


def kad_ids(chain_id: str) -> tuple[str, ...]:
    """The names of Kademlia: the spec's, by which we ask, then those that older nodes ask by."""
    return (
        f"/starknet/{chain_id}/sync/kad/{KAD_VERSION}",
        f"/starknet/kad/{chain_id}/{KAD_VERSION}",
        f"/starknet/kad/{KAD_VERSION}",
    )


def fin(component: Component) -> bytes:
    """The component's ``Fin`` message with its length."""
    return bytes((2, FIN_FIELDS[component] << 3 | 2, 0))


def encode_request(wanted: Range) -> bytes:
    """The request's bytes, without a length: the half-close ends it. The same form for all five protocols."""
    iteration = Iteration(limit=wanted.limit, step=wanted.step)
    if isinstance(wanted.start, int):
        iteration.block_number = wanted.start
    else:
        iteration.header.elements = wanted.start
    if wanted.backward:
        iteration.direction = Iteration.Backward
    return BlockHeadersRequest(iteration=iteration).SerializeToString()


def decode_request(request: bytes) -> Range:
    """Read any of the five requests; raise ``BadIteration``."""
    try:
        iteration = parse(BlockHeadersRequest, request).iteration
    except MalformedMessage:
        raise BadIteration("not a request") from None
    start = _start(iteration)
    if iteration.step == 0:
        raise BadIteration("step 0")
    if iteration.direction not in (Iteration.Forward, Iteration.Backward):
        raise BadIteration(f"direction {iteration.direction}")
    backward = iteration.direction == Iteration.Backward
    return Range(start, iteration.limit, iteration.step, backward)


def _start(iteration: Iteration) -> int | bytes:
    kind = iteration.WhichOneof("start")
    if kind == "block_number":
        return iteration.block_number
    if kind != "header":
        raise BadIteration("no start")
    if len(iteration.header.elements) > HASH_BYTES:
        raise BadIteration(f"hash of {len(iteration.header.elements)} bytes")
    return iteration.header.elements.rjust(HASH_BYTES, b"\0")
