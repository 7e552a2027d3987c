"""Keys and PeerIDs in the forms of go-libp2p."""

import subprocess
import sys

import pytest

from workers.p2p import keys

# The example key that Juno's own Makefile publishes for its feeder node, and the PeerID of it in the same file.
JUNO_PRIVATE = (
    "5f6cdc3aebcc74af494df054876100368ef6126e3a33fa65b90c765b381ffc37"
    "a0a63bbeeefab0740f24a6a38dabb513b9233254ad0020c721c23e69bc820089"
)
JUNO_PEER_ID = "12D3KooWLdURCjbp1D7hkXWk6ZVfcMDPtsNnPHuxoTcWXFtvrxGG"


def test_the_published_key_of_juno_gives_its_published_peer_id() -> None:
    pair = keys.parse(JUNO_PRIVATE)
    assert pair.peer_id == JUNO_PEER_ID
    assert pair.private_hex == JUNO_PRIVATE
    assert pair.public_hex == JUNO_PRIVATE[64:]


def test_the_seed_alone_is_enough() -> None:
    assert keys.parse(JUNO_PRIVATE[:64]) == keys.parse(f" 0x{JUNO_PRIVATE}\n")


def test_a_drawn_key_has_the_three_printed_forms() -> None:
    pair = keys.generate()
    assert len(pair.private_hex) == 128
    assert pair.private_hex.endswith(pair.public_hex)
    assert pair.peer_id.startswith("12D3KooW")
    assert len(pair.peer_id) == 52
    assert keys.parse(pair.private_hex) == pair
    assert keys.generate() != pair


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("xyz", "not hexadecimal"),
        ("", "0 hex digits"),
        ("ab" * 31, "62 hex digits"),
        ("ab" * 65, "130 hex digits"),
        (JUNO_PRIVATE[:64] + "00" * 32, "second half"),
    ],
)
def test_a_bad_private_key_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(keys.BadKey, match=why) as caught:
        keys.parse(text)
    assert "\n" not in str(caught.value)


def test_a_key_is_not_shown_by_repr() -> None:
    assert JUNO_PRIVATE[:64] not in repr(keys.parse(JUNO_PRIVATE))


def test_base58_keeps_leading_zeros_both_ways() -> None:
    for raw in (b"", b"\0", b"\0\0\1", b"hello world", bytes(range(40))):
        assert keys.from_base58(keys.base58(raw)) == raw
    assert keys.base58(b"hello world") == "StV1DL6CwTryKyV"


@pytest.mark.parametrize("good", [JUNO_PEER_ID, "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"])
def test_peer_ids_of_both_kinds_are_read(good: str) -> None:
    assert keys.base58(keys.parse_peer_id(good)) == good


@pytest.mark.parametrize("bad", ["", "0OIl", JUNO_PEER_ID[:-1], JUNO_PEER_ID + "1", "a" * 100])
def test_a_damaged_peer_id_is_refused(bad: str) -> None:
    with pytest.raises(keys.BadPeerId):
        keys.parse_peer_id(bad)


def test_keys_and_the_page_do_not_import_libp2p() -> None:
    code = (
        "import sys; import workers.p2p.keys, workers.p2p.addresses, workers.p2p.p2p;"
        "print([m for m in ('libp2p', 'trio', 'rocksdict') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
