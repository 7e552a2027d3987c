"""A worker's side: take messages, give messages, finish them; it keeps telling the broker that the worker lives.

One lock, one socket, two threads. The worker's own thread uses the socket directly, so that a message costs no hop
between threads. A second thread beats the heart while the worker computes for minutes; ZeroMQ allows a socket to
move between threads behind a lock. Once ``fileno`` was asked for, that thread also reads what comes in and makes the
file descriptor readable: ZeroMQ's own descriptor is edge-triggered and loses wake-ups when two threads look at it.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, TypeVar

from broker import codec, curve, protocol
from broker.curve import Passport
from broker.heap import keep_large_blocks
from broker.protocol import BEAT_S, HELLO_S, SILENCE_S, Command, ProtocolError, head, parse
from broker.topic import Topic
from broker.transport import SocketTransport, Transport

Message = TypeVar("Message")

GIFTS_MAX = 16  # sent to one topic and not yet known to be kept
GIFTS_BYTES_MAX = 4 << 20  # of them; a larger gift travels alone


@dataclass(frozen=True)
class Delivery(Generic[Message]):
    """A message handed out to this worker. ``deliveries`` counts how often it was handed out, this included."""

    ticket: int
    topic: str
    message: Message
    deliveries: int


class BrokerLost(Exception):
    """The broker is gone, was restarted, or took this worker for dead: what is leased belongs to others now."""


class Refused(Exception):
    """The broker does not want this worker, and will not later: another version, an unknown topic."""


@dataclass(slots=True)
class _Gifts:
    """What was given to one topic and is not yet known to be in its queue."""

    next: int = 1
    unkept: deque[tuple[int, int, list[bytes], int]] = field(default_factory=deque)
    unkept_bytes: int = 0
    full: bool = False

    def closed(self, size: int) -> bool:
        too_large = self.unkept_bytes > 0 and self.unkept_bytes + size > GIFTS_BYTES_MAX
        return self.full or too_large or len(self.unkept) >= GIFTS_MAX

    def kept(self, expected: int) -> None:
        while self.unkept and self.unkept[0][0] < expected:
            self.unkept_bytes -= self.unkept.popleft()[3]


class Link:
    """The connection of one worker, for use by one thread. ``credit`` is how many messages it may hold at once.

    The constructor waits for the broker, up to ten seconds. Every call may raise ``BrokerLost``; the link is then
    of no more use. ``passport`` is for a broker on another machine, ``transport`` for ``broker.memory``. ``vitals`` is
    asked for what each heartbeat says beside ``status``, in any thread; it must not raise. ``used`` is called with the
    status whenever the worker takes, finishes, gives or asks for ``stats``, in the thread that does so.
    """

    def __init__(
        self,
        endpoint: str,
        worker: str,
        *,
        takes: Sequence[Topic[Any]] = (),
        gives: Sequence[Topic[Any]] = (),
        credit: int = 1,
        passport: Passport | None = None,
        transport: Transport | None = None,
        vitals: Callable[[], dict[str, Any]] | None = None,
        used: Callable[[Mapping[str, int | float | str]], object] | None = None,
    ) -> None:
        self.worker = worker if passport is None else curve.named(worker, passport.public)
        self._realm = () if passport is None else (passport.realm.encode(),)
        self._takes = {topic.name: topic for topic in takes}
        self._gives = {topic.carries: topic for topic in gives}
        assert len(self._gives) == len(gives), "two topics of one link carry the same type"
        self._gifts = {topic.name: _Gifts() for topic in gives}
        self._credit = credit
        self._inbox: deque[tuple[int, str, int, list[bytes]]] = deque()
        self._leases: dict[int, None] = {}  # tickets, oldest first, with those in the inbox
        self._begun: int | None = None  # ticket the broker was told of (0: none); None: of no one
        self._uses = 0
        self._working: tuple[str, int] | None = None
        self._news = False  # something was refused since, and now there is room
        self._wants_room = False
        self._status: dict[str, int | float | str] = {}
        self._vitals = vitals
        self._used = used
        self._figures: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._instance = b""
        self._lost: Exception | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._bell: _Bell | None = None
        self._wake = _Bell()
        if transport is None:
            keep_large_blocks()
        self._transport = SocketTransport(endpoint, passport) if transport is None else transport
        self._heard = self._beaten = self._transport.now()
        self._thread = threading.Thread(target=self._keep_alive, name="heartbeat", daemon=True)
        try:
            self._hello()
        except BaseException:
            self._shut(linger_s=0)
            raise
        if self._transport.threaded:
            self._thread.start()

    def __enter__(self) -> "Link":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say goodbye after a clean end; otherwise leave like the dead, so that the message at fault is counted."""
        self.close() if error is None else self.abandon()

    # ---- taking ---------------------------------------------------------------------------------------------

    def take(self, timeout_s: float) -> Delivery[Any] | None:
        """Wait for a message; None after ``timeout_s``, or when a gift that was refused may be tried again."""
        self._use()
        self._working = None
        with self._lock:
            deadline = self._transport.now() + timeout_s
            while True:
                now = self._transport.now()
                if not self._inbox:
                    self._read(now)
                self._live(now)
                if self._inbox:
                    return self._next()
                if self._news or now >= deadline:
                    self._news = False
                    self._ring()
                    return None
                self._set_begun(0)
                self._transport.wait(min(deadline - now, max(0.0, self._beaten + BEAT_S - now)))

    def take_nowait(self) -> Delivery[Any] | None:
        """Return a message if one is here. Call it until None whenever ``fileno`` is readable."""
        self._use()
        self._working = None
        with self._lock:
            now = self._transport.now()
            if not self._inbox:
                self._news = False
                self._read(now)
            self._live(now)
            found = self._next() if self._inbox else None
            self._ring()
            return found

    def done(self, tickets: Sequence[int], outputs: Sequence[object] = ()) -> None:
        """Finish these messages with these outputs: the broker keeps all of it, or none if this worker dies first."""
        names: list[tuple[str, int, int]] = []
        frames: list[bytes] = []
        for output in outputs:
            encoded = codec.encode(output)
            names.append((self._topic_of(output).name, codec.priority(output), len(encoded)))
            frames += encoded
        self._finish(tickets, head(Command.DONE, list(tickets), names), frames)

    def again(self, ticket: int, delay_s: float = 0.5) -> None:
        """Hand a message back; it is handed out again after ``delay_s``, to anyone, a bounded number of times."""
        self._finish((ticket,), head(Command.AGAIN, ticket, round(delay_s * 1000)))

    # ---- giving ---------------------------------------------------------------------------------------------

    def give(self, message: object) -> bool:
        """Begin a message (sources only). False: the topic is full or slow, keep it and try when there is news.

        True: the link sees to it that the broker keeps it, also if the broker says only later that it was full.
        """
        encoded = codec.encode(message)
        size = sum(map(len, encoded))
        topic = self._topic_of(message).name
        gifts = self._gifts[topic]
        self._use()
        with self._lock:
            now = self._transport.now()
            self._live(now)
            if gifts.closed(size):
                self._read(now)
            if gifts.closed(size):
                self._wants_room = True
                self._news = False
                self._ring()
                return False
            gift = (gifts.next, codec.priority(message), encoded, size)
            gifts.next += 1
            gifts.unkept.append(gift)
            gifts.unkept_bytes += size
            self._send_gift(topic, gift)
            self._after_send(now)
            return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until the broker keeps all that was given; False if it does not within the time."""
        with self._lock:
            deadline = self._transport.now() + timeout_s
            while True:
                now = self._transport.now()
                self._read(now)
                self._live(now)
                kept = not any(gifts.unkept for gifts in self._gifts.values())
                if kept or now >= deadline:
                    self._ring()
                    return kept
                self._transport.wait(min(deadline - now, max(0.0, self._beaten + BEAT_S - now)))

    # ---- telling and asking -----------------------------------------------------------------------------------

    def status(self, values: Mapping[str, int | float | str]) -> None:
        """Say how this worker is; the next heartbeat carries it to whoever asks for ``stats``."""
        self._status = dict(values)

    def stats(self, timeout_s: float = 2.0) -> dict[str, Any]:
        """Ask the broker for its topics, workers and poison; ``TimeoutError`` if it does not answer in time."""
        self._use()
        with self._lock:
            self._asked += 1
            asked = self._asked
            self._live(self._transport.now())
            self._send(head(Command.STATS, asked))
            deadline = self._transport.now() + timeout_s
            while asked not in self._figures:
                now = self._transport.now()
                if now >= deadline:
                    raise TimeoutError(f"the broker did not answer within {timeout_s} s")
                self._transport.wait(deadline - now)
                self._read(self._transport.now())
                self._live(self._transport.now())
            figures = self._figures.pop(asked)
            self._figures.clear()
            self._ring()
        return protocol.readable(figures)

    @property
    def uses(self) -> int:
        """How often the worker took, finished, gave or asked for ``stats``; while this grows it makes progress."""
        return self._uses

    @property
    def working(self) -> tuple[str, int] | None:
        """Topic and block number of the message taken last; None while the next one is waited for."""
        return self._working

    def fileno(self) -> int:
        """Return a descriptor that is readable while a delivery, news of room, or the loss of the broker waits."""
        with self._lock:
            if self._bell is None:
                self._bell = _Bell()
                self._read(self._transport.now())
                self._ring()
                self._wake.ring()
            return self._bell.fileno()

    # ---- leaving ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Say goodbye: what is leased goes back at once, and nobody is blamed for it. May be called twice.

        What was given and is not yet kept (see ``flush``) is given up.
        """
        with self._lock:
            if not self._closed and self._lost is None:
                self._transport.send(head(Command.BYE), ())
                if self._realm:
                    self._await_farewell()
        self._shut(linger_s=1.0 if self._lost is None else 0.0)

    def abandon(self) -> None:
        """Leave without goodbye, as if killed: the message being worked on is one death closer to being set aside."""
        self._shut(linger_s=1.0 if self._lost is None else 0.0)

    def _shut(self, linger_s: float) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._wake.ring()
        if self._thread.is_alive():
            self._thread.join()
        self._transport.close(linger_s)
        self._wake.close()
        if self._bell is not None:
            self._bell.close()

    def _use(self) -> None:
        self._uses += 1
        if self._used is not None:
            self._used(self._status)

    # ---- from here on the lock is held ----------------------------------------------------------------------------

    def _hello(self) -> None:
        takes, gives = list(self._takes), list(self._gifts)
        hello = head(
            Command.HELLO, self.worker, protocol.MESSAGE_VERSION, takes, gives, self._credit
        )
        self._transport.send(hello, self._realm)
        deadline = self._transport.now() + HELLO_S
        while not self._instance and self._lost is None:
            now = self._transport.now()
            if now >= deadline:
                why = self._transport.obstacle()
                self._lost = BrokerLost(f"no broker answers within {HELLO_S:.0f} s{why}")
                break
            self._transport.wait(deadline - now)
            self._read(self._transport.now())
        if self._lost is not None:
            raise self._lost

    def _await_farewell(self) -> None:
        """Wait until the broker has read the goodbye: a TCP connection closed before may take it, and more, along.

        A beat of somebody who is gone is answered with STRANGER.
        """
        self._transport.send(head(Command.BEAT, b""), ())
        deadline = self._transport.now() + SILENCE_S
        while self._lost is None and (left := deadline - self._transport.now()) > 0:
            self._transport.wait(left)
            self._read(self._transport.now())

    def _topic_of(self, message: object) -> Topic[Any]:
        topic = self._gives.get(type(message))
        if topic is None:
            raise TypeError(f"{self.worker} gives no topic that carries {type(message).__name__}")
        return topic

    def _next(self) -> Delivery[Any]:
        ticket, topic, deliveries, frames = self._inbox.popleft()
        self._set_begun(ticket)
        message = codec.decode(self._takes[topic].carries, frames)
        self._working = topic, codec.priority(message)
        return Delivery(ticket, topic, message, deliveries)

    def _set_begun(self, ticket: int) -> None:
        """Tell the broker what is worked on, unless it is what it believes: the oldest, while it was never told."""
        believed = next(iter(self._leases), 0) if self._begun is None else self._begun
        if ticket != believed:
            self._begun = ticket
            self._send(head(Command.BEGIN, ticket))

    def _finish(self, tickets: Sequence[int], head_: bytes, frames: Sequence[bytes] = ()) -> None:
        """Let go of leases by what ``head_`` says."""
        self._use()
        with self._lock:
            now = self._transport.now()
            self._live(now)
            self._send(head_, frames)
            for ticket in tickets:
                self._leases.pop(ticket, None)
            if self._begun in tickets:
                self._begun = 0
            self._after_send(now)

    def _send(self, head_: bytes, frames: Sequence[bytes] = ()) -> None:
        if not self._transport.send(head_, frames):
            self._lose("the broker takes nothing any more")
            self._live(self._transport.now())

    def _after_send(self, now: float) -> None:
        """Sending may swallow the wake-up of what has come in meanwhile; so look, where others rely on it."""
        if self._bell is not None:
            self._read(now)
            self._ring()

    def _send_gift(self, topic: str, gift: tuple[int, int, list[bytes], int]) -> None:
        sequence, priority, frames, _ = gift
        self._send(head(Command.GIVE, topic, sequence, priority), frames)

    def _live(self, now: float) -> None:
        """Beat when a beat is due; raise if the broker is lost."""
        if self._lost is None and now - self._beaten >= BEAT_S:
            if now - self._beaten > SILENCE_S / 2:
                self._heard = now  # this process slept; the broker is not to blame
            self._beaten = now
            self._read(now)
            told = {**self._status, **(self._vitals() if self._vitals else {})}
            if not self._transport.send(head(Command.BEAT, protocol.pack_map(told)), ()):
                self._lose("the broker takes nothing any more")
        if self._lost is None and now - self._heard > SILENCE_S:
            self._lose(f"the broker is silent for {SILENCE_S:.0f} s")
        if self._lost is not None:
            raise self._lost

    def _lose(self, cause: str) -> None:
        self._lost = self._lost or BrokerLost(cause)

    def _ring(self) -> None:
        """Make the descriptor readable exactly while something waits."""
        if self._bell is not None:
            waits = self._inbox or self._news or self._lost is not None
            self._bell.ring() if waits else self._bell.calm()

    def _read(self, now: float) -> None:
        while self._lost is None:
            frames = self._transport.receive()
            if frames is None:
                return
            self._heard = now
            try:
                command, fields = parse(frames[0])
                self._hear(command, fields, frames)
            except protocol.OtherVersion as error:
                self._lost = Refused(str(error))
            except (ProtocolError, KeyError) as error:
                self._lose(f"the broker broke the protocol: {error!r}")

    def _hear(self, command: Command, fields: list[Any], frames: list[bytes]) -> None:
        match command:
            case Command.WORK:
                ticket, topic, deliveries = fields
                self._leases[ticket] = None
                self._inbox.append((ticket, topic, deliveries, frames[1:]))
            case Command.KEPT | Command.FULL | Command.ROOM:
                self._hear_gifts(command, *fields)
            case Command.PULSE | Command.WELCOME:
                self._hear_instance(fields[0])
            case Command.FIGURES:
                self._figures[fields[0]] = protocol.unpack_map(fields[1])
            case Command.STRANGER:
                self._lose(
                    "the broker does not know this worker: it was restarted, or took it for dead"
                )
            case Command.REFUSED:
                self._lost = Refused(f"the broker refuses {self.worker}: {fields[0]}")
            case _:
                raise ProtocolError(f"{command.name} is for the broker")

    def _hear_instance(self, instance: bytes) -> None:
        self._instance = self._instance or instance
        if instance != self._instance:
            self._lose("the broker was restarted")

    def _hear_gifts(self, command: Command, topic: str, expected: int) -> None:
        gifts = self._gifts[topic]
        gifts.kept(expected)
        gifts.full = command is Command.FULL or (gifts.full and command is Command.KEPT)
        if command is Command.ROOM:
            for gift in gifts.unkept:
                self._send_gift(topic, gift)
        if self._wants_room and not gifts.full and len(gifts.unkept) < GIFTS_MAX:
            self._wants_room = False
            self._news = True

    # ---- the second thread --------------------------------------------------------------------------------------

    def _keep_alive(self) -> None:
        """Beat once a second if the worker's own thread does not; read for it, if it waits on ``fileno``."""
        descriptor = self._transport.fileno()
        watch = select.poll()
        watch.register(self._wake.fileno(), select.POLLIN)
        watching = False
        while not self._closed:
            watch.poll(BEAT_S * 1000)
            with self._lock:
                self._wake.calm()
                if self._closed or self._lost is not None:
                    break
                if self._bell is not None and not watching:
                    watch.register(descriptor, select.POLLIN)
                    watching = True
                self._watch_over(watching)
        with self._lock:
            self._ring()

    def _watch_over(self, watching: bool) -> None:
        # What is raised stays in self._lost: the worker's own thread raises it at its next call.
        with suppress(BrokerLost, Refused):
            now = self._transport.now()
            if watching:
                self._read(now)
            self._live(now)
        self._ring()


class _Bell:
    """A descriptor that is readable exactly between ``ring`` and ``calm``."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._rung = False

    def fileno(self) -> int:
        return self._read

    def ring(self) -> None:
        if not self._rung:
            os.write(self._write, b"!")
            self._rung = True

    def calm(self) -> None:
        if self._rung:
            os.read(self._read, 1)
            self._rung = False

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)
