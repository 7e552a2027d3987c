"""How peers stand, on disk: ``scores.json`` is p2p's own, ``bans.json`` the operator's word. Both lie beside the store.

Each file has one writer: p2p never writes the operator's, ``hera peers`` never p2p's.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.p2p import keys
from workers.p2p.files import FileBroken, read_object, replace
from workers.p2p.score import PEERS_MAX, Standing

SCORES, BANS = "scores.json", "bans.json"
FORMAT = 1
WHY_CHARS_MAX = 200


@dataclass
class Orders:
    """What the operator said: whom to refuse and why, and whose faults to forget, with seconds since 1970."""

    banned: dict[str, str] = field(default_factory=dict)
    pardoned: dict[str, float] = field(default_factory=dict)

    def ban(self, peer: str, why: str) -> None:
        """Refuse ``peer`` until it is unbanned."""
        self.pardoned.pop(peer, None)
        self.banned[peer] = why[:WHY_CHARS_MAX]
        _bound(self.banned)

    def unban(self, peer: str) -> None:
        """Speak with ``peer`` again, and forget what it did until now."""
        self.banned.pop(peer, None)
        self.pardoned[peer] = time.time()
        _bound(self.pardoned)


class Ledger:
    """The two files of one node's folder."""

    def __init__(self, folder: Path) -> None:
        self._scores = folder / SCORES
        self._bans = folder / BANS
        self._seen = (0, 0)  # which version of the operator's file was read
        self._saved: dict[str, Any] = {}

    def standings(self) -> dict[str, Standing]:
        """How the peers stood when p2p last saved. Raises FileBroken with one line."""
        peers = _peers(self._scores)
        try:
            return {peer: Standing.from_json(values) for peer, values in peers.items()}
        except ValueError as error:
            raise FileBroken(f"{self._scores}: {error}") from error

    def save(self, standings: Mapping[str, Standing]) -> bool:
        """Write how the peers stand, if that has changed; return whether it was written. Raises OSError."""
        peers = {peer: standing.to_json() for peer, standing in standings.items()}
        if peers == self._saved:
            return False
        replace(self._scores, {"format": FORMAT, "peers": peers})
        self._saved = peers
        return True

    def orders(self) -> Orders:
        """What the operator said. Raises FileBroken with one line."""
        content = read_object(self._bans, FORMAT)
        banned, pardoned = content.get("banned", {}), content.get("pardoned", {})
        if not isinstance(banned, dict) or not isinstance(pardoned, dict):
            raise FileBroken(f"{self._bans}: banned and pardoned are not objects")
        try:
            return Orders(
                {_peer(peer): str(why) for peer, why in banned.items()},
                {_peer(peer): float(at) for peer, at in pardoned.items()},
            )
        except (TypeError, ValueError) as error:
            raise FileBroken(f"{self._bans}: {error}") from error

    def new_orders(self) -> Orders | None:
        """What the operator said, if the file has changed since this was last called. Raises FileBroken."""
        try:
            found = self._bans.stat()
        except OSError:
            return None
        version = (found.st_mtime_ns, found.st_ino)
        if version == self._seen:
            return None
        self._seen = version
        return self.orders()

    def order(self, orders: Orders) -> None:
        """Write what the operator says. Raises OSError."""
        content = {"format": FORMAT, "banned": orders.banned, "pardoned": orders.pardoned}
        replace(self._bans, content)


def _peers(path: Path) -> dict[str, Any]:
    peers = read_object(path, FORMAT).get("peers", {})
    if not isinstance(peers, dict):
        raise FileBroken(f"{path}: peers are not an object")
    return dict(list(peers.items())[:PEERS_MAX])


def _peer(text: str) -> str:
    keys.parse_peer_id(text)
    return text


def _bound(entries: dict[str, Any]) -> None:
    while len(entries) > PEERS_MAX:
        del entries[next(iter(entries))]
