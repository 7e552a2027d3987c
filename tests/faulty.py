"""A server in front of a gateway that hands its answers on, or does what the test says instead."""

import gzip
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Do = Callable[["Request"], None]
"""What is done with one request: writes an answer, or nothing."""

DRIP_SECONDS = 0.05


class Faulty:
    """The server's state. ``do`` is what happens to requests now; None: the gateway's own answer."""

    def __init__(self, gateway: str = "") -> None:
        self.gateway = gateway.rstrip("/")
        self.do: Do | None = None
        self.url = ""
        self.connections = 0
        self.asked: list[tuple[str, dict[str, str]]] = []  # path with parameters, headers
        self.over = threading.Event()


class Request(BaseHTTPRequestHandler):
    """One connection, and the request that came on it."""

    protocol_version = "HTTP/1.1"
    faulty: Faulty

    def setup(self) -> None:
        super().setup()
        self.faulty.connections += 1

    def do_GET(self) -> None:
        self.faulty.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        with suppress(ConnectionError):
            (self.faulty.do or honestly)(self)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send a whole answer; ``retry_after`` is the header Retry-After."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def pieces(self, pieces: Iterator[bytes], **headers: str) -> None:
        """Send an answer of unknown length, until the other side or the test has had enough."""
        self.close_connection = True
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            if self.faulty.over.is_set():
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


@contextmanager
def faulty(gateway: str = "") -> Iterator[Faulty]:
    """Serve on a free port in front of ``gateway``, whose base URL this is."""
    state = Faulty(gateway)
    handler = type("Handler", (Request,), {"faulty": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        state.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


# ---- what may be done -----------------------------------------------------------------------------------------------


def honestly(request: Request) -> None:
    """Hand on what the gateway answers."""
    request.answer(*honest(request))


def honest(request: Request) -> tuple[int, bytes]:
    """Return status and body of the gateway's answer."""
    try:
        with urllib.request.urlopen(request.faulty.gateway + request.path, timeout=20) as found:
            return int(found.status), found.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def status(code: int, body: bytes = b"", **headers: str) -> Do:
    """Answer with this status."""
    return lambda request: request.answer(code, body, **headers)


def body(content: bytes, **headers: str) -> Do:
    """Answer with this body and status 200."""
    return status(200, content, **headers)


def times(count: int, do: Do) -> Do:
    """Do it to so many requests, then be honest."""
    lock, left = threading.Lock(), [count]

    def act(request: Request) -> None:
        with lock:
            left[0] -= 1
            mine = left[0] >= 0
        (do if mine else honestly)(request)

    return act


def silently(request: Request) -> None:
    """Keep the connection and say nothing."""
    request.faulty.over.wait()
    request.close_connection = True


def after(seconds: float) -> Do:
    """Answer honestly, but late."""

    def act(request: Request) -> None:
        request.faulty.over.wait(seconds)
        honestly(request)

    return act


def dripping_head(request: Request) -> None:
    """Send the header a byte at a time, for ever."""
    request.close_connection = True
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not request.faulty.over.wait(DRIP_SECONDS):
        request.wfile.write(b"x")


def dripping_body(request: Request) -> None:
    """Send the body a byte at a time, for ever."""

    def drops() -> Iterator[bytes]:
        while not request.faulty.over.wait(DRIP_SECONDS):
            yield b" "

    request.pieces(drops())


def endless(request: Request) -> None:
    """Send white space as fast as it is taken, for ever."""
    piece = b" " * (1 << 20)
    request.pieces(iter(lambda: piece, b""))


def bomb(size: int) -> Do:
    """Answer with so many bytes, packed to a thousandth."""
    packed = gzip.compress(b" " * size, 9)
    return body(packed, Content_Encoding="gzip")


def hanging_up(request: Request) -> None:
    """Close the connection in the middle of the answer."""
    request.close_connection = True
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")


def altered(change: Callable[[dict[str, object]], None]) -> Do:
    """Answer with the gateway's JSON objects after a change; other answers as they are."""

    def act(request: Request) -> None:
        code, content = honest(request)
        answer = json.loads(content)
        if code == 200 and isinstance(answer, dict):
            change(answer)
        request.answer(code, json.dumps(answer).encode())

    return act
