"""A table of block hashes binds what old hashes leave open, and a trusted store makes the same table."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from node import cli, networks
from tests.flow import chains
from tests.flow.test_tamper import with_other_value
from workers import hash_table, verify
from workers.component import Component
from workers.errors import PeerFault
from workers.messages import BlockAssembled
from workers.settings import Settings
from workers.store.writer import Writer

LENGTH = 7
SEPOLIA = networks.load("sepolia")


@pytest.fixture(scope="module")
def table(fixtures: Path) -> Path:
    path = fixtures.parent / "vectors" / "pathfinder" / "sepolia_block_hashes.bin"
    if not path.is_file():
        pytest.skip(f"the table of Sepolia's block hashes is not here: {path}")
    return path


@pytest.fixture(scope="module")
def blocks(fixtures: Path) -> tuple[BlockAssembled, ...]:
    return chains.recorded(fixtures, "sepolia", LENGTH)


@pytest.fixture
def settings(tmp_path: Path, table: Path) -> Settings:
    return replace(chains.settings(SEPOLIA, tmp_path), block_hash_table=table)


def build(db_path: Path, out: Path) -> tuple[int, str]:
    words = ["hashes", "build", "--db-path", str(db_path), "--out", str(out)]
    result = CliRunner().invoke(cli.cli, words, prog_name="hera")
    return result.exit_code, result.output


def test_the_table_has_one_entry_a_height_and_none_beyond_its_end(table: Path) -> None:
    count = hash_table.entries(table)
    assert count == 86311
    first = 0x700BA1092FCECD40CB6898B239A3A3E8BF017BE9259088546E051303D951C81
    assert hash_table.entry(table, 0) == first
    assert hash_table.entry(table, count - 1) is not None
    assert hash_table.entry(table, count) is None


def test_real_blocks_fit_the_table(settings: Settings, blocks: tuple[BlockAssembled, ...]) -> None:
    for block in blocks:
        assert len(list(verify.verify(settings, block))) == 1


def test_parts_that_lie_in_step_with_their_header_are_refused_only_with_a_table(
    settings: Settings, blocks: tuple[BlockAssembled, ...]
) -> None:
    lie = with_other_value(blocks[0])
    unsigned = replace(settings, public_key=None)  # the old signature is over the state diff
    assert list(verify.verify(replace(unsigned, block_hash_table=None), lie))
    with pytest.raises(PeerFault) as caught:
        list(verify.verify(unsigned, lie))
    assert caught.value.rule == "block.table_hash"
    assert caught.value.guilty == (Component.HEADERS,)


def test_a_part_that_differs_from_a_bound_header_is_its_senders_fault_alone(
    settings: Settings, blocks: tuple[BlockAssembled, ...]
) -> None:
    lie = replace(with_other_value(blocks[0]), header=blocks[0].header)
    for given, guilty in (
        (settings, (Component.STATE_DIFFS,)),
        (replace(settings, block_hash_table=None), (Component.HEADERS, Component.STATE_DIFFS)),
    ):
        with pytest.raises(PeerFault) as caught:
            list(verify.verify(given, lie))
        assert caught.value.rule == "header.state_diff_commitment.root"
        assert caught.value.guilty == guilty


def test_blocks_beyond_the_table_are_checked_without_it(
    settings: Settings, blocks: tuple[BlockAssembled, ...], table: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    short.write_bytes(table.read_bytes()[: 2 * hash_table.ENTRY_BYTES])
    assert list(verify.verify(replace(settings, block_hash_table=short), blocks[4]))


def test_a_trusted_store_makes_the_same_table(
    settings: Settings, blocks: tuple[BlockAssembled, ...], table: Path, tmp_path: Path
) -> None:
    writer = Writer(tmp_path / "db", SEPOLIA.chain_id)
    for block in blocks:
        for verified in verify.verify(replace(settings, block_hash_table=None), block):
            writer.store(verified)
    writer.close()
    out = tmp_path / "table"
    assert build(tmp_path / "db", out) == (0, f"{out}: {LENGTH} hashes, of blocks 0 to 6\n")
    assert out.read_bytes() == table.read_bytes()[: LENGTH * hash_table.ENTRY_BYTES]
    assert sorted(tmp_path.iterdir()) == [tmp_path / "db", out]


def test_a_store_without_old_blocks_makes_no_table(tmp_path: Path) -> None:
    out = tmp_path / "table"
    code, said = build(tmp_path / "none", out)
    assert code == 78
    assert "holds no block before 0.13.2" in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    code, said = build(tmp_path / "none", tmp_path / "no" / "folder" / "table")
    assert code == 78
    assert "cannot be written" in said
