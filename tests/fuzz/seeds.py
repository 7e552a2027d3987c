"""``python -m tests.fuzz.seeds`` writes the corpus anew: small honest inputs, cut out of the generated chain.

Inputs named ``found-…`` are regressions that a fuzzer found; they stay.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from multiaddr import Multiaddr

from broker import codec, curve, protocol
from broker.protocol import Command
from node.pipeline import ANYWHERE
from starknet.wire import sync_pb2 as pb
from starknet.wire.delimited import join, split
from starknet.wire.parse import parse
from tests.flow import chains
from tests.fuzz import sample, targets
from workers import messages
from workers.component import Component
from workers.p2p import addresses, forms, kad, keys, protocols
from workers.p2p.protocols import Range
from workers.p2p.yamux import ACK, DATA, FIN, PING, RST, SYN, WINDOW
from workers.p2p.yamux import _frame as frame

CORPUS = Path(__file__).parent / "corpus"
FOUND = "found-"
MESSAGE_MAX = 4 << 20
OWN = keys.from_seed(bytes(32))
TEXTS = (
    "/ip4/127.0.0.1/tcp/7777",
    "/ip6/::1/tcp/0",
    f"/dns4/juno_feeder_node/tcp/7777/p2p/{OWN.peer_id}",
)


(QUESTION,) = (bytes(one) for one in split(kad.encode_question(b"k" * 34), MESSAGE_MAX))


def main() -> None:
    """Write every seed; nothing else in the corpus is touched but older seeds."""
    for name, inputs in seeds().items():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if not path.name.startswith(FOUND):
                path.unlink()
        for number, data in enumerate(inputs):
            (folder / f"seed-{number}").write_bytes(data)


def inputs(name: str) -> list[bytes]:
    """Return the committed inputs of a target, in the order of their names."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def seeds() -> Mapping[str, list[bytes]]:
    """Return honest inputs of every target."""
    everything = {component: _of_all(component) for component in Component}
    return {
        "noise-records": [_record(b"some bytes") + _record(b""), _record(bytes(300))],
        "noise-handshake": [_handshake()],
        "yamux-frames": [bytes([flags]) + _frames(flags) for flags in range(4)],
        "peer-address": [text.encode() for text in TEXTS],
        "peer-id": [OWN.peer_id.encode()],
        "identify-address": [Multiaddr(text).to_bytes() for text in TEXTS[:2]],
        "kad-question": [QUESTION],
        "kad-answer": [_told()],
        "sync-request": [
            protocols.encode_request(Range(5, 100)),
            protocols.encode_request(Range(bytes(range(32)), 1, 3, backward=True)),
        ],
        "sync-answer": [
            bytes([40]) + sample.body(Component.EVENTS, 1) + protocols.fin(Component.EVENTS)
        ],
        "older-answer": [_older(0, Component.HEADERS), _older(1, Component.TRANSACTIONS)],
        "delimited-body": [sample.body(Component.EVENTS, 1)],
        "fetch-headers": [everything[Component.HEADERS]],
        "fetch-state_diffs": [bytes([n]) + everything[Component.STATE_DIFFS] for n in (0, 1)],
        "fetch-classes": [everything[Component.CLASSES]],
        "fetch-transactions": [everything[Component.TRANSACTIONS]],
        "fetch-events": [everything[Component.EVENTS]],
        "header": list(_headers()),
        "block": list(_blocks()),
        "class-definition": list(_classes()),
        "wire-rows": list(_rows()),
        "broker-head": list(_heads()),
        "broker-message": list(_given()),
        "broker-hello": [_hello(stage.name) + b"\nrealm" for stage in ANYWHERE[:2]],
        "broker-commands": list(_conversations()),
        "gateway-block": [_text(list(answer)) for answer in sample.answers()],
        "gateway-class": list(_definitions()),
    }


def _of_all(component: Component) -> bytes:
    return b"".join(sample.body(component, number) for number in range(sample.BLOCKS))


def _older(choice: int, component: Component) -> bytes:
    change = forms.OLDER.from_spec[component]
    blocks = chains.devnet(sample.BLOCKS, "0.13.3")[1]
    parts = b"".join(bytes(getattr(block, sample.FIELDS[component])) for block in blocks)
    return bytes([choice]) + join(change(bytes(message)) for message in split(parts, MESSAGE_MAX))


def _record(plain: bytes) -> bytes:
    return (len(plain) + 16).to_bytes(2, "big") + plain + bytes(16)


def _handshake() -> bytes:
    key = b"\x08\x01\x12\x20" + OWN.public
    return bytes([0x0A, len(key)]) + key + bytes([0x12, 64]) + bytes(64)


def _frames(flags: int) -> bytes:
    theirs, ours = (2, 1) if flags & 1 else (1, 2)
    opened = [frame(WINDOW, SYN, theirs, 1 << 16), frame(DATA, 0, theirs, 5), b"hello"]
    answered = [frame(DATA, ACK, ours, 3), b"ans", frame(WINDOW, RST, ours, 0)]
    return b"".join([*opened, frame(PING, SYN, 0, 7), *answered, frame(DATA, FIN, theirs, 0)])


def _headers() -> Iterator[bytes]:
    for number in range(sample.BLOCKS):
        (payload,) = split(sample.body(Component.HEADERS, number), MESSAGE_MAX)
        yield parse(pb.BlockHeadersResponse, bytes(payload)).header.SerializeToString()


def _blocks() -> Iterator[bytes]:
    for choice in range(len(Component) * sample.BLOCKS):
        component = list(Component)[choice % len(Component)]
        yield bytes([choice]) + sample.body(component, choice // len(Component))


def _classes() -> Iterator[bytes]:
    for payload in split(_of_all(Component.CLASSES), MESSAGE_MAX):
        message = parse(pb.ClassesResponse, bytes(payload))
        yield getattr(message, "class").SerializeToString()


def _rows() -> Iterator[bytes]:
    for payload in list(split(_of_all(Component.TRANSACTIONS), MESSAGE_MAX)):
        pair = parse(pb.TransactionsResponse, bytes(payload)).transaction_with_receipt
        kind = pair.transaction.WhichOneof("txn")
        plans = {"invoke_v1": 0, "invoke_v3": 1}
        if kind in plans:
            yield bytes([plans[kind]]) + getattr(pair.transaction, kind).SerializeToString()
            yield b"\x02" + pair.receipt.invoke.common.SerializeToString()
    (first, *_) = split(_of_all(Component.EVENTS), MESSAGE_MAX)
    yield b"\x03" + parse(pb.EventsResponse, bytes(first)).event.SerializeToString()


def _heads() -> Iterator[bytes]:
    yield _hello("fetch-headers")
    yield protocol.head(Command.BEAT, protocol.pack_map({"peers": 1, "head": "0x1"}))
    yield protocol.head(Command.GIVE, "block.parts", 3, 17)
    yield protocol.head(Command.DONE, [1, 2], [["faults", 1, 1]])
    yield protocol.head(Command.STATS, 1)


def _hello(row: str) -> bytes:
    stage = next(stage for stage in ANYWHERE if stage.name == row)
    name = curve.named(row, targets.WORKER.key)
    gives = [topic.name for topic in stage.gives]
    version = protocol.MESSAGE_VERSION
    return protocol.head(Command.HELLO, name, version, [stage.takes.name], gives, 4)


def _conversations() -> Iterator[bytes]:
    first, second = (topic.name for topic in targets.TOPICS)
    heads = (
        (2, protocol.head(Command.GIVE, first, 1, 17)),
        (3, protocol.head(Command.GIVE, second, 1, 5)),
        (0, protocol.head(Command.BEGIN, 1)),
        (2, protocol.head(Command.DONE, [1], [[second, 17, 1]])),
        (1, protocol.head(Command.AGAIN, 2, 10)),
        (0, protocol.head(Command.BEAT, protocol.pack_map({"blocks": 1}))),
        (0, protocol.head(Command.STATS, 9)),
        (1, protocol.head(Command.BYE)),
        (1, targets.hello("b")),
    )
    said = [bytes([who]) + len(text).to_bytes(2, "big") + text for who, text in heads]
    yield b"".join(said)
    yield b"".join(reversed(said))


def _given() -> Iterator[bytes]:
    info, wants = sample.infos()[0], sample.wanted()[:1]
    me = Component.EVENTS
    given = (
        messages.HeadersFetched(1, 0, sample.PEER, (info,)),
        messages.BodiesFetched(1, me, 0, 1, sample.PEER, wants),
        messages.BlockPart(1, 0, bytes(32), me, sample.PEER, codec.Body(b"")),
        None,
        messages.Fault(1, 0, 1, (me,), (sample.PEER,), "events.count", "3 of 4"),
        messages.ForkSeen(1, 0, sample.PEER),
    )
    for number, message in enumerate(given):
        if message is not None:
            yield bytes([number]) + codec.encode(message)[0]


def _definitions() -> Iterator[bytes]:
    chain = chains.devnet(sample.BLOCKS)[0]
    for want in sample.wanted():
        for name in want.declared:
            yield _text(chain.class_definition(int.from_bytes(name, "big")))


def _text(found: object) -> bytes:
    return json.dumps(found, separators=(",", ":")).encode()


def _told() -> bytes:
    """An answer of Kademlia with one peer."""
    told = {
        OWN.peer_id: tuple(map(addresses.parse, ("/ip4/127.0.0.1/tcp/1", "/dns4/x.example/tcp/8")))
    }
    answer = kad.encode_answer(kad.decode_question(QUESTION), told, [OWN.peer_id])
    (message,) = split(answer, MESSAGE_MAX)
    return bytes(message)


if __name__ == "__main__":
    main()
