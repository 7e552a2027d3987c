"""Supervisor: keeps a set of child processes running, restarts what dies, and stops all of them in order.

Signals only queue; the loop handles them. It gives up, in one line, on a child that dies again and again, and at once
on a child whose exit code says that starting it again cannot help (``FINAL``).
"""

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from node.reports import Reports
from workers.exits import EX_CONFIG, EX_IOERR, EX_TEMPFAIL
from workers.log import fields, log

EX_GIVEN_UP = 1
BACK_OFF_SECONDS_MIN = 0.2
BACK_OFF_SECONDS_MAX = 5.0
RESTARTS_MAX = 10  # of one child within RESTARTS_SECONDS
RESTARTS_SECONDS = 60.0
STOP_SECONDS_MAX = 9.0  # for all children; what is left then is killed, within the promised 10 s
POLL_SECONDS_MAX = 1.0
FINAL = {  # exit codes after which starting again does not help, and what is said then
    EX_CONFIG: "A process cannot run as configured: stopping",
    EX_IOERR: "A process has no disk space left: stopping; its line above says what to do",
}
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Child:
    """One process to run. Children of the lowest ``stops`` are stopped first, those of the highest last."""

    name: str
    argv: tuple[str, ...]
    stops: int
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)  # beside that of all


@dataclass(frozen=True)
class Limits:
    """How patient the supervisor is; times in seconds."""

    back_off_min: float = BACK_OFF_SECONDS_MIN
    back_off_max: float = BACK_OFF_SECONDS_MAX
    restarts_max: int = RESTARTS_MAX
    restarts_seconds: float = RESTARTS_SECONDS
    stop_seconds: float = STOP_SECONDS_MAX


class Signals:
    """Queues SIGTERM and SIGINT, and wakes ``wait`` for them and for SIGCHLD. One at a time, in the main thread."""

    def __init__(self) -> None:
        self._queued: deque[int] = deque(maxlen=16)
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._before = {
            number: signal.signal(number, self._queue)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
        }

    def wait(self, seconds: float, others: Sequence[Reports] = ()) -> tuple[int, ...]:
        """Sleep until a signal or ``seconds``; return the stop signals that came, oldest first.

        That one of the ``others`` can be read ends the sleep as well.
        """
        if not self._queued:
            watched: list[socket.socket | Reports] = [self._reader, *others]
            readable = select.select(watched, [], [], max(0.0, seconds))[0]
            if self._reader in readable:
                self._drain()
        came = tuple(self._queued)
        self._queued.clear()
        return came

    def close(self) -> None:
        """Give the handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._reader.close()
        self._writer.close()

    def _queue(self, number: int, _: object) -> None:
        if number != signal.SIGCHLD:
            self._queued.append(number)

    def _drain(self) -> None:
        while True:
            try:
                if not self._reader.recv(4096):
                    return
            except BlockingIOError:
                return


@dataclass
class _Running:
    """What the supervisor knows of one child."""

    child: Child
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restart_at: float | None = 0.0  # None while it runs
    back_off: float = 0.0
    restarts: int = 0
    deaths: deque[float] = field(default_factory=deque)


class Supervisor:
    """Runs children until a signal, until one cannot be run, or until one dies too often.

    ``keep_open`` are file descriptors that each child inherits (a lock that outlives the supervisor). ``tell`` hears
    how often each child was started again, whenever that changes. ``reports``, where a service manager wants to know,
    hears the children.
    """

    def __init__(
        self,
        children: Sequence[Child],
        signals: Signals,
        *,
        environ: Mapping[str, str],
        keep_open: Sequence[int] = (),
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[Mapping[str, int]], None] = lambda _: None,
        reports: Reports | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._running = [_Running(child, back_off=self._limits.back_off_min) for child in children]
        self._signals = signals
        self._reports = reports
        self._environ = dict(environ) | (reports.environment() if reports else {})
        self._keep_open = tuple(keep_open)
        self._clock = clock
        self._tell = tell

    def run(self) -> int:
        """Start all children and keep them; return the exit code once all have ended."""
        code: int | None = None
        self._tell_restarts()
        while code is None:
            self._start_due()
            others = [self._reports] if self._reports else []
            code = 0 if self._signals.wait(self._until_due(), others) else self._reap()
            self._report()
        if self._reports:
            self._reports.stopping()
        return code if self._stop() else EX_GIVEN_UP

    def _report(self) -> None:
        if self._reports is None:
            return
        running = {r.process.pid: r.child.name for r in self._running if r.process is not None}
        self._reports.turn(running, [r.child.name for r in self._running])

    def _start_due(self) -> None:
        now = self._clock()
        for running in self._running:
            if running.restart_at is not None and running.restart_at <= now:
                self._start(running)

    def _start(self, running: _Running) -> None:
        running.process = subprocess.Popen(
            running.child.argv,
            env={**self._environ, **running.child.environ},
            stdin=subprocess.DEVNULL,
            pass_fds=self._keep_open,
            process_group=0,  # so that Ctrl-C reaches us alone, and the order of the stop is ours
            preexec_fn=die_with_parent(os.getpid()),  # safe: no other thread runs here
        )
        running.started = self._clock()
        running.restart_at = None
        log.debug(
            "Started process", extra=fields(process=running.child.name, pid=running.process.pid)
        )

    def _until_due(self) -> float:
        due = [r.restart_at for r in self._running if r.restart_at is not None]
        return min([POLL_SECONDS_MAX, *(at - self._clock() for at in due)])

    def _reap(self) -> int | None:
        """Plan the restart of what died; return an exit code if the whole node must end."""
        for running in self._running:
            if running.process is None or running.restart_at is not None:
                continue
            status = running.process.poll()
            if status is None:
                continue
            code = self._died(running, status)
            if code is not None:
                return code
        return None

    def _died(self, running: _Running, status: int) -> int | None:
        name = running.child.name
        if status in FINAL:
            log.error(FINAL[status], extra=fields(process=name))
            return status
        now = self._clock()
        if now - running.started > self._limits.restarts_seconds:
            running.back_off = self._limits.back_off_min
        running.restart_at = now + running.back_off
        running.back_off = min(2 * running.back_off, self._limits.back_off_max)
        running.restarts += 1
        self._tell_restarts()
        if status == EX_TEMPFAIL:
            log.info("Broker was lost: starting anew", extra=fields(process=name))
            return None
        running.deaths.append(now)
        while running.deaths[0] < now - self._limits.restarts_seconds:
            running.deaths.popleft()
        if len(running.deaths) > self._limits.restarts_max:
            log.error(
                "A process keeps dying: stopping; its last lines above say why",
                extra=fields(process=name, deaths=len(running.deaths), last=describe(status)),
            )
            return EX_GIVEN_UP
        log.warning(
            "A process died: starting it again",
            extra=fields(
                process=name, how=describe(status), seconds=round(running.restart_at - now, 1)
            ),
        )
        return None

    def _tell_restarts(self) -> None:
        self._tell({running.child.name: running.restarts for running in self._running})

    def _stop(self) -> bool:
        """Stop group by group: what brings blocks in first, so that later stages only finish what they hold.

        Each group may use an equal share of the time that is left. False if a second signal cut it short.
        """
        deadline = self._clock() + self._limits.stop_seconds
        orders = sorted({running.child.stops for running in self._running})
        for index, stops in enumerate(orders):
            group = [running for running in self._running if running.child.stops == stops]
            self._send(group, signal.SIGTERM)
            share = (deadline - self._clock()) / (len(orders) - index)
            began = self._clock()
            if not self._wait_for(group, began + share):
                return False
            log.debug(
                "Stopped processes",
                extra=fields(
                    processes=", ".join(running.child.name for running in group),
                    seconds=round(self._clock() - began, 2),
                ),
            )
        patient = self._wait_for(self._running, deadline)
        self._kill(self._running)
        return patient

    def _wait_for(self, group: Sequence[_Running], deadline: float) -> bool:
        """Wait until a group has ended, or its time; False after a second signal, when all were killed."""
        while _alive(group) and self._clock() < deadline:
            if self._signals.wait(min(0.1, deadline - self._clock())):
                log.warning("Second signal: killing what still runs")
                self._kill(self._running)
                return False
        return True

    def _kill(self, group: Sequence[_Running]) -> None:
        alive = _alive(group)
        if alive:
            names = ", ".join(running.child.name for running in alive)
            log.warning("Killing processes that did not stop", extra=fields(processes=names))
        self._send(alive, signal.SIGKILL)
        for running in alive:
            assert running.process is not None
            running.process.wait()

    @staticmethod
    def _send(group: Sequence[_Running], number: signal.Signals) -> None:
        for running in _alive(group):
            assert running.process is not None
            running.process.send_signal(number)


def _alive(group: Sequence[_Running]) -> list[_Running]:
    return [r for r in group if r.process is not None and r.process.poll() is None]


def describe(status: int) -> str:
    """Return a process's end in words: the signal that killed it or its exit code."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit code {status}"


def die_with_parent(parent: int) -> Callable[[], None]:
    """Return what a child runs before its program, so that a killed supervisor leaves no process behind."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            os._exit(EX_GIVEN_UP)

    return ask
