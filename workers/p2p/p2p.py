"""Source p2p: speaks with peers. As client it asks for ranges of blocks, as server it answers from the store.

Importing this file is cheap: libp2p, trio and the store's reader are imported by ``main``.
"""

from typing import Any

from broker.link import BrokerLost, Link, Refused
from workers.exits import EX_CONFIG
from workers.log import log
from workers.settings import Settings
from workers.store import StoreError


def main(settings: Settings, link: Link) -> None:
    """Speak with peers until SIGTERM or SIGINT.

    Raises ``BrokerLost`` (all that is under way is asked again from the stored head), and ``SystemExit`` with 78 where
    an address cannot be listened on, and ``StoreError`` where the store cannot be read.
    """
    assert settings.p2p is not None, "only nodes with --p2p have this process"
    from contextlib import closing

    import trio

    from workers.p2p import service
    from workers.p2p.host import CannotListen
    from workers.p2p.patches import WrongLibp2p
    from workers.store.reader import Reader

    with closing(Reader(settings.db_path, settings.figures)) as blocks:
        try:
            trio.run(service.run, settings, link, blocks)
        except (CannotListen, WrongLibp2p) as error:
            log.error(str(error))
            raise SystemExit(EX_CONFIG) from None
        except BaseExceptionGroup as group:
            # trio wraps what a task raises; the loss of the broker is raised by several of them
            lost, others = group.split((BrokerLost, Refused, StoreError))
            if lost is None or others is not None:
                raise
            raise _first(lost) from None


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """The first leaf of a group of groups."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return inner
