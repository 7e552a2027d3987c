"""The multiplexer against itself and against raw frames: windows, half-close, resets, floods, dead peers."""

import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import trio
import trio.testing
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import (
    MuxedConnUnavailable,
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamReset,
)

from tests.workers.p2p.support import run
from workers.p2p.yamux import (
    ACK,
    DATA,
    FIN,
    GO_AWAY,
    HEADER,
    INITIAL_WINDOW,
    PING,
    RST,
    SYN,
    WINDOW,
    Limits,
    YamuxConnection,
    YamuxStream,
)

PEER = ID(b"\x00\x24\x08\x01\x12\x20" + bytes(32))
MIB = 1 << 20


class Wire:
    """A secured connection without security: one end of an in-memory pipe."""

    def __init__(self, stream: Any, is_initiator: bool) -> None:
        self.stream = stream
        self.is_initiator = is_initiator

    async def read(self, n: int | None = None) -> bytes:
        """Whatever has come; b"" at the end."""
        return bytes(await self.stream.receive_some(n))

    async def write(self, data: bytes) -> None:
        """Send all."""
        await self.stream.send_all(data)

    async def close(self) -> None:
        """Close both directions."""
        await self.stream.aclose()


def connection(
    wire: Wire, limits: Limits, on_close: Callable[[], Any] | None = None
) -> YamuxConnection:
    class Limited(YamuxConnection):
        pass

    Limited.limits = limits
    made: Any = Limited
    return made(wire, PEER, on_close=on_close)  # type: ignore[no-any-return]  # Wire is enough of a connection


@dataclass
class Two:
    """Two multiplexers, end to end."""

    a: YamuxConnection
    b: YamuxConnection
    nursery: trio.Nursery

    async def streams(self) -> tuple[YamuxStream, YamuxStream]:
        """A stream opened by ``a`` and its other end."""
        return await self.a.open_stream(), await self.b.accept_stream()


@asynccontextmanager
async def two(limits: Limits = Limits()) -> AsyncIterator[Two]:  # noqa: B008  (frozen)
    left, right = trio.testing.memory_stream_pair()
    a, b = connection(Wire(left, True), limits), connection(Wire(right, False), limits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.start)
        nursery.start_soon(b.start)
        await a.event_started.wait()
        await b.event_started.wait()
        yield Two(a, b, nursery)
        nursery.cancel_scope.cancel()


class Raw:
    """A peer that speaks frames by hand, the dialling side."""

    def __init__(self, stream: Any, served: YamuxConnection) -> None:
        self._stream = stream
        self._received = bytearray()
        self.served = served

    async def send(
        self, kind: int, flags: int, stream_id: int, length: int, body: bytes = b""
    ) -> None:
        """Send one frame, honest or not."""
        await self._stream.send_all(HEADER.pack(0, kind, flags, stream_id, length) + body)

    async def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        await self._stream.send_all(data)

    async def receive(self) -> tuple[int, int, int, int, bytes] | None:
        """The next frame; None at the end of the connection."""
        if not await self._fill(HEADER.size):
            return None
        _, kind, flags, stream_id, length = HEADER.unpack_from(self._received)
        size = HEADER.size + (length if kind == DATA else 0)
        if not await self._fill(size):
            return None
        body = bytes(self._received[HEADER.size : size])
        del self._received[:size]
        return kind, flags, stream_id, length, body

    async def until(self, kind: int, flags: int) -> tuple[int, int, int, int, bytes]:
        """Skip to the next frame of this kind and these flags."""
        while True:
            frame = await self.receive()
            assert frame is not None, "the connection ended"
            if frame[0] == kind and frame[1] & flags == flags:
                return frame

    async def is_cut(self) -> bool:
        """Wait for the end of the connection."""
        while await self.receive() is not None:
            pass
        return True

    async def _fill(self, size: int) -> bool:
        while len(self._received) < size:
            chunk = await self._stream.receive_some()
            if not chunk:
                return False
            self._received += chunk
        return True


@asynccontextmanager
async def raw(limits: Limits = Limits()) -> AsyncIterator[Raw]:  # noqa: B008  (frozen)
    left, right = trio.testing.memory_stream_pair()
    served = connection(Wire(right, False), limits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.start)
        await served.event_started.wait()
        yield Raw(left, served)
        nursery.cancel_scope.cancel()


async def read_all(stream: YamuxStream) -> bytes:
    received = bytearray()
    while True:
        try:
            received += await stream.read(100_000)
        except MuxedStreamEOF:
            return bytes(received)


# ---- between two of ours -------------------------------------------------------------------------------------


def test_each_direction_ends_on_its_own() -> None:
    async def test() -> None:
        async with two() as t:
            mine, theirs = await t.streams()
            await mine.write(b"question")
            await mine.close_write()
            assert await read_all(theirs) == b"question"
            await theirs.write(b"answer" * 1000)
            await theirs.close_write()
            assert await read_all(mine) == b"answer" * 1000
            assert mine.is_closed()
            await trio.testing.wait_all_tasks_blocked()
            assert not t.a.streams
            assert not t.b.streams

    run(test)


def test_many_megabytes_arrive_unchanged_on_many_streams() -> None:
    async def send(stream: YamuxStream, seed: int) -> None:
        await stream.write(random.Random(seed).randbytes(3 * MIB))
        await stream.close_write()

    async def compare(stream: YamuxStream) -> None:
        seed = int.from_bytes(await stream.read(1), "big")
        want = hashlib.sha256(random.Random(seed).randbytes(3 * MIB)).digest()
        assert hashlib.sha256(await read_all(stream)).digest() == want

    async def test() -> None:
        async with two() as t, trio.open_nursery() as nursery:
            for seed in range(5):
                mine, theirs = await t.streams()
                await mine.write(bytes([seed]))
                nursery.start_soon(send, mine, seed)
                nursery.start_soon(compare, theirs)

    run(test)


def test_a_reader_that_pauses_holds_the_writer_at_the_window() -> None:
    async def test() -> None:
        async with two() as t:
            mine, theirs = await t.streams()
            t.nursery.start_soon(theirs.write, bytes(3 * MIB))
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert mine._unread_bytes == MIB
            total = 0
            while total < 3 * MIB:
                total += len(await mine.read(50_000))
                assert mine._unread_bytes <= MIB
            assert total == 3 * MIB

    run(test)


def test_streams_opened_by_the_peer_keep_the_small_window() -> None:
    async def test() -> None:
        async with two() as t:
            mine, theirs = await t.streams()
            t.nursery.start_soon(mine.write, bytes(MIB))
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert theirs._unread_bytes == INITIAL_WINDOW

    run(test)


def test_a_reset_is_seen_as_a_reset() -> None:
    async def test() -> None:
        async with two() as t:
            mine, theirs = await t.streams()
            await theirs.write(b"some")
            await theirs.reset()
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(MuxedStreamReset):
                await mine.read(10)
            with pytest.raises(MuxedStreamReset):
                await mine.write(b"x")
            assert not t.a.streams
            assert not t.b.streams

    run(test)


def test_what_came_before_the_end_stays_readable_after_the_connection_is_gone() -> None:
    async def test() -> None:
        async with two() as t:
            mine, theirs = await t.streams()
            unfinished, other = await t.streams()
            await theirs.write(b"whole")
            await theirs.close_write()
            await other.write(b"half")
            await trio.testing.wait_all_tasks_blocked()
            await t.b.close()
            await t.a.event_closed.wait()
            await mine.reset()  # as py-libp2p does with every stream of a closed connection
            assert await read_all(mine) == b"whole"
            assert await unfinished.read(10) == b"half"
            with pytest.raises(MuxedStreamReset, match="connection lost"):
                await unfinished.read(10)
            with pytest.raises(MuxedConnUnavailable):
                await t.a.open_stream()
            with pytest.raises(MuxedConnUnavailable):
                await t.b.accept_stream()

    run(test)


def test_a_write_without_window_gives_up_after_the_set_time() -> None:
    async def test() -> None:
        async with two(Limits(stalled_seconds=0.2)) as t:
            _, theirs = await t.streams()
            with trio.fail_after(3), pytest.raises(MuxedStreamReset, match="did not read"):
                await theirs.write(bytes(2 * MIB))

    run(test)


def test_writing_after_the_own_end_is_refused() -> None:
    async def test() -> None:
        async with two() as t:
            mine, _ = await t.streams()
            await mine.close_write()
            with pytest.raises(MuxedStreamClosed):
                await mine.write(b"x")

    run(test)


def test_data_after_we_gave_up_reading_resets_the_stream() -> None:
    async def test() -> None:
        async with two() as t:
            mine, theirs = await t.streams()
            await mine.close()
            await theirs.write(b"unwanted")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(MuxedStreamReset):
                await theirs.write(b"more")
            assert not t.a.streams

    run(test)


def test_our_streams_beyond_the_bound_wait_for_one_to_end() -> None:
    async def test() -> None:
        async with two(Limits(outbound_max=3)) as t:
            opened = [await t.a.open_stream() for _ in range(3)]
            with trio.move_on_after(0.05) as scope:
                await t.a.open_stream()
            assert scope.cancelled_caught
            await opened[0].reset()
            await t.a.open_stream()
            assert len(t.a.streams) == 3

    run(test)


def test_a_cancelled_write_leaves_the_window_as_it_was() -> None:
    async def hold(busy: YamuxConnection) -> None:
        async with busy._send_lock:
            await trio.sleep_forever()

    async def test() -> None:
        async with two() as t:
            mine, _ = await t.streams()
            before = mine.send_window
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hold, t.a)
                await trio.testing.wait_all_tasks_blocked()
                with trio.move_on_after(0.05) as scope:
                    await mine.write(b"x" * 1000)
                nursery.cancel_scope.cancel()
            assert scope.cancelled_caught
            assert mine.send_window == before

    run(test)


def test_a_silent_peer_is_noticed_by_ping() -> None:
    async def test() -> None:
        async with raw(Limits(ping_every_seconds=0.05, pong_seconds=0.1)) as peer:
            with trio.fail_after(3):
                assert await peer.is_cut()

    run(test)


def test_a_living_peer_is_kept_by_ping() -> None:
    async def test() -> None:
        async with two(Limits(ping_every_seconds=0.02, pong_seconds=1.0)) as t:
            while not t.a.rtt():
                await trio.sleep(0.01)
            assert t.a.is_established

    run(test)


def test_a_stream_whose_peer_never_ends_is_swept() -> None:
    async def test() -> None:
        async with two(Limits(ping_every_seconds=0.02, linger_seconds=0.05)) as t:
            mine, _ = await t.streams()
            await mine.close()
            assert t.a.streams
            while t.a.streams:
                await trio.sleep(0.01)

    run(test)


def test_the_end_is_told_once() -> None:
    told: list[int] = []

    async def on_close() -> None:
        told.append(1)

    async def test() -> None:
        left, _right = trio.testing.memory_stream_pair()
        made = connection(Wire(left, True), Limits(), on_close)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.start)
            await made.event_started.wait()
            await made.close()
            await made.close()
        assert told == [1]
        assert made.is_closed

    run(test)


# ---- against raw frames --------------------------------------------------------------------------------------


def test_a_lazy_dialler_may_send_everything_in_one_write() -> None:
    async def test() -> None:
        async with raw() as peer:
            frames = [(WINDOW, SYN, 1, 0, b""), (DATA, FIN, 1, 5, b"hello")]
            await peer.send_bytes(b"".join(HEADER.pack(0, *f[:4]) + f[4] for f in frames))
            stream = await peer.served.accept_stream()
            assert await read_all(stream) == b"hello"
            assert (await peer.until(WINDOW, ACK))[2] == 1

    run(test)


def test_frames_may_come_byte_by_byte() -> None:
    async def test() -> None:
        async with raw() as peer:
            for byte in HEADER.pack(0, DATA, SYN | FIN, 1, 3) + b"abc":
                await peer.send_bytes(bytes([byte]))
            assert await read_all(await peer.served.accept_stream()) == b"abc"

    run(test)


def test_a_ping_is_answered() -> None:
    async def test() -> None:
        async with raw() as peer:
            await peer.send(PING, SYN, 0, 77)
            assert await peer.until(PING, ACK) == (PING, ACK, 0, 77, b"")

    run(test)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x01" + HEADER.pack(0, WINDOW, SYN, 1, 0)[1:],  # version
        HEADER.pack(0, 9, 0, 1, 0),  # type
        HEADER.pack(0, WINDOW, SYN, 0, 0),  # stream 0
        HEADER.pack(0, WINDOW, SYN, 2, 0),  # the other side's parity
        HEADER.pack(0, WINDOW, SYN, 1, 0) * 2,  # opened twice
        HEADER.pack(0, DATA, SYN, 1, INITIAL_WINDOW + 1)
        + bytes(INITIAL_WINDOW + 1),  # over the window
        HEADER.pack(0, DATA, 0, 99, 0xFFFFFFFF),  # a frame of 4 GB
        HEADER.pack(0, WINDOW, SYN, 1, 0)
        + HEADER.pack(0, WINDOW, 0, 1, 0xFFFFFFFF),  # window overflow
        random.Random(1).randbytes(100),
    ],
)
def test_a_broken_frame_ends_the_connection(frame: bytes) -> None:
    async def test() -> None:
        async with raw() as peer:
            with trio.fail_after(5):
                await peer.send_bytes(frame)
                assert await peer.is_cut()

    run(test)


def test_the_window_is_counted_over_many_frames() -> None:
    async def test() -> None:
        async with raw() as peer:
            await peer.send(WINDOW, SYN, 1, 0)
            for _ in range(4):
                await peer.send(DATA, 0, 1, INITIAL_WINDOW // 4, bytes(INITIAL_WINDOW // 4))
            await trio.testing.wait_all_tasks_blocked()
            assert not peer.served.dead
            await peer.send(DATA, 0, 1, 1, b"x")
            assert await peer.is_cut()

    run(test)


def test_too_many_streams_of_the_peer_are_reset_and_the_others_live() -> None:
    async def test() -> None:
        async with raw(Limits(inbound_max=4)) as peer:
            for stream_id in range(1, 21, 2):
                await peer.send(WINDOW, SYN, stream_id, 0)
            refused = {(await peer.until(WINDOW, RST))[2] for _ in range(6)}
            assert refused == {9, 11, 13, 15, 17, 19}
            assert sorted(peer.served.streams) == [1, 3, 5, 7]

    run(test)


def test_unread_bytes_of_the_peers_streams_are_bounded_over_all_of_them() -> None:
    async def test() -> None:
        async with raw(Limits(inbound_unread_max=1000)) as peer:
            for stream_id in (1, 3, 5):
                await peer.send(DATA, SYN, stream_id, 400, bytes(400))
            assert (await peer.until(WINDOW, RST))[2] == 5
            assert sorted(peer.served.streams) == [1, 3]
            first = await peer.served.accept_stream()
            assert len(await first.read(400)) == 400
            await peer.send(DATA, SYN, 7, 400, bytes(400))
            await peer.until(WINDOW, ACK)
            await peer.served.streams[3].reset()
            await peer.send(DATA, 0, 7, 600, bytes(600))
            await peer.send(DATA, SYN, 9, 1, b"x")
            assert (await peer.until(WINDOW, RST))[2] == 3
            assert (await peer.until(WINDOW, RST))[2] == 9
            assert peer.served.inbound_unread == 1000

    run(test)


def test_a_peer_that_forces_too_many_answers_is_cut() -> None:
    async def test() -> None:
        async with raw(Limits(control_max=50)) as peer:
            with trio.fail_after(5):
                await peer.send_bytes(HEADER.pack(0, PING, SYN, 0, 1) * 5000)
                assert await peer.is_cut()

    run(test)


def test_late_frames_of_a_forgotten_stream_are_skipped() -> None:
    async def test() -> None:
        async with raw() as peer:
            await peer.send(DATA, 0, 55, 4, b"late")
            await peer.send(WINDOW, RST, 55, 0)
            await peer.send(PING, SYN, 0, 1)
            await peer.until(PING, ACK)

    run(test)


def test_data_after_the_peers_own_end_resets_the_stream() -> None:
    async def test() -> None:
        async with raw() as peer:
            await peer.send(DATA, SYN | FIN, 1, 2, b"ab")
            await peer.send(DATA, 0, 1, 2, b"cd")
            assert (await peer.until(WINDOW, RST))[2] == 1

    run(test)


def test_a_reset_after_the_peers_end_keeps_what_came() -> None:
    async def test() -> None:
        async with raw() as peer:
            await peer.send(DATA, SYN | FIN, 1, 2, b"ab")
            await peer.send(WINDOW, RST, 1, 0)
            stream = await peer.served.accept_stream()
            assert await read_all(stream) == b"ab"
            with pytest.raises(MuxedStreamReset):
                await stream.write(b"x")

    run(test)


def test_go_away_ends_an_idle_connection_and_refuses_new_streams_on_a_busy_one() -> None:
    async def test() -> None:
        async with raw() as peer:
            await peer.send(WINDOW, SYN, 1, 0)
            await peer.send(GO_AWAY, 0, 0, 0)
            await peer.send(WINDOW, SYN, 3, 0)
            assert (await peer.until(WINDOW, RST))[2] == 3
            with pytest.raises(MuxedConnUnavailable):
                await peer.served.open_stream()
            assert not peer.served.dead
        async with raw() as peer:
            await peer.send(GO_AWAY, 0, 0, 0)
            assert await peer.is_cut()

    run(test)


class Soak:
    """Streams with random resets on both sides, from one seed."""

    count: ClassVar[int] = 120

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.whole = 0
        self.reset = 0

    async def ask(self, t: Two, index: int) -> None:
        """Send noise, read its echo; or reset midway."""
        stream = await t.a.open_stream()
        data = random.Random(index).randbytes(self._rng.randrange(1, 200_000))
        try:
            if self._rng.random() < 0.3:
                await stream.write(data[: len(data) // 2])
            else:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send, stream, data)
                    assert await read_all(stream) == data
                self.whole += 1
        except* MuxedStreamReset:
            self.reset += 1
        finally:
            await stream.reset()

    async def _send(self, stream: YamuxStream, data: bytes) -> None:
        try:
            await stream.write(data)
            await stream.close_write()
        except MuxedStreamReset:
            return

    async def serve(self, t: Two) -> None:
        """Echo every stream; reset some."""
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._echo, await t.b.accept_stream())

    async def _echo(self, stream: YamuxStream) -> None:
        try:
            while True:
                await stream.write(await stream.read(30_000))
                if self._rng.random() < 0.02:
                    await stream.reset()
        except MuxedStreamEOF:
            await stream.close()
        except MuxedStreamReset:
            await stream.reset()


@pytest.mark.parametrize("seed", [1, 2])
def test_random_resets_leave_neither_wrong_bytes_nor_streams_behind(seed: int) -> None:
    async def test() -> None:
        soak = Soak(seed)
        async with two(replace(Limits(), outbound_max=16)) as t:
            t.nursery.start_soon(soak.serve, t)
            async with trio.open_nursery() as nursery:
                for index in range(soak.count):
                    nursery.start_soon(soak.ask, t, index)
            assert soak.whole > soak.count // 4
            assert soak.reset > 0
            while t.a.streams or t.b.streams:
                await trio.sleep(0.01)
            assert not t.a.dead

    run(test)
