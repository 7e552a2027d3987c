"""How a link's frames reach the broker: over a DEALER socket here, or within one process in ``broker.memory``."""

import sys
import time
from collections.abc import Sequence
from math import ceil
from typing import Protocol

import zmq

from broker.curve import Passport
from broker.endpoint import EndpointError, check_folder, is_ipv6, is_tcp, socket_path
from broker.protocol import BEAT_S, FRAME_BYTES_MAX, SILENCE_S

JOIN_S = 5.0  # how long a connection of another machine may take until its worker says HELLO
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

    def obstacle(self) -> str:
        """Return why the broker does not answer, as the end of a sentence; nothing if that is not known."""
        ...

    def close(self, linger_s: float) -> None:
        """Let go of the connection; what was sent gets ``linger_s`` to leave."""
        ...


def prepare(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    """Set what a TCP connection needs: ZeroMQ notices a cut as early as broker and worker notice silence."""
    socket.set(zmq.IPV6, int(is_ipv6(endpoint)))
    socket.set(zmq.HANDSHAKE_IVL, int(JOIN_S * 1000))
    socket.set(zmq.HEARTBEAT_IVL, int(BEAT_S * 1000))
    socket.set(zmq.HEARTBEAT_TIMEOUT, int(SILENCE_S * 1000))
    socket.set(zmq.HEARTBEAT_TTL, int(SILENCE_S * 1000))
    socket.set(zmq.TCP_MAXRT, int(SILENCE_S * 1000))


class SocketTransport:
    """A DEALER socket on an ``ipc://`` endpoint, or with a passport on a ``tcp://`` one."""

    threaded = True

    def __init__(self, endpoint: str, passport: Passport | None = None) -> None:
        remote = passport is not None and is_tcp(endpoint)
        if not remote:
            check_folder(socket_path(endpoint).parent)
        self._monitor: zmq.Socket[bytes] | None = None
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.MAXMSGSIZE, FRAME_BYTES_MAX)
        self._socket.set(zmq.SNDHWM, 1000)
        self._socket.set(zmq.RCVHWM, 1000)
        self._socket.set(zmq.SNDTIMEO, int(SILENCE_S * 1000))
        self._socket.set(zmq.RECONNECT_IVL_MAX, 1000)
        if remote:
            assert passport is not None
            self._show(passport, endpoint)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close(0)
            raise EndpointError(f"{endpoint} cannot be connected to: {error.strerror}") from error
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)

    def _show(self, passport: Passport, endpoint: str) -> None:
        prepare(self._socket, endpoint)
        self._socket.set(zmq.CURVE_SERVERKEY, passport.broker)
        self._socket.set(zmq.CURVE_PUBLICKEY, passport.public)
        self._socket.set(zmq.CURVE_SECRETKEY, passport.secret)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_CONNECTED | zmq.EVENT_HANDSHAKE_FAILED_AUTH, "inproc://monitor"
        )

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

    def obstacle(self) -> str:
        """Return why a broker on another machine does not answer, as the end of a sentence."""
        if self._monitor is None:
            return ""
        found = ": nobody listens there"
        while self._monitor.poll(0):
            kind = int.from_bytes(self._monitor.recv_multipart()[0][:2], sys.byteorder)
            if kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                return ": it does not allow this worker's key (hera keys allow, on its machine)"
            found = ": who listens there has not the key of this worker's broker.key"
        return found

    def close(self, linger_s: float) -> None:
        """Close the socket; wait for what was sent, at most ``linger_s``."""
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
            linger_s = (
                SILENCE_S if linger_s else 0
            )  # a network takes its time; nobody waits longer than it does
        self._socket.close(linger=round(linger_s * 1000))
        self._context.term()
