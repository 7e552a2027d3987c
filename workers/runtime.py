"""The one loop every stage runs in: take, work, finish; and what follows when the work goes wrong.

* ``PeerFault``  the message is finished with a ``Fault`` that names who sent the guilty parts.
* ``TryLater``   the message is handed back and comes again.
* ``StoreError`` ends the process: the disk refuses, or the store cannot be read. Its one line says what to do.
* anything else  is our own bug: the process ends without goodbye, so that the broker counts it against the message.
* nothing at all, for too long: the same (``workers.watchdog``).
"""

from collections.abc import Callable
from typing import Any

from broker.endpoint import EndpointError
from broker.link import BrokerLost, Delivery, Link, Refused
from workers.blame import fault_of
from workers.errors import PeerFault, TryLater
from workers.exits import EX_CONFIG, EX_OK, EX_SOFTWARE, EX_TEMPFAIL
from workers.log import fields, log
from workers.messages import GATEWAY, Fault
from workers.metrics import Counters
from workers.notify import Notify, line
from workers.settings import Settings
from workers.stage import Keeper, Source, Stage
from workers.store import StoreError
from workers.watchdog import watched

TAKE_S = 0.5  # how late ``stop`` may be noticed by an idle stage; it wakes for nothing else but heartbeats


def run_stage(
    stage: Stage[Any],
    settings: Settings,
    *,
    worker: str,
    stop: Callable[[], bool],
    link: Link | None = None,
    notify: Notify | None = None,
) -> int:
    """Run the stage until ``stop``; return the exit code of its process.

    ``notify`` tells a service manager: that the stage is up at the first use of its link, and then how it gets on.
    ``StoreError``, and what else ``stage.start`` raises, passes through.
    """
    notify = notify or Notify()
    keeper = stage.start(settings)
    try:
        if link is None:
            link = _connect(stage, settings, worker, notify)
        with watched(link, worker, stage.patience_s):
            _loop(Counters(stage.name, settings.figures), keeper, link, stop)
        notify.stopping()
    except (BrokerLost, Refused, EndpointError) as error:
        return _without_broker(error, worker)
    except StoreError:
        raise  # the disk is to blame and not the message, which goes back with the link
    except Exception:  # noqa: BLE001 (our own bug, whatever it is, ends this process and no other)
        log.exception("Stage failed", extra=fields(worker=worker))
        if link is not None:
            link.abandon()
        return EX_SOFTWARE
    finally:
        keeper.close()  # before the link: who gets the leases next must find the store free
        if link is not None:
            link.close()
    return EX_OK


def run_source(
    source: Source, settings: Settings, *, worker: str, notify: Notify | None = None
) -> int:
    """Run the source until it ends by itself; return the exit code of its process. ``notify`` as for a stage.

    ``SystemExit`` (the source cannot run as configured) and what is our own bug pass through.
    """
    notify = notify or Notify()
    try:
        with (
            _connect(source, settings, worker, notify) as link,
            watched(link, worker, source.patience_s),
        ):
            source.main(settings, link)
            notify.stopping()
    except (BrokerLost, Refused, EndpointError) as error:
        return _without_broker(error, worker)
    return EX_OK


def _connect(row: Source | Stage[Any], settings: Settings, worker: str, notify: Notify) -> Link:
    return Link(
        settings.broker,
        worker,
        takes=row.taken,
        gives=row.gives,
        credit=row.credit,
        passport=settings.passport,
        vitals=settings.figures.report,
        used=(lambda status: notify.turn(lambda: line(status))) if notify.is_heard else None,
    )


def _without_broker(error: BrokerLost | Refused | EndpointError, worker: str) -> int:
    """Say that the broker is lost or cannot be used; return the exit code that follows."""
    cause = fields(worker=worker, cause=str(error))
    if isinstance(error, BrokerLost):
        log.warning("Broker is lost", extra=cause)
        return EX_TEMPFAIL
    log.error("Broker cannot be used", extra=cause)
    return EX_CONFIG


def _loop(counters: Counters, keeper: Keeper[Any], link: Link, stop: Callable[[], bool]) -> None:
    link.status(counters.values())
    while not stop():
        delivery = link.take(TAKE_S)
        if delivery is None:
            link.status(counters.values())
            continue
        link.status(counters.begin(_number(delivery.message)))
        work(keeper, link, delivery, counters)
        link.status(counters.end())


def work(keeper: Keeper[Any], link: Link, delivery: Delivery[Any], counters: Counters) -> None:
    """Give one message to the keeper, and tell the broker of everything that is finished by it."""
    try:
        for finished in keeper.take(delivery.ticket, delivery.message):
            link.done(finished.tickets, finished.outputs)
            counters.done += len(finished.tickets)
    except PeerFault as broken:
        fault = fault_of(delivery.message, broken)
        _say(fault)
        link.done((delivery.ticket,), (fault,))
        counters.done += 1
        counters.faults += 1
        counters.figures.count("hera_verify_failures_total", rule=fault.rule)
    except TryLater as reason:
        log.debug("Message comes again", extra=fields(topic=delivery.topic, cause=str(reason)))
        link.again(delivery.ticket)
        counters.again += 1


def _say(fault: Fault) -> None:
    if set(fault.peers) == {GATEWAY}:
        return  # the feeder says it, once and not for every block
    log.warning(
        "Peer broke a rule",
        extra=fields(
            rule=fault.rule,
            block=fault.start,
            parts=list(fault.components),
            peers=list(fault.peers),
            detail=fault.detail,
        ),
    )


def _number(message: Any) -> int:
    number: int = getattr(message, "number", getattr(message, "start", 0))
    return number
