"""starknet-py as a program uses it: its methods by name, and what came of each subscription when asked.

It runs in an environment of its own (``python.py``) and is told what to do by lines of JSON; so it imports nothing of
ours.
"""

import asyncio
import dataclasses
import enum
import inspect
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from starknet_py.net import client_models as models
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.models import InvokeV3
from starknet_py.net.websockets.websocket_client import WebsocketClient


def plain(value: Any) -> Any:
    """Return a result as JSON has it: dataclasses as objects without what is absent, enumerations by name."""
    if isinstance(value, enum.Enum):
        return value.name
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if item is not None}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def made(value: Any) -> Any:
    """Return an argument; ``{"make": KIND, …}`` becomes what the client wants in that place."""
    if isinstance(value, list):
        return [made(item) for item in value]
    if not isinstance(value, dict) or "make" not in value:
        return value
    fields = {name: item for name, item in value.items() if name != "make"}
    if value["make"] == "Invoke":
        bounds = models.ResourceBoundsMapping.init_with_zeros()
        empty = {"signature": [], "nonce": 0, "tip": 0, "resource_bounds": bounds}
        return InvokeV3(version=3, **empty, **fields)
    return getattr(models, value["make"])(**fields)


class Asker:
    """Both clients of one node."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = FullNodeClient(node_url=url)
        self._socket: Any = None
        self._heard: dict[str, list[Any]] = {}

    async def names(self) -> dict[str, list[str]]:
        """Return the names of all that may be called, and of all subscriptions."""
        calls = inspect.getmembers(FullNodeClient, inspect.iscoroutinefunction)
        subscriptions = inspect.getmembers(WebsocketClient, inspect.iscoroutinefunction)
        return {
            "calls": [name for name, _ in calls if not name.startswith("_")],
            "subscriptions": [name for name, _ in subscriptions if name.startswith("subscribe")],
        }

    async def call(self, method: str, values: dict[str, Any]) -> Any:
        """Return what came of a call."""
        arguments = {name: made(value) for name, value in values.items()}
        return plain(await getattr(self._client, method)(**arguments))

    async def subscribe(self, method: str, values: dict[str, Any]) -> str:
        """Begin to hear; return the subscription's id."""
        if self._socket is None:
            self._socket = WebsocketClient(self._url.replace("http", "ws"))
            self._socket.on_chain_reorg = lambda told: self._heard[told.subscription_id].append(
                plain(told.result)
            )
            await self._socket.connect()
        heard: list[Any] = []
        subscription: str = await getattr(self._socket, method)(
            handler=lambda notification: heard.append(plain(notification.result)), **values
        )
        self._heard[subscription] = heard
        return subscription

    async def heard(self, id: str) -> list[Any]:
        """Return what a subscription has heard."""
        return self._heard[id]

    async def unsubscribe(self, id: str) -> bool:
        """End a subscription."""
        return bool(await self._socket.unsubscribe(id))


async def main(url: str) -> None:
    """Do what each line says, one after the other; end with the input."""
    asker = Asker(url)
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    say({"version": "0.10.2"})
    while line := await reader.readline():
        given = json.loads(line)
        do: Callable[..., Awaitable[Any]] = getattr(asker, given.pop("do"))
        try:
            say({"done": await do(**given)})
        # whatever a client raises is an answer to the test
        except Exception as error:  # noqa: BLE001
            code = getattr(error, "code", None)
            say({"error": type(error).__name__, "why": str(error), "code": code})


def say(answer: dict[str, Any]) -> None:
    """Give one answer."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
