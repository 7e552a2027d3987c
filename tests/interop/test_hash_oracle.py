"""starknet.js, which nobody here wrote, computes the same hashes: of generated, random and recorded things."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from node import networks
from starknet import classes, hashes, signatures, transactions
from starknet.felt import P, short_string, to_wire, value
from starknet.gateway import block_from_gateway, class_from_gateway
from starknet.network import Network
from starknet.versions import rules_for
from starknet.wire import sync_pb2 as pb
from starknet.wire.delimited import split
from tests.flow.chains import devnet
from tests.interop.javascript import script
from tests.scripts import Script
from tests.starknet import recorded

CHAIN_LENGTH = 20  # each kind of block twice
NETWORK = networks.load("sepolia")
CLASS_BYTES_MAX = 100_000  # of recorded classes that are tried; seconds each beyond it
BYTECODE_MAX = 5_000  # felts, of recorded compiled classes: likewise

Question = dict[str, Any]
few = settings(max_examples=25, deadline=None)
felts = st.integers(0, P - 1) | st.integers(0, 2**64) | st.integers(P - 3, P - 1)
lists = st.lists(felts, max_size=6)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    with script("oracle.mjs", log=tmp_path_factory.mktemp("oracle") / "oracle.log") as running:
        yield running


def ask(oracle: Script, questions: Iterable[Question]) -> list[int]:
    """Return the oracle's hashes, one a question."""
    return [int(text, 0) for text in oracle.call("each", questions=list(questions), seconds=120)]


def plain(message: Any) -> Any:
    """A wire message as JSON: numbers as hex text, which JavaScript does not round; absent fields left out."""
    if isinstance(message, int):
        return hex(message)
    if not isinstance(message, Message):
        return [plain(item) for item in message]
    if is_felt(message):
        return hex(value(message))  # type: ignore[arg-type]  # a felt, a hash or an address
    fields = message.DESCRIPTOR.fields
    return {
        field.name: plain(getattr(message, field.name))
        for field in fields
        if field.is_repeated or not field.has_presence or message.HasField(field.name)
    }


def is_felt(message: Message | type[Message]) -> bool:
    """Whether a message is a felt, a hash or an address: one field of bytes."""
    return [field.name for field in message.DESCRIPTOR.fields] == ["elements"]


def about(transaction: pb.TransactionInBlock, network: Network) -> Question:
    """Ask for a transaction's hash."""
    kind = transactions.transaction_kind(transaction)
    chain = hex(short_string(network.chain_id))
    return {
        "of": "transaction",
        "kind": kind,
        "tx": plain(getattr(transaction, kind)),
        "chain": chain,
    }


# ---- plain hashes -----------------------------------------------------------------------------------------------


@few
@given(a=felts, b=felts, many=lists)
def test_pedersen_poseidon_and_blake_of_random_felts(
    oracle: Script, a: int, b: int, many: list[int]
) -> None:
    pair, row = [hex(a), hex(b)], [hex(felt) for felt in many]
    found = ask(
        oracle,
        [
            *({"of": name, "felts": pair} for name in ("pedersen", "poseidon")),
            *({"of": name, "felts": row} for name in ("pedersenMany", "poseidonMany", "blakeMany")),
        ],
    )
    assert found == [
        hashes.pedersen(a, b),
        hashes.poseidon(a, b),
        hashes.pedersen_array(many),
        hashes.poseidon_many(many),
        classes.blake_many(many),
    ]


@few
@given(name=st.from_regex(r"[a-z_][a-z0-9_]{0,30}", fullmatch=True), secret=st.integers(1, 2**250))
def test_selectors_and_public_keys(oracle: Script, name: str, secret: int) -> None:
    found = ask(
        oracle,
        [{"of": "selector", "name": name}, {"of": "publicKey", "secret": hex(secret)}],
    )
    assert found == [hashes.sn_keccak(name.encode()), signatures.public_key(secret)]


# ---- transactions -----------------------------------------------------------------------------------------------


def wire(kind: Any, number: int) -> Any:
    return kind(elements=to_wire(number))


def random_of(kind: type[Message]) -> st.SearchStrategy[Any]:
    """Messages of a kind with every field filled at random."""
    if is_felt(kind):
        return felts.map(lambda number: wire(kind, number))
    if kind is pb.ResourceLimits:
        amounts, prices = st.integers(0, 2**64 - 1), st.integers(0, 2**128 - 1)
        return st.builds(
            lambda amount, price: pb.ResourceLimits(
                max_amount=wire(pb.Felt252, amount), max_price_per_unit=wire(pb.Felt252, price)
            ),
            amounts,
            prices,
        )
    made = {field.name: _random_field(field) for field in kind.DESCRIPTOR.fields}
    return st.fixed_dictionaries(made).map(
        lambda values: kind(**{name: item for name, item in values.items() if item is not None})
    )


def _random_field(field: Any) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([0, 1])
    if field.message_type is None:
        return st.integers(0, 2**64 - 1)  # the tip
    one = random_of(GetMessageClass(field.message_type))
    if field.is_repeated:
        return st.lists(one, min_size=int(field.name == "calldata"), max_size=4)
    return st.none() | one if field.name == "l1_data_gas" else one


KINDS = [
    *("invoke_v1", "invoke_v3", "declare_v1", "declare_v2", "declare_v3"),
    *("deploy_account_v1", "deploy_account_v3", "l1_handler"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_random_transactions_of_each_kind(oracle: Script, kind: str) -> None:
    member: Any = pb.TransactionInBlock.DESCRIPTOR.fields_by_name[kind].message_type

    @few
    @given(body=random_of(GetMessageClass(member)))
    def check(body: Any) -> None:
        if kind == "invoke_v3" and not body.resource_bounds.HasField("l1_data_gas"):
            del body.proof_facts[:]  # never together: proof facts came much later
        transaction = pb.TransactionInBlock(**{kind: body})
        questions = [about(transaction, NETWORK)]
        expected = [transactions.transaction_hash(transaction, NETWORK)]
        address = transactions.deployed_address(transaction)
        if address is not None:
            questions.append({"of": "address", "tx": plain(body)})
            expected.append(address)
        assert ask(oracle, questions) == expected

    check()


@pytest.mark.parametrize("version", ["0.12.3", "0.13.4", "0.14.1"])
def test_the_transactions_and_messages_of_a_generated_chain(oracle: Script, version: str) -> None:
    chain, _ = devnet(CHAIN_LENGTH, version)
    questions, expected = [], []
    for number in range(CHAIN_LENGTH):
        block, state_update, signature = chain.block(number)
        for pair in block_from_gateway(block, state_update, signature).transactions:
            if transactions.transaction_kind(pair.transaction) not in KINDS:
                continue
            questions.append(about(pair.transaction, chain.network()))
            expected.append(value(pair.transaction.transaction_hash))
            if pair.receipt.HasField("l1_handler"):
                questions.append({"of": "messageToL2", "tx": plain(pair.transaction.l1_handler)})
                expected.append(int.from_bytes(pair.receipt.l1_handler.msg_hash.elements, "big"))
    assert len(questions) > 40
    assert ask(oracle, questions) == expected


@pytest.mark.parametrize("name", ["sepolia", "sepolia-integration", "integration"])
def test_the_transactions_of_recorded_blocks(oracle: Script, fixtures: Path, name: str) -> None:
    questions, expected = [], []
    for number in recorded.numbers(fixtures, name):
        block = recorded.load_bare(fixtures, name, number)
        if rules_for(block.header.protocol_version).unversioned_transactions:
            continue
        for pair in block.transactions:
            if transactions.transaction_kind(pair.transaction) in KINDS:
                questions.append(about(pair.transaction, networks.load(name)))
                expected.append(value(pair.transaction.transaction_hash))
    assert len(questions) >= 20
    assert ask(oracle, questions) == expected


# ---- classes ----------------------------------------------------------------------------------------------------


def in_order(definition: Any) -> str:
    """A class with the keys of all its objects in order: starknet.js hashes Cairo 0 classes as they come."""
    return json.dumps(definition, sort_keys=True)


@pytest.mark.parametrize("version", ["0.12.3", "0.14.1"])
def test_the_classes_of_a_generated_chain(oracle: Script, version: str) -> None:
    chain, blocks = devnet(CHAIN_LENGTH, version)
    sent = [cls for block in blocks for cls in split(block.classes, len(block.classes))]
    stated = [
        value(getattr(pb.ClassesResponse.FromString(bytes(cls)), "class").class_hash)
        for cls in sent
    ]
    questions = [
        {"of": "classHash", "text": in_order(chain.class_definition(name))} for name in stated
    ]
    assert len(stated) >= 5
    assert ask(oracle, questions) == stated
    compiled = [casm for name in stated if (casm := chain.compiled_class(name)) is not None]
    assert len(compiled) >= 2
    agree_on_compiled(oracle, compiled)


def agree_on_compiled(oracle: Script, compiled: list[dict[str, Any]]) -> None:
    """Compare the Blake hash of compiled classes, and the Poseidon hash of those that starknet.js can hash so."""
    flat = [casm for casm in compiled if is_flat(casm)]
    blake = ask(oracle, [{"of": "compiledBlake", "casm": casm} for casm in compiled])
    poseidon = ask(oracle, [{"of": "compiledPoseidon", "casm": casm} for casm in flat])
    assert blake == [classes.compiled_class_hash_v2(casm) for casm in compiled]
    assert poseidon == [classes.compiled_class_hash(casm) for casm in flat]


def is_flat(casm: dict[str, Any]) -> bool:
    """Whether the bytecode's segments are not nested: starknet.js hashes others by Blake alone."""
    lengths = casm.get("bytecode_segment_lengths")
    if lengths is None:
        return True
    return isinstance(lengths, list) and all(isinstance(length, int) for length in lengths)


trees = st.recursive(st.integers(1, 4), lambda node: st.lists(node, min_size=1, max_size=3))
points = st.fixed_dictionaries(
    {
        "selector": felts.map(hex),
        "offset": st.integers(0, 2**32),
        "builtins": st.lists(st.sampled_from(["range_check", "poseidon", "segment_arena"])),
    }
)


def leaves(tree: Any) -> int:
    return tree if isinstance(tree, int) else sum(map(leaves, tree))


@st.composite
def casms(draw: st.DrawFn) -> dict[str, Any]:
    """Compiled classes with segments nested at random, or none."""
    lengths = draw(st.none() | st.lists(trees, min_size=1, max_size=4))
    size = draw(st.integers(1, 8)) if lengths is None else leaves(lengths)
    made: dict[str, Any] = {
        "bytecode": [hex(draw(felts)) for _ in range(size)],
        "entry_points_by_type": {
            kind: draw(st.lists(points, max_size=2)) for kind in classes.ENTRY_POINT_TYPES
        },
    }
    return made if lengths is None else made | {"bytecode_segment_lengths": lengths}


@few
@given(casm=casms())
def test_random_compiled_classes(oracle: Script, casm: dict[str, Any]) -> None:
    agree_on_compiled(oracle, [casm])


sierra_points = st.lists(
    st.fixed_dictionaries({"selector": felts.map(hex), "function_idx": st.integers(0, 999)}),
    max_size=3,
)
abis = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["function", "event"]), "name": st.text("abcé, :", max_size=8)}
    ),
    max_size=3,
)


@few
@given(program=lists, abi=abis, by_type=st.tuples(sierra_points, sierra_points, sierra_points))
def test_random_sierra_classes(
    oracle: Script, program: list[int], abi: list[Any], by_type: tuple[list[Any], ...]
) -> None:
    definition = {
        "sierra_program": [hex(felt) for felt in program],
        "contract_class_version": classes.SIERRA_VERSION,
        "entry_points_by_type": dict(zip(classes.ENTRY_POINT_TYPES, by_type, strict=True)),
        "abi": json.dumps(abi, ensure_ascii=False),
    }
    expected = classes.class_hash(class_from_gateway(definition, 0))
    assert ask(oracle, [{"of": "classHash", "text": json.dumps(definition)}]) == [expected]


def test_recorded_classes(oracle: Script, fixtures: Path) -> None:
    """Where starknet.js finds the hash that Starknet knows a class by, so do we; it knows no quirk of old compilers."""
    agreed = 0
    for file in sorted(fixtures.glob("*/class/*.json")):
        text = file.read_text()
        if len(text) > CLASS_BYTES_MAX:
            continue
        stated, definition = int(file.stem, 16), json.loads(text)
        if ask(oracle, [{"of": "classHash", "text": in_order(definition)}]) == [stated]:
            agreed += 1
            assert classes.class_hash(class_from_gateway(definition, stated)) == stated
    assert agreed >= 6


def test_recorded_compiled_classes(oracle: Script, fixtures: Path) -> None:
    files = sorted(fixtures.glob("*/compiled_class/*.json"))
    compiled = [json.loads(file.read_text()) for file in files]
    small = [casm for casm in compiled if len(casm.get("bytecode", ())) in range(1, BYTECODE_MAX)]
    assert len(small) >= 2
    agree_on_compiled(oracle, small)
