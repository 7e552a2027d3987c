"""Looks at the gateway's last block: how far there is to go, and whether its chain went back or left ours."""

from enum import Enum, auto

from workers.feeder.window import Window
from workers.log import fields, log
from workers.store.reader import Reader


class Place(Enum):
    """Where the gateway's last block stands to the stored chain."""

    AHEAD = auto()
    OURS = auto()
    OTHER = auto()


class Head:
    """The gateway's last block, as it said last. ``target`` is -1 until it said any."""

    def __init__(self, window: Window, reader: Reader) -> None:
        self.target = -1
        self._window = window
        self._reader = reader
        self._behind = 0  # looks in a row that found the gateway below our head

    def look(self, latest: tuple[int, bytes] | None) -> Place:
        """Take the gateway's answer; one line when it went back, at the second look, and one when that is over."""
        number, block_hash = latest or (-1, b"")
        self.target = number
        head = self._window.head
        if 0 <= number <= head and self._reader.block_hash(number) not in (block_hash, None):
            return Place.OTHER
        self._count_behind(number, head)
        return Place.AHEAD if number > head else Place.OURS

    def _count_behind(self, number: int, head: int) -> None:
        if number >= head:
            if self._behind > 1:
                log.info("The gateway has our last block again", extra=fields(number=number))
            self._behind = 0
            return
        self._behind += 1
        if self._behind == 2:
            last = f"its last block is {number}" if number >= 0 else "it has no block"
            log.warning(f"The gateway went back: {last}, ours is {head}; staying at ours")
