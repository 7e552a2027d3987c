"""What a block's state update costs a leaf, by how many leaves are stored already.

Run ``python -m benchmarks.state_update``. One contract's storage grows to each of ``SIZES``; then blocks that
change ``CHANGES`` of its leaves, at random, go through the writer's own path: reads, tries, one batch, the disk.
"""

import gc
import random
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import Figure
from starknet.commitments import StateDiff
from starknet.felt import KEY_MAX
from workers.store import tries
from workers.store.opening import open_for_writing
from workers.store.rocks import Rocks

SIZES = (10_000, 1_000_000)
CHANGES = 1_000
BLOCKS = 15
GROWTH_MAX = 2.0
LOADED_AT_ONCE = 20_000
ADDRESS = 0x1234567
VERSION = "0.13.1"
SEED = 11


def apply(rocks: Rocks, number: int, entries: dict[int, int]) -> float:
    """Store the entries as block ``number`` changes them; return the seconds that took."""
    started = time.perf_counter()
    batch = rocks.batch()
    tries.advance(rocks, batch, StateDiff(storage={ADDRESS: entries}), number, VERSION)
    rocks.write(batch, sync=False)
    return time.perf_counter() - started


def measure(db_path: Path, size: int, draw: random.Random) -> tuple[float, float]:
    """Microseconds with ``size`` leaves stored, medians of blocks: of a changed leaf among many, of one alone."""
    db_path.mkdir()
    rocks = open_for_writing(db_path, "BENCH")
    keys = sorted(draw.randrange(KEY_MAX) for _ in range(size))
    number = 0
    for first in range(
        0, size, LOADED_AT_ONCE
    ):  # neighbours together: each page is written about once
        apply(rocks, number, {key: key | 1 for key in keys[first : first + LOADED_AT_ONCE]})
        number += 1
    gc.freeze()  # what this measurement itself keeps is no cost of the store
    medians = []
    for changes in (CHANGES, 1):
        seconds = []
        for _ in range(BLOCKS):
            changed = {key: draw.randrange(1, KEY_MAX) for key in draw.sample(keys, changes)}
            seconds.append(apply(rocks, number, changed))
            number += 1
        medians.append(statistics.median(seconds) / changes * 1e6)
    rocks.close()
    gc.unfreeze()
    return medians[0], medians[1]


def run(sizes: tuple[int, int] = SIZES) -> list[Figure]:
    """The cost at both sizes, as one figure."""
    draw = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        small, large = (measure(Path(folder) / str(size), size, draw) for size in sizes)
    note = "; ".join(
        f"{size:,} stored: {among:.0f} us a leaf, {alone:.0f} us for one alone"
        for size, (among, alone) in zip(sizes, (small, large), strict=True)
    )
    label = f"state update of {CHANGES:,} leaves, growth"
    return [Figure(label, large[0] / small[0], GROWTH_MAX, "at most", note)]


if __name__ == "__main__":
    for figure in run():
        print(figure)
