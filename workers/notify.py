"""What a service manager is told of this process: that it is up, gets on, how far it is, and that it ends.

The words are systemd's (sd_notify): one datagram of ``NAME=VALUE`` lines to the socket that NOTIFY_SOCKET names;
without that variable nothing is sent. Only the process's own loop calls ``turn``, so a loop that hangs is noticed.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

SOCKET = "NOTIFY_SOCKET"
WATCHDOG = "WATCHDOG_USEC"
WATCHDOG_PID = "WATCHDOG_PID"
READY = "READY=1"
BEAT = "WATCHDOG=1"
STATUS = "STATUS="
VARIABLES = (SOCKET, WATCHDOG, WATCHDOG_PID)  # for one process: its children must not have them
TELL_SECONDS = 1.0  # between two datagrams; a busy loop turns a thousand times as often
BEATS = 4  # of the watchdog within its time
WAIT_SECONDS = 60.0  # beyond a wait that was announced
WAITS = "waiting for the gateway to tell the public key, or for --public-key"
TEXT_CHARS_MAX = 200

Values = Mapping[str, int | float | str]
WORDS = (
    ("head", "head {:,}"),
    ("block", "block {:,}"),
    ("target", "best known block {:,}"),
    ("peers", "peers: {:,}"),
    ("window", "blocks under way: {:,}"),
    ("done", "done: {:,}"),
    ("faults", "faults: {:,}"),
)


class Notify:
    """Tells the manager that ``environ`` names, if any. A datagram that is not taken is dropped, never waited for."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        environ = environ or {}
        self._address = _address(environ.get(SOCKET, ""))
        self._beat_s = _beat_seconds(environ)
        self._clock = clock
        self._is_ready = False
        self._text = ""
        self._tell_at = self._beat_at = clock()

    @property
    def is_heard(self) -> bool:
        """Whether there is a manager to tell."""
        return self._address is not None

    def turn(self, text_of: Callable[[], str]) -> None:
        """Say that the loop has turned: the first time that the process is up, later what changed and is due."""
        now = self._clock()
        if self._address is None or now < self._tell_at:
            return
        self._tell_at = now + min(TELL_SECONDS, self._beat_s or TELL_SECONDS)
        text = text_of()
        lines = [] if self._is_ready else [READY]
        if self._beat_s is not None and (now >= self._beat_at or not self._is_ready):
            lines.append(BEAT)
        if text != self._text:
            lines.append(STATUS + _one_line(text))
        if lines and self._send(*lines):
            self._is_ready = True
            self._text = text
            if BEAT in lines and self._beat_s is not None:
                self._beat_at = now + self._beat_s

    def patiently(self, wait: Callable[[float], bool]) -> Callable[[float], bool]:
        """Return ``wait``, for the gateway before the process is up; the manager gives it so long and a minute more."""

        def told(seconds: float) -> bool:
            microseconds = round((seconds + WAIT_SECONDS) * 1e6)
            self._send(f"EXTEND_TIMEOUT_USEC={microseconds}", STATUS + WAITS)
            return wait(seconds)

        return told

    def stopping(self) -> None:
        """Say that the process ends because it was asked to."""
        self._send("STOPPING=1", STATUS + "stopping")

    def _send(self, *lines: str) -> bool:
        if self._address is None:
            return False
        with (
            suppress(OSError),  # a manager that is gone or busy is no reason to end
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.sendto("\n".join(lines).encode(), socket.MSG_DONTWAIT, self._address)
            return True
        return False


def line(values: Values) -> str:
    """Say in one line how a worker is, from what its heartbeat says; why it is stuck comes first."""
    stuck = values.get("stuck")
    idle = {"block"} if not values.get("done") and not values.get("since") else set()
    known = [words.format(values[name]) for name, words in WORDS if name in values.keys() - idle]
    return "; ".join([f"stuck: {stuck}", *known] if stuck else known) or "running"


def _address(text: str) -> str | None:
    """Return the socket's address for the kernel: a path, or a name in the abstract space, written with @."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _beat_seconds(environ: Mapping[str, str]) -> float | None:
    """Return how often the watchdog wants to hear of us; None if it does not."""
    microseconds, pid = environ.get(WATCHDOG, ""), environ.get(WATCHDOG_PID, "")
    if not microseconds.isdecimal() or pid not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 1e6 / BEATS


def _one_line(text: str) -> str:
    """Keep what a peer sent from becoming a line, and so a word to the manager, of its own."""
    return "".join(char if char.isprintable() else "?" for char in text)[:TEXT_CHARS_MAX]
