"""The generated chain that the targets take their context from and the seeds are cut out of."""

from functools import cache
from pathlib import Path

from broker.codec import Body
from starknet.gateway import Json
from tests.flow import chains
from workers.component import Component
from workers.fetch import headers, state_diffs
from workers.messages import (
    BlockAssembled,
    BodiesFetched,
    ClassesWanted,
    HeaderInfo,
    HeadersFetched,
    HeadersReceived,
    StateDiffsReceived,
)
from workers.settings import Settings

BLOCKS = 3
PEER = "peer"


@cache
def blocks() -> tuple[BlockAssembled, ...]:
    """Return the first blocks of the chain."""
    return chains.devnet(BLOCKS)[1]


@cache
def answers() -> tuple[tuple[Json, Json, Json], ...]:
    """Return the gateway's block, state update and signature of each."""
    chain = chains.devnet(BLOCKS)[0]
    return tuple(chain.block(number) for number in range(BLOCKS))


@cache
def settings() -> Settings:
    """Return what a worker on this chain is told."""
    return chains.settings(chains.devnet(BLOCKS)[0].network(), Path("unused"))


def body(component: Component, number: int) -> bytes:
    """Return one part of one block as a peer sends it."""
    block = blocks()[number]
    return bytes(getattr(block, FIELDS[component]))


FIELDS = {
    Component.HEADERS: "header",
    Component.STATE_DIFFS: "state_diff",
    Component.CLASSES: "classes",
    Component.TRANSACTIONS: "transactions",
    Component.EVENTS: "events",
}


@cache
def infos() -> tuple[HeaderInfo, ...]:
    """Return what the headers of the blocks commit to."""
    received = HeadersReceived(1, 0, BLOCKS, PEER, bytes(32), _joined(Component.HEADERS))
    fetched = list(headers.cut(settings(), received))[-1]
    assert isinstance(fetched, HeadersFetched)
    return fetched.headers


@cache
def wanted() -> tuple[ClassesWanted, ...]:
    """Return the classes that the state diffs of the blocks need."""
    received = StateDiffsReceived(1, 0, PEER, infos(), _joined(Component.STATE_DIFFS))
    fetched = list(state_diffs.cut(settings(), received))[-1]
    assert isinstance(fetched, BodiesFetched)
    return fetched.classes


def _joined(component: Component) -> Body:
    return Body(b"".join(body(component, number) for number in range(BLOCKS)))
