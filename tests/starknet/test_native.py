"""The kernel against other people's implementations, and what it refuses."""

import array
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from crypto_cpp_py.cpp_bindings import cpp_get_public_key, cpp_hash, cpp_sign, cpp_verify
from hypothesis import given, settings
from hypothesis import strategies as st
from poseidon_py.c_bindings import hades_permutation

from starknet import native
from starknet.felt import P
from starknet.native import make_constants
from starknet.native._kernel import choose
from tests.starknet.tries import map_root

ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
EDGES = (
    0,
    1,
    2,
    3,
    P - 1,
    P - 2,
    (P - 1) // 2,
    (P + 1) // 2,
    2**64 - 1,
    2**64,
    2**128,
    2**192 - 1,
    2**192,
    17 * 2**192,
    2**248 - 1,
    2**248,
    2**248 + 1,
    2**250,
    2**251 - 1,
    2**251,
    2**251 + 17 * 2**192,
)
felts = st.one_of(
    st.sampled_from(EDGES),
    st.integers(0, P - 1),
    st.builds(lambda shift, low: ((1 << shift) + low) % P, st.integers(0, 251), st.integers(-3, 3)),
)
kinds = st.sampled_from([native.PEDERSEN, native.POSEIDON])


def raw(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 32], "big") for i in range(0, len(data), 32)]


def pedersen(a: int, b: int) -> int:
    return int(cpp_hash(a, b))


def poseidon(a: int, b: int) -> int:
    return int(hades_permutation([a, b, 2])[0])


ORACLES: dict[int, Callable[[int, int], int]] = {
    native.PEDERSEN: pedersen,
    native.POSEIDON: poseidon,
}


def pedersen_array(xs: Sequence[int]) -> int:
    state = 0
    for x in [*xs, len(xs)]:
        state = pedersen(state, x)
    return state


def poseidon_many(xs: Sequence[int]) -> int:
    padded = [*xs, 1, *([] if len(xs) % 2 else [0])]
    state = [0, 0, 0]
    for a, b in zip(padded[0::2], padded[1::2], strict=True):
        state = [
            int(x) for x in hades_permutation([(state[0] + a) % P, (state[1] + b) % P, state[2]])
        ]
    return state[0]


def offsets_of(lists: Sequence[Sequence[int]]) -> "array.array[int]":
    return array.array("Q", itertools.accumulate((len(xs) for xs in lists), initial=0))


def test_the_constants_compiled_in_are_those_that_are_derived() -> None:
    committed = Path(native.__file__).with_name("constants.h").read_text()
    assert make_constants.header() == committed


def test_every_pair_of_edge_values_hashes_as_others_hash_it() -> None:
    pairs = list(itertools.product(EDGES, EDGES))
    flat = raw(*itertools.chain.from_iterable(pairs))
    expected_pedersen = [pedersen(a, b) for a, b in pairs]
    expected_poseidon = [poseidon(a, b) for a, b in pairs]
    assert numbers(native.pedersen_pairs(flat)) == expected_pedersen
    assert numbers(native.poseidon_pairs(flat)) == expected_poseidon
    assert [native.pedersen_int(a, b) for a, b in pairs] == expected_pedersen
    assert [native.poseidon_int(a, b) for a, b in pairs] == expected_poseidon


@pytest.fixture(scope="module", autouse=True, params=[(True, True), (True, False), (False, False)])
def ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test by each way that the processor offers."""
    adx, wide = request.param
    if choose(adx, wide) != (adx, wide):
        choose(True, True)
        pytest.skip("the processor has not got these instructions")
    yield
    choose(True, True)


@settings(max_examples=40, deadline=None)
@given(st.lists(felts, min_size=2, max_size=40))
def test_pairs_hash_the_same_alone_in_batches_and_elsewhere(xs: list[int]) -> None:
    xs = xs[: len(xs) // 2 * 2]
    pairs = list(zip(xs[0::2], xs[1::2], strict=True))
    assert numbers(native.pedersen_pairs(raw(*xs))) == [pedersen(a, b) for a, b in pairs]
    assert numbers(native.poseidon_pairs(raw(*xs))) == [poseidon(a, b) for a, b in pairs]
    a, b = pairs[0]
    assert native.pedersen(raw(a), raw(b)) == raw(native.pedersen_int(a, b)) == raw(pedersen(a, b))
    assert native.poseidon(raw(a), raw(b)) == raw(native.poseidon_int(a, b)) == raw(poseidon(a, b))


@pytest.mark.parametrize(
    "count", [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200]
)
def test_a_batch_of_any_size_is_its_hashes(count: int) -> None:
    xs = [pow(3, 1000 + i, P) for i in range(2 * count)]
    pairs = list(zip(xs[0::2], xs[1::2], strict=True))
    single = [native.pedersen_int(a, b) for a, b in pairs]
    assert numbers(native.pedersen_pairs(raw(*xs))) == single
    assert numbers(native.poseidon_pairs(raw(*xs))) == [native.poseidon_int(a, b) for a, b in pairs]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(felts, max_size=20), max_size=12))
def test_lists_hash_the_same_alone_together_and_elsewhere(lists: list[list[int]]) -> None:
    flat = raw(*itertools.chain.from_iterable(lists))
    offsets = offsets_of(lists)
    expected = [poseidon_many(xs) for xs in lists]
    assert numbers(native.poseidon_many(flat, offsets)) == expected
    assert [native.poseidon_many_ints(xs) for xs in lists] == expected
    expected = [pedersen_array(xs) for xs in lists]
    assert numbers(native.pedersen_chains(flat, offsets)) == expected
    assert [native.pedersen_array_ints(tuple(xs)) for xs in lists] == expected


@pytest.mark.parametrize("length", [999, 1000])
def test_long_lists_hash_as_others_hash_them(length: int) -> None:
    xs = [pow(5, i, P) for i in range(length)]
    assert native.poseidon_many_ints(xs) == poseidon_many(xs)
    assert native.pedersen_array_ints(xs[:100]) == pedersen_array(xs[:100])


def test_a_list_of_the_protocols_vector_has_its_root() -> None:
    root = native.patricia_root(native.POSEIDON, 64, raw(1, 2, 3))
    assert root == raw(0x3B5CC7F1292EB3847C3F902D048A7E5DC7702D1C191CCD17C2D33F797E6FC32)
    assert native.patricia_root(native.POSEIDON, 64, b"") == raw(0)
    assert native.patricia_root(native.PEDERSEN, 64, raw(0, 0)) == raw(0)


@settings(max_examples=40, deadline=None)
@given(kinds, st.integers(6, 64), st.lists(st.one_of(st.just(0), felts), max_size=64))
def test_a_lists_root_is_that_of_the_trie_over_it(kind: int, height: int, xs: list[int]) -> None:
    expected = map_root(height, dict(enumerate(xs)), ORACLES[kind])
    assert native.patricia_root(kind, height, raw(*xs)) == raw(expected)


@pytest.mark.parametrize("height", [1, 2, 3])
def test_a_full_list_fits_its_trie_and_one_more_does_not(height: int) -> None:
    xs = list(range(1, 2**height + 1))
    expected = map_root(height, dict(enumerate(xs)), poseidon)
    assert native.patricia_root(native.POSEIDON, height, raw(*xs)) == raw(expected)
    with pytest.raises(ValueError, match="do not fit"):
        native.patricia_root(native.POSEIDON, height, raw(*xs, 1))


def entry(key: int, value: int) -> bytes:
    return raw(key, value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (entry(1, 1) + entry(1, 2), "ascend"),
        (entry(2, 1) + entry(1, 2), "ascend"),
        (entry(2**251, 1), "251 bits"),
        (entry(2**256 - 1, 1), "251 bits"),
        (entry(1, P), "prime"),
        (entry(1, 1)[:-1], "multiple"),
    ],
)
def test_changes_of_a_trie_that_are_none_are_refused(changes: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        native.trie_update(native.POSEIDON, 0, [(b"", changes)], {b"\0": None})


@pytest.mark.parametrize(
    "arguments",
    [
        (native.POSEIDON, 0, [(b"", "")], {}),
        (native.POSEIDON, 0, [(b"",)], {}),
        (native.POSEIDON, 0, [b""], {}),
        (native.POSEIDON, 0, 7, {}),
        (native.POSEIDON, 0, [], []),
        (native.POSEIDON, "0", [], {}),
        (native.POSEIDON, 0, [(b"", b"")], {b"\0": "page"}),
        (native.POSEIDON, 0, []),
    ],
)
def test_what_is_no_trie_is_refused(arguments: Any) -> None:
    with pytest.raises(TypeError):
        native.trie_update(*arguments)


@pytest.mark.parametrize("page_bytes", [-1, 2**14 + 1])
def test_a_page_has_a_bounded_size(page_bytes: int) -> None:
    with pytest.raises(ValueError, match="0 to 16384"):
        native.trie_update(native.POSEIDON, page_bytes, [], {})


def test_pages_that_are_not_read_yet_are_asked_for() -> None:
    tries = [(b"a", entry(1, 1)), (b"b", b"")]
    assert native.trie_update(native.POSEIDON, 0, tries, {b"a\0": None}) == [b"b\0"]
    assert native.trie_update(native.POSEIDON, 0, [], {}) == (b"", {})


def signature(secret: int, message: int) -> tuple[int, int, int, int]:
    """(key, message, r, s); the signer's one-time number is a function of both."""
    once = (secret * 0x1234567 + message * 0x7654321 + 1) % ORDER or 1
    while True:
        r = int(cpp_get_public_key(once))
        s = (message + r * secret) * pow(once, -1, ORDER) % ORDER
        if 0 < r < 2**251 and s and pow(s, -1, ORDER) < 2**251:
            return int(cpp_get_public_key(secret)), message, r, s
        once += 1


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, ORDER - 1), st.integers(1, 2**251 - 1), st.integers(0, 3), st.integers(0, 250)
)
def test_signatures_hold_and_any_flipped_bit_breaks_them(
    secret: int, message: int, part: int, bit: int
) -> None:
    good = signature(secret, message)
    key, z, r, s = good
    other_y = (key, z, r, ORDER - s)
    broken = list(good)
    broken[part] ^= 1 << bit
    assert cpp_verify(z, r, pow(s, -1, ORDER), key)
    assert native.ecdsa_verify(raw(*good) + raw(*broken) + raw(*other_y)) == b"\x01\x00\x01"


def test_signatures_of_another_signer_hold() -> None:
    for secret in range(1, 20):
        r, s = cpp_sign(secret * 3**100 % 2**251, secret)
        record = raw(cpp_get_public_key(secret), secret * 3**100 % 2**251, r, s)
        assert native.ecdsa_verify(record) == b"\x01"


def test_a_signature_with_numbers_out_of_range_does_not_hold() -> None:
    key, z, r, s = signature(77, 123456789)
    rest = [
        (key, z, 0, s),
        (key, z, r, 0),
        (key, z, r + P, s),
        (key, z, r, s + ORDER),
        (key, z + 2**251, r, s),
        (key, z + ORDER, r, s),
        (key + P, z, r, s),
        (0, z, r, s),
        (P, z, r, s),
        (2**256 - 1, 2**256 - 1, 2**256 - 1, 2**256 - 1),
        (key, z, ORDER, s),
        (key, z, r, ORDER),
        signature(77, 0),
        (5, z, r, s),  # no point has this x
    ]
    records = b"".join(raw(*record) for record in [(key, z, r, s), *rest])
    assert native.ecdsa_verify(records) == b"\x01" + bytes(len(rest))
    assert native.ecdsa_verify(b"") == b""


@pytest.mark.parametrize("secret", [1, 2, 3, 15, 255, 256, ORDER - 1, ORDER - 2])
@pytest.mark.parametrize("message", [1, 2, 2**251 - 1])
def test_keys_near_the_generator_and_odd_messages_verify(secret: int, message: int) -> None:
    # Multiples of the key's point meet those of the generator: the additions' special cases.
    assert native.ecdsa_verify(raw(*signature(secret, message))) == b"\x01"


BUFFER_CALLS = [native.pedersen_pairs, native.poseidon_pairs, native.ecdsa_verify]


@pytest.mark.parametrize("call", BUFFER_CALLS)
@pytest.mark.parametrize("length", [1, 31, 32, 33, 63, 65, 127, 129])
def test_buffers_of_a_wrong_length_are_refused(call: Callable[[bytes], bytes], length: int) -> None:
    with pytest.raises(ValueError, match="multiple"):
        call(bytes(length))


PAIR_CALLS = [native.pedersen, native.poseidon]
INT_CALLS = [native.pedersen_int, native.poseidon_int]


@pytest.mark.parametrize("felt", [P, P + 1, 2**252, 2**256 - 1])
def test_no_function_takes_a_number_from_p_up(felt: int) -> None:
    good, bad = raw(1), raw(felt)
    calls: list[Callable[[], object]] = [
        *(lambda call=call: call(good, bad) for call in PAIR_CALLS),
        *(lambda call=call: call(bad, good) for call in PAIR_CALLS),
        *(lambda call=call: call(1, felt) for call in INT_CALLS),
        *(lambda call=call: call(felt, 1) for call in INT_CALLS),
        lambda: native.pedersen_pairs(good + bad),
        lambda: native.poseidon_pairs(bad + good),
        lambda: native.pedersen_array_ints([1, felt]),
        lambda: native.poseidon_many_ints([felt]),
        lambda: native.pedersen_chains(bad, offsets_of([[1]])),
        lambda: native.poseidon_many(bad, offsets_of([[1]])),
        lambda: native.patricia_root(native.POSEIDON, 64, good + bad),
        lambda: native.trie_update(native.POSEIDON, 0, [(b"", entry(1, felt))], {b"\0": None}),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="prime"):
            call()


@pytest.mark.parametrize("number", [-1, -P, 2**256, 2**300])
@pytest.mark.parametrize("call", INT_CALLS)
def test_integers_that_do_not_fit_are_refused(call: Callable[[int, int], int], number: int) -> None:
    with pytest.raises(ValueError, match="prime"):
        call(number, 1)


def test_arguments_of_a_wrong_kind_are_refused() -> None:
    calls: list[Callable[..., object]] = [
        lambda: native.pedersen("a" * 32, bytes(32)),  # type: ignore[arg-type]
        lambda: native.pedersen(bytes(32)),  # type: ignore[call-arg]
        lambda: native.pedersen_int(1.0, 2),  # type: ignore[arg-type]
        lambda: native.poseidon_many_ints(5),  # type: ignore[arg-type]
        lambda: native.poseidon_many_ints(["a"]),  # type: ignore[list-item]
        lambda: native.patricia_root("poseidon", 64, b""),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    for bad in (bytes(31), bytes(33), b""):
        with pytest.raises(ValueError, match="32 bytes"):
            native.pedersen(bad, bytes(32))
    for height in (0, 65, -1):
        with pytest.raises(ValueError, match="height"):
            native.patricia_root(native.PEDERSEN, height, b"")
    with pytest.raises(ValueError, match="kind"):
        native.patricia_root(2, 64, b"")


@pytest.mark.parametrize(
    "offsets",
    [[], [1], [0, 1], [0, 3], [1, 2], [0, 2, 1, 2], [0, 2**64 - 1, 2], [2, 0, 2]],
)
def test_offsets_that_do_not_divide_the_felts_are_refused(offsets: list[int]) -> None:
    for call in (native.poseidon_many, native.pedersen_chains):
        with pytest.raises(ValueError, match="offsets"):
            call(raw(1, 2), array.array("Q", offsets))
        with pytest.raises(ValueError, match="offsets"):
            call(raw(1, 2), bytes(12))


def test_any_buffer_will_do() -> None:
    flat = raw(1, 2, 3, 4)
    for form in (bytearray(flat), memoryview(flat)):
        assert native.pedersen_pairs(form) == native.pedersen_pairs(flat)
    half = memoryview(flat)[32:64]
    assert native.pedersen(half, bytearray(raw(3))) == raw(pedersen(2, 3))


def test_threads_that_hash_at_once_get_what_one_gets() -> None:
    flat = raw(*(pow(7, i, P) for i in range(400)))
    expected = native.pedersen_pairs(flat), native.poseidon_pairs(flat)
    wrong: list[int] = []

    def work() -> None:
        for _ in range(10):
            if (native.pedersen_pairs(flat), native.poseidon_pairs(flat)) != expected:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
