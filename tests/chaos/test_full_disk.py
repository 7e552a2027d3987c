"""A full disk: one clear line, the node stops, nothing that was stored is lost, and with new space it goes on.

The node's folder is a small tmpfs; in mid-sync a file of ballast takes what is left of it. Where no tmpfs may be
mounted the tests are skipped; ``unshare -rm make chaos`` may mount one.
"""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import NoReturn

import pytest

from node.banner import banner
from starknet.devnet import Devnet
from tests.chaos.gateways import Growing, serving
from tests.chaos.logs import STARTED, Expected, lines_of, unexplained
from tests.chaos.stores import different, stored_head
from tests.process.nodes import (
    Node,
    custom_network,
    free_port,
    key_pair,
    nodes,
    wait_until,
)
from workers.exits import EX_IOERR

BLOCKS = 250
FULL_AT = 60  # blocks
DISK_MIB = 7  # less than RocksDB would set aside for its log: every block asks the disk for space
LARGER_MIB = 64
END_SECONDS_MAX = 60.0
EXPECTED = (
    STARTED,
    Expected("A process has no disk space left: stopping", "", "the supervisor stops the node"),
    Expected(
        "Cannot save the address book", "No space left on device", "p2p saves it when it stops"
    ),
    Expected(
        "Broker is lost",
        "the broker is silent",
        "the stop begins while a process still starts: it is slower than the broker's end",
    ),
    Expected("Killing processes that did not stop", "", "the same, slower yet"),
    Expected("no peers: give --p2p-peers", "", "a feeder node waits for others to come"),
)
FULL = "the disk is full; make room, then start the node again: what is stored is kept"


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """Mount a tmpfs on ``path``; skip the test where that is not allowed."""
    path.mkdir()
    done = mount(path, DISK_MIB)
    if done.returncode != 0:
        pytest.skip(f"no tmpfs may be mounted here (try unshare -rm): {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def mount(path: Path, mib: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Mount a tmpfs of this size."""
    told = ",".join([*options, f"size={mib}m", "mode=0700"])
    command = ["mount", "-t", "tmpfs", "-o", told, "tmpfs", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def fill(disk: Path) -> None:
    """Take all the space that is left."""
    with (disk / "ballast").open("ab", buffering=0) as file:
        for piece in (1 << 16, 1 << 12):
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                write_on(file, bytes(piece))


def write_on(file: FileIO, piece: bytes) -> NoReturn:
    """Write until the disk refuses."""
    while True:
        file.write(piece)


def ended(node: Node) -> int:
    """Wait until the node has ended by itself; return its exit code."""
    wait_until(lambda: node.process.poll() is not None, END_SECONDS_MAX, node.text)
    return int(node.process.returncode)


def says_full(node: Node) -> list[str]:
    """Return the lines that name what is full and what to do."""
    errors = [line.message for line in lines_of(node.log)[0] if line.level == "ERROR"]
    return [message for message in errors if message.endswith(FULL)]


def others(node: Node) -> list[str]:
    """Return what the node says beside that and what is expected."""
    return [text for text in unexplained(node.log, EXPECTED, banner()) if FULL not in text]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("log_is_there_too", [False, True])
def test_a_full_disk_stops_the_node_and_loses_nothing(
    tmp_path: Path, log_is_there_too: bool
) -> None:
    private_key, peer_id = key_pair()
    address = f"/ip4/127.0.0.1/tcp/{free_port()}"
    own = ("--p2p", "--p2p-feeder-node", "--p2p-private-key", private_key, "--p2p-addr", address)
    with (
        serving(Growing(Devnet(length=BLOCKS), BLOCKS)) as url,
        small_disk(tmp_path / "disk") as disk,
        nodes(tmp_path) as make,
        nodes(disk if log_is_there_too else tmp_path) as make_here,
    ):
        flags = custom_network(url)
        node = make_here("node", *flags, *own, "--db-path", str(disk / "node"))
        other = make("other", *flags, "--p2p", "--p2p-peers", f"{address}/p2p/{peer_id}")
        node.wait_head(FULL_AT)
        fill(disk)

        assert ended(node) == EX_IOERR
        head = stored_head(disk / "node")
        assert FULL_AT <= head < BLOCKS - 1
        assert "starting it again" not in node.text()
        if not log_is_there_too:
            assert len(says_full(node)) == 1
            assert str(disk / "node") in says_full(node)[0]

        node.restart()  # with the disk as full as it was
        assert ended(node) == EX_IOERR
        assert stored_head(disk / "node") == head

        mount(disk, LARGER_MIB, "remount").check_returncode()
        node.restart()
        node.wait_head(BLOCKS - 1)
        other.wait_head(BLOCKS - 1)
        assert [node.stop(), other.stop()] == [0, 0]
        assert different(disk / "node", other.db_path) == []
        assert "Traceback" not in node.text()
        if not log_is_there_too:  # else lines were cut where the disk ended
            assert others(node) == []
