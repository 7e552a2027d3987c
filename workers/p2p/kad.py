"""Kademlia's messages as far as we speak them (asking for peers, and answering), and its routing table. Pure.

Values and providers are not ours: what would store something is refused.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

from libp2p.kad_dht.pb.kademlia_pb2 import Message
from multiaddr import Multiaddr

from starknet.wire.delimited import join
from starknet.wire.parse import MalformedMessage, parse
from workers.p2p import keys
from workers.p2p.addresses import Address, find_address

PEERS_MAX = 20  # of one answer, and of one bucket: Kademlia's k
ADDRESSES_MAX = 4  # of each peer of an answer
RAW_ADDRESSES_MAX = 32  # looked at
RAW_ADDRESS_BYTES_MAX = 256
KEY_BYTES_MAX = 256
REQUEST_BYTES_MAX = 4096
ANSWER_BYTES_MAX = 128 * 1024
FRESH_SECONDS = 60.0  # a peer seen within them keeps its place in a full bucket
KEEP_SECONDS = 900.0  # a peer not seen within them is not told any more

Told = dict[str, tuple[Address, ...]]
"""Peers with where they can be dialled."""


class BadKad(Exception):
    """A message that we do not take; the text is one line."""


@dataclass(frozen=True)
class Question:
    """What a peer wants: the peers closest to ``key``, or with an empty ``key`` just an answer (ping)."""

    kind: int
    key: bytes


def encode_question(key: bytes) -> bytes:
    """The request for the peers closest to ``key``, with its length."""
    return join([Message(type=Message.FIND_NODE, key=key).SerializeToString()])


def decode_question(raw: bytes) -> Question:
    """Read a request; raise ``BadKad`` for one that would store something or names no key.

    Whoever asks for a value or for providers gets the closest peers alone, as from a node that has none.
    """
    message = _parse(raw)
    if message.type == Message.PING:
        return Question(message.type, b"")
    if message.type not in (Message.FIND_NODE, Message.GET_VALUE, Message.GET_PROVIDERS):
        raise BadKad(f"request of type {message.type}: only peers are told here")
    if not 0 < len(message.key) <= KEY_BYTES_MAX:
        raise BadKad(f"key of {len(message.key)} bytes")
    return Question(message.type, message.key)


def encode_answer(question: Question, told: Told, connected: Iterable[str]) -> bytes:
    """The answer with its length."""
    answer: Any = Message(key=question.key)
    answer.type = question.kind
    here = frozenset(connected)
    for peer, met_at in told.items():
        answer.closerPeers.add(
            id=keys.parse_peer_id(peer),
            addrs=[_raw(address) for address in met_at[:ADDRESSES_MAX]],
            connection=Message.CONNECTED if peer in here else Message.CAN_CONNECT,
        )
    return join([answer.SerializeToString()])


@lru_cache(maxsize=2048)
def _raw(address: Address) -> bytes:
    return bytes(Multiaddr(str(address)).to_bytes())


def decode_answer(raw: bytes) -> Told:
    """The peers that an answer names, with what of their addresses can be dialled; raise ``BadKad``."""
    found: Told = {}
    for peer in _parse(raw).closerPeers[:PEERS_MAX]:
        try:
            name = keys.base58(peer.id[: keys.PEER_ID_TEXT_MAX])
            keys.parse_peer_id(name)
        except keys.BadPeerId as error:
            raise BadKad(str(error)) from None
        found[name] = _dialable(name, peer.addrs)
    return found


def _dialable(peer: str, raw: Sequence[bytes]) -> tuple[Address, ...]:
    found = [_address(one) for one in raw[:RAW_ADDRESSES_MAX]]
    ours = {a.transport: None for a in found if a is not None and a.peer_id in (None, peer)}
    return tuple(ours)[:ADDRESSES_MAX]


def _address(raw: bytes) -> Address | None:
    if len(raw) > RAW_ADDRESS_BYTES_MAX:
        return None
    try:
        text = str(Multiaddr(raw))
    except Exception:  # noqa: BLE001  (the library raises many things for a stranger's bytes)
        return None
    return find_address(text)


def _parse(raw: bytes) -> Any:
    try:
        return parse(Message, raw)
    except MalformedMessage as error:
        raise BadKad(str(error)) from None


# ---- the routing table -------------------------------------------------------------------------------------------


@dataclass
class _Entry:
    key: int
    met_at: tuple[Address, ...]
    seen_at: float


class Table:
    """Peers that were seen to speak Kademlia, in buckets by their distance from us; never hearsay.

    ``now`` is in seconds. A flood of new names finds the places of its buckets taken by whoever is still here.
    """

    def __init__(self, own: str) -> None:
        self._own = _key(keys.parse_peer_id(own))
        self._buckets: dict[int, dict[str, _Entry]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def note(self, peer: str, met_at: tuple[Address, ...], now: float) -> None:
        """Note that ``peer`` is here and where it can be dialled; in a full bucket one that is gone makes room."""
        key = _key(keys.parse_peer_id(peer))
        bucket = self._buckets.setdefault((key ^ self._own).bit_length(), {})
        if peer not in bucket and len(bucket) >= PEERS_MAX:
            oldest = min(bucket, key=lambda each: bucket[each].seen_at)
            if now - bucket[oldest].seen_at < FRESH_SECONDS:
                return
            del bucket[oldest]
        bucket[peer] = _Entry(key, met_at, now)

    def by_distance(self, key: bytes, now: float) -> Told:
        """The peers seen lately, those closest to ``key`` first."""
        wanted = _key(key)
        entries = [
            (entry.key ^ wanted, peer, entry.met_at)
            for bucket in self._buckets.values()
            for peer, entry in bucket.items()
            if now - entry.seen_at < KEEP_SECONDS
        ]
        return {peer: met_at for _, peer, met_at in sorted(entries)}


def _key(name: bytes) -> int:
    return int.from_bytes(sha256(name).digest(), "big")
