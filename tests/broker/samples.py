"""Messages and topics of the broker's own tests; the broker knows nothing of Starknet."""

from dataclasses import dataclass
from enum import StrEnum

from broker.codec import Body
from broker.topic import Topic


class Kind(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    number: int
    name: str
    body: Body


@dataclass(frozen=True)
class Whole:
    number: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    number: int
    deliveries: int


PARTS = Topic("parts", Part, items_max=4, bytes_max=1000)
WHOLES = Topic("wholes", Whole, items_max=4, bytes_max=1 << 20)
RECORDS = Topic("records", Record, items_max=4, bytes_max=1 << 20)
WIDE = Topic("wide", Part, items_max=1000, bytes_max=64 << 20)
TOPICS = (PARTS, WHOLES, RECORDS, WIDE)


def part(number: int, name: str = "", size: int = 10) -> Part:
    return Part(number, name, Body(bytes(size)))
