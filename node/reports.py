"""Hears from a node's processes that they are up and how it goes, and tells the service manager of the whole node.

The processes say it as they would to systemd (``workers.notify``), to a socket of the supervisor's own.
"""

import os
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from struct import Struct

from workers.notify import READY, SOCKET, STATUS, Notify

REPORTS_MAX = 64  # read before the supervisor looks at anything else
REPORT_BYTES_MAX = 4096
_CREDENTIALS = Struct("3i")  # process, user, group: the kernel vouches for them


class Reports:
    """The socket, and what was heard at it. The node is up once each process was; ``teller`` says its status."""

    def __init__(self, path: Path, notify: Notify, teller: str) -> None:
        self._notify = notify
        self._teller = teller
        self._up: set[str] = set()
        self._text = ""
        self._path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(str(path))

    def environment(self) -> dict[str, str]:
        """Return the variable by which a process finds the socket."""
        return {SOCKET: str(self._path)}

    def fileno(self) -> int:
        """Return the descriptor that is readable while a report waits."""
        return self._socket.fileno()

    def turn(self, names: Mapping[int, str], wanted: Collection[str]) -> None:
        """Read what came from the processes ``names`` (by their ids); ``wanted`` are those that make the node be up."""
        for _ in range(REPORTS_MAX):
            try:
                said, about, _, _ = self._socket.recvmsg(
                    REPORT_BYTES_MAX, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except BlockingIOError:
                break
            name = names.get(_sender(about))
            if name is not None:
                self._hear(name, said.decode(errors="replace").splitlines())
        if self._up.issuperset(wanted):
            self._notify.turn(lambda: self._text)

    def _hear(self, name: str, lines: list[str]) -> None:
        if READY in lines:
            self._up.add(name)
        if name == self._teller:
            texts = [line.removeprefix(STATUS) for line in lines if line.startswith(STATUS)]
            self._text = texts[-1] if texts else self._text

    def stopping(self) -> None:
        """Say that the node was asked to end."""
        self._notify.stopping()

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


def _sender(about: list[tuple[int, int, bytes]]) -> int:
    """Return the process that sent a report; 0 where it is not ours to believe."""
    for level, kind, value in about:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            process, user, _ = _CREDENTIALS.unpack(value)
            return process if user == os.getuid() else 0
    return 0
