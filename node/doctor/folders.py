"""Checks of files: options, the database's folder and disk, keys, what the database holds. Nothing is written."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from broker import endpoint
from node import key_file, locks
from node.config import FOREIGN, Config, ConfigError
from node.doctor.findings import Finding, Patient, fail, ok, warn
from workers.store import StoreError
from workers.store.opening import exists, identify, require_chain
from workers.store.reader import Reader

GIB = 1 << 30
FREE_GIB_MIN = 1  # below it, the next hours end in a full disk
# Room for the chain: for Sepolia what Juno's guide to its P2P node asks; mainnet is estimated, ten times as much.
NETWORK_GIB = {"mainnet": 500, "sepolia": 50}
OTHER_GIB = 5
REMOTE = frozenset(("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs"))
PASSING = {"tmpfs": "it is lost when the machine restarts", "overlay": "it is lost with the container"}  # fmt: skip
PRIVATE_KEY = "p2p-private-key"


def options(patient: Patient) -> Iterator[Finding]:
    """The configuration can be run; the lines are those of the start."""
    for line in patient.refused:
        yield fail("config", line, "what follows is said as if it were not there")
    if not patient.refused:
        told = "" if patient.file is None else f", also from {patient.file}"
        yield ok("config", f"{len(patient.config.given)} options{told}")
    for unused in patient.config.unused:
        yield warn("config", f"{unused} has no effect", "remove it")
    for name, is_set in (
        ("p2p-feeder-node", patient.config.p2p_feeder_node),
        ("p2p-peers", bool(patient.config.p2p_peers)),
    ):
        if is_set and not patient.config.p2p:
            yield warn("config", f"--{name} has no effect without --p2p")


def folder(patient: Patient) -> Iterator[Finding]:
    """A node could make and write its folder."""
    config = patient.config
    try:
        _require_folders(config)
    except (ConfigError, endpoint.EndpointError) as error:
        yield fail("db-path", str(error))
        return
    kind = _file_system(config.db_path)
    if kind in REMOTE:
        yield warn("db-path", f"{config.db_path} is on {kind}", "a database wants a local disk")
    elif kind in PASSING:
        yield warn("db-path", f"{config.db_path} is on {kind}: {PASSING[kind]}", "mount a volume")
    else:
        yield ok("db-path", f"{config.db_path} can be written, on {kind}")


def _require_folders(config: Config) -> None:
    """What ``Config.make_folders`` would say, but nothing is made."""
    if why := _cannot_make(config.db_path):
        raise config.no_db_folder(why)
    if (config.db_path / FOREIGN).exists():
        raise config.foreign_folder()
    if os.path.lexists(config.run_folder):
        endpoint.check_folder(config.run_folder)
    elif why := _cannot_make(config.run_folder):
        raise config.no_run_folder(why)
    if config.db_path.is_dir() and not os.access(config.db_path, os.W_OK, effective_ids=True):
        raise ConfigError(f"{config.db_path}: cannot be written: {os.strerror(errno.EACCES)}")


def _cannot_make(path: Path) -> str:
    """Why the folder can neither be made nor is there; nothing if it can."""
    if path.is_dir():
        return ""
    if os.path.lexists(path):
        return os.strerror(errno.EEXIST)
    above = _nearest(path)
    if not above.is_dir():
        return os.strerror(errno.ENOTDIR)
    if os.access(above, os.W_OK | os.X_OK, effective_ids=True):
        return ""
    is_read_only = os.statvfs(above).f_flag & os.ST_RDONLY
    return os.strerror(errno.EROFS if is_read_only else errno.EACCES)


def _nearest(path: Path) -> Path:
    """What is there of a path."""
    return next(each for each in (path, *path.parents) if os.path.lexists(each))


def _file_system(path: Path) -> str:
    """The kind of the file system under a path."""
    real = _nearest(path).resolve()
    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    return next((mounts[str(each)] for each in (real, *real.parents) if str(each) in mounts), "?")


def disk(patient: Patient) -> Iterator[Finding]:
    """There is room for the chain, beside what is stored of it."""
    config = patient.config
    there = _nearest(config.db_path)
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    wanted = NETWORK_GIB.get(config.network.name, OTHER_GIB) * GIB - _stored_bytes(config.db_path)
    text = f"{free // GIB} GiB free"
    if free < FREE_GIB_MIN * GIB:
        yield fail("disk", f"{free >> 20} MiB free", "make room, or choose another --db-path")
    elif free < wanted:
        more = f"{text}, {config.network.name} may take {-(-wanted // GIB)} GiB more"
        yield warn("disk", more, "choose a --db-path on a larger disk")
    else:
        yield ok("disk", text)


def _stored_bytes(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:  # a running node may just have deleted it
                continue
    return total


def keys(patient: Patient) -> Iterator[Finding]:
    """No other user can read the keys, and the node keeps its PeerID."""
    config = patient.config
    if config.broker_listen is not None or config.broker_elsewhere is not None:
        try:
            if config.broker_elsewhere is None:
                config.check_broker()
            else:
                config.passport(None)
            yield ok("keys", f"{config.broker_keys} is in order")
        except ConfigError as error:
            yield fail("keys", str(error))
    if config.p2p:
        yield from _private_key(patient)


def _private_key(patient: Patient) -> Iterator[Finding]:
    try:
        config = key_file.known(patient.config)
    except ConfigError as error:
        yield fail("keys", str(error))
        return
    hint = "hera genp2pkeypair --out FILE makes one for --p2p-private-key-file"
    if config.p2p_private_key is None:
        yield warn("keys", "no private key: each start has another PeerID", hint)
    elif patient.has_key_on_command_line:
        yield warn(
            "keys", "the private key stands on the command line, where others may read it", hint
        )
    elif (
        config.p2p_private_key_file is None and patient.file is not None and _is_open(patient.file)
    ):
        yield warn("keys", f"{patient.file} can be read by others", f"chmod 600 {patient.file}")
    else:
        yield ok("keys", "the node keeps its PeerID")


def _is_open(path: Path) -> bool:
    """Whether others may read a file of options; a key may be in it, or come to be."""
    return path.is_file() and bool(path.stat().st_mode & key_file.OTHERS)


def database(patient: Patient) -> Iterator[Finding]:
    """What is stored is of our schema, whole at its head, and of the network that is asked for."""
    config = patient.config
    if not exists(config.db_path):
        yield ok("database", "none yet: the first start makes it")
        return
    try:
        require_chain(config.db_path, identify(config.db_path).chain, config.network.chain_id)
        reader = Reader(config.db_path)
        head = reader.head()
        reader.close()
    except StoreError as error:
        yield fail("database", str(error))
        return
    held = "no block yet" if head is None else f"blocks 0 to {head.number}"
    yield ok("database", f"{held} of {config.network.chain_id}")


def running(patient: Patient) -> Iterator[Finding]:
    """Whether a node runs on the database now; a second one would be refused."""
    run_folder = patient.config.run_folder
    if not os.access(run_folder, os.X_OK, effective_ids=True):
        yield ok("running", "no node runs on this database")
    elif locks.is_held(run_folder / locks.SUPERVISOR):
        yield ok("running", f"a node runs here; to a second one: {locks.held_by_node(run_folder)}")
    elif locks.is_held(run_folder / locks.PROCESSES):
        yield warn("running", str(locks.held_by_processes(run_folder)))
    else:
        yield ok("running", "no node runs on this database")
