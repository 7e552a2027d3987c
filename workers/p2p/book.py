"""The address book: which peers were met and where; kept in ``peers.json`` beside the store, used at the next start."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workers.p2p import addresses, keys
from workers.p2p.addresses import Address
from workers.p2p.files import FileBroken, read_object, replace

FILE_NAME = "peers.json"
FORMAT = 1
PEERS_MAX = 1000
ADDRESSES_MAX = 8  # of one peer


class Book:
    """Peers with their addresses, the last seen last. Written only when it has changed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._peers: dict[str, tuple[Address, ...]] = {}
        self._is_changed = False

    def load(self) -> None:
        """Read the file if there is one; raise ``FileBroken`` with one line where it cannot be used."""
        content = read_object(self._path, FORMAT)
        self._peers.update(_entries(self._path, content))

    def note(self, peer: str, met_at: Iterable[Address]) -> None:
        """Remember where ``peer`` can be dialled; the oldest peer makes room."""
        usable = tuple(dict.fromkeys(address.transport for address in met_at))[:ADDRESSES_MAX]
        if not usable or self._peers.get(peer) == usable:
            return
        self._peers.pop(peer, None)
        self._peers[peer] = usable
        self._is_changed = True
        while len(self._peers) > PEERS_MAX:
            del self._peers[next(iter(self._peers))]

    def known(self) -> dict[str, tuple[Address, ...]]:
        """Every peer with its addresses, the last met first."""
        return dict(reversed(self._peers.items()))

    def save(self) -> bool:
        """Replace the file by one rename if anything changed; return whether it was written."""
        if not self._is_changed:
            return False
        peers = {peer: [str(address) for address in met] for peer, met in self._peers.items()}
        replace(self._path, {"format": FORMAT, "peers": peers})
        self._is_changed = False
        return True


def _entries(path: Path, content: dict[str, Any]) -> list[tuple[str, tuple[Address, ...]]]:
    """The usable entries of a file's content; single bad ones are left out."""
    peers = content.get("peers", {})
    if not isinstance(peers, dict):
        raise FileBroken(f"{path}: peers are not an object")
    found = [(peer, _usable(peer, texts)) for peer, texts in list(peers.items())[-PEERS_MAX:]]
    return [(peer, texts) for peer, texts in found if texts]


def _usable(peer: str, texts: Any) -> tuple[Address, ...]:
    try:
        keys.parse_peer_id(peer)
    except keys.BadPeerId:
        return ()
    if not isinstance(texts, list):
        return ()
    found = [addresses.find_address(t) for t in texts[:ADDRESSES_MAX] if isinstance(t, str)]
    return tuple(address.transport for address in found if address is not None)
