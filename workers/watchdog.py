"""Watchdog: ends a process that lives and beats its heart but gets nowhere, so that another one takes its message.

Two lines. A thread looks whether the link is used; if the process's own thread has not used it for as long as the
row's ``patience_s`` on the pipeline page, it says so and ends the process. Where no thread gets to run any more (a loop
in native code), the timer that each look winds up again ends it and prints where it stood. A process that
was stopped as a whole is taken for dead by the broker within seconds.
"""

import faulthandler
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from broker.link import Link
from workers.exits import EX_SOFTWARE
from workers.log import fields, log

LOOKS = 60  # within the patience of a row
LOOK_SECONDS_MAX = 5.0  # few, as an idle node is to cost next to nothing
_STDERR = 2


@contextmanager
def watched(
    link: Link, worker: str, patience_s: float, *, end: Callable[[int], object] = os._exit
) -> Iterator[None]:
    """Run the block under the watchdog. ``end`` must not return; the broker blames the message for the death."""
    over = threading.Event()
    arguments = (link, worker, patience_s, over, end)
    thread = threading.Thread(target=_watch, args=arguments, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        faulthandler.cancel_dump_traceback_later()


def _watch(
    link: Link,
    worker: str,
    patience_s: float,
    over: threading.Event,
    end: Callable[[int], object],
) -> None:
    look_s = min(patience_s / LOOKS, LOOK_SECONDS_MAX)
    seen, idle_s = link.uses, 0.0
    while True:
        faulthandler.dump_traceback_later(patience_s, exit=True, file=_STDERR)
        if over.wait(look_s):
            return
        idle_s = (
            idle_s + look_s if link.uses == seen else 0.0
        )  # a short pause of the process is one look
        seen = link.uses
        if idle_s >= patience_s:
            _say(link, worker, idle_s)
            end(EX_SOFTWARE)
            return


def _say(link: Link, worker: str, idle_s: float) -> None:
    topic, block = link.working or (None, None)
    log.error(
        "A worker hangs: ending its process",
        extra=fields(worker=worker, topic=topic, block=block, seconds=round(idle_s, 1)),
    )
