import pytest

from starknet import versions
from starknet.versions import BlockHash, CompiledHash, Era, TransactionLeaf, UnknownVersion


@pytest.mark.parametrize(
    ("version", "era"),
    [
        ("", Era.UNVERSIONED),
        ("0.9.1", Era.CLASSIC_INVOKE),
        ("0.11.0.2", Era.CLASSIC_INVOKE),
        ("0.11.1", Era.CLASSIC),
        ("0.13.1.1", Era.CLASSIC),
        ("0.13.2", Era.HASH0),
        ("0.13.2.1", Era.HASH0),
        ("0.13.3", Era.HASH0),
        ("0.13.4", Era.HASH1),
        ("0.14.4", Era.HASH1),
    ],
)
def test_a_version_selects_its_era(version: str, era: Era) -> None:
    assert versions.rules_for(version).era is era


@pytest.mark.parametrize(
    "version", ["0.14.5", "0.15.0", "1.0.0", "0.14.4.1", "x", "0", "0.13.2.1.0", "00.13.2", "0.13.02", "0.13.2 ", "٠.١"]
)  # fmt: skip
def test_newer_and_malformed_versions_are_refused(version: str) -> None:
    with pytest.raises(UnknownVersion):
        versions.rules_for(version)


def test_rows_ascend_and_the_last_holds_for_the_newest_version() -> None:
    sinces = [row.since for row in versions.TABLE]
    assert sinces == sorted(set(sinces))
    assert sinces[-1] <= versions.NEWEST


def test_each_border_changes_what_the_protocol_says() -> None:
    of = versions.rules_for
    assert not of("0.10.3").class_trie
    assert of("0.11.0").class_trie
    assert of("0.11.0").transaction_leaf is TransactionLeaf.PEDERSEN_INVOKE
    assert of("0.13.3").transaction_leaf is TransactionLeaf.POSEIDON_OR_ZERO
    assert of("0.13.4").block_hash is BlockHash.HASH1
    assert not of("0.13.6").state_root_always_poseidon
    assert of("0.14.0").state_root_always_poseidon
    assert of("0.14.0").compiled_hash is CompiledHash.POSEIDON
    assert of("0.14.1").compiled_hash is CompiledHash.BLAKE


def test_old_headers_carry_commitments_of_0_13_2() -> None:
    assert versions.wire_rules(versions.rules_for("0.12.3")) == versions.rules_for("0.13.2")
    assert versions.wire_rules(versions.rules_for("0.14.0")) == versions.rules_for("0.14.0")
    assert not versions.is_fully_bound("0.13.1.1")
    assert versions.is_fully_bound("0.13.2")
