"""Stage fetch-events: lets through exactly as many events as each header states."""

from collections.abc import Iterator

from workers.component import Component
from workers.fetch.cutting import cut_by_count
from workers.messages import BlockPart, BodiesFetched, EventsReceived
from workers.settings import Settings


def cut(settings: Settings, received: EventsReceived) -> Iterator[BlockPart | BodiesFetched]:
    """Yield one part a block, then how many blocks the answer held. Raises ``PeerFault``."""
    yield from cut_by_count(received, Component.EVENTS, lambda header: header.events)
