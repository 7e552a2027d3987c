"""One function for each decoder: bytes -> None. It may raise what its callers take, and nothing else.

To add one: write the function, name in ``TARGETS`` what it may raise, put seeds into ``seeds.py``.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from libp2p.peer.id import ID
from libp2p.security.noise.messages import NoiseHandshakePayload
from multiaddr import Multiaddr

from broker import codec, door, protocol
from broker.codec import Body, CodecError
from broker.curve import Allowed, BrokerKeys
from broker.protocol import Command, ProtocolError
from broker.queues import Queues
from node import pipeline
from node.pipeline import ANYWHERE
from starknet.block import RuleBroken, check_header
from starknet.classes import MalformedClass, class_hash
from starknet.felt import FeltError
from starknet.gateway import GatewayFormatError, class_from_gateway
from starknet.wire import sync_pb2 as pb
from starknet.wire.delimited import MalformedBody, split
from starknet.wire.parse import MalformedMessage, parse
from starknet.wire.rows import Shape
from tests.fuzz import sample
from workers import messages, verify
from workers.component import Component
from workers.errors import PeerFault
from workers.feeder import block as feeding
from workers.feeder.client import BadAnswer as BadGateway
from workers.fetch import classes, events, headers, state_diffs, transactions
from workers.p2p import addresses, forms, kad, keys, protocols
from workers.p2p.addresses import BadAddress
from workers.p2p.host import CannotReach
from workers.p2p.kad import BadKad
from workers.p2p.keys import BadPeerId
from workers.p2p.protocols import BadIteration
from workers.p2p.records import NoiseRecords, RecordsBroken
from workers.p2p.streams import AnswerReader, BadAnswer
from workers.p2p.yamux import ProtocolError as YamuxError
from workers.p2p.yamux import YamuxConnection

Run = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """A decoder: ``run`` takes any bytes and may raise ``allowed``. ``bytes_max``: longer inputs add nothing."""

    name: str
    run: Run
    allowed: tuple[type[Exception], ...]
    bytes_max: int = 4096

    def feed(self, data: bytes) -> bool:
        """Run once; return whether the bytes were taken. What is not allowed passes through."""
        try:
            self.run(data)
        except self.allowed:
            return False
        return True


# ---- p2p: from the socket upwards ------------------------------------------------------------------------------


class _NoCipher:
    """Takes every record whose last sixteen bytes are zero for one it has sealed."""

    def decrypt_with_ad(self, _: None, record: bytes) -> bytes:
        if len(record) < 16 or any(record[-16:]):
            raise ValueError("tag")
        return record[:-16]

    encrypt_with_ad = decrypt_with_ad


def noise_records(data: bytes) -> None:
    """The records of a Noise connection, cut out of what the socket gives."""

    class Ciphers:
        cipher_state_encrypt = cipher_state_decrypt = _NoCipher()

    inside: Any = NoiseRecords(None, None, Ciphers())  # type: ignore[arg-type]  # only its reading is used
    for begin in range(0, len(data), 61):
        inside._received += data[begin : begin + 61]
        inside._decrypt_whole()


def noise_handshake(data: bytes) -> None:
    """What a peer says of itself inside the Noise handshake (py-libp2p's reader)."""
    NoiseHandshakePayload.deserialize(data)


def yamux_frames(data: bytes) -> None:
    """The frames of one connection, half of them while streams of ours are open."""

    class Conn:
        is_initiator = bool(data[:1] and data[0] & 1)

    made: Any = YamuxConnection
    connection = made(Conn(), ID(sample.PEER.encode()))
    if data[:1] and data[0] & 2:
        ours = 1 if Conn.is_initiator else 2
        connection.streams[ours] = _stream(connection, ours)
    received = bytearray()
    for begin in range(1, len(data), 97):
        received += data[begin : begin + 97]
        del received[: connection._handle_whole_frames(received)]


def _stream(connection: Any, stream_id: int) -> Any:
    from workers.p2p.yamux import YamuxStream

    return YamuxStream(connection, stream_id, outbound=True)


def peer_address(data: bytes) -> None:
    """A multiaddr as text, of a command line, an address book or another peer."""
    text = data.decode("utf-8", "replace")
    assert addresses.find_address(text) is None or str(addresses.parse(text))
    addresses.parse_peer(text)


def identify_address(data: bytes) -> None:
    """A multiaddr as bytes, as Identify has it (the library's reader), and then ours."""
    addresses.find_address(str(Multiaddr(data)))


def peer_id(data: bytes) -> None:
    """A PeerID in base58."""
    text = data.decode("utf-8", "replace")
    assert keys.base58(keys.parse_peer_id(text)) == text


def kad_question(data: bytes) -> None:
    """A question of Kademlia."""
    kad.decode_question(bytes(data))


def kad_answer(data: bytes) -> None:
    """Kademlia's answer: peers with addresses."""
    kad.decode_answer(bytes(data))


def sync_request(data: bytes) -> None:
    """The request of any of the five protocols."""
    wanted = protocols.decode_request(data)
    assert protocols.decode_request(protocols.encode_request(wanted)) == wanted


def sync_answer(data: bytes) -> None:
    """An answer as it comes, in pieces of the first byte's size."""
    size = data[0] + 1 if data else 1
    reader = AnswerReader(2, 1 << 20)
    for begin in range(1, len(data), size):
        reader.feed(data[begin : begin + size])
    assert len(reader.body) <= reader.bytes_received


def delimited_body(data: bytes) -> None:
    """The borders of the messages of a part."""
    assert all(len(payload) <= 1 << 20 for payload in split(data, 1 << 20))


def older_answer(data: bytes) -> None:
    """An answer of headers (or, by the first byte, transactions) in the older wire form."""
    component = Component.TRANSACTIONS if data[:1] and data[0] & 1 else Component.HEADERS
    forms.to_spec(forms.OLDER, component, bytes(data[1:]))


# ---- fetch: an answer cut into blocks --------------------------------------------------------------------------


def fetch_headers(data: bytes) -> None:
    """An answer of headers."""
    received = messages.HeadersReceived(
        1, 0, sample.BLOCKS, sample.PEER, bytes(32), Body(bytes(data))
    )
    _drain(headers.cut(sample.settings(), received))


def fetch_state_diffs(data: bytes) -> None:
    """An answer of state diffs, once under the headers' commitments and once without them."""
    infos = sample.infos()
    if data[:1] and data[0] & 1:
        infos = tuple(replace(info, state_diff_commitment=b"") for info in infos)
    received = messages.StateDiffsReceived(1, 0, sample.PEER, infos, Body(bytes(data[1:])))
    _drain(state_diffs.cut(sample.settings(), received))


def fetch_classes(data: bytes) -> None:
    """An answer of classes."""
    received = messages.ClassesReceived(1, 0, sample.PEER, sample.wanted(), Body(bytes(data)))
    _drain(classes.cut(sample.settings(), received))


def fetch_transactions(data: bytes) -> None:
    """An answer of transactions."""
    received = messages.TransactionsReceived(1, 0, sample.PEER, sample.infos(), Body(bytes(data)))
    _drain(transactions.cut(sample.settings(), received))


def fetch_events(data: bytes) -> None:
    """An answer of events."""
    received = messages.EventsReceived(1, 0, sample.PEER, sample.infos(), Body(bytes(data)))
    _drain(events.cut(sample.settings(), received))


def _drain(found: Any) -> None:
    for _ in islice(found, 1 << 16):
        pass


# ---- verification ----------------------------------------------------------------------------------------------


def header(data: bytes) -> None:
    """A header alone, with and without a key to check its signature by."""
    settings = sample.settings()
    message = parse(pb.SignedBlockHeader, data)
    check_header(settings.network, None, message)
    check_header(settings.network, settings.public_key, message)


def block(data: bytes) -> None:
    """A block one part of which is not its own: the first byte says which."""
    choice = data[0] if data else 0
    component = list(Component)[choice % len(Component)]
    number = choice // len(Component) % sample.BLOCKS
    false: Any = {sample.FIELDS[component]: Body(bytes(data[1:]))}
    _drain(verify.verify(sample.settings(), replace(sample.blocks()[number], **false)))


def class_definition(data: bytes) -> None:
    """A class of a peer, hashed: entry points, ABI, and the packed program of Cairo 0."""
    class_hash(parse(pb.Class, data))


@cache
def _shapes() -> tuple[Shape, ...]:
    kinds = (pb.TransactionInBlock.InvokeV1, pb.InvokeV3, pb.Receipt.Common, pb.Event)
    return tuple(Shape(kind.DESCRIPTOR) for kind in kinds)


def wire_rows(data: bytes) -> None:
    """The kernel's own reader of protobuf, by several plans."""
    _shapes()[data[0] % len(_shapes()) if data else 0].rows_of_bytes([bytes(data[1:])])


# ---- the broker's door: workers of other machines --------------------------------------------------------------


def broker_head(data: bytes) -> None:
    """The head of one of the broker's commands, and the map of figures."""
    _, fields = protocol.parse(data)
    for value in fields:
        if type(value) is list:
            protocol.names(value)
        elif type(value) is bytes:
            protocol.unpack_map(value)


@cache
def _kinds() -> tuple[type[Any], ...]:
    return (
        messages.HeadersFetched,
        messages.BodiesFetched,
        messages.BlockPart,
        messages.BlockVerified,
        messages.Fault,
        messages.ForkSeen,
    )


def broker_message(data: bytes) -> None:
    """A message that a worker of another machine gives, of the kind that the first byte names."""
    kind = _kinds()[data[0] % len(_kinds()) if data else 0]
    codec.decode(kind, [bytes(data[1:]), *[b"body"] * codec.bodies(kind)])


WORKER = Allowed(bytes(32), "worker", tuple(stage.name for stage in ANYWHERE))


@cache
def _door() -> Any:
    rows = {
        stage.name: door.Rows(
            frozenset({stage.takes.name}), frozenset(topic.name for topic in stage.gives)
        )
        for stage in ANYWHERE
    }
    made: Any = object.__new__(door.Door)
    made._listen = door.Listen("tcp://", BrokerKeys(Path(), b"", b""), rows, "realm")
    return made


def broker_hello(data: bytes) -> None:
    """HELLO of a worker whose key is allowed: a head, and its realm behind the last line break."""
    frame, _, realm = data.rpartition(b"\n")
    _door()._refusal(WORKER, [frame, realm])


TOPICS = (pipeline.BLOCK_PARTS, pipeline.FAULTS)


def broker_commands(data: bytes) -> None:
    """Commands of two workers at the broker's queues, each: who and how many frames, two bytes of length, a head."""
    queues = Queues(TOPICS, _heard, instance=b"i", now=0.0, poison=lambda *_: None)
    for identity in (b"a", b"b"):
        queues.handle(identity, (hello(identity.decode()),), 0.0)
    position = 0
    while position + 3 <= len(data):
        who, begin = data[position], position + 3
        position = begin + int.from_bytes(data[position + 1 : begin], "big")
        frames = [bytes(data[begin:position]), *[b"frame"] * (who >> 1 & 3)]
        queues.handle(b"b" if who & 1 else b"a", frames, position / 100)
        queues.flush(position / 100)
    queues.tick(position / 100 + 1)
    queues.figures(position / 100 + 1)


def hello(name: str) -> bytes:
    """Return the HELLO of a worker that takes and gives the topics of ``broker-commands``."""
    topics = [topic.name for topic in TOPICS]
    return protocol.head(Command.HELLO, name, protocol.MESSAGE_VERSION, topics, topics, 4)


def _heard(identity: bytes, answer: bytes, _: Any) -> None:
    assert identity in (b"a", b"b")
    protocol.parse(answer)


# ---- the gateway -----------------------------------------------------------------------------------------------


class NotJson(Exception):
    """What the gateway's client refuses before anything reads it."""


def gateway_block(data: bytes) -> None:
    """A block, its state update and its signature as the gateway's JSON: a list of the three."""
    found = _json(data)
    if not isinstance(found, list) or [type(part) for part in found] != [dict] * 3:
        raise NotJson
    number = found[0].get("block_number")
    feeding.convert(number if type(number) is int else 0, *found)


def gateway_class(data: bytes) -> None:
    """A class as the gateway's JSON."""
    found = _json(data)
    if not isinstance(found, dict):
        raise NotJson
    class_from_gateway(found, 1)


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise NotJson from None


TARGETS = (
    Target("noise-records", noise_records, (RecordsBroken,)),
    Target("noise-handshake", noise_handshake, (ValueError,)),
    Target("yamux-frames", yamux_frames, (YamuxError,)),
    Target("peer-address", peer_address, (BadAddress,), 600),
    Target("peer-id", peer_id, (BadPeerId,), 80),
    Target("identify-address", identify_address, (ValueError,), 600),
    Target("kad-question", kad_question, (BadKad,)),
    Target("kad-answer", kad_answer, (BadKad,)),
    Target("sync-request", sync_request, (BadIteration,), 256),
    Target("sync-answer", sync_answer, (BadAnswer,)),
    Target("older-answer", older_answer, (BadAnswer, CannotReach)),
    Target("delimited-body", delimited_body, (MalformedBody,)),
    Target("fetch-headers", fetch_headers, (PeerFault,)),
    Target("fetch-state_diffs", fetch_state_diffs, (PeerFault,)),
    Target("fetch-classes", fetch_classes, (PeerFault,), 1 << 16),
    Target("fetch-transactions", fetch_transactions, (PeerFault,), 1 << 15),
    Target("fetch-events", fetch_events, (PeerFault,), 1 << 14),
    Target("header", header, (MalformedMessage, RuleBroken)),
    Target("block", block, (PeerFault,), 1 << 16),
    Target("class-definition", class_definition, (MalformedMessage, MalformedClass), 1 << 16),
    Target("wire-rows", wire_rows, (FeltError,)),
    Target("broker-head", broker_head, (ProtocolError,)),
    Target("broker-message", broker_message, (CodecError,)),
    Target("broker-hello", broker_hello, ()),
    Target("broker-commands", broker_commands, ()),
    Target("gateway-block", gateway_block, (NotJson, BadGateway), 1 << 15),
    Target("gateway-class", gateway_class, (NotJson, GatewayFormatError), 1 << 15),
)
BY_NAME = {target.name: target for target in TARGETS}
