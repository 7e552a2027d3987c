"""The one loop every stage runs in: take, work, finish; and what follows when the work goes wrong.

* ``PeerFault``  the message is finished with a ``Fault`` that names who sent the guilty parts.
* ``TryLater``   the message is handed back and comes again.
* anything else  is our own bug: the process ends without goodbye, so that the broker counts it against the message.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from broker.endpoint import EndpointError
from broker.link import BrokerLost, Delivery, Link, Refused
from workers.component import Component
from workers.errors import PeerFault, TryLater
from workers.log import fields, log
from workers.messages import Fault
from workers.metrics import Counters
from workers.settings import Settings
from workers.stage import Keeper, Source, Stage

EX_OK = 0
EX_SOFTWARE = 70  # our own bug
EX_TEMPFAIL = 75  # the broker is lost: start again
EX_CONFIG = 78  # starting again will not help

TAKE_S = 0.2  # how late ``stop`` may be noticed by an idle stage
DETAIL_CHARS_MAX = 500
PARENT_CHECK_S = 1.0
_PR_SET_PDEATHSIG = 1
_ORDER = tuple(Component)


def run_stage(
    stage: Stage[Any],
    settings: Settings,
    *,
    worker: str,
    stop: Callable[[], bool],
    link: Link | None = None,
) -> int:
    """Run the stage until ``stop``; return the exit code of its process. What ``stage.start`` raises passes through."""
    keeper = stage.start(settings)
    try:
        if link is None:
            link = _connect(stage, settings, worker)
        _loop(stage, keeper, link, stop)
    except BrokerLost as error:
        log.warning("Broker is lost", extra=fields(worker=worker, cause=str(error)))
        return EX_TEMPFAIL
    except (Refused, EndpointError) as error:
        log.error("Broker cannot be used", extra=fields(worker=worker, cause=str(error)))
        return EX_CONFIG
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


def run_source(source: Source, settings: Settings, *, worker: str) -> int:
    """Run the source until it ends by itself; return the exit code of its process.

    ``SystemExit`` (the source cannot run as configured) and what is our own bug pass through.
    """
    try:
        link = Link(
            settings.broker,
            worker,
            takes=source.takes,
            gives=source.gives,
            credit=source.credit,
        )
        with link:
            source.main(settings, link)
    except BrokerLost as error:
        log.warning("Broker is lost", extra=fields(worker=worker, cause=str(error)))
        return EX_TEMPFAIL
    except (Refused, EndpointError) as error:
        log.error("Broker cannot be used", extra=fields(worker=worker, cause=str(error)))
        return EX_CONFIG
    return EX_OK


def stop_on_signals() -> Callable[[], bool]:
    """Let SIGTERM and SIGINT end the loop after the message at hand; return what the loop asks."""
    asked = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return asked.is_set


def die_with_parent(parent: int | None = None) -> None:
    """Have SIGTERM sent to this process when its parent ends; ``parent`` is the pid it is known to have had.

    Call it first: a parent that ended before this call is noticed only through ``parent``.
    """
    parent = os.getppid() if parent is None else parent
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
    else:
        threading.Thread(target=_watch_parent, args=(parent,), name="parent", daemon=True).start()


def _connect(stage: Stage[Any], settings: Settings, worker: str) -> Link:
    return Link(
        settings.broker,
        worker,
        takes=(stage.takes,),
        gives=stage.gives,
        credit=stage.credit,
    )


def _loop(stage: Stage[Any], keeper: Keeper[Any], link: Link, stop: Callable[[], bool]) -> None:
    counters = Counters(stage.name)
    link.status(counters.values())
    while not stop():
        delivery = link.take(TAKE_S)
        if delivery is None:
            link.status(counters.values())
            continue
        link.status(counters.begin(_number(delivery.message)))
        _work(keeper, link, delivery, counters)
        link.status(counters.end())


def _work(keeper: Keeper[Any], link: Link, delivery: Delivery[Any], counters: Counters) -> None:
    """Give one message to the keeper, and tell the broker of everything that is finished by it."""
    try:
        for finished in keeper.take(delivery.ticket, delivery.message):
            link.done(finished.tickets, finished.outputs)
            counters.done += len(finished.tickets)
    except PeerFault as fault:
        link.done((delivery.ticket,), (_fault_of(delivery.message, fault),))
        counters.done += 1
        counters.faults += 1
    except TryLater as reason:
        log.debug("Message comes again", extra=fields(topic=delivery.topic, cause=str(reason)))
        link.again(delivery.ticket)
        counters.again += 1


def _fault_of(message: Any, fault: PeerFault) -> Fault:
    """Name who sent each guilty part: a message comes from one ``peer``, or from five ``peers``."""
    if hasattr(message, "peer"):
        peers = (message.peer,) * len(fault.guilty)
    else:
        peers = tuple(message.peers[_ORDER.index(part)] for part in fault.guilty)
    log.warning(
        "Peer broke a rule",
        extra=fields(
            rule=fault.rule,
            block=fault.number,
            parts=list(fault.guilty),
            peers=list(peers),
            detail=fault.detail[:DETAIL_CHARS_MAX],
        ),
    )
    return Fault(
        attempt=message.attempt,
        start=fault.number,
        count=1,
        components=fault.guilty,
        peers=peers,
        rule=fault.rule,
        # A peer's text may hold what UTF-8 cannot; it must not end this process.
        detail=fault.detail[:DETAIL_CHARS_MAX].encode("utf-8", "backslashreplace").decode(),
    )


def _number(message: Any) -> int:
    number: int = getattr(message, "number", getattr(message, "start", 0))
    return number


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os.kill(os.getpid(), signal.SIGTERM)
