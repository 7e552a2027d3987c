"""Class hashes: lets through only class definitions that can be hashed, and tells by which hash they are known."""

import base64
import binascii
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starknet.felt import FeltError, FieldMissing, P, require, short_string, value
from starknet.hashes import ListHash, pedersen_array, poseidon_many, sn_keccak
from starknet.wire.sync_pb2 import Cairo0Class, Cairo1Class, Class, EntryPoint, SierraEntryPoint

# A Cairo 0 program travels as gzip: 4 MB on the wire could unpack to gigabytes. The sequencer refused
# to declare classes above 4.1 MB; eight times that bounds what older, unlimited ones may take.
PROGRAM_BYTES_MAX = 32 << 20
SIERRA_VERSION = "0.1.0"  # the only one ever declared
ENTRY_POINT_TYPES = ("EXTERNAL", "L1_HANDLER", "CONSTRUCTOR")  # in the order they are hashed


class MalformedClass(ValueError):
    """A class definition that cannot be hashed; says in one line why."""


def class_hash(cls: Class) -> int:
    """The hash of a Sierra or Cairo 0 class as the wire carries it; raises MalformedClass."""
    kind = cls.WhichOneof("class")
    try:
        if kind == "cairo1":
            return _sierra_hash(cls.cairo1)
        if kind == "cairo0":
            return _cairo0_hash(cls.cairo0, value(cls.class_hash))
    except (FeltError, FieldMissing) as error:
        raise MalformedClass(str(error)) from error
    raise MalformedClass("class has neither a Sierra nor a Cairo 0 definition")


def compiled_class_hash(casm: Mapping[str, Any]) -> int:
    """The Poseidon hash of compiled (CASM) JSON, declared before 0.14.1; raises MalformedClass."""
    return _casm_hash(casm, poseidon_many)


def compiled_class_hash_v2(casm: Mapping[str, Any]) -> int:
    """The Blake hash of compiled (CASM) JSON, declared from 0.14.1 on; raises MalformedClass."""
    return _casm_hash(casm, blake_many)


def pack_program(program: Mapping[str, Any]) -> str:
    """Pack a Cairo 0 program for the wire, always to the same text; raises MalformedClass."""
    try:
        text = json.dumps(program, separators=(",", ":"))
    except RecursionError as error:
        raise MalformedClass("program is nested too deeply") from error
    return base64.b64encode(gzip.compress(text.encode("ascii"), mtime=0)).decode("ascii")


def unpack_program(packed: str) -> dict[str, Any]:
    """Unpack a Cairo 0 program from the wire, up to PROGRAM_BYTES_MAX; raises MalformedClass."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        text = unpacker.decompress(base64.b64decode(packed, validate=True), PROGRAM_BYTES_MAX)
    except (zlib.error, binascii.Error, ValueError) as error:
        raise MalformedClass("program is not base64 of gzip") from error
    if unpacker.unconsumed_tail:
        raise MalformedClass(f"program unpacks to more than {PROGRAM_BYTES_MAX} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedClass("program is not one whole gzip stream")
    program = _parse(text, "program")
    if not isinstance(program, dict):
        raise MalformedClass("program is not an object")
    return program


def parse_abi(abi: str) -> Any:
    """The JSON of a Cairo 0 class's ABI; raises MalformedClass."""
    return _parse(abi, "abi")


def blake_many(felts: Iterable[int]) -> int:
    """Blake2s-256 over felts: two words for one below 2^63, else eight with the first one's top bit set."""
    state = hashlib.blake2s()
    for felt in felts:
        data = felt.to_bytes(8, "big") if felt < 1 << 63 else (felt | 1 << 255).to_bytes(32, "big")
        for start in range(0, len(data), 4):
            state.update(data[start : start + 4][::-1])
    return int.from_bytes(state.digest(), "little") % P


# ---- Sierra -----------------------------------------------------------------------------------------


def _sierra_hash(sierra: Cairo1Class) -> int:
    if sierra.contract_class_version != SIERRA_VERSION:
        raise MalformedClass(f"contract class version is not {SIERRA_VERSION}")
    points = sierra.entry_points
    return poseidon_many(
        [
            short_string("CONTRACT_CLASS_V" + SIERRA_VERSION),
            poseidon_many(_sierra_points(points.externals)),
            poseidon_many(_sierra_points(points.l1_handlers)),
            poseidon_many(_sierra_points(points.constructors)),
            sn_keccak(sierra.abi.encode()),
            poseidon_many([value(felt) for felt in sierra.program]),
        ]
    )


def _sierra_points(points: Iterable[SierraEntryPoint]) -> list[int]:
    flat = []
    for point in points:
        require(point, "selector")
        flat += [value(point.selector), point.index]
    return flat


# ---- Cairo 0 ----------------------------------------------------------------------------------------


def _cairo0_hash(cairo0: Cairo0Class, stated: int) -> int:
    program = unpack_program(cairo0.program)
    head = [
        0,  # version of the class format
        pedersen_array(_cairo0_points(cairo0.externals)),
        pedersen_array(_cairo0_points(cairo0.l1_handlers)),
        pedersen_array(_cairo0_points(cairo0.constructors)),
        pedersen_array([_ascii(name) for name in _list(program, "builtins")]),
    ]
    data = pedersen_array(_felts(_list(program, "data"), "data"))
    text = _hinted_text(parse_abi(cairo0.abi), program)
    result = pedersen_array([*head, sn_keccak(text.encode("ascii")), data])
    padded = _space_padded(text)
    if result != stated and padded != text:
        other = pedersen_array([*head, sn_keccak(padded.encode("ascii")), data])
        return other if other == stated else result
    return result


def _cairo0_points(points: Iterable[EntryPoint]) -> list[int]:
    flat = []
    for point in points:
        require(point, "selector")
        flat += [value(point.selector), point.offset]
    return flat


def _hinted_text(abi: Any, program: dict[str, Any]) -> str:
    """The JSON text that stands for all parts of the class that are not code.

    It is what the first Starknet's Python printed, with the quirks of the compilers before 0.10:
    attributes without newer fields, and types with a space before the colon.
    """
    program = {**program, "debug_info": None}
    if "attributes" in program:
        program["attributes"] = [_attribute(item) for item in _list(program, "attributes")]
        if not program["attributes"]:
            del program["attributes"]
    if program.get("compiler_version") is None:
        program.pop("compiler_version", None)
        for key in ("identifiers", "reference_manager"):
            if key in program:
                program[key] = _within_depth(_spaced, program[key])
    if "hints" in program:
        program["hints"] = _numbered(program["hints"])
    return str(_within_depth(_dumps, {"abi": abi, "program": program}))


def _attribute(attribute: Any) -> Any:
    if not isinstance(attribute, dict):
        return attribute
    dropped: dict[str, Any] = {"accessible_scopes": [], "flow_tracking_data": None}
    return {
        key: item for key, item in attribute.items() if key not in dropped or item != dropped[key]
    }


def _numbered(hints: Any) -> dict[int, Any]:
    """Hints with their keys as numbers, which is the order they are printed in."""
    if not isinstance(hints, dict):
        raise MalformedClass("hints are not an object")
    if not all(re.fullmatch(r"0|[1-9][0-9]{0,18}", key) for key in hints):
        raise MalformedClass("a hint's key is not a number")
    return {int(key): hint for key, hint in hints.items()}


def _spaced(tree: Any) -> Any:
    """Put the old space before the colon of every type, anywhere in the tree."""
    if isinstance(tree, list):
        return [_spaced(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        key: item.replace(": ", " : ").replace("  :", " :")
        if isinstance(item, str) and key in ("cairo_type", "value")
        else _spaced(item)
        for key, item in tree.items()
    }


def _dumps(tree: Any) -> str:
    return json.dumps(tree, sort_keys=True)


def _space_padded(text: str) -> str:
    """The text as one other node prints it: code points U+0080 ... U+0FFF padded with spaces."""

    def pad(found: re.Match[str]) -> str:
        code = int(found[1] or "0", 16)
        return f"\\u{code:4x}" if 0x80 <= code < 0x1000 else found[0]

    return re.sub(r"\\(?:u([0-9a-f]{4})|.)", pad, text)


# ---- compiled classes ------------------------------------------------------------------------------


def _casm_hash(casm: Mapping[str, Any], hash_many: ListHash) -> int:
    by_type = casm.get("entry_points_by_type")
    if not isinstance(by_type, Mapping):
        raise MalformedClass("entry_points_by_type is not an object")
    bytecode = _felts(_list(casm, "bytecode"), "bytecode")
    lengths = casm.get("bytecode_segment_lengths")
    if lengths is None:
        code = hash_many(bytecode)
    else:
        code, end = _within_depth(_segments, lengths, bytecode, 0, hash_many)
        if end != len(bytecode):
            raise MalformedClass("bytecode_segment_lengths do not add up to the bytecode")
    points = [
        hash_many(_casm_points(_list(by_type, kind), hash_many)) for kind in ENTRY_POINT_TYPES
    ]
    return hash_many([short_string("COMPILED_CLASS_V1"), *points, code])


def _casm_points(points: Sequence[Any], hash_many: ListHash) -> list[int]:
    flat = []
    for point in points:
        if not isinstance(point, Mapping):
            raise MalformedClass("an entry point is not an object")
        builtins = [_ascii(name) for name in _list(point, "builtins")]
        numbers = _felts([point.get("selector"), point.get("offset")], "entry point")
        flat += [*numbers, hash_many(builtins)]
    return flat


def _segments(
    lengths: Any, bytecode: Sequence[int], start: int, hash_many: ListHash
) -> tuple[int, int]:
    """Hash of one node of the segment tree that begins at `start`, and where it ends."""
    if isinstance(lengths, int) and 0 <= lengths <= len(bytecode) - start:
        return hash_many(bytecode[start : start + lengths]), start + lengths
    if not isinstance(lengths, list):
        raise MalformedClass("bytecode_segment_lengths do not fit the bytecode")
    flat = []
    at = start
    for child in lengths:
        node, end = _segments(child, bytecode, at, hash_many)
        flat += [end - at, node]
        at = end
    return (1 + hash_many(flat)) % P, at


# ---- values inside JSON -----------------------------------------------------------------------------


def _parse(text: str | bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also digits without end and bad UTF-8
        raise MalformedClass(f"{what} is not JSON") from error


def _within_depth(function: Any, *arguments: Any) -> Any:
    """Call a recursive function on a tree that came from outside."""
    try:
        return function(*arguments)
    except RecursionError as error:
        raise MalformedClass("class is nested too deeply") from error


def _list(holder: Mapping[str, Any], field: str) -> list[Any]:
    items = holder.get(field)
    if not isinstance(items, list):
        raise MalformedClass(f"{field} is not a list")
    return items


def _felts(items: Sequence[Any], what: str) -> list[int]:
    felts = []
    for item in items:
        if isinstance(item, str) and re.fullmatch(r"0x[0-9a-fA-F]{1,64}", item):
            item = int(item, 16)
        if not isinstance(item, int) or not 0 <= item < P:
            raise MalformedClass(f"{what} has an item that is not a felt")
        felts.append(item)
    return felts


def _ascii(name: Any) -> int:
    if not isinstance(name, str) or not name.isascii() or len(name) > 31:
        raise MalformedClass("a builtin's name is not a short string")
    return short_string(name)
