"""Source p2p: speaks with peers. As client it asks for ranges of blocks, as server it answers from the store.

Importing this file is cheap: libp2p, trio and the store's reader are imported by ``main``.
"""

from typing import Any

from broker.link import BrokerLost, Link, Refused
from broker.topic import Topic
from workers.log import log
from workers.messages import (
    BlockStored,
    BodiesFetched,
    ClassesReceived,
    EventsReceived,
    Fault,
    HeadersFetched,
    HeadersReceived,
    StateDiffsReceived,
    TransactionsReceived,
)
from workers.settings import Settings

MIB = 1 << 20
# The page declares these topics and their bounds, which only the broker looks at; a test compares the two.
TAKES: tuple[Topic[Any], ...] = (
    Topic("headers.fetched", HeadersFetched, items_max=64, bytes_max=16 * MIB),
    Topic("bodies.fetched", BodiesFetched, items_max=2048, bytes_max=64 * MIB),
    Topic("blocks.stored", BlockStored, items_max=800, bytes_max=MIB),
    Topic("faults", Fault, items_max=2048, bytes_max=16 * MIB),
)
GIVES: tuple[Topic[Any], ...] = (
    Topic("headers.received", HeadersReceived, items_max=64, bytes_max=64 * MIB),
    Topic("state_diffs.received", StateDiffsReceived, items_max=512, bytes_max=256 * MIB),
    Topic("classes.received", ClassesReceived, items_max=512, bytes_max=256 * MIB),
    Topic("transactions.received", TransactionsReceived, items_max=512, bytes_max=256 * MIB),
    Topic("events.received", EventsReceived, items_max=512, bytes_max=256 * MIB),
)

CREDIT = 256
BROKER_LOST = 75  # exit code: start me again
CANNOT_RUN = 78  # exit code: not before the configuration is changed


def main(settings: Settings) -> None:
    """Speak with peers until SIGTERM or SIGINT.

    Exits with 75 when the broker is lost (all that is under way is asked again from the stored head), with 78 where
    an address cannot be listened on.
    """
    assert settings.p2p is not None, "only nodes with --p2p have this process"
    takes, gives = ((), ()) if settings.p2p.serve_only else (TAKES, GIVES)
    try:
        with Link(settings.broker, "p2p", takes=takes, gives=gives, credit=CREDIT) as link:
            _run(settings, link)
    except BrokerLost as lost:
        log.warning(f"The broker is lost ({lost}); syncing starts again from the stored head")
        raise SystemExit(BROKER_LOST) from None


def _run(settings: Settings, link: Link) -> None:
    from contextlib import closing

    import trio

    from workers.p2p import service
    from workers.p2p.host import CannotListen
    from workers.p2p.patches import WrongLibp2p
    from workers.store.reader import Reader

    with closing(Reader(settings.db_path)) as blocks:
        try:
            trio.run(service.run, settings, link, blocks)
        except (CannotListen, WrongLibp2p) as error:
            log.error(str(error))
            raise SystemExit(CANNOT_RUN) from None
        except BaseExceptionGroup as group:
            # trio wraps what a task raises; the loss of the broker is raised by several of them
            lost, others = group.split((BrokerLost, Refused))
            if lost is None or others is not None:
                raise
            raise _first(lost) from None


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """The first leaf of a group of groups."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return inner
