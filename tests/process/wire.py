"""Two machines on a bad line: two network namespaces whose packets to each other come late, or not at all.

Run as ``unshare --user --map-root-user --net python -m tests.process.wire``: it prints the descriptor by which the
first namespace can be entered, stays in the second itself, and carries packets until it is killed. SIGUSR1 cuts the
line, and mends it. A traffic shaper of the kernel would do the same, where the kernel has one.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time

FIRST, SECOND = "10.77.0.1", "10.77.0.2"
DELAY_S = 0.04
LOSS = 0.02
QUEUED_MAX = 4096
PACKET_BYTES_MAX = 2048
CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000


def device(name: str, address: str) -> int:
    """Make a network device of this namespace whose packets are read and written here; return its descriptor."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH14x", name.encode(), IFF_TUN | IFF_NO_PI))
    for words in (f"addr add {address}/24 dev {name}", f"link set {name} up", "link set lo up"):
        subprocess.run(["ip", *words.split()], check=True)
    return tun


class Wire:
    """Carries packets between two devices, each ``DELAY_S`` late, and loses some."""

    def __init__(self, one: int, other: int) -> None:
        self._to = {one: other, other: one}
        self._random = random.Random(0)
        self._late: list[tuple[float, int, int, bytes]] = []
        self._count = 0
        self._cut = False

    def cut(self, *_: object) -> None:
        """Cut the line, or mend it."""
        self._cut = not self._cut

    def carry(self) -> None:
        """Carry packets for ever."""
        poll = select.poll()
        for tun in self._to:
            poll.register(tun, select.POLLIN)
        while True:
            wait = self._late[0][0] - time.monotonic() if self._late else 1.0
            for tun, _ in poll.poll(max(0.0, wait) * 1000):
                self._take(os.read(tun, PACKET_BYTES_MAX), self._to[tun])
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, tun, packet = heapq.heappop(self._late)
                os.write(tun, packet)

    def _take(self, packet: bytes, to: int) -> None:
        lost = self._cut or self._random.random() < LOSS or len(self._late) >= QUEUED_MAX
        if not lost:
            self._count += 1
            heapq.heappush(self._late, (time.monotonic() + DELAY_S, self._count, to, packet))


def main() -> None:
    """Join two new namespaces; this process's own was made for it by ``unshare``."""
    one = device("first", FIRST)
    first = os.open("/proc/self/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    wire = Wire(one, device("second", SECOND))
    signal.signal(signal.SIGUSR1, wire.cut)
    os.write(sys.stdout.fileno(), f"{first}\n".encode())
    wire.carry()


if __name__ == "__main__":
    main()
