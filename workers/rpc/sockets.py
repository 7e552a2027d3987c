"""JSON-RPC over WebSocket: requests are answered as over HTTP, and a connection may subscribe.

Nothing is queued: what a client does not read holds up what it would be told next, and after a time it is cut. What
waits for all clients together is bounded as well, since a single answer may be large.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.events import CloseConnection, Request

from workers.log import fields, log
from workers.rpc.errors import internal_error, invalid_params, invalid_subscription_id
from workers.rpc.follower import Follower, Reorg
from workers.rpc.jsonrpc import Service, notification, refusal
from workers.rpc.methods import AnyMethod, Method, as_in
from workers.rpc.params import Param
from workers.rpc.specs import Spec, socket_paths, unserved
from workers.rpc.subscriptions import OPENINGS, Kind, Subscription
from workers.rpc.view import View

CONNECTIONS_MAX = 64
SUBSCRIPTIONS_MAX = 64  # of one connection
REQUESTS_MAX = 8  # of one connection, being answered; further ones are not read
MESSAGE_BYTES_MAX = 10 << 20
SLOW_SECONDS = 30.0  # in which a message has to be read
WAITING_BYTES_MAX = 256 << 20  # of messages for all clients
BLOCKS_BEHIND_MAX = 2048  # twice the history that may be asked for
PING_SECONDS = 20.0
PONG_SECONDS = 75.0  # more than the longest wait for an upstream node, in which nothing is read
CUT_SECONDS = 3.0  # in which a client that is cut may still read why
POLICY = 1008
SOCKET = "hera.socket"


class Socket(WSProtocol):
    """The server's side of a connection, which can be ended although the client does not read."""

    def handle_connect(self, event: Request) -> None:
        """Give the application the means to cut, and to see what was read."""
        super().handle_connect(event)
        self.scope["state"][SOCKET] = self

    async def drained(self) -> None:
        """Wait until what was sent is on its way but for a little."""
        await self.writable.wait()

    def cut(self, code: int, reason: str) -> None:
        """Say why, behind all that waits to be sent, and end the connection soon whether it is read or not."""
        if self.close_sent or self.transport.is_closing():
            return
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(self.conn.send(CloseConnection(code=code, reason=reason)))
        self.transport.close()
        self.loop.call_later(CUT_SECONDS, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """Cut a client that does not answer a ping."""
        self.cut(1011, "no answer to a ping")


class Sockets:
    """All connections of a process."""

    def __init__(self, follower: Follower, services: Mapping[Spec, Service], origins: bool) -> None:
        self._follower = follower
        self._services = services
        self._origins = origins
        self._open = 0
        self.waiting_bytes = 0

    async def serve(self, spec: Spec, socket: WebSocket) -> None:
        """Answer one client until either goes away."""
        if not self._origins and _is_foreign(socket):
            why = "pages of other origins may not ask: set --rpc-cors-enable"
            return await _deny(socket, 403, why)
        if self._open >= CONNECTIONS_MAX:
            why = f"{CONNECTIONS_MAX} connections are open already"
            return await _deny(socket, 503, why)
        self._count(1)
        try:
            await socket.accept()
            await _Connection(socket, self._services[spec], self._follower, self).run()
        except WebSocketDisconnect:  # while it was told something
            pass
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        self._open += more
        self._follower.chain.settings.figures.set("hera_rpc_sockets", self._open)


def routes(sockets: Sockets) -> list[WebSocketRoute]:
    """Return every path at which a connection may be asked for; at any other it is refused."""
    served = [
        WebSocketRoute(path, partial(sockets.serve, spec)) for path, spec in socket_paths().items()
    ]
    return [*served, WebSocketRoute("/{path:path}", _unknown)]


def apart(application: ASGIApp, port: int | None) -> ASGIApp:
    """Return the application, which on ``port`` takes WebSockets alone."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["server"][1] == port:
            why = refusal("this port takes WebSockets alone: HTTP is at --http-port")
            headers = {"Upgrade": "websocket"}
            response = Response(why, 426, headers, media_type="application/json")
            await response(scope, receive, send)
        else:
            await application(scope, receive, send)

    return application if port is None else guarded


async def _unknown(socket: WebSocket) -> None:
    await _deny(socket, 404, unserved(socket.url.path))


async def _deny(socket: WebSocket, status: int, why: str) -> None:
    """Refuse a connection that is asked for, with JSON that says why."""
    await socket.send_denial_response(Response(refusal(why), status, media_type="application/json"))


def _is_foreign(socket: WebSocket) -> bool:
    """Whether a page of another host asks. What is no page names no origin."""
    origin = socket.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != socket.headers.get("host")


class _Connection:
    """One client: a task reads, one each answers a request, and one tells of what was subscribed to."""

    def __init__(
        self, socket: WebSocket, service: Service, follower: Follower, all_: Sockets
    ) -> None:
        self._socket = socket
        self._protocol: Socket = socket.scope["state"][SOCKET]
        self._all = all_
        self._sending = asyncio.Lock()
        self._service = service
        self._spec = service.spec
        self._follower = follower
        self._slots = asyncio.Semaphore(REQUESTS_MAX)
        self._subscriptions: dict[str, Subscription] = {}
        self._told: dict[str, Subscription] = {}  # those of which the client knows
        self._count = 0
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Read requests until the connection ends."""
        self._start(self._tell())
        try:
            while (body := await self._next()) is not None:
                await self._slots.acquire()
                self._start(self._answer(body)).add_done_callback(lambda _: self._slots.release())
        finally:
            self._follower.leave(self)
            self._follower.counted(-len(self._subscriptions))
            self._subscriptions.clear()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def changed(self, reorg: Reorg | None) -> None:
        """Take note of another head."""
        if reorg is not None:
            for subscription in self._subscriptions.values():
                subscription.lose(reorg)
        self._news.set()

    # ---- requests -------------------------------------------------------------------------------------------

    async def _next(self) -> bytes | None:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        return text.encode() if text is not None else message["bytes"]

    async def _answer(self, body: bytes) -> None:
        opened: list[Subscription] = []
        answer = await self._service.answer(body, self._methods(opened))
        if answer is not None:
            await self._send(answer)
        for subscription in opened:  # a client drops what it is told before it has the answer
            if subscription.identity in self._subscriptions:
                self._told[subscription.identity] = subscription
        self._news.set()

    def _methods(self, opened: list[Subscription]) -> dict[str, AnyMethod]:
        """Return the methods that only a connection has; what one message subscribes to comes into ``opened``."""
        found: dict[str, AnyMethod] = {
            name: Method(partial(self._subscribe, opened, opening.make), opening.params)
            for name, opening in OPENINGS.items()
            if opening.since <= self._spec.since <= opening.until
        }
        unsubscribe = Method(self._unsubscribe, (Param("subscription_id", _identity),))
        return {name: as_in(self._spec, each) for name, each in found.items()} | {
            "starknet_unsubscribe": unsubscribe
        }

    def _subscribe(
        self, opened: list[Subscription], make: Any, view: View, *values: object
    ) -> object:
        kind: Kind = make(*values)
        if len(self._subscriptions) >= SUBSCRIPTIONS_MAX:
            raise internal_error(f"a connection has at most {SUBSCRIPTIONS_MAX} subscriptions")
        first = kind.first(view)
        self._follower.join(self)
        self._follower.counted(1)
        self._count += 1
        since = -1 if view.head is None else view.head.number
        subscription = Subscription(str(self._count), kind, first, since)
        self._subscriptions[subscription.identity] = subscription
        opened.append(subscription)
        return subscription.identity

    def _unsubscribe(self, _: View, identity: str) -> object:
        if self._subscriptions.pop(identity, None) is None:
            raise invalid_subscription_id()
        self._told.pop(identity, None)
        self._follower.counted(-1)
        if not self._subscriptions:
            self._follower.leave(self)
        return True

    # ---- notifications --------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """Tell of one block of each subscription in turn, as long as there are any; then wait for news."""
        while True:
            self._news.clear()
            while any([await self._step(each) for each in list(self._told.values())]):
                pass
            await self._news.wait()

    async def _step(self, subscription: Subscription) -> bool:
        """Tell of one block; False if there is none."""
        self._follower.look()
        head = self._follower.head
        if head is not None and subscription.behind(head.number) > BLOCKS_BEHIND_MAX:
            self._cut(POLICY, f"too slow: more than {BLOCKS_BEHIND_MAX} blocks behind")
        told = subscription.step(View(self._follower.chain, self._spec, head))
        if told is None:
            return False
        for method, result in told:
            if subscription.identity not in self._told:
                break
            named = {"subscription_id": subscription.identity, "result": result}
            await self._send(notification(method, named))
        await asyncio.sleep(0)
        return True

    async def _send(self, text: bytes) -> None:
        """Send a message and wait until it is read; the next one waits for this."""
        self._all.waiting_bytes += len(text)
        try:
            if self._all.waiting_bytes > WAITING_BYTES_MAX:
                self._cut(POLICY, f"{WAITING_BYTES_MAX} bytes wait for clients already")
            async with self._sending, asyncio.timeout(SLOW_SECONDS):
                await self._socket.send_text(text.decode())
                await self._protocol.drained()
        except TimeoutError:
            self._cut(POLICY, f"too slow: a message was not read in {SLOW_SECONDS:.0f} s")
        except (WebSocketDisconnect, RuntimeError):  # gone, or about to be
            raise asyncio.CancelledError from None
        finally:
            self._all.waiting_bytes -= len(text)

    def _cut(self, code: int, why: str) -> None:
        """End the connection and all its tasks."""
        log.info("Cut a WebSocket client", extra=fields(why=why))
        self._follower.chain.settings.figures.count("hera_rpc_sockets_cut_total")
        self._protocol.cut(code, why)
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # our own fault, or a damaged store: other connections go on
            log.error("A WebSocket connection failed", exc_info=error)
            self._cut(1011, "internal error")


def _identity(value: Any) -> str:
    """Read an id as it was given, or as the number that 0.8 makes of it."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise invalid_params("an id is text")
    return str(value)[:32]
