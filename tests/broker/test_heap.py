"""Large bodies stay in the process, unless a person has told glibc otherwise."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes
from broker.heap import keep_large_blocks

class Info(ctypes.Structure):  # glibc's struct mallinfo2
    _fields_ = [(name, ctypes.c_size_t) for name in
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
libc.malloc.restype = ctypes.c_void_p
keep_large_blocks()
before = libc.mallinfo2().hblks
libc.malloc(ctypes.c_size_t(1 << 20))
print(libc.mallinfo2().hblks - before)
"""


def mapped(**environ: str) -> int:
    """How many mappings of its own a block of 1 MiB takes in a fresh process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(
        command, env=kept | environ, capture_output=True, text=True, check=False, timeout=30
    )
    if "mallinfo2" in done.stderr:
        pytest.skip("this libc has no mallinfo2")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_large_block_is_of_the_heap_and_not_of_a_mapping_of_its_own() -> None:
    assert mapped() == 0


@pytest.mark.parametrize("name", ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"])
def test_what_a_person_set_wins(name: str) -> None:
    assert mapped(**{name: "131072"}) == 1
