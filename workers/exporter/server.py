"""Serves the series at ``/metrics`` (and at ``/``, as Juno does). The broker is asked only when Prometheus asks."""

import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import socket
from socketserver import ThreadingMixIn
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from broker.link import BrokerLost, Link
from workers.exits import EX_CONFIG
from workers.exporter.collect import Collector
from workers.listening import CannotListen, bind, cannot_serve
from workers.log import fields, log
from workers.settings import Settings

TAKE_S = 0.5  # how late the end, or the loss of the broker, may be noticed
CLIENTS_MAX = 8  # more are sent away
CLIENT_SECONDS_MAX = 10.0  # for what one client sends, or reads, at a time
PATHS = ("/", "/metrics")


def main(settings: Settings, link: Link) -> None:
    """Serve until SIGTERM; leave with code 78 if the port cannot be had. ``BrokerLost`` passes."""
    try:
        bound = bind(settings.metrics_host, settings.metrics_port)
    except CannotListen as error:
        log.error(cannot_serve("metrics", "metrics", error))
        raise SystemExit(EX_CONFIG) from None
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda came, _: asked.append(came))
    log.info(
        "Serving metrics",
        extra=fields(host=settings.metrics_host, port=bound.getsockname()[1]),
    )
    with Server(bound, Collector(settings, link.stats)):
        while not asked:
            link.take(0)  # tells the loss of the broker, and the watchdog that we live
            time.sleep(TAKE_S)


class Server(ThreadingMixIn, HTTPServer):
    """Answers scrapes in threads, from entering the context to its end."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, bound: socket, collector: Collector) -> None:
        super().__init__(bound.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(collector)
        self.turn = threading.Lock()  # one scrape at a time
        self._free = threading.BoundedSemaphore(CLIENTS_MAX)
        self._thread = threading.Thread(target=self.serve_forever, name="metrics", daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take no more, and close the port."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, unless all are in use."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Run in the thread of one client."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that breaks off is not worth a traceback."""
        log.debug("A client of the metrics broke off", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = CLIENT_SECONDS_MAX

    def do_GET(self) -> None:
        """Answer one scrape."""
        if self.path.partition("?")[0] not in PATHS:
            self._answer(404, "text/plain", b"metrics are at /metrics\n")
            return
        try:
            with self.server.turn:
                text = generate_latest(self.server.registry)
        except (BrokerLost, TimeoutError) as error:
            self._answer(503, "text/plain", f"{error}\n".encode())
            return
        self._answer(200, CONTENT_TYPE_LATEST, text)

    def log_message(self, format: str, *_: object) -> None:
        """A scrape is no news."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
