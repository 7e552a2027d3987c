"""Keeps memory for large bodies in the process, where the allocator would return and fault it in again for each."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_MMAP_BYTES = 32 << 20  # the most it accepts
_TRIM_BYTES = 64 << 20  # free memory kept at the end of a heap


def keep_large_blocks() -> None:
    """Fix the thresholds of glibc where its own tuning would end up, too: after one free of a very large block."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not every libc has it
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
