"""Source feeder: hands on blocks from a feeder gateway.

Importing this file is cheap: the HTTP client and the store's reader are imported by ``main``.
"""

import signal
import threading

from broker.link import Link
from workers.settings import Settings


def main(settings: Settings, link: Link) -> None:
    """Feed blocks until SIGTERM or SIGINT; raises ``BrokerLost``, to start again from the stored head."""
    from workers.feeder import loop

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    loop.run(settings, link, stop)
