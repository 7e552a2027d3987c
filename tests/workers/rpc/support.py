"""Stores to ask, the ways to ask them, and the published schemas that answers are held against."""

import asyncio
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from starknet.felt import P, to_bytes32, value
from starknet.network import Network
from starknet.wire import sync_pb2 as pb
from tests.flow import chains
from tests.settings import settings_of
from tests.starknet import recorded
from tests.workers import blocks as made
from workers import verify
from workers.messages import BlockAssembled, BlockVerified
from workers.rpc.jsonrpc import Service
from workers.rpc.specs import LATEST, SPECS, Spec
from workers.rpc.upstream import Upstream
from workers.rpc.watch import Watch
from workers.rpc.writes import Gateway
from workers.store import Head
from workers.store.reader import Reader
from workers.store.schema import HEAD_KEY, Family, number_key, pack_head
from workers.store.writer import Writer, event_keys

TRIE_HEIGHT = 251
FOLDERS = {"v0_8": "v08", "v0_9": "v09", "v0_10": "v10"}


class Node:
    """A store with an open view, asked without HTTP."""

    def __init__(self, network: Network, db_path: Path, target: int | None = None) -> None:
        self.network = network
        self.reader = Reader(db_path)
        stats = {"workers": {"p2p": {"status": {"target": target}}}}
        self.watch = Watch(settings_of(network, db_path), self.reader, lambda _: stats)
        if target is not None:
            self.watch._stats = stats

    def ask(
        self,
        body: object,
        spec: Spec = LATEST,
        upstream: Upstream | None = None,
        gateway: Gateway | None = None,
    ) -> Any:
        """Return the answer to a body, decoded; None for none."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = asyncio.run(Service(self.watch, spec, upstream, gateway).answer(text))
        return None if answer is None else json.loads(answer)

    def call(self, method: str, *params: object, spec: Spec = LATEST, **named: Any) -> Any:
        """Return the result of a method, or its error's code as ``{"code": …}`` has it."""
        asked = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": f"starknet_{method}",
            "params": named or list(params),
        }
        answer = self.ask(asked, spec)
        return answer["result"] if "result" in answer else answer["error"]


@contextmanager
def opened(
    network: Network, db_path: Path, blocks: Iterable[BlockVerified], target: int | None = None
) -> Iterator[Node]:
    """Store blocks and open a view of them."""
    writer = Writer(db_path, network.chain_id)
    for block in blocks:
        writer.store(block)
    writer.close()
    with viewed(network, db_path, target) as node:
        yield node


@contextmanager
def viewed(network: Network, db_path: Path, target: int | None = None) -> Iterator[Node]:
    """Open a view of what is stored."""
    node = Node(network, db_path, target)
    try:
        yield node
    finally:
        node.reader.close()


@cache
def generated(version: str, length: int = 12) -> tuple[Network, tuple[BlockVerified, ...]]:
    """Return a generated chain of a protocol version, verified."""
    chain, blocks = chains.devnet(length, version)
    return chain.network(), verified(chain.network(), blocks)


def verified(network: Network, blocks: Iterable[BlockAssembled]) -> tuple[BlockVerified, ...]:
    """Pass blocks through the verify stage."""
    settings = chains.settings(network, Path())
    return tuple(next(verify.verify(settings, block)) for block in blocks)


@contextmanager
def opened_apart(db_path: Path, found: recorded.Recorded) -> Iterator[Node]:
    """Store one recorded block without those before it (its parts, and no state) and open a view of it."""
    wire = found.wire
    number = wire.header.number
    block = made._verified(
        wire.header,
        wire.state_diff,
        {},
        [pb.TransactionsResponse(transaction_with_receipt=pair) for pair in wire.transactions],
        [pb.EventsResponse(event=event) for event in wire.events],
        [to_bytes32(value(pair.transaction.transaction_hash)) for pair in wire.transactions],
    )
    writer = Writer(db_path, found.network.chain_id)
    batch = writer._rocks.batch()
    writer._put_parts(batch, block)
    for key in event_keys(block.events, number):
        batch.put(Family.EVENT_INDEX, key, b"")
    batch.put(Family.BLOCK_CLASSES, number_key(number), b"")
    head = Head(number, block.block_hash, block.state_root)
    batch.put(Family.META, HEAD_KEY, pack_head(head))
    writer._write(batch)
    writer.close()
    with viewed(found.network, db_path) as node:
        yield node


# ---- storage proofs ------------------------------------------------------------------------------------------


def value_at(nodes: list[dict[str, Any]], root: int, key: int, pair: Any) -> int:
    """Walk from the root to a key by the nodes of a proof, hashing each; fails where one is not as its hash says."""
    by_hash = {int(each["node_hash"], 16): each["node"] for each in nodes}
    name, left = root, TRIE_HEIGHT
    while left and name:
        node = by_hash[name]
        if "left" in node:
            sides = int(node["left"], 16), int(node["right"], 16)
            assert pair(*sides) == name
            left -= 1
            name = sides[key >> left & 1]
            continue
        path, length, child = int(node["path"], 16), node["length"], int(node["child"], 16)
        assert (pair(child, path) + length) % P == name
        left -= length
        if key >> left & ((1 << length) - 1) != path:
            return 0
        name = child
    return name


# ---- schemas ------------------------------------------------------------------------------------------------


def specs_folder() -> Path:
    """Return the folder of the published specifications; skips the test where they are not."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "rpc-specs"
    path = Path(os.environ.get("HERA_RPC_SPECS", beside))
    if not (path / "v10").is_dir():
        pytest.skip(
            "the published JSON-RPC schemas are not here: set HERA_RPC_SPECS to their folder"
        )
    return path


class Schemas:
    """The results that one version of the specification allows."""

    def __init__(self, folder: Path, spec: Spec) -> None:
        self._document = mended(json.loads((folder / FOLDERS[spec.name] / API).read_text()))
        self._methods = {method["name"]: method for method in self._document["methods"]}
        self._validators: dict[str, Any] = {}

    def methods(self) -> set[str]:
        """Return the names of all methods."""
        return set(self._methods)

    def parameters(self, method: str) -> list[tuple[str, bool]]:
        """Return names of parameters, in order, and whether they are required."""
        found = self._methods[f"starknet_{method}"]["params"]
        return [(param["name"], bool(param.get("required"))) for param in found]

    def errors(self, method: str) -> dict[int, str]:
        """Return the errors that a method may be answered with, by code."""
        known = self._document["components"]["errors"]
        found = self._methods[f"starknet_{method}"].get("errors", [])
        errors = [known[error["$ref"].rsplit("/", 1)[1]] for error in found]
        return {error["code"]: error["message"] for error in errors}

    def check(self, method: str, result: object) -> None:
        """Raise ``ValidationError`` unless the method may have this result."""
        if method not in self._validators:
            described = self._methods[f"starknet_{method}"]["result"]
            schema = described.get(
                "schema", described
            )  # one that says no more is its schema already
            whole = schema | {"components": self._document["components"]}
            self._validators[method] = jsonschema_rs.validator_for(whole)
        self._validators[method].validate(result)


API = "starknet_api_openrpc.json"
SPECIFIC = ("BLOCK_WITH_TX_HASHES", "BLOCK_WITH_TXS", "BLOCK_WITH_RECEIPTS", "STATE_UPDATE")


def mended(tree: Any) -> Any:
    """Return the schemas without what keeps them from saying what they mean.

    ``{"schema": …}`` inside a schema allows anything; where a confirmed block is one of two, it is also like the other
    that is not confirmed, so only the first is kept: this node has no others.
    """
    if isinstance(tree, list):
        return [mended(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if set(tree) <= {"schema", "title"} and isinstance(tree.get("schema"), dict):
        return mended(tree["schema"])
    options = tree.get("oneOf")
    if isinstance(options, list):
        confirmed = [
            each for each in options if str(each.get("$ref")).rsplit("/", 1)[-1] in SPECIFIC
        ]
        if confirmed:
            tree = {"$ref": confirmed[0]["$ref"]}
    return {key: mended(value) for key, value in tree.items()}


@cache
def schemas(spec: Spec) -> Schemas:
    """Return the schemas of a version."""
    return Schemas(specs_folder(), spec)


ALL_SPECS = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
