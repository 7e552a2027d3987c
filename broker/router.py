"""The broker process: one ROUTER socket, one thread, one loop around ``Queues``. It never decodes a message.

A worker that dies is noticed in three ways: its socket closes (at once, however it was killed), a new one says
HELLO under the same name, or it is silent for ``SILENCE_S`` (stopped, or cut off).
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from struct import Struct
from types import TracebackType
from typing import Any

import zmq

from broker.door import EVENTS, Door, Listen
from broker.endpoint import held
from broker.heap import keep_large_blocks
from broker.protocol import (
    CREDIT_MAX,
    FRAME_BYTES_MAX,
    FRAMES_MAX,
    Command,
    head,
    new_instance,
    readable,
)
from broker.queues import Frames, PoisonHandler, Queues
from broker.topic import Topic

log = logging.getLogger("hera")

BATCH = 256  # messages read before the loop looks at anything else
IDLE_S = 0.5  # how late ``stop`` may be noticed
LOOK_S = 2.5
LINGER_MS = 500
_NOW = int(zmq.NOBLOCK)  # plain ints: joining enum flags costs more than the send itself
_MORE = int(zmq.SNDMORE)
_MORE_NOW = _NOW | _MORE
_EVENT = Struct("=Hi")  # kind, file descriptor; zmq.utils.monitor does the same but loads asyncio
_HELLO = bytes((Command.HELLO,))
COPIED_BYTES_MAX = (
    8192  # smaller frames are copied out: they would keep a whole read buffer of 8 KiB alive
)


def serve(
    endpoint: str,
    topics: Sequence[Topic[Any]],
    *,
    stop: Callable[[], bool],
    poison: PoisonHandler | None = None,
    poison_topic: str | None = None,
    listen: Listen | None = None,
    vitals: Callable[[], Mapping[str, Any]] | None = None,
    look: Callable[[dict[str, Any]], None] | None = None,
    turned: Callable[[], object] = lambda: None,
) -> None:
    """Run the broker until ``stop``. ``EndpointError`` says in one line why the endpoint cannot be served.

    With ``listen``, workers on other machines may join as well. ``vitals`` is what the broker's figures say of itself.
    ``look`` is shown the figures every ``LOOK_S``, as ``Link.stats`` returns them; it must be quick and not raise.
    ``turned`` is called at each turn of the loop, first once the sockets are bound.
    """
    keep_large_blocks()
    with (
        held(endpoint),
        Router(
            endpoint,
            topics,
            poison=poison,
            poison_topic=poison_topic,
            listen=listen,
            vitals=vitals,
        ) as router,
    ):
        looked = time.monotonic()
        while not stop():
            turned()
            router.turn(IDLE_S)
            if look is not None and time.monotonic() - looked >= LOOK_S:
                looked = time.monotonic()
                look(router.figures())


class Router:
    """The socket and what it serves. The caller holds the endpoint (``endpoint.held``) and calls ``turn`` in a loop."""

    def __init__(
        self,
        endpoint: str,
        topics: Sequence[Topic[Any]],
        *,
        poison: PoisonHandler | None = None,
        poison_topic: str | None = None,
        listen: Listen | None = None,
        vitals: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._socket.set(zmq.LINGER, LINGER_MS)
        self._socket.set(zmq.MAXMSGSIZE, FRAME_BYTES_MAX)
        self._socket.set(
            zmq.SNDHWM, 2 * CREDIT_MAX
        )  # credit bounds it; this catches a worker that stopped reading
        self._socket.set(zmq.RCVHWM, 1000)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_DISCONNECTED if listen is None else EVENTS
        )
        self._socket.bind(endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._door: Door | None = None
        if listen is not None:
            self._open(listen)
        self._owners: dict[int, bytes] = {}  # file descriptor of a connection -> its worker
        self._cut: dict[
            bytes, str
        ] = {}  # worker -> why it is lost, told once its last words are read
        self._looked_up = time.monotonic()
        self._queues = Queues(
            topics,
            self._send,
            instance=new_instance(),
            now=time.monotonic(),
            poison=poison,
            poison_topic=poison_topic,
            vitals=vitals,
        )

    def __enter__(self) -> "Router":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all sockets; what is queued in the broker is given up, as it can be made again."""
        self._close()

    def _close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close()
        if self._door is not None:
            self._door.close()
        self._context.term()

    def _open(self, listen: Listen) -> None:
        try:
            self._door = Door(listen, self._context, self._socket, time.monotonic())
        except BaseException:
            self._close()
            raise
        self._poller.register(self._door.zap, zmq.POLLIN)

    def turn(self, wait_s: float) -> None:
        """Wait up to ``wait_s`` for messages, handle one batch of them, and see who died."""
        wait_s = self._queues.due_s(time.monotonic(), wait_s)
        events = dict(self._poller.poll(ceil(wait_s * 1000)))
        all_read = self._read_batch()
        now = time.monotonic()
        self._queues.flush(now)
        if self._door is not None:
            self._door.answer(now)
            self._door.turn(now)
        # Only when all is read is silence silence, and are the last words of the dead known. A broker that is never
        # idle looks up all the same, now and then.
        if all_read or now - self._looked_up > IDLE_S:
            self._looked_up = now
            if self._monitor in events:
                self._read_monitor()
            self._bury()
            self._queues.tick(now, all_read=all_read)

    def figures(self) -> dict[str, Any]:
        """Return what ``Link.stats`` returns to a worker."""
        return readable(self._queues.figures(time.monotonic()))

    def _read_batch(self) -> bool:
        """Handle up to ``BATCH`` messages; return whether there were no more."""
        now = time.monotonic()
        for _ in range(BATCH):
            try:
                frame = self._socket.recv(_NOW, copy=False)
            except zmq.Again:
                return True
            identity = frame.bytes
            frames, last = self._read_rest(frame)
            if frames[0][1:2] == _HELLO:
                self._note_owner(identity, last)
                if self._door is not None and (cause := self._door.objection(last, frames, now)):
                    self._send(identity, head(Command.REFUSED, cause), ())
                    continue
            self._queues.handle(identity, frames, now)
        return False

    def _read_rest(self, frame: zmq.Frame) -> tuple[list[Any], zmq.Frame]:
        """Read the frames behind the identity; too many of them become one that ``Queues`` refuses."""
        frames: list[Any] = []
        while frame.more:
            frame = self._socket.recv(0, copy=False)
            if len(frame) <= COPIED_BYTES_MAX or not frames:
                frames.append(frame.bytes)
            elif len(frames) <= FRAMES_MAX:
                frames.append(frame)
        return (frames if 0 < len(frames) <= FRAMES_MAX else [b""]), frame

    def _send(self, identity: bytes, head: bytes, frames: Frames) -> None:
        socket = self._socket
        try:
            socket.send(identity, _MORE_NOW)
        except zmq.Again:
            self._cut[identity] = "does not read"
            return
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._cut[identity] = "cannot be reached"
            return
        if not frames:
            socket.send(head)
            return
        socket.send(head, _MORE)
        last = len(frames) - 1
        for at, frame in enumerate(frames):
            flags = 0 if at == last else _MORE
            socket.send(frame, flags, copy=type(frame) is bytes)

    def _note_owner(self, identity: bytes, frame: zmq.Frame) -> None:
        """Remember whose connection this is. The number may have been another's, whose end is then due first."""
        self._read_monitor()
        descriptor = int(frame.get(zmq.SRCFD))
        before = self._owners.get(descriptor, identity)
        if before != identity:
            self._queues.lost(before, "its connection closed")
        self._owners[descriptor] = identity

    def _read_monitor(self) -> None:
        while self._monitor.poll(0):
            event, endpoint = self._monitor.recv_multipart()
            kind, descriptor = _EVENT.unpack(event)
            if self._door is not None:
                self._door.event(kind, descriptor, endpoint, time.monotonic())
                if kind != zmq.EVENT_DISCONNECTED:
                    continue
            identity = self._owners.pop(descriptor, None)
            if identity is not None:
                self._cut.setdefault(identity, "its connection closed")

    def _bury(self) -> None:
        while self._cut:
            identity, cause = self._cut.popitem()
            self._queues.lost(identity, cause)
