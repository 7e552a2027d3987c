"""Blocks for tests of what comes after verification: recorded ones, and generated ones with an independent root."""

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from broker.codec import Body
from starknet.felt import P, short_string, to_bytes32, to_wire
from starknet.gateway import block_from_gateway, class_from_gateway
from starknet.hashes import PairHash, pedersen, poseidon, poseidon_many
from starknet.wire import sync_pb2 as pb
from starknet.wire.delimited import join
from workers.messages import BlockVerified

PEERS = ("headers-peer", "diffs-peer", "classes-peer", "transactions-peer", "events-peer")


def recorded(fixtures: Path, network: str, count: int) -> list[BlockVerified]:
    """Read the first blocks of a network; their state roots are what Starknet says they are."""
    return [_recorded_block(fixtures / network, number) for number in range(count)]


def _recorded_block(folder: Path, number: int) -> BlockVerified:
    wire = block_from_gateway(
        _load(folder / "block" / f"{number}.json"),
        _load(folder / "state_update" / f"{number}.json"),
        None,
    )
    classes = {}
    for class_hash in (*wire.declared, *wire.deployed):
        definition = _load(folder / "class" / f"{class_hash:#x}.json")
        classes[class_hash] = class_from_gateway(definition, class_hash)
    return _verified(
        wire.header,
        wire.state_diff,
        classes,
        [pb.TransactionsResponse(transaction_with_receipt=pair) for pair in wire.transactions],
        [pb.EventsResponse(event=event) for event in wire.events],
        [_padded(pair.transaction.transaction_hash.elements) for pair in wire.transactions],
    )


def _load(path: Path) -> Any:
    return json.loads(path.read_text())


def _padded(elements: bytes) -> bytes:
    return elements.rjust(32, b"\0")


def _verified(
    header: pb.SignedBlockHeader,
    state_diff: Iterable[pb.StateDiffsResponse],
    classes: Mapping[int, pb.Class],
    transactions: Iterable[pb.TransactionsResponse],
    events: Iterable[pb.EventsResponse],
    transaction_hashes: Iterable[bytes],
) -> BlockVerified:
    return BlockVerified(
        attempt=1,
        number=header.number,
        peers=PEERS,
        block_hash=_padded(header.block_hash.elements),
        parent_hash=_padded(header.parent_hash.elements),
        state_root=_padded(header.state_root.elements),
        header=Body(join([pb.BlockHeadersResponse(header=header)])),
        state_diff=Body(join(state_diff)),
        classes=Body(join(map(_classes_response, classes.values()))),
        transactions=Body(join(transactions)),
        events=Body(join(events)),
        transaction_hashes=Body(b"".join(transaction_hashes)),
        class_hashes=Body(b"".join(map(to_bytes32, classes))),
    )


def _classes_response(definition: pb.Class) -> pb.ClassesResponse:
    response = pb.ClassesResponse()
    getattr(response, "class").CopyFrom(definition)  # a Python keyword
    return response


# ---- generated blocks ------------------------------------------------------------------------------------------


def generated(count: int, seed: int = 0) -> list[BlockVerified]:
    """Make a chain whose blocks touch every kind of state; nothing in it was ever hashed but the state."""
    draw = random.Random(seed)
    state = _State()
    blocks: list[BlockVerified] = []
    for number in range(count):
        blocks.append(_generated_block(draw, state, number, blocks[-1] if blocks else None))
    return blocks


@dataclass
class _State:
    storage: dict[int, dict[int, int]] = field(default_factory=dict)
    nonces: dict[int, int] = field(default_factory=dict)
    class_hashes: dict[int, int] = field(default_factory=dict)
    compiled: dict[int, int] = field(default_factory=dict)
    known: list[int] = field(default_factory=list)
    transactions: list[bytes] = field(default_factory=list)

    def root(self) -> int:
        addresses = {*self.storage, *self.nonces, *self.class_hashes}
        contracts = {address: self.leaf(address) for address in addresses}
        name = short_string("CONTRACT_CLASS_LEAF_V0")
        classes = {key: poseidon(name, value) for key, value in self.compiled.items()}
        both = (plain_root(contracts, 251, _pedersen), plain_root(classes, 251, poseidon))
        if not both[1]:
            return both[0]
        return poseidon_many([short_string("STARKNET_STATE_V0"), *both])

    def leaf(self, address: int) -> int:
        root = plain_root(self.storage.get(address, {}), 251, _pedersen)
        class_hash, nonce = self.class_hashes.get(address, 0), self.nonces.get(address, 0)
        if not (root or class_hash or nonce):
            return 0
        return _pedersen(_pedersen(_pedersen(class_hash, root), nonce), 0)


@cache
def _pedersen(a: int, b: int) -> int:
    return pedersen(a, b)


def plain_root(leaves: Mapping[int, int], height: int, pair: PairHash) -> int:
    """Compute a trie's root from all of its leaves, straight from the definition."""
    rows = sorted((key, value) for key, value in leaves.items() if value)
    return _subtree(rows, height, pair) if rows else 0


def _subtree(rows: list[tuple[int, int]], height: int, pair: PairHash) -> int:
    if height == 0:
        return rows[0][1]
    mask = (1 << height) - 1
    common = height - ((rows[0][0] & mask) ^ (rows[-1][0] & mask)).bit_length()
    if common:
        path = (rows[0][0] & mask) >> (height - common)
        return (pair(_subtree(rows, height - common, pair), path) + common) % P
    bit = 1 << (height - 1)
    left = [row for row in rows if not row[0] & bit]
    right = [row for row in rows if row[0] & bit]
    return pair(_subtree(left, height - 1, pair), _subtree(right, height - 1, pair))


def _generated_block(
    draw: random.Random, state: _State, number: int, parent: BlockVerified | None
) -> BlockVerified:
    diff: list[pb.StateDiffsResponse] = []
    classes: dict[int, pb.Class] = {}
    if number % 7 != 6:  # some blocks change nothing
        diff += _declare(draw, state, classes)
        diff += _system(draw, state, number)
        old = draw.sample(sorted(state.class_hashes), min(3, len(state.class_hashes)))
        diff += [
            _contract(draw, state, classes, old.pop() if old and draw.random() < 0.6 else None)
            for _ in range(draw.randrange(1, 4))
        ]
    hashes = [draw.randbytes(31).rjust(32, b"\0") for _ in range(draw.randrange(4))]
    if state.transactions and number % 5 == 0:
        hashes.append(draw.choice(state.transactions))  # the oldest hash forms can repeat
        hashes.append(hashes[0])
    state.transactions += hashes
    header = pb.SignedBlockHeader(
        number=number,
        block_hash=pb.Hash(elements=draw.randbytes(31).lstrip(b"\0")),
        parent_hash=pb.Hash(elements=parent.block_hash.lstrip(b"\0") if parent else b""),
        state_root=pb.Hash(elements=to_wire(state.root())),
        protocol_version="0.13.4",
    )
    events = [pb.Event(data=[pb.Felt252(elements=draw.randbytes(31))])] * draw.randrange(3)
    return _verified(
        header,
        diff,
        classes,
        [pb.TransactionsResponse(transaction_with_receipt=pb.TransactionWithReceipt())]
        * len(hashes),
        [pb.EventsResponse(event=event) for event in events],
        hashes,
    )


def _declare(
    draw: random.Random, state: _State, classes: dict[int, pb.Class]
) -> list[pb.StateDiffsResponse]:
    """Declare a class of either kind, or one again that is known (a migration if it is of Sierra)."""
    kind = draw.randrange(4)
    if kind == 0:
        return []
    again = kind == 3 and bool(state.known)
    class_hash = draw.choice(state.known) if again else draw.getrandbits(250)
    declared = pb.DeclaredClass(class_hash=pb.Hash(elements=to_wire(class_hash)))
    if kind == 1 or class_hash in state.compiled:
        state.compiled[class_hash] = draw.getrandbits(250)
        declared.compiled_class_hash.elements = to_wire(state.compiled[class_hash])
    _bring(draw, state, classes, class_hash)
    return [pb.StateDiffsResponse(declared_class=declared)]


def _bring(
    draw: random.Random, state: _State, classes: dict[int, pb.Class], class_hash: int
) -> None:
    if class_hash not in state.known:
        state.known.append(class_hash)
        classes[class_hash] = pb.Class(
            cairo0=pb.Cairo0Class(abi=f"{draw.getrandbits(64)}"),
            class_hash=pb.Hash(elements=to_wire(class_hash)),
        )


def _system(draw: random.Random, state: _State, number: int) -> list[pb.StateDiffsResponse]:
    if number < 2:
        return []
    storage = state.storage.setdefault(1, {})
    storage[number - 2] = draw.getrandbits(250)
    value = _value(number - 2, storage[number - 2])
    diff = pb.ContractDiff(address=pb.Address(elements=b"\1"), values=[value])
    return [pb.StateDiffsResponse(contract_diff=diff)]


def _contract(
    draw: random.Random, state: _State, classes: dict[int, pb.Class], old: int | None
) -> pb.StateDiffsResponse:
    """Deploy a contract or change an old one: class, nonce, new, changed and deleted storage."""
    address = draw.getrandbits(250) if old is None else old
    diff = pb.ContractDiff(address=pb.Address(elements=to_wire(address)))
    if old is None or draw.random() < 0.2:
        class_hash = draw.choice([*state.known, draw.getrandbits(250)])
        _bring(draw, state, classes, class_hash)
        state.class_hashes[address] = class_hash
        diff.class_hash.elements = to_wire(class_hash)
    if draw.random() < 0.5:
        state.nonces[address] = state.nonces.get(address, 0) + 1
        diff.nonce.elements = to_wire(state.nonces[address])
    storage = state.storage.setdefault(address, {})
    for key in {*draw.sample(sorted(storage), min(2, len(storage))), draw.getrandbits(250)}:
        storage[key] = 0 if draw.random() < 0.4 else draw.getrandbits(250)
        diff.values.append(_value(key, storage[key]))
    return pb.StateDiffsResponse(contract_diff=diff)


def _value(key: int, value: int) -> pb.ContractStoredValue:
    return pb.ContractStoredValue(
        key=pb.Felt252(elements=to_wire(key)), value=pb.Felt252(elements=to_wire(value))
    )
