"""Checks of the machine: versions, kernel, processors, memory, descriptors."""

import os
import platform
import resource
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psutil

from node import processes
from node.banner import VERSION
from node.config import cores
from node.doctor.findings import Finding, Patient, fail, ok, warn
from starknet.native import _kernel
from workers.store.opening import FOLDER
from workers.store.rocks import WRITER_FILES_MAX
from workers.store.schema import SCHEMA_VERSION

MIB = 1 << 20
PROCESS_MIB = 60  # what a process takes without blocks, see docs/architecture.md
P2P_MIB = 40  # and p2p beyond it
STORE_MIB = 64  # buffers and caches of the one that writes
FILES_BESIDE = 256  # sockets, logs and libraries of one process
LIBRARIES = ("libp2p", "pyzmq", "rocksdict")
PEDERSEN_OF_0_0 = 0x49EE3EBA8C1600700EE1B87EB599F16716B0B1022947733551FDE4050CA6804


def versions(_: Patient) -> Iterator[Finding]:
    """Hera, Python and the libraries that it has to fit."""
    from workers.p2p.patches import WrongLibp2p, require_version

    try:
        require_version()
    except WrongLibp2p as error:
        yield fail("versions", str(error))
        return
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    python = platform.python_version()
    yield ok("versions", f"Hera {VERSION}, Python {python}, {libraries}, schema {SCHEMA_VERSION}")


def kernel(_: Patient) -> Iterator[Finding]:
    """The part in C hashes right, and which instructions it has."""
    if _kernel.pedersen_int(0, 0) != PEDERSEN_OF_0_0:
        yield fail("kernel", "the kernel in C hashes wrong", "build it again: pip install .")
        return
    has_adx, has_wide = _kernel.choose(True, True)  # as it has chosen itself when it was loaded
    found = [name for name, has in (("ADX", has_adx), ("AVX-512 IFMA", has_wide)) if has]
    if found:
        yield ok("kernel", f"in C, with {' and '.join(found)}")
    else:
        yield warn("kernel", "in C, without ADX and AVX-512 IFMA", "hashing takes longer here")


def processors(patient: Patient) -> Iterator[Finding]:
    """There are as many cores as processes that verify."""
    found, wanted = cores(), patient.config.verify_workers
    if wanted > found:
        text = f"{found} cores for --verify-workers {wanted}"
        yield warn("cpu", text, "give no more than there are cores")
    elif found == 1:
        yield warn("cpu", "1 core", "syncing takes long; two and more share the hashing")
    else:
        yield ok("cpu", f"{found} cores, {wanted} to verify")


def memory(patient: Patient) -> Iterator[Finding]:
    """The node's processes and its budget of blocks fit into what the machine, or our container, has."""
    config = patient.config
    count = len(processes.children(config)) + 1
    wanted = config.memory_budget_mib + count * PROCESS_MIB + STORE_MIB + config.p2p * P2P_MIB
    seen = psutil.virtual_memory()
    limit = _container_bytes() or seen.total
    total, free = min(limit, seen.total) // MIB, min(limit, seen.available) // MIB
    text = f"about {wanted} MiB wanted by {count} processes, of {total} MiB {free} are free"
    hint = "give a smaller --memory-budget or fewer --verify-workers, or more memory"
    if wanted > total:
        yield fail("memory", text, hint)
    elif wanted > free:
        yield warn("memory", text, hint)
    else:
        yield ok("memory", text)


def _container_bytes() -> int | None:
    """The memory that our control group may take, where it is bounded."""
    try:
        group = Path("/proc/self/cgroup").read_text().strip().rpartition("::/")[2]
        text = (Path("/sys/fs/cgroup") / group / "memory.max").read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def descriptors(patient: Patient) -> Iterator[Finding]:
    """Each process may open all files of the store, and its sockets."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _store_files(patient.config.db_path / FOLDER)
    text = f"{soft} open files a process, the store has {files}"
    hint = "raise it: ulimit -n 65536, or LimitNOFILE=65536 in a unit"
    if soft == resource.RLIM_INFINITY:
        yield ok("files", "any number of open files")
    elif soft < WRITER_FILES_MAX + FILES_BESIDE:
        yield fail("files", text, hint)
    elif soft < files + FILES_BESIDE:
        yield warn("files", text, hint)
    else:
        yield ok("files", text)


def _store_files(path: Path) -> int:
    try:
        return len(os.listdir(path))
    except OSError:
        return 0
