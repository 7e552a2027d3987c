"""Keeps memory for large bodies in the process, where the allocator would return and fault it in again for each.

It costs a syncing node some 250 MiB in all. Where memory is scarcer than time, set glibc's own variables
(``MALLOC_TRIM_THRESHOLD_=131072 MALLOC_MMAP_THRESHOLD_=131072``): they win.
"""

import ctypes
import os
import sys

SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")  # of glibc, by a person

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_MMAP_BYTES = 32 << 20  # the most it accepts
_TRIM_BYTES = 64 << 20  # free memory kept at the end of a heap


def keep_large_blocks() -> None:
    """Fix the thresholds of glibc where its own tuning would end up, too: after one free of a very large block."""
    if not sys.platform.startswith("linux") or any(name in os.environ for name in SETTINGS):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not every libc has it
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
