"""The way into the rpc process. Every process reads the pipeline page, but only this one pays for a web server."""

from broker.link import Link
from workers.settings import Settings


def main(settings: Settings, link: Link) -> None:
    """Serve until SIGTERM; leave with code 78 if the port cannot be had, 75 if the broker was lost."""
    from workers.rpc import server  # here: see above

    server.main(settings, link)
