"""Requests drawn from a published specification: valid ones, and ones with something wrong in them."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starknet.felt import KEY_MAX
from tests.workers.rpc.support import FOLDERS
from workers.rpc.specs import Spec

Json = dict[str, Any]

API = "starknet_api_openrpc.json"
FILES = (API, "starknet_trace_api_openrpc.json", "starknet_write_api.json")
KNOWN_OFTEN = 0.75  # a hash, address or key that the chain has
DEPTH_MAX = 12  # beyond it only what is required is made
ITEMS_MAX = 3
HUGE = 10**400
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, -0.0, 1e308, 2**31, 2**63 - 1, 2**63, 2**64, HUGE, -HUGE),
    *("", "0x", "0X1", "0x0", "0x01", "0x" + 64 * "f", "0x" + 99 * "0" + "1", "0xg", "1", " 0x1"),
    *("latest", "pending", "pre_confirmed", "l1_accepted", "latest\n", "LATEST", "\0", "\ud800"),
    *("💥", "ﬀ", "9" * 5000, "a" * 70_000, "1-0", "1-99999999999999999", "-", "99-0", "'; --"),
    *([], {}, [[]], [{}], [None], {"": None}, [1] * 2000, ["0x1"] * 1100, [["0x1"]] * 1100),
    *({"block_number": -1}, {"block_number": "1"}, {"block_number": 2**63}, {"block_hash": 1}),
    *({"block_hash": "0x1", "block_number": 1}, {"block_number": None}, {"block_tag": "latest"}),
)


class Specification:
    """The methods of one version, and values that their schemas allow.

    ``known`` has values of the chain by the names of schemas; ``head`` is its last block.
    """

    def __init__(self, folder: Path, spec: Spec, known: Mapping[str, list[str]], head: int) -> None:
        place = folder / FOLDERS[spec.name]
        self.spec = spec
        self._documents = {name: json.loads((place / name).read_text()) for name in FILES}
        self._known = known
        self._head = head
        self.methods: dict[str, tuple[str, Json]] = {
            method["name"]: (name, method)
            for name, document in self._documents.items()
            for method in document["methods"]
        }

    def errors(self) -> dict[int, set[str]]:
        """Return the messages of each error code that the version knows."""
        found: dict[int, set[str]] = {}
        for document in self._documents.values():
            for error in document["components"].get("errors", {}).values():
                if "code" in error:
                    found.setdefault(error["code"], set()).add(error["message"])
        return found

    def request(self, draw: random.Random) -> Json:
        """Draw a request that the specification allows."""
        name = draw.choice(list(self.methods))
        file, method = self.methods[name]
        params = {
            param["name"]: self._value(param["schema"], file, draw, 0)
            for param in method["params"]
            if param.get("required") or draw.random() < 0.4
        }
        asked: Json = {"jsonrpc": "2.0", "id": draw.randrange(10**6), "method": name}
        in_order = [param["name"] for param in method["params"]][: len(params)]
        if list(params) == in_order and draw.random() < 0.5:
            return asked | {"params": list(params.values())}
        return asked | {"params": params}

    def _value(self, schema: Json, file: str, draw: random.Random, depth: int) -> Any:
        if "$ref" in schema:
            return self._named(schema["$ref"], file, draw, depth + 1)
        if set(schema) <= {"schema", "title"} and "schema" in schema:
            return self._value(schema["schema"], file, draw, depth)
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                return self._value(draw.choice(schema[choice]), file, draw, depth)
        if "allOf" in schema:
            return self._all_of(schema["allOf"], file, draw, depth)
        if "enum" in schema:
            return draw.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "array":
            count = draw.randrange(ITEMS_MAX) if depth < DEPTH_MAX else 0
            return [self._value(schema["items"], file, draw, depth + 1) for _ in range(count)]
        if kind == "object" or "properties" in schema:
            return self._object(schema, file, draw, depth)
        return self._scalar(kind, schema, draw)

    def _named(self, ref: str, file: str, draw: random.Random, depth: int) -> Any:
        path, _, place = ref.partition("#/")
        name = place.rsplit("/", 1)[-1]
        if name in self._known and draw.random() < KNOWN_OFTEN:
            return draw.choice(self._known[name])
        file = path.rsplit("/", 1)[-1] or file
        found = self._documents[file]
        for step in place.split("/"):
            found = found[step]
        return self._value(found, file, draw, depth)

    def _all_of(self, parts: list[Json], file: str, draw: random.Random, depth: int) -> Any:
        values = [self._value(part, file, draw, depth) for part in parts if "not" not in part]
        if all(isinstance(value, dict) for value in values):
            return {name: item for value in values for name, item in value.items()}
        refused = [each for part in parts if "not" in part for each in part["not"].get("enum", [])]
        return "latest" if values[0] in refused else values[0]

    def _object(self, schema: Json, file: str, draw: random.Random, depth: int) -> Json:
        required = schema.get("required", [])
        return {
            name: self._value(each, file, draw, depth + 1)
            for name, each in schema.get("properties", {}).items()
            if name in required or (depth < DEPTH_MAX and draw.random() < 0.5)
        }

    def _scalar(self, kind: Any, schema: Json, draw: random.Random) -> Any:
        if kind == "integer":
            lowest = schema.get("minimum", 0)
            most = schema.get("maximum", 2**31)
            found = draw.choice((0, 1, self._head, draw.randrange(self._head + 3), 2**31))
            return min(max(found, lowest), most)
        if kind == "boolean":
            return draw.random() < 0.5
        pattern = schema.get("pattern", "")
        if pattern.startswith("^0x[a-fA-F0-9]{40}"):
            return f"0x{draw.getrandbits(160):040x}"
        if pattern.startswith("^0x"):
            bits = 60 if "{0,15}" in pattern else 120 if "{0,31}" in pattern else 251
            return hex(min(draw.getrandbits(draw.choice((1, 8, bits))), KEY_MAX))
        return "" if pattern else draw.choice(("", "name", "1-0"))


# ---- what is wrong -----------------------------------------------------------------------------------------------


def spoilt(tree: Any, draw: random.Random) -> Any:
    """Return a copy of JSON with an odd value, a loss, an addition or a wrapping in one place."""
    if isinstance(tree, dict) and tree and draw.random() < 0.85:
        name = draw.choice(list(tree))
        copy = dict(tree)
        what = draw.random()
        if what < 0.1:
            del copy[name]
        elif what < 0.15:
            copy[draw.choice(("", "block_id", "params", "é", name.upper()))] = draw.choice(ODD)
        else:
            copy[name] = spoilt(tree[name], draw)
        return copy
    if isinstance(tree, list) and tree and draw.random() < 0.85:
        index = draw.randrange(len(tree))
        if draw.random() < 0.2:
            return tree[:index] + draw.choice(([], tree[index:] * 2))
        return [*tree[:index], spoilt(tree[index], draw), *tree[index + 1 :]]
    if draw.random() < 0.1:
        return [tree] if draw.random() < 0.5 else {"value": tree}
    return draw.choice(ODD)


def nested(depth: int, opening: str, closing: str) -> str:
    """Return lists or objects within each other."""
    return opening * depth + "1" + closing * depth


def broken(body: bytes, draw: random.Random) -> bytes:
    """Return bytes that are no longer what they were: cut, changed, repeated, or in another encoding."""
    what = draw.randrange(9)
    at = draw.randrange(len(body) + 1)
    if what == 0:
        return body[:at]
    if what == 1:
        return body[:at] + draw.randbytes(draw.choice((1, 4, 64))) + body[at:]
    if what == 2:
        return body[:at] + body[at + 1 :]
    if what == 3:
        return body + body
    if what == 4:
        return body.decode().encode(draw.choice(("utf-16", "utf-16-be", "utf-32", "utf-8-sig")))
    if what == 5:
        return body.replace(b'"2.0"', draw.choice((b"NaN", b"Infinity", b"1e999", b"9" * 5000)))
    if what == 6:
        depth = draw.choice((33, 500, 100_000))
        pair = draw.choice((("[", "]"), ('{"a":', "}")))
        return body.replace(b'"params":', b'"params":' + nested(depth, *pair).encode() + b',"x":')
    if what == 7:
        return body.replace(b"0x", b"\\u0030\\u0078").replace(b"e", draw.choice((b"\xff", b"\\u")))
    return draw.randbytes(draw.choice((0, 1, 40, 3000)))
