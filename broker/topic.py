"""A topic: one bounded queue between processes, and the one message type it carries."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Message = TypeVar("Message")


@dataclass(frozen=True)
class Topic(Generic[Message]):
    """One queue. ``items_max`` and ``bytes_max`` bound what waits or is leased; a source is refused beyond them."""

    name: str
    carries: type[Message]
    items_max: int
    bytes_max: int

    def __post_init__(self) -> None:
        assert self.items_max > 0
        assert self.bytes_max > 0
