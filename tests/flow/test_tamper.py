"""A block with one field changed is refused by name of rule and never stored, whichever of its parts it is in.

What is let through is exactly what the node says at its start: the fields that an era's hash and signature do not
bind. They are listed here once more, as found by changing every field.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broker.codec import Body
from node import networks
from starknet import ages
from starknet.block import unbound_fields
from starknet.gateway import WireBlock, fill_commitments
from starknet.wire.delimited import join
from starknet.wire.sync_pb2 import (
    BlockHeadersResponse,
    ClassesResponse,
    EventsResponse,
    StateDiffsResponse,
    TransactionsResponse,
)
from tests.flow import chains
from tests.flow.tampering import tamperings
from workers import verify
from workers.component import Component
from workers.errors import PeerFault
from workers.frames import frames
from workers.messages import BlockAssembled, BlockVerified
from workers.settings import Settings
from workers.store.reader import Reader
from workers.store.writer import Writer

PARTS: dict[Component, tuple[str, Any]] = {
    Component.HEADERS: ("header", BlockHeadersResponse),
    Component.STATE_DIFFS: ("state_diff", StateDiffsResponse),
    Component.CLASSES: ("classes", ClassesResponse),
    Component.TRANSACTIONS: ("transactions", TransactionsResponse),
    Component.EVENTS: ("events", EventsResponse),
}
EXECUTION = "transactions.receipt.common.execution_resources"
LET_THROUGH = {
    "devnet": {
        "transactions.receipt.common.price_unit",
        f"{EXECUTION}.builtins",
        f"{EXECUTION}.steps",
        f"{EXECUTION}.memory_holes",
        f"{EXECUTION}.l1_data_gas",  # taken away: recomputed from the fee
        f"{EXECUTION}.l2_gas",
        "transactions.receipt.msg_hash",
    },
    "sepolia": {
        "headers.l1_gas_price_wei",
        "headers.l1_data_gas_price_wei",
        "headers.l1_data_gas_price_fri",
        f"{EXECUTION}.builtins",
        f"{EXECUTION}.steps",
        "transactions.receipt.msg_hash",
    },
    "mainnet": {"headers.time", f"{EXECUTION}.steps"},
}


def changed(block: BlockAssembled) -> Iterator[tuple[Component, str, BlockAssembled]]:
    """Yield each block that differs from ``block`` in one field of the first or the last message of a part."""
    for component, (name, kind) in PARTS.items():
        body: Body = getattr(block, name)
        messages = [
            kind.FromString(payload) for _, _, payload in frames(body, block.number, component)
        ]
        for place in sorted({0, len(messages) - 1}) if messages else ():
            for path, other in tamperings(messages[place]):
                altered = Body(join([*messages[:place], other, *messages[place + 1 :]]))
                part: dict[str, Any] = {name: altered}
                yield component, _spoken(component, path), replace(block, **part)


def _spoken(component: Component, path: str) -> str:
    """Return the path as the list of unbound fields has it: no envelope, no receipt type, no value message."""
    steps = [
        step for step in path.split(".")[1:] if step not in ("removed", "elements", "low", "high")
    ]
    if steps and steps[0] == "receipt":
        del steps[1:2]
    return ".".join([component, *steps])


def let_through(settings: Settings, blocks: Sequence[BlockAssembled]) -> tuple[set[str], int]:
    accepted: set[str] = set()
    faults: list[tuple[Component, str, PeerFault]] = []
    for block in blocks:
        assert len(list(verify.verify(settings, block))) == 1
        for component, path, altered in changed(block):
            try:
                list(verify.verify(settings, altered))
            except PeerFault as fault:
                faults.append((component, path, fault))
            else:
                accepted.add(path)
    wronged = [(path, fault) for component, path, fault in faults if component not in fault.guilty]
    assert not wronged, "a peer was blamed for another's lie"
    return accepted, len(faults)


def assert_only_unbound(accepted: set[str], chain: str, version: str) -> None:
    unbound = unbound_fields(version)
    assert all(any(path.startswith(field) for field in unbound) for path in accepted), accepted
    short = {
        next((field for field in LET_THROUGH[chain] if path.startswith(field)), path)
        for path in accepted
    }
    assert short == LET_THROUGH[chain]


def test_a_generated_block_binds_every_field_but_those_listed() -> None:
    chain, blocks = chains.devnet(12)
    accepted, refused = let_through(
        chains.settings(chain.network(), Path("unused")), blocks[::3] + blocks[-3:]
    )
    assert_only_unbound(accepted, "devnet", "0.13.4")
    assert refused > 500


@pytest.mark.parametrize(
    ("network", "numbers", "version"), [("sepolia", (3, 4, 6), "0.12.3"), ("mainnet", (1, 2), "")]
)
def test_a_recorded_block_binds_every_field_but_those_listed(
    fixtures: Path, network: str, numbers: tuple[int, ...], version: str
) -> None:
    blocks = chains.recorded(fixtures, network, max(numbers) + 1)
    settings = chains.settings(networks.load(network), Path("unused"))
    accepted, refused = let_through(settings, [blocks[number] for number in numbers])
    assert_only_unbound(accepted, network, version)
    assert refused > 100


@pytest.mark.parametrize("name", ages.EXAMPLES)
def test_a_generated_block_of_every_era_binds_every_field_but_those_its_era_leaves_open(
    name: str,
) -> None:
    version = ages.version_named(name)
    chain, blocks = chains.devnet(12, version)
    settings = chains.settings(chain.network(), Path("unused"))
    accepted, refused = let_through(settings, [blocks[0], blocks[3], blocks[8]])
    unbound = unbound_fields(version)
    assert {path for path in accepted if not path.startswith(unbound)} == set()
    assert refused > 200


@pytest.mark.parametrize("part", ["state_diff", "classes", "transactions", "events"])
def test_a_part_of_another_block_is_refused(part: str) -> None:
    chain, blocks = chains.devnet(12)
    settings = chains.settings(chain.network(), Path("unused"))
    other = next(block for block in blocks[5:] if getattr(block, part) and block.number != 4)
    with pytest.raises(PeerFault) as caught:
        list(verify.verify(settings, replace(blocks[4], **{part: getattr(other, part)})))
    assert Component(f"{part}s" if part == "state_diff" else part) in caught.value.guilty


def test_a_block_under_another_key_is_refused() -> None:
    chain, blocks = chains.devnet(12)
    settings = chains.settings(chain.network(), Path("unused"))
    assert settings.public_key is not None
    with pytest.raises(PeerFault, match=r"header\.signature"):
        list(verify.verify(replace(settings, public_key=settings.public_key ^ 1), blocks[1]))


def test_a_header_and_a_state_diff_that_lie_together_fail_at_the_state_root(
    fixtures: Path, tmp_path: Path
) -> None:
    """Before 0.13.2 the hash does not bind the state diff: two liars pass verification, not the tries."""
    blocks = chains.recorded(fixtures, "mainnet", 4)
    settings = chains.settings(networks.load("mainnet"), tmp_path)
    lie = with_other_value(blocks[3])
    (false,) = verify.verify(settings, lie)
    writer = Writer(tmp_path, settings.network.chain_id)
    try:
        for block in blocks[:3]:
            writer.store(_verified(settings, block))
        with pytest.raises(PeerFault, match=r"state\.root") as caught:
            writer.store(false)
        assert caught.value.guilty == (Component.HEADERS, Component.STATE_DIFFS)
        head = writer.head
        assert head is not None
        assert head.number == 2
        writer.store(_verified(settings, blocks[3]))
    finally:
        writer.close()
    reader = Reader(tmp_path)
    assert reader.part(Component.STATE_DIFFS, 3) == blocks[3].state_diff
    reader.close()


def _verified(settings: Settings, block: BlockAssembled) -> BlockVerified:
    (verified,) = verify.verify(settings, block)
    return verified


def with_other_value(block: BlockAssembled) -> BlockAssembled:
    """Return the block with one stored value changed and the header's roots in step with it."""

    def messages(component: Component) -> list[bytes]:
        return [
            payload
            for _, _, payload in frames(
                getattr(block, PARTS[component][0]), block.number, component
            )
        ]

    header = BlockHeadersResponse.FromString(messages(Component.HEADERS)[0]).header
    diff = [StateDiffsResponse.FromString(payload) for payload in messages(Component.STATE_DIFFS)]
    victim = next(message for message in diff if message.contract_diff.values)
    victim.contract_diff.values[0].value.elements = b"\x2a"
    wire = WireBlock(
        header=header,
        state_diff=diff,
        transactions=[
            TransactionsResponse.FromString(payload).transaction_with_receipt
            for payload in messages(Component.TRANSACTIONS)
        ],
        events=[EventsResponse.FromString(payload).event for payload in messages(Component.EVENTS)],
        declared=[],
        deployed=[],
    )
    filled = fill_commitments(wire, header.protocol_version)
    return replace(
        block,
        header=Body(join([BlockHeadersResponse(header=filled.header)])),
        state_diff=Body(join(filled.state_diff)),
    )
