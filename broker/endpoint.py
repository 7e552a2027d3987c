"""Where broker and workers meet: a socket in a folder that nobody but this user can enter, held by one broker."""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IPC = "ipc://"
_PATH_BYTES_MAX = 107  # sockaddr_un.sun_path
_TCP = re.compile(r"tcp://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


class EndpointError(ValueError):
    """The endpoint cannot be used; the text is one line for the operator."""


def socket_path(endpoint: str) -> Path:
    """Return the path of an ``ipc://`` endpoint; refuse every other kind."""
    if endpoint.startswith("tcp://"):
        raise EndpointError(
            f"{endpoint}: tcp:// without keys is refused; give --broker-keys, or use ipc:// on this machine"
        )
    path = endpoint.removeprefix(_IPC)
    if path == endpoint or not path or path[0] in "@*":
        raise EndpointError(f"{endpoint}: not an endpoint of the form ipc:///folder/name")
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        raise EndpointError(
            f"{endpoint}: longer than {_PATH_BYTES_MAX} bytes; choose a shorter path"
        )
    return Path(path)


def is_tcp(endpoint: str) -> bool:
    """Whether the endpoint is one of another machine."""
    return endpoint.startswith("tcp://")


def is_ipv6(endpoint: str) -> bool:
    """Whether a ``tcp://`` endpoint names an IPv6 address."""
    return endpoint.startswith("tcp://[")


def tcp_endpoint(text: str) -> str:
    """Return the text if it is a ``tcp://`` endpoint; ``EndpointError`` says what one looks like."""
    match = _TCP.fullmatch(text)
    if match is None or not 0 < int(match[2]) <= 65535:
        raise EndpointError(f'"{text}" is not of the form tcp://HOST:PORT')
    return text


def not_listened(endpoint: str, why: str) -> EndpointError:
    """Return what is said where a ``tcp://`` endpoint cannot be listened on."""
    return EndpointError(
        f"{endpoint} cannot be listened on ({why}): give an address of this machine and a free port"
    )


def address_of(endpoint: str) -> tuple[str, int]:
    """Return host and port of a ``tcp://`` endpoint."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return host.strip("[]"), int(port)


def make_folder(folder: Path) -> None:
    """Create the folder for this user alone, or check the one that is there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EndpointError(f"{folder}: cannot be created: {error.strerror}") from error
    check_folder(folder)


def check_folder(folder: Path) -> None:
    """Refuse a folder that others own or can enter: they could take or forge the node's messages."""
    try:
        found = folder.lstat()
    except OSError as error:
        raise EndpointError(f"{folder}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise EndpointError(f"{folder}: is not a folder")
    if found.st_uid != os.geteuid():
        raise EndpointError(f"{folder}: belongs to user {found.st_uid}, not to {os.geteuid()}")
    if found.st_mode & 0o077:
        raise EndpointError(f"{folder}: others may enter it; run chmod 700 {folder}")


@contextmanager
def held(endpoint: str) -> Iterator[None]:
    """Hold the endpoint for one broker; the lock falls with the process, however it ends."""
    path = socket_path(endpoint)
    make_folder(path.parent)
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _lock(lock, endpoint)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, endpoint: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        raise EndpointError(
            f"another node already runs on {endpoint}; stop it or use another --db-path"
        ) from error
