"""Yamux, the stream multiplexer of a connection: bounded windows, half-close, resets that are seen as resets.

It takes the place of py-libp2p's own (see ``patches``), whose windows grow to 16 MB a stream, which cuts a reader
that pauses for 5 seconds, shows a reset as a clean end, and never notices a peer that has stopped.
"""

import logging
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar

import trio
from libp2p.abc import IMuxedConn, IMuxedStream, ISecureConn
from libp2p.connection_types import ConnectionType
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import (
    MuxedConnUnavailable,
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamReset,
)

from workers.p2p.records import RecordsBroken, records_of

log = logging.getLogger("hera.p2p.yamux")

HEADER = struct.Struct("!BBHII")  # version, type, flags, stream id, length
DATA, WINDOW, PING, GO_AWAY = 0, 1, 2, 3
SYN, ACK, FIN, RST = 1, 2, 4, 8
INITIAL_WINDOW = 256 * 1024  # bytes, set by the specification
FRAMES_PER_TURN = 4  # then another stream may send: keeps latency low beside a big answer
CONTROL_BATCH = 256
UINT32_MAX = 0xFFFFFFFF


@dataclass(frozen=True)
class Limits:
    """Bounds of one connection. Unread bytes: at most 64 streams of ours by 1 MiB, and 1 MiB on all of theirs."""

    window_bytes: int = 1 << 20  # of a stream that we open; theirs keep INITIAL_WINDOW
    frame_bytes_max: int = 64 * 1024 - HEADER.size - 16  # header and payload fit one Noise record
    inbound_max: int = 64  # more streams opened by the peer are reset; a syncing node has about 20
    inbound_unread_max: int = (
        1 << 20
    )  # bytes on all of them; a stream that brings more is reset: requests are small
    outbound_max: int = 64  # more of ours wait
    control_max: int = 4096  # control frames waiting; a peer that forces more is cut
    stalled_seconds: float = 60.0  # a write that finds no window
    send_seconds: float = 60.0  # one send to the socket
    ping_every_seconds: float = 30.0
    pong_seconds: float = 20.0
    linger_seconds: float = 60.0  # from our close until a stream whose peer never ends is reset
    shutdown_seconds: float = 5.0


class ProtocolError(Exception):
    """The peer broke the multiplexer's rules; its connection is closed."""


class YamuxStream(IMuxedStream):
    """One stream. Reading and writing may be done by two tasks; each direction ends on its own."""

    def __init__(self, connection: "YamuxConnection", stream_id: int, *, outbound: bool) -> None:
        self.muxed_conn = connection
        self.stream_id = stream_id
        self.outbound = outbound
        self.window = connection.limits.window_bytes if outbound else INITIAL_WINDOW
        self.send_window = INITIAL_WINDOW
        self.receive_credit = self.window  # bytes that the peer may still send
        self.closed_at = 0.0  # when we gave up reading; 0 before
        self._connection = connection
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0
        self._fin_received = self._fin_sent = False
        self._reset = self._write_reset = False
        self._read_closed = False
        self._readable = trio.Event()
        self._writable = trio.Event()
        self._write_lock = trio.Lock()

    # ---- the application's side ------------------------------------------------------------------------------

    async def read(self, n: int | None = None) -> bytes:
        """Return 1…n bytes as soon as there are any.

        Raises ``MuxedStreamEOF`` after the peer's last byte, ``MuxedStreamReset`` where it ended without a FIN. What
        arrived before the connection broke stays readable.
        """
        if n == 0:
            return b""
        while not self._unread_bytes:
            self._raise_if_ended()
            await self._readable.wait()
        out = self._take(n if n is not None and n > 0 else self.window)
        self._grant()
        await trio.lowlevel.checkpoint()
        return out

    async def write(self, data: bytes) -> None:
        """Send all of ``data``; waits for window, at most ``stalled_seconds`` at a stretch."""
        view = memoryview(data)
        async with self._write_lock:
            while view:
                self._raise_if_unwritable()
                if self.send_window <= 0:
                    await self._wait_for_window()
                    continue
                frames, taken = self._frames(view)
                self.send_window -= taken
                try:
                    await self._connection.send(frames)
                except trio.Cancelled:
                    self.send_window += taken  # cancelled before anything was sent
                    raise
                view = view[taken:]

    async def close_write(self) -> None:
        """Say that nothing more will be written; reading goes on."""
        if self._fin_sent or self._reset or self._write_reset:
            return
        self._fin_sent = True
        await self._connection.send_quietly(_frame(WINDOW, FIN, self.stream_id, 0))
        self._forget_if_done()

    async def close(self) -> None:
        """Send FIN and give up reading: what still arrives resets the stream."""
        await self.close_write()
        self._read_closed = True
        self._drop_unread()
        self.closed_at = trio.current_time()
        self._wake()
        self._forget_if_done()

    async def reset(self) -> None:
        """End both directions at once and tell the peer so."""
        if self._reset or self._connection.dead:
            return
        was_done = self.is_closed()
        self.kill()
        if not was_done:
            await self._connection.send_quietly(_frame(WINDOW, RST, self.stream_id, 0))

    def is_closed(self) -> bool:
        """Whether both directions have ended."""
        return self._reset or (self._fin_received and (self._fin_sent or self._write_reset))

    def set_deadline(self, ttl: int) -> None:
        """Deadlines are trio's cancel scopes; this one does nothing."""

    def get_remote_address(self) -> tuple[str, int] | None:
        """The peer's IP and port."""
        return self._connection.get_remote_address()

    async def __aenter__(self) -> "YamuxStream":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    # ---- the connection's side -------------------------------------------------------------------------------

    def on_data(self, body: bytes) -> None:
        """Keep what the peer sent; raise ``ProtocolError`` beyond the window that it was granted."""
        self.receive_credit -= len(body)
        if self.receive_credit < 0:
            raise ProtocolError("more data than the window allows")
        if self._fin_received or self._read_closed:
            self.refuse()
            return
        if not self.outbound:
            self._connection.inbound_unread += len(body)
            if self._connection.inbound_unread > self._connection.limits.inbound_unread_max:
                self._connection.inbound_unread -= len(body)
                self.refuse()
                return
        self._unread.append(body)
        self._unread_bytes += len(body)
        self._wake_reader()

    def refuse(self) -> None:
        """End both directions and tell the peer so, later."""
        self.kill()
        self._connection.send_later(_frame(WINDOW, RST, self.stream_id, 0))

    def on_window(self, length: int) -> None:
        """Note that the peer may be sent ``length`` more bytes."""
        if self.send_window + length > UINT32_MAX:
            raise ProtocolError("window overflow")
        self.send_window += length
        self._wake_writer()

    def on_fin(self) -> None:
        """Note that the peer writes no more."""
        self._fin_received = True
        self._wake_reader()
        self._forget_if_done()

    def on_reset(self) -> None:
        """Note that the peer gave the stream up; what came before a FIN stays readable."""
        if not self._fin_received:
            self.kill()
            return
        self._write_reset = True
        self._wake()
        self._connection.forget(self)

    def on_connection_lost(self) -> None:
        """Wake whoever waits, to find the connection dead."""
        self._wake()

    def kill(self) -> None:
        """End both directions on our side; tells the peer nothing."""
        self._reset = True
        self._drop_unread()
        self._wake()
        self._connection.forget(self)

    # ---- inside ------------------------------------------------------------------------------------------------

    def _take(self, limit: int) -> bytes:
        first = self._unread[0]
        if len(first) >= limit or len(self._unread) == 1:
            out = first[:limit]
            if len(first) > limit:
                self._unread[0] = first[limit:]
            else:
                self._unread.popleft()
        else:
            parts: list[bytes] = []
            size = 0
            while self._unread and size + len(self._unread[0]) <= limit:
                parts.append(self._unread.popleft())
                size += len(parts[-1])
            out = b"".join(parts)
        self._read(len(out))
        return out

    def _grant(self) -> None:
        """Let the peer send again once at least half of the window is free."""
        grant = self.window - self.receive_credit - self._unread_bytes
        ended = self._fin_received or self._reset or self._connection.dead
        if grant < self.window // 2 or ended:
            return
        self.receive_credit += grant
        self._connection.send_later(_frame(WINDOW, 0, self.stream_id, grant))

    def _frames(self, view: memoryview) -> tuple[list[bytes], int]:
        frames: list[bytes] = []
        taken = 0
        budget = min(self.send_window, len(view))
        while taken < budget and len(frames) < FRAMES_PER_TURN:
            size = min(budget - taken, self._connection.limits.frame_bytes_max)
            header = HEADER.pack(0, DATA, 0, self.stream_id, size)
            frames.append(header + view[taken : taken + size])
            taken += size
        return frames, taken

    async def _wait_for_window(self) -> None:
        seconds = self._connection.limits.stalled_seconds
        with trio.move_on_after(seconds) as scope:
            await self._writable.wait()
        if scope.cancelled_caught:
            await self.reset()
            raise MuxedStreamReset(f"the peer did not read for {seconds} s")

    def _raise_if_ended(self) -> None:
        if self._fin_received or self._read_closed:
            raise MuxedStreamEOF("end of stream")
        if self._reset:
            raise MuxedStreamReset("stream reset")
        if self._connection.dead:
            raise MuxedStreamReset("connection lost")

    def _raise_if_unwritable(self) -> None:
        if self._reset or self._write_reset:
            raise MuxedStreamReset("stream reset")
        if self._fin_sent:
            raise MuxedStreamClosed("closed for writing")
        if self._connection.dead:
            raise MuxedStreamReset("connection lost")

    def _forget_if_done(self) -> None:
        if self._fin_received and self._fin_sent:
            self._connection.forget(self)

    def _drop_unread(self) -> None:
        self._unread.clear()
        self._read(self._unread_bytes)

    def _read(self, size: int) -> None:
        self._unread_bytes -= size
        if not self.outbound:
            self._connection.inbound_unread -= size

    def _wake(self) -> None:
        self._wake_reader()
        self._wake_writer()

    def _wake_reader(self) -> None:
        self._readable.set()
        self._readable = trio.Event()

    def _wake_writer(self) -> None:
        self._writable.set()
        self._writable = trio.Event()


class YamuxConnection(IMuxedConn):
    """All streams of one connection. ``start`` runs until the connection ends and never raises."""

    limits: ClassVar[Limits] = Limits()

    def __init__(
        self,
        conn: ISecureConn,
        peer_id: ID,
        is_initiator: bool | None = None,
        on_close: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        self.secured_conn = conn
        self.peer_id = peer_id
        self.on_close = on_close
        self.event_started = trio.Event()
        self.event_closed = trio.Event()
        self.event_shutting_down = trio.Event()
        self.dead = False
        self.streams: dict[int, YamuxStream] = {}
        self._is_initiator = conn.is_initiator if is_initiator is None else is_initiator
        self._next_id = 1 if self._is_initiator else 2
        self.inbound_unread = 0  # bytes on the peer's streams
        self._inbound = 0
        self._closing = False
        self._records = records_of(conn)
        self._send_lock = trio.Lock()
        self._slots = trio.Semaphore(self.limits.outbound_max)
        opened = trio.open_memory_channel[YamuxStream](self.limits.inbound_max)
        self._opened_in, self._opened_out = opened
        self._control: deque[bytes] = deque()
        self._control_waiting = trio.Event()
        self._ping_id = 0
        self._pong = trio.Event()
        self._rtt_seconds = 0.0
        self._nursery: trio.Nursery | None = None

    # ---- what py-libp2p asks of a muxer ----------------------------------------------------------------------

    @property
    def is_initiator(self) -> bool:
        """Whether we dialled."""
        return self._is_initiator

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended and its socket is closed."""
        return self.event_closed.is_set()

    @property
    def is_established(self) -> bool:
        """Whether streams may be opened."""
        return self.event_started.is_set() and not self.dead

    def rtt(self) -> float:
        """The mean round trip in seconds, 0 before the first ping."""
        return self._rtt_seconds

    def get_transport_addresses(self) -> list[Any]:
        """The peer's address as a multiaddr."""
        return self.secured_conn.get_transport_addresses()

    def get_connection_type(self) -> ConnectionType:
        """Direct or relayed."""
        return self.secured_conn.get_connection_type()

    def get_remote_address(self) -> tuple[str, int] | None:
        """The peer's IP and port."""
        return self.secured_conn.get_remote_address()

    async def start(self) -> None:
        """Read, answer pings and send control frames until the connection ends."""
        if self.event_started.is_set():
            return
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._until_end, self._read_frames)
                nursery.start_soon(self._until_end, self._write_control)
                nursery.start_soon(self._until_end, self._keep_alive)
                self.event_started.set()
        finally:
            self._die()
            with trio.CancelScope(shield=True):
                await self._shut_down()

    async def open_stream(self) -> YamuxStream:
        """Open a stream; waits while too many are open. Raises ``MuxedConnUnavailable``."""
        await self._slots.acquire()
        if self.dead or self._closing:
            self._slots.release()
            raise MuxedConnUnavailable("connection closed")
        stream = YamuxStream(self, self._next_id, outbound=True)
        self._next_id += 2
        self.streams[stream.stream_id] = stream
        try:
            grant = stream.window - INITIAL_WINDOW
            await self.send([_frame(WINDOW, SYN, stream.stream_id, grant)])
        except BaseException:
            self.forget(stream)
            raise
        return stream

    async def accept_stream(self) -> YamuxStream:
        """Wait for a stream that the peer opened. Raises ``MuxedConnUnavailable`` at the end."""
        try:
            return await self._opened_out.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise MuxedConnUnavailable("connection closed") from None

    async def close(self, error_code: int = 0) -> None:
        """Say goodbye and close the socket."""
        if not self.dead:
            self._closing = True
            with trio.move_on_after(1):
                await self.send_quietly(_frame(GO_AWAY, 0, 0, error_code))
        self._die()
        with trio.CancelScope(shield=True):
            await self._shut_down()

    # ---- sending -------------------------------------------------------------------------------------------------

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send whole frames; only the wait for one's turn can be cancelled. Raises ``MuxedStreamReset``."""
        async with self._send_lock:
            if self.dead:
                raise MuxedStreamReset("connection lost")
            try:
                # A frame or record that is cut half-way would corrupt the connection.
                with trio.CancelScope(shield=True), trio.fail_after(self.limits.send_seconds):
                    await self._records.send(frames)
            except (RecordsBroken, trio.TooSlowError, OSError) as error:
                log.debug("send to %s: %r", self.peer_id, error)
                self._die()
                raise MuxedStreamReset("connection lost") from error

    async def send_quietly(self, frame: bytes) -> None:
        """Send a frame that no longer matters if the connection is gone."""
        try:
            await self.send([frame])
        except MuxedStreamReset:
            return

    def send_later(self, frame: bytes) -> None:
        """Queue a control frame; raise ``ProtocolError`` where a peer forces too many."""
        if len(self._control) >= self.limits.control_max:
            raise ProtocolError("flood of control frames")
        self._control.append(frame)
        self._control_waiting.set()

    async def _write_control(self) -> None:
        while not self.dead:
            await self._control_waiting.wait()
            self._control_waiting = trio.Event()
            while self._control:
                size = min(len(self._control), CONTROL_BATCH)
                batch = b"".join(self._control.popleft() for _ in range(size))
                await self.send([batch])

    # ---- receiving -----------------------------------------------------------------------------------------------

    async def _read_frames(self) -> None:
        received = bytearray()
        while not self.dead:
            chunk = await self._records.receive()
            if not chunk:
                return
            received += chunk
            del received[: self._handle_whole_frames(received)]

    def _handle_whole_frames(self, received: bytearray) -> int:
        """Handle every whole frame; return how many bytes they had. Raises ``ProtocolError``."""
        position = 0
        while len(received) - position >= HEADER.size and not self.dead:
            version, kind, flags, stream_id, length = HEADER.unpack_from(received, position)
            if version != 0:
                raise ProtocolError(f"version {version}")
            body = b""
            end = position + HEADER.size
            if kind == DATA:
                self._check_size(stream_id, length)
                if len(received) < end + length:
                    break
                body = bytes(memoryview(received)[end : end + length])
                end += length
            self._handle(kind, flags, stream_id, length, body)
            position = end
        return position

    def _check_size(self, stream_id: int, length: int) -> None:
        stream = self.streams.get(stream_id)
        # A late frame for a stream that we have forgotten may still fill the window it had.
        allowed = stream.receive_credit if stream else self.limits.window_bytes
        if length > allowed:
            raise ProtocolError(f"frame of {length} bytes, {allowed} allowed")

    def _handle(self, kind: int, flags: int, stream_id: int, length: int, body: bytes) -> None:
        if kind in (DATA, WINDOW):
            stream = self._open_inbound(stream_id) if flags & SYN else self.streams.get(stream_id)
            if stream is not None:
                self._handle_stream(stream, kind, flags, length, body)
        elif kind == PING:
            self._handle_ping(flags, length)
        elif kind == GO_AWAY:
            self._closing = True
            if not self.streams:
                self._die()
        else:
            raise ProtocolError(f"frame type {kind}")

    def _handle_stream(
        self, stream: YamuxStream, kind: int, flags: int, length: int, body: bytes
    ) -> None:
        if kind == WINDOW and length:
            stream.on_window(length)
        elif body:
            stream.on_data(body)
        if flags & RST:
            stream.on_reset()
        elif flags & FIN:
            stream.on_fin()

    def _handle_ping(self, flags: int, ping_id: int) -> None:
        if flags & SYN:
            self.send_later(_frame(PING, ACK, 0, ping_id))
        elif flags & ACK and ping_id == self._ping_id:
            self._pong.set()

    def _open_inbound(self, stream_id: int) -> YamuxStream | None:
        is_theirs = stream_id % 2 == (0 if self._is_initiator else 1)
        if stream_id == 0 or not is_theirs or stream_id in self.streams:
            raise ProtocolError(f"cannot open stream {stream_id}")
        stream = YamuxStream(self, stream_id, outbound=False)
        try:
            if self._closing or self._inbound >= self.limits.inbound_max:
                raise trio.WouldBlock
            self._opened_in.send_nowait(stream)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.send_later(_frame(WINDOW, RST, stream_id, 0))
            return None
        self._inbound += 1
        self.streams[stream_id] = stream
        self.send_later(_frame(WINDOW, ACK, stream_id, 0))
        return stream

    # ---- life and death ------------------------------------------------------------------------------------------

    def forget(self, stream: YamuxStream) -> None:
        """Give the stream's slot back; called when both directions have ended."""
        if self.streams.pop(stream.stream_id, None) is None:
            return
        if stream.outbound:
            self._slots.release()
        else:
            self._inbound -= 1

    async def _keep_alive(self) -> None:
        """Ping, so that a peer that has stopped is noticed; sweep streams whose peer never ends."""
        while not self.dead:
            await trio.sleep(self.limits.ping_every_seconds)
            self._ping_id = (self._ping_id + 1) & UINT32_MAX
            self._pong = trio.Event()
            asked = trio.current_time()
            await self.send([_frame(PING, SYN, 0, self._ping_id)])
            with trio.move_on_after(self.limits.pong_seconds) as scope:
                await self._pong.wait()
            if scope.cancelled_caught:
                raise ProtocolError("no answer to a ping")
            took = trio.current_time() - asked
            self._rtt_seconds = (self._rtt_seconds + took) / 2 if self._rtt_seconds else took
            for stream in list(self.streams.values()):
                if (
                    stream.closed_at
                    and trio.current_time() - stream.closed_at > self.limits.linger_seconds
                ):
                    await stream.reset()

    async def _until_end(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except Exception as error:  # noqa: BLE001  (remote input: an exception here would stop the whole host)
            log.debug("connection with %s ends: %r", self.peer_id, error)
        self._die()

    def _die(self) -> None:
        if self.dead:
            return
        self.dead = self._closing = True
        self.event_shutting_down.set()
        self._opened_in.close()
        for stream in list(self.streams.values()):
            stream.on_connection_lost()
            self.forget(stream)
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    async def _shut_down(self) -> None:
        if self.event_closed.is_set():
            return
        self.event_closed.set()
        with trio.move_on_after(self.limits.shutdown_seconds):
            try:
                await self.secured_conn.close()
                if self.on_close is not None:
                    await self.on_close()
            except Exception as error:  # noqa: BLE001  (py-libp2p's callbacks must not stop the host)
                log.debug("closing the connection with %s: %r", self.peer_id, error)


def _frame(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    return HEADER.pack(0, kind, flags, stream_id, length)
