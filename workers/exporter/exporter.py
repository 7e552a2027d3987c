"""The way into the metrics process. Every process reads the pipeline page, but only this one loads its libraries."""

from broker.link import Link
from workers.settings import Settings


def main(settings: Settings, link: Link) -> None:
    """Serve until SIGTERM; leave with code 78 if the port cannot be had. ``BrokerLost`` passes."""
    from workers.exporter import server  # here: see above

    server.main(settings, link)
