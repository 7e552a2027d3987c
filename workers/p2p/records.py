"""What carries the muxer's frames: Noise records straight on the TCP socket, or any other secured connection.

py-libp2p's own path takes five layers and two locks for each record; this one takes none. It falls back to that path
where the layers are not the expected ones, and for what the handshake has already read and decrypted.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import trio
from libp2p.abc import ISecureConn
from libp2p.io.exceptions import IOException
from libp2p.network.connection.exceptions import RawConnError

RECORD_PAYLOAD_MAX = 65535 - 16  # a Noise record has at most 65535 bytes, 16 of them its tag
LENGTH_BYTES = 2
RECEIVE_BYTES = 256 * 1024


class RecordsBroken(Exception):
    """The connection can carry nothing any more."""


class Records(Protocol):
    """A secured byte stream. One task may send while another receives."""

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send all frames; must not be cancelled half-way. Raises ``RecordsBroken``."""
        ...

    async def receive(self) -> bytes:
        """Return some plaintext, or b"" at the end. Raises ``RecordsBroken``."""
        ...


def records_of(conn: ISecureConn) -> Records:
    """Choose the fast path where the connection is Noise over a trio TCP socket."""
    session: Any = conn
    try:
        transport = session.conn
        socket = transport.read_writer.read_write_closer.stream.stream
        noise = transport.noise_state.noise_protocol
    except AttributeError:
        return SessionRecords(conn)
    if not isinstance(socket, trio.SocketStream):
        return SessionRecords(conn)
    return NoiseRecords(session, socket, noise)


class SessionRecords:
    """Records through the read and write of any secured connection."""

    def __init__(self, conn: ISecureConn) -> None:
        self._conn = conn

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send each frame with one write."""
        try:
            for frame in frames:
                await self._conn.write(frame)
        except (IOException, RawConnError, OSError, trio.BrokenResourceError) as error:
            raise RecordsBroken(str(error)) from error

    async def receive(self) -> bytes:
        """Return what one read gives."""
        try:
            return await self._conn.read(None)
        except (IOException, RawConnError, OSError, trio.BrokenResourceError) as error:
            raise RecordsBroken(str(error)) from error


class NoiseRecords:
    """Noise transport records written to and read from the socket itself."""

    def __init__(self, session: Any, socket: trio.SocketStream, noise: Any) -> None:
        self._session = session
        self._socket = socket
        self._encrypt = noise.cipher_state_encrypt.encrypt_with_ad
        self._decrypt = noise.cipher_state_decrypt.decrypt_with_ad
        self._received = bytearray()

    async def send(self, frames: Sequence[bytes]) -> None:
        """Encrypt each frame into as few records as it needs and send them with one call."""
        out: list[bytes] = []
        for frame in frames:
            for begin in range(0, len(frame), RECORD_PAYLOAD_MAX):
                record = self._encrypt(None, frame[begin : begin + RECORD_PAYLOAD_MAX])
                out.append(len(record).to_bytes(LENGTH_BYTES, "big"))
                out.append(record)
        try:
            await self._socket.send_all(b"".join(out))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise RecordsBroken(str(error)) from error

    async def receive(self) -> bytes:
        """Return the plaintext of every whole record at hand; wait for one if there is none."""
        if self._session.low_watermark != self._session.high_watermark:
            return bytes(await self._session.read())  # left over from the handshake
        while True:
            plain = self._decrypt_whole()
            if plain:
                return plain
            try:
                chunk = await self._socket.receive_some(RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise RecordsBroken(str(error)) from error
            if not chunk:
                return b""
            self._received += chunk

    def _decrypt_whole(self) -> bytes:
        received, position, out = self._received, 0, []
        with memoryview(received) as view:
            while len(received) - position >= LENGTH_BYTES:
                length = received[position] << 8 | received[position + 1]
                end = position + LENGTH_BYTES + length
                if end > len(received):
                    break
                try:
                    out.append(self._decrypt(None, bytes(view[position + LENGTH_BYTES : end])))
                except Exception as error:  # remote bytes: a forged record breaks only this
                    raise RecordsBroken(f"record: {error!r}") from error
                position = end
        del received[:position]
        return out[0] if len(out) == 1 else b"".join(out)
