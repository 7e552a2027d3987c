"""Claims about the Patricia trie and its pages, against the definition written out recursively."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starknet.felt import P
from starknet.hashes import PairHash, list_root, pedersen, poseidon
from starknet.trie import HEIGHT, Binary, Edge, MissingNode, find, leaves, root, update, way
from tests.starknet.tries import Packed, map_root

LIST_OF_3 = 0x3B5CC7F1292EB3847C3F902D048A7E5DC7702D1C191CCD17C2D33F797E6FC32
NAME = b"trie"
Batches = list[dict[int, int]]


class Trie:
    """A trie whose pages are kept in a dict."""

    def __init__(self, page_bytes: int = 0, pair: PairHash = poseidon) -> None:
        self.page_bytes = page_bytes
        self.pair = pair
        self.stored: dict[bytes, bytes] = {}
        self.asked: list[list[bytes]] = []

    def read(self, names: Sequence[bytes]) -> list[bytes | None]:
        self.asked.append(list(names))
        return [self.stored.get(name) for name in names]

    def set(self, changes: Mapping[int, int]) -> int:
        self.asked.clear()
        result = update(self.read, self.pair, {NAME: changes}, self.page_bytes)
        for name, page in result.pages.items():
            if page is None:
                del self.stored[name]  # KeyError if it was never there
            else:
                assert self.stored.get(name) != page, "what is the same is not written"
                self.stored[name] = page
        return result.roots[NAME]

    def find(self, key: int) -> int:
        return find(self.read, NAME, key)


near = st.integers(0, 40)
keys = st.one_of(
    near,
    near.map(lambda key: (1 << HEIGHT) - 1 - key),
    st.integers(0, HEIGHT - 1).map(lambda bit: 1 << bit),
    st.integers(0, (1 << HEIGHT) - 1),
)
values = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, P - 1))
batches = st.lists(st.dictionaries(keys, values, max_size=12), min_size=1, max_size=8)
sizes = st.sampled_from([0, 150, 400, 2000])


def grown(changes: Batches, page_bytes: int) -> tuple[Trie, dict[int, int]]:
    """A trie after batches of changes, and the map that it holds."""
    trie = Trie(page_bytes)
    now: dict[int, int] = {}
    for batch in changes:
        trie.set(batch)
        now |= batch
    return trie, now


@settings(max_examples=200, deadline=None)
@given(batches, sizes, st.sampled_from([pedersen, poseidon]))
def test_any_batches_of_changes_lead_to_the_root_and_pages_of_the_map(
    changes: Batches, page_bytes: int, pair: PairHash
) -> None:
    trie = Trie(page_bytes, pair)
    now: dict[int, int] = {}
    for batch in changes:
        now |= batch
        root = trie.set(batch)
        expected = Packed(NAME, now, pair, page_bytes)
        assert root == expected.root == map_root(HEIGHT, now, pair)
        assert trie.stored == expected.pages
    for key, value in now.items():
        assert trie.find(key) == value


@settings(max_examples=60, deadline=None)
@given(batches, sizes)
def test_deleting_everything_leaves_nothing(changes: Batches, page_bytes: int) -> None:
    trie, now = grown(changes, page_bytes)
    assert trie.set(dict.fromkeys(now, 0)) == 0
    assert trie.stored == {}


@settings(max_examples=60, deadline=None)
@given(batches, sizes)
def test_setting_what_is_there_changes_no_page(changes: Batches, page_bytes: int) -> None:
    trie, now = grown(changes, page_bytes)
    again = update(trie.read, poseidon, {NAME: now}, page_bytes)
    assert again.pages == {}
    assert again.roots == {NAME: map_root(HEIGHT, now, poseidon)}


@settings(max_examples=60, deadline=None)
@given(batches, batches, sizes)
def test_tries_changed_together_are_those_changed_alone(
    first: Batches, second: Batches, page_bytes: int
) -> None:
    tries = {bytes([i]): grown([batch], page_bytes)[1] for i, batch in enumerate(first)}
    alone = [Packed(name, tries[name], poseidon, page_bytes) for name in tries]
    stored = {name: page for trie in alone for name, page in trie.pages.items()}
    changes = dict(zip(tries, second, strict=False))
    together = update(lambda names: list(map(stored.get, names)), poseidon, changes, page_bytes)
    for name, page in together.pages.items():
        stored.pop(name, None)
        if page is not None:
            stored[name] = page
    after = [
        Packed(name, tries[name] | changes.get(name, {}), poseidon, page_bytes) for name in tries
    ]
    assert stored == {name: page for trie in after for name, page in trie.pages.items()}
    roots = {trie.name: trie.root for trie in after}
    assert together.roots == {name: roots[name] for name in changes}


@settings(max_examples=60, deadline=None)
@given(batches, sizes, keys)
def test_the_way_to_a_key_hashes_to_the_root(changes: Batches, page_bytes: int, key: int) -> None:
    trie, now = grown(changes, page_bytes)
    for asked in (*now, key):
        nodes, value = way(trie.read, NAME, asked)
        assert value == now.get(asked, 0)
        level, expected = 0, map_root(HEIGHT, now, poseidon)
        for node in nodes:
            if isinstance(node, Binary):
                assert poseidon(*node) == expected
                expected = node[asked >> HEIGHT - level - 1 & 1]
                level += 1
            else:
                assert (poseidon(node.child, node.path) + node.length) % P == expected
                expected = node.child
                level += node.length
        if value:
            assert (level, expected) == (HEIGHT, value)
        elif nodes:
            last = nodes[-1]
            assert isinstance(last, Edge)
            assert asked >> HEIGHT - level & (1 << last.length) - 1 != last.path


@settings(max_examples=40, deadline=None)
@given(batches, st.sampled_from([0, 150]), st.dictionaries(keys, values, min_size=1, max_size=3))
def test_each_page_is_read_once_and_only_on_the_way_to_a_key(
    changes: Batches, page_bytes: int, batch: dict[int, int]
) -> None:
    trie, _ = grown(changes, page_bytes)
    before = dict(trie.stored)
    trie.set(batch)
    asked = [name for names in trie.asked for name in names]
    assert len(asked) == len(set(asked))
    for name in asked:
        level = name[len(NAME)]
        path = int.from_bytes(name[len(NAME) + 1 :], "big")
        if not any(key >> HEIGHT - level == path for key in batch):  # it is the topmost node now
            assert name not in trie.stored
            assert before[name] in trie.stored[NAME + b"\0"]


def test_a_node_at_every_depth_does_not_exhaust_the_stack() -> None:
    leaves = {1 << bit: bit + 1 for bit in range(HEIGHT)} | {0: 7}
    for page_bytes in (0, 1000):
        trie = Trie(page_bytes)
        assert trie.set(leaves) == map_root(HEIGHT, leaves, poseidon)
        assert trie.set({0: 8}) == map_root(HEIGHT, leaves | {0: 8}, poseidon)
        assert trie.set({0: 0, 1: 0}) == map_root(HEIGHT, leaves | {0: 0, 1: 0}, poseidon)


def test_a_list_is_a_map_by_index() -> None:
    leaves = {index: index * 7 + 1 for index in range(37)}
    assert list_root(list(leaves.values()), pedersen) == map_root(64, leaves, pedersen)
    assert map_root(64, {0: 1, 1: 2, 2: 3}, poseidon) == LIST_OF_3


def test_the_topmost_node_stands_in_the_first_page_even_if_it_had_one_of_its_own() -> None:
    trie = Trie()
    trie.set({0: 1, 32: 2, 33: 3})
    assert len(trie.stored) == 2
    trie.set({0: 0})
    assert trie.stored == Packed(NAME, {32: 2, 33: 3}, poseidon, 0).pages
    assert len(trie.stored) == 1
    trie.set({0: 1})
    assert trie.stored == Packed(NAME, {0: 1, 32: 2, 33: 3}, poseidon, 0).pages


def test_a_missing_page_is_an_error_and_not_an_empty_subtree() -> None:
    trie = Trie()
    trie.set({key << 248: key + 1 for key in range(8)})
    assert len(trie.stored) == 7
    del trie.stored[NAME + b"\x02\x03"]
    with pytest.raises(MissingNode, match="trie node 747269650203 is missing"):
        trie.set({7 << 248: 5})
    with pytest.raises(MissingNode, match="trie node 747269650203 is missing"):
        trie.find(7 << 248)
    trie.set({1: 5})


@settings(max_examples=200, deadline=None)
@given(st.data(), batches, sizes, st.dictionaries(keys, values, min_size=1, max_size=5))
def test_a_damaged_page_is_an_error_or_another_trie(
    data: st.DataObject, changes: Batches, page_bytes: int, batch: dict[int, int]
) -> None:
    trie, now = grown([*changes, {1: 1}], page_bytes)
    name = data.draw(st.sampled_from(sorted(trie.stored)))
    page = bytearray(trie.stored[name])
    at = data.draw(st.integers(0, len(page) - 1))
    page[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    trie.stored[name] = bytes(page)
    with suppress(MissingNode):
        trie.set(batch)
    for key in (*now, *batch):
        with suppress(MissingNode):
            trie.find(key)


def test_a_page_that_ends_early_or_late_or_holds_no_felt_or_no_path_is_damaged() -> None:
    trie = Trie()
    trie.set({5: 1})
    root = NAME + b"\0"
    good = trie.stored[root]
    no_felt = good[:1] + b"\xff" * 32 + good[33:]
    no_path = good[:65] + b"\x08" + good[66:]  # more than 251 bits
    for bad in (b"", good[:-1], good + b"\0", no_felt, no_path, b"\xff" + good[1:]):
        trie.stored[root] = bad
        with pytest.raises(MissingNode, match="damaged"):
            trie.set({0: 3})
        with pytest.raises(MissingNode, match="damaged"):
            trie.find(0)


@pytest.mark.parametrize("changes", [{1 << HEIGHT: 1}, {0: P}])
def test_keys_and_values_out_of_range_are_refused(changes: dict[int, int]) -> None:
    with pytest.raises(ValueError, match=r"251 bits|prime"):
        Trie().set(changes)


@settings(max_examples=60, deadline=None)
@given(batches, sizes)
def test_all_leaves_are_those_of_the_map_and_the_root_is_stated(
    changes: Batches, page_bytes: int
) -> None:
    trie, now = grown(changes, page_bytes)
    kept = {key: value for key, value in now.items() if value}
    assert list(leaves(trie.read, NAME, poseidon)) == sorted(kept.items())
    assert root(trie.read, NAME) == map_root(HEIGHT, kept, poseidon)


@pytest.mark.parametrize("page_bytes", [0, 400])
def test_every_byte_of_every_page_counts_where_all_leaves_are_read(page_bytes: int) -> None:
    trie, _ = grown([{1: 5, 2: 6, 8: 4, 9: 7, 1 << 200: 8, (1 << HEIGHT) - 1: 9}], page_bytes)
    whole = dict(trie.stored)
    rows, stated = list(leaves(trie.read, NAME, poseidon)), root(trie.read, NAME)
    for name, page in whole.items():
        for at in range(len(page)):
            trie.stored[name] = page[:at] + bytes([page[at] ^ 1]) + page[at + 1 :]
            with suppress(MissingNode):
                found = list(leaves(trie.read, NAME, poseidon)), root(trie.read, NAME)
                assert found[1] != stated, (
                    name,
                    at,
                )  # what is said of the root is not below itself
        trie.stored[name] = page
        del trie.stored[name]
        with suppress(MissingNode):
            assert list(leaves(trie.read, NAME, poseidon)) != rows
        trie.stored[name] = page
