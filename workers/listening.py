"""Takes a TCP address before a server starts, so that a busy port is one line and not a traceback from the server."""

import os
import socket


class CannotListen(Exception):
    """The address cannot be had; the text says why."""


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a listening socket on ``host`` and ``port`` (0: any); raises ``CannotListen``.

    A ``shared`` one leaves room for others of this user, which all say so; the kernel deals connections out.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # asyncio sends small answers without delay only on sockets whose protocol is named
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(address)
            bound.listen()
        except OSError:
            bound.close()
            raise
    except OSError as error:
        why = error.strerror or os.strerror(error.errno or 0)
        raise CannotListen(f"{host} port {port} ({why})") from error
    return bound


def cannot_serve(what: str, option: str, error: CannotListen) -> str:
    """Say that ``what`` cannot be served, and which ``option``s name its address."""
    return f"Cannot serve {what} on {error}: choose another --{option}-port or --{option}-host"
