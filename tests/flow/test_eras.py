"""A chain in the format of each era goes the whole way: gateway's JSON, verification, store."""

from pathlib import Path

import pytest

from starknet import ages
from tests.flow import chains
from workers import verify
from workers.store.writer import Writer

LENGTH = 12
CHAINS = [(ages.version_named(name), 0) for name in ages.EXAMPLES]


@pytest.mark.parametrize(("version", "first_07_block"), [*CHAINS, ("", 6)])
def test_a_chain_of_every_era_is_verified_and_stored(
    version: str, first_07_block: int, tmp_path: Path
) -> None:
    chain, blocks = chains.devnet(LENGTH, version, first_07_block)
    settings = chains.settings(chain.network(), tmp_path)
    writer = Writer(tmp_path, settings.network.chain_id)
    try:
        for block in blocks:
            (verified,) = verify.verify(settings, block)
            writer.store(verified)
        head = writer.head
        assert head is not None
        assert head.number == LENGTH - 1
        assert hex(int.from_bytes(head.state_root)) == chain.block(LENGTH - 1)[1]["new_root"]
        while writer.head is not None:
            writer.undo_head()
    finally:
        writer.close()
