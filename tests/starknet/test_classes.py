"""Claims about class hashes, on real classes and on what a peer might send instead."""

import base64
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from starknet import classes
from starknet.classes import MalformedClass, class_hash, compiled_class_hash
from starknet.gateway import class_from_gateway
from starknet.wire import sync_pb2 as pb

# declared or deployed by mainnet 0-9 and sepolia 0-7, and one or two of every compiler's quirks
CLASSES = [
    ("mainnet", 0x10455C752B86932CE552F2B0FE81A880746649B9AEE7E0D842BF3F52378F9F8),
    ("sepolia", 0xD0E183745E9DAE3E4E78A8FFEDCCE0903FC4900BEACE4E0ABF192D4C202DA3),
    ("sepolia", 0x1B661756BF7D16210FC611626E1AF4569BAA1781FFC964BD018F4585AE241C1),
    ("sepolia", 0x5C478EE27F2112411F86F207605B2E2C58CDB647BAC0DF27F660EF2252359C6),
    ("sepolia", 0x1A736D6ED154502257F02B1CCDF4D9D1089F80811CD6ACAD48E6B6A9D1F2003),
    ("goerli", 0x56B96C1D1BBFA01AF44B465763D1B71150FA00C6C9D54C3947F57E979FF68C3),
    ("integration", 0x4E70B19333AE94BD958625F7B61CE9EEC631653597E68645E13780061B2136C),
]
PROGRAM: dict[str, Any] = {"builtins": ["range_check"], "data": ["0x1"], "hints": {}}


def load(fixtures: Path, network: str, stated: int) -> pb.Class:
    file = fixtures / network / "class" / f"{stated:#x}.json"
    return class_from_gateway(json.loads(file.read_bytes()), stated)


def cairo0(program: dict[str, Any], abi: str = "[]", stated: int = 0) -> pb.Class:
    packed = classes.pack_program(program)
    body = pb.Cairo0Class(abi=abi, program=packed)
    return pb.Class(cairo0=body, class_hash=pb.Hash(elements=stated.to_bytes(32, "big")))


@pytest.mark.parametrize(("network", "stated"), CLASSES, ids=lambda item: str(item)[:12])
def test_a_real_class_has_the_hash_it_is_known_by(
    fixtures: Path, network: str, stated: int
) -> None:
    assert hex(class_hash(load(fixtures, network, stated))) == hex(stated)


def test_every_small_cairo_0_class_has_the_hash_it_is_known_by(fixtures: Path) -> None:
    files = [file for file in fixtures.glob("*/class/*.json") if file.stat().st_size < 120_000]
    assert len(files) > 10
    for file in files:
        stated = int(file.stem, 16)
        assert hex(class_hash(load(fixtures, file.parts[-3], stated))) == hex(stated)


def test_any_change_of_a_class_changes_its_hash(fixtures: Path) -> None:
    stated = 0x402D6191EBE3EA289789EDD160F3AFA6600A389F1AAD0AB7709B830653C6F08
    for change in ("abi", "externals", "data", "identifiers"):
        message = load(fixtures, "sepolia", stated)
        program = classes.unpack_program(message.cairo0.program)
        if change == "abi":
            message.cairo0.abi = "[]"
        elif change == "externals":
            message.cairo0.externals[0].offset += 1
        else:
            program[change] = ["0x1"] if change == "data" else {}
            message.cairo0.program = classes.pack_program(program)
        assert class_hash(message) != stated, change


def test_key_order_and_debug_info_of_a_program_do_not_matter(fixtures: Path) -> None:
    stated = 0x402D6191EBE3EA289789EDD160F3AFA6600A389F1AAD0AB7709B830653C6F08
    message = load(fixtures, "sepolia", stated)
    program = classes.unpack_program(message.cairo0.program)
    turned = dict(reversed(program.items())) | {"debug_info": {"instruction_locations": {}}}
    message.cairo0.program = classes.pack_program(turned)
    assert class_hash(message) == stated


def test_hints_are_ordered_as_numbers() -> None:
    text = classes._hinted_text([], PROGRAM | {"hints": {"10": [], "2": []}})
    assert '"hints": {"2": [], "10": []}' in text


def test_old_types_get_their_space_back_only_without_a_compiler_version() -> None:
    tree = {"a": {"cairo_type": "(x: felt)", "value": ["b: c"], "name": "d: e"}}
    old = classes._hinted_text([], PROGRAM | {"identifiers": tree, "compiler_version": None})
    new = classes._hinted_text([], PROGRAM | {"identifiers": tree, "compiler_version": "0.10.0"})
    assert '"cairo_type": "(x : felt)", "name": "d: e", "value": ["b: c"]' in old
    assert '"cairo_type": "(x: felt)"' in new
    assert "compiler_version" not in old


def test_empty_new_fields_of_attributes_are_left_out() -> None:
    one: dict[str, Any] = {"accessible_scopes": [], "flow_tracking_data": None, "name": "n"}
    text = classes._hinted_text([], PROGRAM | {"attributes": [one]})
    assert '"attributes": [{"name": "n"}]' in text
    assert "attributes" not in classes._hinted_text([], PROGRAM | {"attributes": []})


def test_the_other_spelling_of_unicode_counts_only_if_the_stated_hash_fits_it() -> None:
    program = PROGRAM | {"note": "é \\u00e9"}
    plain = class_hash(cairo0(program))
    text = classes._hinted_text([], program)
    assert "\\u00e9 \\\\u00e9" in text
    assert "\\u  e9 \\\\u00e9" in classes._space_padded(text)
    ascii_only = PROGRAM | {"note": "e"}
    assert class_hash(cairo0(program, stated=5)) == plain
    assert class_hash(cairo0(ascii_only, stated=5)) == class_hash(cairo0(ascii_only))


def test_a_program_is_packed_to_the_same_text_each_time() -> None:
    assert classes.pack_program(PROGRAM) == classes.pack_program(dict(PROGRAM))
    assert classes.unpack_program(classes.pack_program(PROGRAM)) == PROGRAM


def test_a_gzip_bomb_is_refused_before_it_is_unpacked() -> None:
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(bytes(1 << 20)) for _ in range(200)]
    bomb = base64.b64encode(b"".join(parts) + packer.flush()).decode()
    assert len(bomb) < 1_000_000
    with pytest.raises(MalformedClass, match="unpacks to more than"):
        classes.unpack_program(bomb)


def zipped(data: bytes) -> bytes:
    """As gzip has it, without the time: a test's name must be the same in every process."""
    return gzip.compress(data, mtime=0)


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "program",
    [
        "",
        "not base64!",
        packed(b"not gzip"),
        packed(zipped(b"{}")[:-4]),
        packed(zipped(b"{}") + b"more"),
        packed(zipped(b"[]")),
        packed(zipped(b"{")),
        packed(zipped(b"\xff")),
        packed(zipped(b"[" * 200_000)),
        packed(zipped(b'{"data": [' + b"9" * 5000 + b"]}")),
    ],
    ids=lambda text: text[:16],
)
def test_a_program_that_is_not_one_json_object_is_malformed(program: str) -> None:
    with pytest.raises(MalformedClass):
        classes.unpack_program(program)


@pytest.mark.parametrize(
    "change",
    [
        {"data": None},
        {"data": ["0x" + "f" * 64]},
        {"data": [{}]},
        {"builtins": ["x" * 40]},
        {"builtins": "range_check"},
        {"hints": []},
        {"hints": {"one": []}},
        {"hints": {"01": []}},
        {"attributes": {}},
    ],
    ids=str,
)
def test_a_program_with_odd_parts_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedClass):
        class_hash(cairo0(PROGRAM | change))


def test_a_class_nested_too_deeply_is_malformed() -> None:
    tree = "[" * 980 + "]" * 980  # the parser takes this, a recursive function does not
    text = json.dumps({**PROGRAM, "identifiers": "TREE"}).replace('"TREE"', tree)
    body = pb.Cairo0Class(abi="[]", program=packed(gzip.compress(text.encode())))
    with pytest.raises(MalformedClass, match=r"nested too deeply|not JSON"):
        class_hash(pb.Class(cairo0=body))
    with pytest.raises(MalformedClass, match="abi is not JSON"):
        class_hash(cairo0(PROGRAM, abi="[" * 100_000))


def test_a_class_of_no_kind_or_another_version_is_malformed() -> None:
    with pytest.raises(MalformedClass, match="neither"):
        class_hash(pb.Class())
    with pytest.raises(MalformedClass, match="version"):
        class_hash(pb.Class(cairo1=pb.Cairo1Class(contract_class_version="0.2.0")))
    sierra = pb.Cairo1Class(contract_class_version="0.1.0")
    sierra.program.add(elements=b"\xff" * 32)
    with pytest.raises(MalformedClass):
        class_hash(pb.Class(cairo1=sierra))
    sierra = pb.Cairo1Class(contract_class_version="0.1.0")
    sierra.entry_points.externals.add(index=1)
    with pytest.raises(MalformedClass, match="selector"):
        class_hash(pb.Class(cairo1=sierra))


@pytest.mark.parametrize(
    ("network", "sierra", "compiled"),
    [  # the hash that a recorded state update declares for the class
        (
            "sepolia",
            0x1A736D6ED154502257F02B1CCDF4D9D1089F80811CD6ACAD48E6B6A9D1F2003,
            0x29787A427A423FFC5986D43E630077A176E4391FCEF3EBF36014B154069AE4,
        ),
    ],
)
def test_a_compiled_class_has_the_hash_its_declaration_states(
    fixtures: Path, network: str, sierra: int, compiled: int
) -> None:
    file = fixtures / network / "compiled_class" / f"{sierra:#x}.json"
    assert hex(compiled_class_hash(json.loads(file.read_bytes()))) == hex(compiled)
    stated = json.loads((fixtures / network / "state_update" / "7.json").read_bytes())
    assert {"class_hash": hex(sierra), "compiled_class_hash": hex(compiled)} in stated[
        "state_diff"
    ]["declared_classes"]


def test_a_segmented_compiled_class_has_the_blake_hash_it_migrated_to(fixtures: Path) -> None:
    sierra = "0x941a2dc3ab607819fdc929bea95831a2e0c1aab2f2f34b3a23c55cebc8a040"
    folder = fixtures / "sepolia-integration"
    casm = json.loads((folder / "compiled_class" / f"{sierra}.json").read_bytes())
    assert "bytecode_segment_lengths" in casm
    stated = json.loads((folder / "state_update" / "3077642.json").read_bytes())
    (migrated,) = [
        item["compiled_class_hash"]
        for item in stated["state_diff"]["migrated_compiled_classes"]
        if item["class_hash"] == sierra
    ]
    assert hex(classes.compiled_class_hash_v2(casm)) == migrated


@pytest.mark.parametrize(
    "casm",
    [
        {},
        {"bytecode": [], "entry_points_by_type": []},
        {"bytecode": ["x"], "entry_points_by_type": {}},
        {"bytecode": [], "entry_points_by_type": {"EXTERNAL": [5]}},
        {"bytecode": ["0x1"], "bytecode_segment_lengths": [2]},
        {"bytecode": ["0x1"], "bytecode_segment_lengths": []},
        {"bytecode": ["0x1"], "bytecode_segment_lengths": "1"},
    ],
    ids=str,
)
def test_a_malformed_compiled_class_is_refused(casm: dict[str, Any]) -> None:
    empty: dict[str, list[Any]] = {"EXTERNAL": [], "L1_HANDLER": [], "CONSTRUCTOR": []}
    with pytest.raises(MalformedClass):
        compiled_class_hash({"entry_points_by_type": empty} | casm)
