"""How a link's frames reach the broker: over a DEALER socket here, or within one process in ``broker.memory``."""

import time
from collections.abc import Sequence
from math import ceil
from typing import Protocol

import zmq

from broker.endpoint import check_folder, socket_path
from broker.protocol import FRAME_BYTES_MAX, SILENCE_S

_NOW = int(zmq.NOBLOCK)
_MORE = int(zmq.SNDMORE)


class Transport(Protocol):
    """One connection to the broker. None of its calls but ``wait`` waits for long."""

    threaded: bool
    """Whether a heartbeat thread is needed, and ``fileno`` works."""

    def now(self) -> float:
        """Return seconds on a clock that only moves on."""
        ...

    def send(self, head: bytes, frames: Sequence[bytes]) -> bool:
        """Send one message; False if the broker has read nothing for so long that it must be dead."""
        ...

    def receive(self) -> list[bytes] | None:
        """Return the next message that has come in, if any."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return when something came in or the time is over."""
        ...

    def fileno(self) -> int:
        """Return the socket's descriptor (edge-triggered)."""
        ...

    def close(self, linger_s: float) -> None:
        """Let go of the connection; what was sent gets ``linger_s`` to leave."""
        ...


class SocketTransport:
    """A DEALER socket on an ``ipc://`` endpoint."""

    threaded = True

    def __init__(self, endpoint: str) -> None:
        check_folder(socket_path(endpoint).parent)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.MAXMSGSIZE, FRAME_BYTES_MAX)
        self._socket.set(zmq.SNDHWM, 1000)
        self._socket.set(zmq.RCVHWM, 1000)
        self._socket.set(zmq.SNDTIMEO, int(SILENCE_S * 1000))
        self._socket.set(zmq.RECONNECT_IVL_MAX, 1000)
        self._socket.connect(endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)

    def now(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()

    def send(self, head: bytes, frames: Sequence[bytes]) -> bool:
        """Send one message, large frames without copying them."""
        socket = self._socket
        try:
            if not frames:
                socket.send(head)
                return True
            socket.send(head, _MORE)
        except zmq.Again:
            return False
        for frame in frames[:-1]:
            socket.send(frame, _MORE, copy=False)
        socket.send(frames[-1], copy=False)
        return True

    def receive(self) -> list[bytes] | None:
        """Return the next message that has come in, if any."""
        try:
            frame = self._socket.recv(_NOW, copy=False)
        except zmq.Again:
            return None
        frames = [frame.bytes]
        while frame.more:
            frame = self._socket.recv(0, copy=False)
            frames.append(frame.bytes)
        return frames

    def wait(self, timeout_s: float) -> None:
        """Return when something came in or the time is over."""
        self._poller.poll(ceil(timeout_s * 1000))

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return int(self._socket.get(zmq.FD))

    def close(self, linger_s: float) -> None:
        """Close the socket; wait for what was sent, at most ``linger_s``."""
        self._socket.close(linger=round(linger_s * 1000))
        self._context.term()
