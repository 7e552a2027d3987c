"""A gateway in a thread of the test, whose chain grows as the test says."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starknet.devnet import Devnet
from workers.gateway import gateway
from workers.gateway.generated import Generated


class Growing(Generated):
    """A generated chain of which only the first ``length`` blocks are there yet."""

    def __init__(self, devnet: Devnet, length: int) -> None:
        super().__init__(devnet)
        self._full = devnet.length
        self._shown = min(length, devnet.length)

    def grow_to(self, length: int) -> None:
        """Show the blocks below ``length``; the chain never gets shorter."""
        self._shown = max(self._shown, min(length, self._full))

    def latest(self) -> int | None:
        """Return the number of the last block that is shown."""
        return self._shown - 1

    def _part(self, number: int, index: int) -> bytes | None:
        return super()._part(number, index) if number < self._shown else None


@contextmanager
def serving(source: Generated) -> Iterator[str]:
    """Serve ``source`` on a free port; give the base URL."""
    stop, ready, urls = threading.Event(), threading.Event(), list[str]()

    def listening(url: str) -> None:
        urls.append(url)
        ready.set()

    def serve() -> None:
        gateway.serve(source, "127.0.0.1", 0, listening=listening, stop=stop)

    thread = threading.Thread(target=serve, name="gateway")
    thread.start()
    try:
        assert ready.wait(30), "the gateway never listened"
        yield urls[0]
    finally:
        stop.set()
        thread.join()
