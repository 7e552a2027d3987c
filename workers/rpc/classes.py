"""Class definitions as JSON, Sierra or Cairo 0, at any stored block since which they were known."""

import json
from typing import Any

from starknet.felt import to_bytes32
from starknet.wire.delimited import split
from starknet.wire.sync_pb2 import Cairo0Class, Cairo1Class, ClassesResponse
from workers.rpc import state
from workers.rpc.errors import class_hash_not_found
from workers.rpc.felts import hex_in
from workers.rpc.params import BlockId
from workers.rpc.view import View
from workers.store.schema import Kind

Json = dict[str, Any]

POINTS = {"CONSTRUCTOR": "constructors", "EXTERNAL": "externals", "L1_HANDLER": "l1_handlers"}
ABI_TYPES = {  # of Cairo 0: entries of other types the specification has no place for
    "function": ("name", "inputs", "outputs"),
    "l1_handler": ("name", "inputs", "outputs"),
    "constructor": ("name", "inputs", "outputs"),
    "event": ("name", "keys", "data"),
    "struct": ("name", "size", "members"),
}


def sierra_object(definition: Cairo1Class) -> Json:
    """Write a Sierra class."""
    points = definition.entry_points
    return {
        "abi": definition.abi,
        "contract_class_version": definition.contract_class_version,
        "entry_points_by_type": {
            name: [
                {"selector": hex_in(point.selector), "function_idx": point.index}
                for point in getattr(points, field)
            ]
            for name, field in POINTS.items()
        },
        "sierra_program": [hex_in(felt) for felt in definition.program],
    }


def cairo0_object(definition: Cairo0Class) -> Json:
    """Write a Cairo 0 class; its program stays packed, an ABI that is none is left out."""
    written: Json = {
        "program": definition.program,
        "entry_points_by_type": {
            name: [
                {"selector": hex_in(point.selector), "offset": hex(point.offset)}
                for point in getattr(definition, field)
            ]
            for name, field in POINTS.items()
        },
    }
    abi = json.loads(definition.abi)  # it was hashed when it was verified, so it is JSON
    if isinstance(abi, list):
        written["abi"] = [entry for entry in abi if _is_abi_entry(entry)]
    return written


def _is_abi_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or entry.get("type") not in ABI_TYPES:
        return False
    return all(field in entry for field in ABI_TYPES[entry["type"]])


def _definition(view: View, class_hash: int, number: int) -> Json:
    name = to_bytes32(class_hash)
    frame = view.reader.class_frame(name)
    if frame is None or view.reader.last_set(Kind.DEFINED + name, number) is None:
        raise class_hash_not_found()
    (payload,) = split(frame, len(frame))
    definition = getattr(ClassesResponse.FromString(bytes(payload)), "class")
    if definition.HasField("cairo1"):
        return sierra_object(definition.cairo1)
    return cairo0_object(definition.cairo0)


# ---- methods ------------------------------------------------------------------------------------------------


def by_hash(view: View, block: BlockId, class_hash: int) -> object:
    """starknet_getClass."""
    return _definition(view, class_hash, view.state(block))


def of_contract(view: View, block: BlockId, address: int) -> object:
    """starknet_getClassAt."""
    number = view.state(block)
    return _definition(view, state.class_hash_of(view, address, number), number)
