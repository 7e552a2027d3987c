import pytest

from starknet import hashes
from starknet.felt import FeltError, P, to_bytes32
from starknet.hashes import (
    Over,
    hash_lists,
)


def test_pedersen_of_nothing_is_the_protocols_constant() -> None:
    empty = 0x49EE3EBA8C1600700EE1B87EB599F16716B0B1022947733551FDE4050CA6804
    assert hashes.pedersen_array([]) == empty
    assert hashes.pedersen(0, 0) == empty


def test_pedersen_array_folds_in_the_length() -> None:
    fold = hashes.pedersen(hashes.pedersen(0, 5), 7)
    assert hashes.pedersen_array([5, 7]) == hashes.pedersen(fold, 2)


def test_poseidon_of_two_is_not_the_sponge_over_two() -> None:
    assert hashes.poseidon_many([1, 2]) == (
        0x371CB6995EA5E7EFFCD2E174DE264B5B407027A75A231A70C2C8D196107F0E7
    )
    assert hashes.poseidon(1, 2) == (
        0x5D44A3DECB2B2E0CC71071F7B802F45DD792D064F0FC7316C46514F70F9891A
    )


def test_the_sponge_tells_padding_from_content() -> None:
    assert hashes.poseidon_many([1]) != hashes.poseidon_many([1, 1])
    assert hashes.poseidon_many([]) != hashes.poseidon_many([0])


def test_every_hash_of_the_largest_felts_is_a_felt() -> None:
    top = P - 1
    results = [
        hashes.pedersen(top, top),
        hashes.poseidon(top, top),
        hashes.poseidon_many([top] * 5),
    ]
    assert all(0 <= result < P for result in results)


def test_keccak_is_the_original_one_cut_to_250_bits() -> None:
    assert hashes.keccak(b"") == int(
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470", 16
    )
    assert hashes.sn_keccak(b"constructor") == (
        0x28FFE4FF0F226A9107253E17A904099AA4F63A02A5621DE0576E5AA71BC5194
    )


@pytest.mark.parametrize("over", list(Over))
@pytest.mark.parametrize("felt", [to_bytes32(P), b"\xff" * 32, bytes(33)])
def test_bytes_that_are_no_felt_are_not_hashed(over: Over, felt: bytes) -> None:
    with pytest.raises(FeltError):
        hash_lists(over, [bytes(32) + felt])
