"""The broker's door to other machines: a TCP listener that speaks CURVE with the keys on the list and nobody else.

Local workers do not pass it. It answers ZeroMQ's question whether a key may join (ZAP, RFC 27), looks at what a worker
asks for when it says HELLO, cuts who does not come to that point, and bounds how many connections there are. What it
refuses is logged with address and key, a few lines a minute at most: strangers choose how often they knock.
"""

import logging
import os
import socket as sockets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import zmq

from broker import curve, protocol
from broker.curve import Allowed, BrokerKeys, KeysError
from broker.endpoint import not_listened
from broker.protocol import Command, ProtocolError
from broker.transport import JOIN_S, prepare

log = logging.getLogger("hera")

NEWCOMERS_MAX = 64  # connections that have not said HELLO; the oldest is cut for a newer one
WORKERS_MAX = 256  # of other machines, together
LINES_MAX = 10  # of refusals in the log, in LINES_S
LINES_S = 60.0
LOOK_S = 0.5  # how late a changed list, or a silent newcomer, may be noticed
ASKED_MAX = 64  # keys judged before the loop looks at anything else
EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)
_ZAP = "inproc://zeromq.zap.01"


@dataclass(frozen=True)
class Rows:
    """The topics that the workers of one row of the pipeline take and give."""

    takes: frozenset[str]
    gives: frozenset[str]


@dataclass(frozen=True)
class Listen:
    """Where the door is, whose keys it has, what each row may touch, and the realm all its workers must be of."""

    endpoint: str  # tcp://ADDRESS:PORT
    keys: BrokerKeys
    rows: Mapping[str, Rows]
    realm: str


class Door:
    """The listener on the broker's own ROUTER socket; made once the local endpoint is bound, which stays as it is."""

    def __init__(
        self, listen: Listen, context: "zmq.Context[Any]", socket: "zmq.Socket[bytes]", now: float
    ) -> None:
        self._listen = listen
        self._allowed = curve.allowed(listen.keys.folder)
        self._stamp = curve.stamp(listen.keys.folder)
        # descriptor -> address, since when; oldest first
        self._newcomers: dict[int, tuple[str, float]] = {}
        self._joined: dict[int, bytes] = {}  # descriptor -> key
        self._failed = ""  # why the connection that closes next did
        self._refusals = _Refusals(now)
        self._looked = now
        self.zap = context.socket(zmq.REP)
        self.zap.set(zmq.LINGER, 0)
        # First, and closed last: without it ZeroMQ would let in every key.
        self.zap.bind(_ZAP)
        try:
            self._bind(socket)
        except BaseException:
            self.zap.close()
            raise

    def _bind(self, socket: "zmq.Socket[bytes]") -> None:
        endpoint = self._listen.endpoint
        prepare(socket, endpoint)
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, self._listen.keys.secret)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise not_listened(endpoint, error.strerror or "") from error
        log.info(
            "Listening for workers of other machines",
            extra=_fields(
                address=endpoint,
                key=self._listen.keys.public.hex(),
                allowed=len(self._allowed),
            ),
        )

    def close(self) -> None:
        """Close the door's own socket, after the listener."""
        self.zap.close()

    # ---- who may join ---------------------------------------------------------------------------------------

    def answer(self, now: float) -> None:
        """Judge the keys of those who knock."""
        for _ in range(ASKED_MAX):
            try:
                question = self.zap.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._look(now)  # so that a key that was just added is let in
            self.zap.send_multipart(self._judged(question, now))

    def _judged(self, question: Sequence[bytes], now: float) -> list[bytes]:
        request, address, key = question[1], question[3], question[-1]
        if key in self._allowed:
            return [b"1.0", request, b"200", b"", key.hex().encode(), b""]
        self._refusals.say(
            now, "its key is not allowed", address=address.decode("ascii", "replace"), key=key.hex()
        )
        return [b"1.0", request, b"400", b"this key is not allowed", b"", b""]

    def objection(self, frame: zmq.Frame, frames: Sequence[Any], now: float) -> str:
        """Say why the sender of this HELLO, if it is of another machine, may not join; remember it if it may."""
        try:
            key = bytes.fromhex(str(frame.get("User-Id")))
        except zmq.ZMQError:  # no key was asked for: it is of this machine
            return ""
        descriptor = int(frame.get(zmq.SRCFD))
        allowed = self._allowed.get(key)
        cause = self._cause(descriptor, allowed, frames)
        who = {"address": str(frame.get("Peer-Address")), "key": key.hex()}
        if cause or allowed is None:
            self._refusals.say(now, cause, **who)
            return cause
        self._newcomers.pop(descriptor, None)
        self._joined[descriptor] = key
        log.info(
            "A worker of another machine joined", extra=_fields(allowed_as=allowed.name, **who)
        )
        return ""

    def _cause(self, descriptor: int, allowed: Allowed | None, frames: Sequence[Any]) -> str:
        if allowed is None:
            return "its key is not allowed any more"
        if descriptor not in self._joined:
            if descriptor not in self._newcomers:
                return "it came too late"  # its connection is cut already
            if len(self._joined) >= WORKERS_MAX:
                return f"{WORKERS_MAX} workers of other machines are the most"
        return self._refusal(allowed, frames)

    def _refusal(self, allowed: Allowed, frames: Sequence[Any]) -> str:
        try:
            command, fields = protocol.parse(frames[0])
            if command is not Command.HELLO:
                return ""  # as below
            name, version, takes, gives, _ = fields
            taken, given = set(protocol.names(takes)), set(protocol.names(gives))
        except ProtocolError:
            return ""  # whoever handles the message refuses it
        if version != protocol.MESSAGE_VERSION:
            return ""  # as above
        if name != curve.named(name.rpartition("@")[0], allowed.key):
            return f"its name must end in {curve.named('', allowed.key)}"
        realm = bytes(frames[1]).decode("utf-8", "replace") if len(frames) > 1 else ""
        if realm != self._listen.realm:
            return f"it works for {realm[:200] or 'no network'}, the node for {self._listen.realm}"
        rows = [self._listen.rows[row] for row in allowed.rows if row in self._listen.rows]
        if any(taken <= row.takes and given <= row.gives for row in rows):
            return ""
        return f"its key is allowed for {','.join(allowed.rows)} only"

    # ---- who is there ---------------------------------------------------------------------------------------

    def event(self, kind: int, value: int, endpoint: bytes, now: float) -> None:
        """Take one event of the ROUTER's monitor."""
        if not endpoint.startswith(b"tcp://"):
            return
        if kind == zmq.EVENT_ACCEPTED:
            self._newcomers[value] = (_address(value), now)
            if len(self._newcomers) > NEWCOMERS_MAX:
                self._cut(next(iter(self._newcomers)), f"{NEWCOMERS_MAX} others came after it", now)
        elif kind == zmq.EVENT_DISCONNECTED:
            self._gone(value, now)
        elif value == zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
            self._failed = "it has not this broker's key"
        else:
            self._failed = "it does not speak CURVE, or was silent"

    def _gone(self, descriptor: int, now: float) -> None:
        self._joined.pop(descriptor, None)
        address, _ = self._newcomers.pop(descriptor, ("", now))
        if address and self._failed:
            self._refusals.say(now, self._failed, address=address)
        self._failed = ""

    def turn(self, now: float) -> None:
        """Now and then: read the list again if it changed, cut whom it names no more and who joins too slowly."""
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        self._look(now)
        late = [each for each, (_, since) in self._newcomers.items() if now - since > JOIN_S]
        for descriptor in late:
            self._cut(descriptor, "it did not say what it is", now)
        self._refusals.turn(now)

    def _look(self, now: float) -> None:
        """Read the list again if its file changed; one that is malformed changes nothing."""
        stamp = curve.stamp(self._listen.keys.folder)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._allowed = curve.allowed(self._listen.keys.folder)
        except KeysError as error:
            log.error(
                "The list of allowed workers stays as it was", extra=_fields(cause=str(error))
            )
            return
        log.info("The list of allowed workers changed", extra=_fields(allowed=len(self._allowed)))
        for descriptor, key in list(self._joined.items()):
            if key not in self._allowed:
                log.warning(
                    "Cutting a worker that is not allowed any more", extra=_fields(key=key.hex())
                )
                _shut(descriptor)

    def _cut(self, descriptor: int, cause: str, now: float) -> None:
        address, _ = self._newcomers.pop(descriptor)
        self._refusals.say(now, cause, address=address)
        _shut(descriptor)


class _Refusals:
    """Logs who was refused: ``LINES_MAX`` lines in ``LINES_S``, then only how many there were."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._count = 0

    def say(self, now: float, cause: str, **who: str) -> None:
        self.turn(now)
        self._count += 1
        if self._count <= LINES_MAX:
            log.warning("Connection to the broker refused", extra=_fields(**who, cause=cause))

    def turn(self, now: float) -> None:
        if now - self._since < LINES_S:
            return
        if self._count > LINES_MAX:
            log.warning(
                "More connections to the broker were refused",
                extra=_fields(count=self._count - LINES_MAX, seconds=round(now - self._since)),
            )
        self._since, self._count = now, 0


def _address(descriptor: int) -> str:
    """Return who is at the other end, as far as it can be told: ZeroMQ may have closed the connection meanwhile."""
    found = _on(descriptor, lambda socket: socket.getpeername()[:2])
    return "unknown: it was gone at once" if found is None else f"{found[0]}:{found[1]}"


def _shut(descriptor: int) -> None:
    """End a connection that ZeroMQ owns: it sees the end of the stream and closes it."""
    _on(descriptor, lambda socket: socket.shutdown(sockets.SHUT_RDWR))


def _on(descriptor: int, use: Callable[[sockets.socket], Any]) -> Any:
    """Use the TCP connection behind a descriptor of ZeroMQ's; None if it is gone, or the number is another's now."""
    try:
        with sockets.socket(fileno=os.dup(descriptor)) as socket:
            internet = socket.family in (sockets.AF_INET, sockets.AF_INET6)
            return use(socket) if internet else None
    except OSError:
        return None


def _fields(**values: Any) -> dict[str, dict[str, Any]]:
    return {"fields": values}
