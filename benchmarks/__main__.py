"""All figures in one table: ``python -m benchmarks``, or ``make bench``. Takes some minutes; run nothing beside it."""

import os
import platform
import time
from collections.abc import Callable

from benchmarks import (
    HEADER,
    Figure,
    broker,
    hashing,
    hostile,
    node_idle,
    node_memory,
    p2p_flood,
    recovery,
    rpc,
    rpc_sync,
    state_update,
    verify_block,
    verify_scaling,
)

PARTS: tuple[Callable[[], list[Figure]], ...] = (
    hashing.run,
    verify_block.run,
    verify_scaling.run,
    state_update.run,
    broker.run,
    node_memory.run,
    node_idle.run,
    recovery.run,
    p2p_flood.run,
    hostile.run,
    rpc.run,
    rpc_sync.run,
)


def main() -> None:
    """Print the table, each row as soon as it is measured."""
    started = time.monotonic()
    print(f"{hashing.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(HEADER, flush=True)
    for part in PARTS:
        try:
            figures = part()
        except FileNotFoundError as error:  # no recorded blocks here
            print(f"skipped: {error}", flush=True)
            continue
        for figure in figures:
            print(figure, flush=True)
    print(f"took {time.monotonic() - started:.0f} s, load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
