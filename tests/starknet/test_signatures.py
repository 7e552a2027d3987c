import random
from pathlib import Path

import pytest
from crypto_cpp_py.cpp_bindings import cpp_get_public_key, cpp_verify

from node import networks
from starknet import signatures
from starknet.felt import P, value
from starknet.hashes import poseidon_many
from starknet.signatures import ORDER, verify_block_signature
from tests.starknet import recorded

KEY = 0x4E4856EB36DBD5F4A7DCA29F7BB5232974EF1FB7EB5B597C58077174C294DA1
HASH = 0x1EA2A9CFA3DF5297D58C0A04D09D276BC68D40FE64701305BBE2ED8F417E869
R = 0x45161746EECBEAE297F45A1F407AB702310F4E52C5E9350ED6F542FA8E98413
S = 0x3E67CFBC5B179BA55A3B687228D8FE40626233F6691B4AABE308FCD6D71DCDB
COUNTS = {"mainnet": 21, "sepolia": 13, "sepolia-integration": 13, "integration": 10}


def test_the_sequencers_signature_of_integration_block_35748_holds() -> None:
    assert verify_block_signature(KEY, R, S, HASH)


@pytest.mark.parametrize(
    ("key", "r", "s", "message"),
    [
        (KEY, R, S, HASH + 1),
        (KEY, R, S + 1, HASH),
        (KEY, R + 1, S, HASH),
        (KEY + 2, R, S, HASH),
        (KEY, 0, S, HASH),
        (KEY, R, 0, HASH),
        (KEY, R, ORDER, HASH),
        (KEY, R, S + ORDER, HASH),
        (KEY, 2**251, S, HASH),
        (KEY, R, S, 2**251),
        (0, R, S, HASH),
        (P, R, S, HASH),
    ],
)
def test_anything_else_is_no_signature(key: int, r: int, s: int, message: int) -> None:
    assert not verify_block_signature(key, r, s, message)


def test_keys_off_the_curve_are_no_keys() -> None:
    assert not any(verify_block_signature(x, R, S, HASH) for x in range(1, 40))


def test_what_we_sign_verifies_under_our_public_key_only() -> None:
    r, s = signatures.sign(recorded.SECRET, HASH)
    ours = signatures.public_key(recorded.SECRET)
    assert verify_block_signature(ours, r, s, HASH)
    assert not verify_block_signature(KEY, r, s, HASH)
    assert (r, s) == signatures.sign(recorded.SECRET, HASH)


def test_public_keys_are_those_of_another_library() -> None:
    drawn = random.Random(1)
    secrets = [*range(1, 9), *(ORDER - secret for secret in range(1, 9))]
    secrets += [drawn.randrange(1, ORDER) for _ in range(30)]
    assert [signatures.public_key(secret) for secret in secrets] == [
        cpp_get_public_key(secret) for secret in secrets
    ]


def test_another_library_accepts_our_signatures() -> None:
    drawn = random.Random(2)
    for message in (1, 2**251 - 1, *(drawn.randrange(2**251) for _ in range(20))):
        secret = drawn.randrange(1, ORDER)
        r, s = signatures.sign(secret, message)
        key = signatures.public_key(secret)
        assert verify_block_signature(key, r, s, message)
        assert cpp_verify(message, r, pow(s, -1, ORDER), key)


def test_each_message_gets_a_nonce_of_its_own() -> None:
    assert len({signatures.sign(recorded.SECRET, message)[0] for message in range(20)}) == 20


@pytest.mark.parametrize("name", ["mainnet", "sepolia", "sepolia-integration", "integration"])
def test_every_recorded_signature_holds_over_the_hash_or_over_the_pair(
    fixtures: Path, name: str
) -> None:
    key = networks.load(name).public_key
    assert key is not None
    files = sorted((fixtures / name / "signature").glob("*.json"))
    for file in files:
        answer = recorded.read(file)
        assert answer is not None
        signed = answer.get("signature_input", answer)
        message = int(signed["block_hash"], 16)
        if "state_diff_commitment" in signed:
            message = poseidon_many([message, int(signed["state_diff_commitment"], 16)])
        r, s = (int(part, 16) for part in answer["signature"])
        assert verify_block_signature(key, r, s, message), file.name
    assert len(files) >= COUNTS[name]


def test_headers_carry_the_recorded_signature(fixtures: Path) -> None:
    block = recorded.load(fixtures, "sepolia-integration", 35748)
    (signature,) = block.wire.header.signatures
    assert (value(signature.r), value(signature.s)) == (R, S)
