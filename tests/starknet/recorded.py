"""Recorded blocks as wire messages, and blocks signed by a key of our own, for the tests of this room."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node import networks
from starknet import gateway, signatures
from starknet.felt import to_wire, value
from starknet.network import Network
from starknet.wire import sync_pb2 as pb

SMALL_BYTES = 120_000
NETWORKS = ("mainnet", "sepolia", "sepolia-integration", "integration", "goerli", "goerli2")
SECRET = 0x1234567


@dataclass(frozen=True)
class Recorded:
    """One recorded block with whatever was recorded beside it."""

    network: Network
    wire: gateway.WireBlock
    json: dict[str, Any]
    classes: list[pb.Class]
    has_state_update: bool
    has_all_classes: bool


def numbers(fixtures: Path, network: str) -> list[int]:
    """The recorded blocks that are small, in order."""
    files = (fixtures / network / "block").glob("*.json")
    return sorted(int(file.stem) for file in files if file.stat().st_size < SMALL_BYTES)


def load_bare(fixtures: Path, network: str, number: int) -> gateway.WireBlock:
    """One block without the roots in its header."""
    block = read(fixtures / network / "block" / f"{number}.json")
    assert block is not None
    return gateway.block_from_gateway(block, None, None)


def load(fixtures: Path, network: str, number: int) -> Recorded:
    """One block; its header's roots are filled in, of a missing state diff from the recorded answer."""
    folder = fixtures / network
    block = read(folder / "block" / f"{number}.json")
    state_update = read(folder / "state_update" / f"{number}.json")
    signature = read(folder / "signature" / f"{number}.json")
    assert block is not None
    wire = gateway.block_from_gateway(block, state_update, signature)
    wire = gateway.fill_commitments(wire, wire.header.protocol_version)
    if state_update is None and "state_diff_commitment" in block:
        commitment = wire.header.state_diff_commitment
        commitment.root.elements = to_wire(int(block["state_diff_commitment"], 16))
        commitment.state_diff_length = block["state_diff_length"]
    definitions = {
        class_hash: read(folder / "class" / f"{class_hash:#x}.json") for class_hash in wire.declared
    }
    found = [
        gateway.class_from_gateway(definition, class_hash)
        for class_hash, definition in definitions.items()
        if definition is not None
    ]
    return Recorded(
        network=networks.load(network),
        wire=wire,
        json=block,
        classes=found,
        has_state_update=state_update is not None,
        has_all_classes=len(found) == len(definitions),
    )


def signed_by_us(header: pb.SignedBlockHeader) -> pb.SignedBlockHeader:
    """The header with one signature of its block hash by ``SECRET``."""
    signed = pb.SignedBlockHeader()
    signed.CopyFrom(header)
    r, s = signatures.sign(SECRET, value(header.block_hash))
    del signed.signatures[:]
    signed.signatures.add(r=pb.Felt252(elements=to_wire(r)), s=pb.Felt252(elements=to_wire(s)))
    return signed


def read(file: Path) -> dict[str, Any] | None:
    """A recorded answer, or None where there is none."""
    if not file.exists():
        return None
    content: dict[str, Any] = json.loads(file.read_text())
    return content
