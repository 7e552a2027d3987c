"""Locks of a node's folder: they let through one supervisor at a time, and nothing else while its processes live.

The kernel releases them with their process, however it ends.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from node.config import ConfigError
from workers.log import log

NAP_SECONDS = 0.25
OTHERS_SECONDS_MAX = 10.0  # how long the processes of a killed supervisor may take to end
SUPERVISOR = "supervisor.lock"
PROCESSES = "processes.lock"


def hold(folder: Path) -> int:
    """Hold the database whose run folder this is against a second supervisor; ConfigError if there is one."""
    lock = _taken(folder / SUPERVISOR)
    if lock is None:
        raise held_by_node(folder)
    return lock


def held_by_node(folder: Path) -> ConfigError:
    """Return what is said where a node runs on the database whose run folder this is."""
    return ConfigError(
        f"another node runs on this database (lock {folder / SUPERVISOR}): "
        "stop it or use another --db-path"
    )


def held_by_processes(folder: Path) -> ConfigError:
    """Return what is said where a node has left processes."""
    return ConfigError(
        f"processes of an earlier node still run on this database (lock {folder / PROCESSES}): "
        "stop them or use another --db-path"
    )


def hold_for_processes(
    folder: Path, wait: Callable[[float], object], seconds_max: float = OTHERS_SECONDS_MAX
) -> int | None:
    """Hold the lock that our processes inherit and so keep as long as one of them lives; None if told to end.

    A node that was killed leaves processes that take a moment to end: they are waited for. ``wait`` sleeps, and is
    true when this process is to end.
    """
    waited = 0.0
    while (lock := _taken(folder / PROCESSES)) is None:
        if waited >= seconds_max:
            raise held_by_processes(folder)
        if waited == 0.0:
            log.info("Waiting for the processes of the node before this one to end")
        if wait(NAP_SECONDS):
            return None
        waited += NAP_SECONDS
    return lock


def is_held(path: Path) -> bool:
    """Whether a living process holds this lock; leaves no trace, also where there is none."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _taken(path: Path) -> int | None:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
