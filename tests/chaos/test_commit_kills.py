"""Commit is killed at fifty random instants inside its writes: its store is whole each time, and goes on.

How a kill is aimed: a real commit process takes blocks from a real broker, one at a time. Every second block is of
some megabytes; while it is written, RocksDB's write-ahead log is watched, and the kill comes when it has grown by a
random share of the block. The other kills come after a random share of the time that the last block took, so that they
also fall into reading the tries, hashing, building the batch, and telling the broker.
"""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from broker.codec import Body
from broker.endpoint import socket_path
from broker.link import Link
from node import config, pipeline
from node.config import Config
from tests.chaos.logs import KILLS, stored_twice, unexplained
from tests.chaos.seeds import drawn
from tests.chaos.stores import different, stored_head
from tests.process.nodes import EACH_BLOCK, HERA, clean_env, custom_network, wait_until
from tests.workers import blocks as made
from workers.messages import BlockVerified
from workers.store.opening import FOLDER
from workers.store.reader import Reader
from workers.store.writer import Writer

KILLS_TOTAL = 50
LARGE_BYTES = 4 << 20  # of the blocks whose writing is watched: it takes some milliseconds
BLOCK_SECONDS_MAX = 60.0
KILL_SECONDS_MAX = 10.0  # an aim that is never reached


def chain(seed: int) -> list[BlockVerified]:
    """Three blocks for each kill: one that commit starts with, one that is timed, and the one it dies in."""
    draw = random.Random(seed)
    return [
        replace(
            block,
            transactions=Body(draw.randbytes(LARGE_BYTES if is_watched(block.number) else 64)),
        )
        for block in made.generated(3 * KILLS_TOTAL + 1, seed)
    ]


def is_watched(number: int) -> bool:
    """Whether the block is one whose writing is watched: the third of every second three."""
    return number % 6 == 2


class Bench:
    """A broker and, one after the other, commit processes; the test plays verify and p2p."""

    def __init__(self, folder: Path) -> None:
        self.db_path = folder / "db"
        self.log = folder / "commit.log"
        self.broker_log = folder / "broker.log"
        self._flags = ["--db-path", str(self.db_path), "--public-key", "0x1"]
        self._flags += [*custom_network("http://127.0.0.1:1"), *EACH_BLOCK]
        self._started: list[subprocess.Popen[bytes]] = []
        self.stored = -1
        self.seconds = 0.0  # that the last block took

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the broker and be linked with it."""
        configured = told(self._flags)
        configured.make_folders()
        with ExitStack() as stack:
            self._start(self.broker_log, "broker")
            stack.callback(self._end)
            socket = socket_path(configured.broker)
            wait_until(socket.exists, BLOCK_SECONDS_MAX, self.broker_log.read_text)
            self._link = stack.enter_context(
                Link(
                    configured.broker,
                    "test",
                    takes=(pipeline.BLOCKS_STORED,),
                    gives=(pipeline.BLOCKS_VERIFIED,),
                )
            )
            yield

    def commit(self) -> subprocess.Popen[bytes]:
        """Start a commit process."""
        return self._start(self.log, "worker", "commit")

    def give(self, block: BlockVerified) -> None:
        """Hand a block to the broker, once it has said that it has the one before."""
        deadline = time.monotonic() + KILL_SECONDS_MAX
        while not self._link.give(block):
            assert time.monotonic() < deadline, "the broker takes no more"

    def kill_in_write(
        self, process: subprocess.Popen[bytes], block: BlockVerified, share: float
    ) -> float:
        """Give the block, kill when the log has grown by ``share`` of it; return the share that was seen then."""
        name, before = self._log_bytes()
        self.give(block)
        deadline = time.monotonic() + KILL_SECONDS_MAX
        grown = 0
        while grown <= share * LARGE_BYTES:
            assert time.monotonic() < deadline, "commit wrote nothing"
            newest, size = self._log_bytes()
            grown = size - before if newest == name else size
        process.kill()
        return grown / LARGE_BYTES

    def kill_at_work(
        self, process: subprocess.Popen[bytes], block: BlockVerified, share: float
    ) -> None:
        """Give the block, kill after ``share`` of the time that the last one took."""
        moment = time.monotonic() + share * self.seconds
        self.give(block)
        while time.monotonic() < moment:  # as exactly as a process can
            pass
        process.kill()

    def wait_stored(self, number: int) -> None:
        """Wait until commit has said that it stored ``number``."""
        began = time.monotonic()
        while self.stored < number:
            assert time.monotonic() - began < BLOCK_SECONDS_MAX, self.log.read_text()[-3000:]
            delivery = self._link.take(0.5)
            if delivery is not None:
                self.stored = max(self.stored, delivery.message.number)
                self._link.done((delivery.ticket,))
        self.seconds = time.monotonic() - began

    def _log_bytes(self) -> tuple[str, int]:
        """Return the name and the size of RocksDB's newest write-ahead log."""
        with os.scandir(self.db_path / FOLDER) as entries:
            logs = [entry for entry in entries if entry.name.endswith(".log")]
            newest = max(logs, key=lambda entry: entry.name)
            return newest.name, newest.stat().st_size

    def _start(self, log: Path, *words: str) -> subprocess.Popen[bytes]:
        with log.open("ab") as file:
            process = subprocess.Popen(
                [*HERA, *words, *self._flags], stdout=file, stderr=file, env=clean_env()
            )
        self._started.append(process)
        return process

    def _end(self) -> None:
        for process in self._started:
            process.terminate()
            process.wait()


def told(flags: list[str]) -> Config:
    """Return the configuration that these flags make."""
    values = dict(zip((flag.removeprefix("--") for flag in flags[::2]), flags[1::2], strict=True))
    return config.load(values, {})


@pytest.mark.timeout(300)
def test_a_commit_killed_inside_its_writes_leaves_a_whole_head(tmp_path: Path) -> None:
    seed = drawn()
    draw = random.Random(seed)
    blocks = chain(seed)
    twin = Writer(tmp_path / "twin", "SN_HERA_DEVNET")
    bench = Bench(tmp_path)
    lost = kept = torn = 0
    with bench.running():
        for index in range(KILLS_TOTAL):
            process = bench.commit()
            aimed = 3 * index + 2
            for number in (aimed - 2, aimed - 1):
                bench.give(blocks[number])
                bench.wait_stored(number)
            share, grown = draw.random(), 0.0
            if is_watched(aimed):
                grown = bench.kill_in_write(process, blocks[aimed], share)
            else:
                bench.kill_at_work(process, blocks[aimed], share)
            process.wait()
            head = assert_whole(bench.db_path, twin, blocks)
            assert head in (aimed - 1, aimed)
            kept += head == aimed
            lost += head < aimed
            torn += head < aimed and grown > 0
        process = bench.commit()
        bench.give(blocks[-1])
        bench.wait_stored(len(blocks) - 1)
        process.terminate()
        assert process.wait() == 0
    assert assert_whole(bench.db_path, twin, blocks) == len(blocks) - 1
    twin.close()
    assert torn, f"no kill came inside a write: {lost} before, {kept} after it"
    assert kept
    for log in (bench.log, bench.broker_log):
        assert unexplained(log, KILLS, "") == []
    assert stored_twice(bench.log) == []


def assert_whole(db_path: Path, twin: Writer, blocks: list[BlockVerified]) -> int:
    """The store opens and equals, family by family, one that was never disturbed; return its head's number."""
    number = stored_head(db_path)
    for block in blocks[0 if twin.head is None else twin.head.number + 1 : number + 1]:
        twin.store(block)
    assert twin.head is not None
    reader = Reader(db_path)
    assert reader.head() == twin.head
    reader.close()
    assert different(db_path, db_path.parent / "twin") == []
    return number
