"""Claims about the Patricia trie, against the definition written out recursively."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starknet.felt import P
from starknet.hashes import PairHash, list_root, pedersen, poseidon
from starknet.trie import (
    HEIGHT,
    ROOT,
    Binary,
    Edge,
    MissingNode,
    Node,
    NodePath,
    Sheet,
    find,
    node_from_bytes,
    plan,
    reach,
    update,
)

LIST_OF_3 = 0x3B5CC7F1292EB3847C3F902D048A7E5DC7702D1C191CCD17C2D33F797E6FC32


def cheap(a: int, b: int) -> int:
    """A pair hash quick enough for thousands of tries."""
    return (a * 0x1F0E3DAD99908345F7439F8FFABDFFC4 + b * 31337 + (a ^ b) * 7 + 1) % P


def map_root(height: int, values: Mapping[int, int], pair: PairHash) -> int:
    """The root by the definition: two children, or an edge as long as it can be."""
    kept = {key: value for key, value in values.items() if value}
    if not kept:
        return 0
    if height == 0:
        return kept[0]
    first, last = min(kept), max(kept)
    run = height - (first ^ last).bit_length()
    if run:
        rest = height - run
        below = {key & (1 << rest) - 1: value for key, value in kept.items()}
        return (pair(map_root(rest, below, pair), first >> rest) + run) % P
    half = 1 << height - 1
    left = {key: value for key, value in kept.items() if key < half}
    right = {key - half: value for key, value in kept.items() if key >= half}
    return pair(map_root(height - 1, left, pair), map_root(height - 1, right, pair))


class Trie:
    """A trie whose nodes are kept as bytes in a dict."""

    def __init__(self, height: int, pair: PairHash = cheap) -> None:
        self.height = height
        self.pair = pair
        self.stored: dict[NodePath, bytes] = {}
        self.hashed = 0

    def read(self, path: NodePath) -> Node | None:
        data = self.stored.get(path)
        return None if data is None else node_from_bytes(data)

    def hash(self, a: int, b: int) -> int:
        self.hashed += 1
        return self.pair(a, b)

    def set(self, changes: Mapping[int, int]) -> int:
        self.hashed = 0
        result = update(self.read, self.height, self.hash, changes)
        for path, node in result.nodes.items():
            if node is None:
                del self.stored[path]  # KeyError if it was never there
            else:
                self.stored[path] = node.to_bytes()
        return result.root


@st.composite
def batches(draw: st.DrawFn) -> tuple[int, list[dict[int, int]]]:
    """A height and batches of changes, near each other or not, with many deletions."""
    height = draw(st.sampled_from([1, 2, 3, 5, 8, 64, HEIGHT]))
    near = st.integers(0, min(40, (1 << height) - 1))
    top = near.map(lambda key: (1 << height) - 1 - key)
    powers = st.integers(0, height - 1).map(lambda bit: 1 << bit)
    keys = st.one_of(near, top, powers, st.integers(0, (1 << height) - 1))
    values = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, P - 1))
    many = st.lists(st.dictionaries(keys, values, max_size=12), min_size=1, max_size=8)
    return height, draw(many)


@settings(max_examples=400, deadline=None)
@given(batches())
def test_any_batches_of_changes_lead_to_the_root_of_the_map(
    case: tuple[int, list[dict[int, int]]],
) -> None:
    height, changes = case
    trie = Trie(height)
    now: dict[int, int] = {}
    for batch in changes:
        now |= batch
        assert trie.set(batch) == map_root(height, now, cheap)
    for key, value in now.items():
        assert find(trie.read, height, key) == value


@settings(max_examples=200, deadline=None)
@given(batches())
def test_the_stored_nodes_are_those_of_one_batch_and_no_others(
    case: tuple[int, list[dict[int, int]]],
) -> None:
    height, changes = case
    trie, at_once = Trie(height), Trie(height)
    now: dict[int, int] = {}
    for batch in changes:
        trie.set(batch)
        now |= batch
    at_once.set(now)
    assert trie.stored == at_once.stored


@settings(max_examples=100, deadline=None)
@given(batches())
def test_deleting_everything_leaves_nothing(case: tuple[int, list[dict[int, int]]]) -> None:
    height, changes = case
    trie = Trie(height)
    for batch in changes:
        trie.set(batch)
    everything = dict.fromkeys((key for batch in changes for key in batch), 0)
    assert trie.set(everything) == 0
    assert trie.stored == {}


@settings(max_examples=100, deadline=None)
@given(batches())
def test_setting_what_is_there_changes_no_node(case: tuple[int, list[dict[int, int]]]) -> None:
    height, changes = case
    trie = Trie(height)
    root = 0
    for batch in changes:
        root = trie.set(batch)
        again = update(trie.read, height, cheap, batch)
        assert again.root == root
        assert again.nodes == {}


@settings(max_examples=60, deadline=None)
@given(batches(), st.sampled_from([pedersen, poseidon]))
def test_tries_hashed_together_by_the_kernel_are_those_hashed_alone(
    case: tuple[int, list[dict[int, int]]], pair: PairHash
) -> None:
    height, changes = case
    sheet = Sheet()
    plans = [plan(lambda _: None, height, batch, sheet) for batch in changes]
    hashes = sheet.solve(pair)
    for batch, planned in zip(changes, plans, strict=True):
        alone = update(lambda _: None, height, lambda a, b: pair(a, b), batch)
        assert planned.settle(hashes) == alone
        assert alone.root == map_root(height, batch, pair)


@settings(max_examples=100, deadline=None)
@given(batches())
def test_what_was_reached_is_enough_for_changes_that_delete_nothing(
    case: tuple[int, list[dict[int, int]]],
) -> None:
    height, changes = case
    trie = Trie(height)
    for batch in changes:
        trie.set(batch)
        kept = {key: value or 1 for key, value in batch.items()} or {0: 1}
        reached = reach(
            lambda places: [trie.read(path) for _, path in places], height, {"a": sorted(kept)}
        )
        found = update(lambda path: reached["a", path], height, cheap, kept)  # noqa: B023
        assert found == update(trie.read, height, cheap, kept)


def test_each_node_on_the_way_is_hashed_once() -> None:
    trie = Trie(HEIGHT)
    trie.set({key << 240: key + 1 for key in range(64)})
    trie.set({5 << 240: 999})
    # the leaf's edge and the six nodes above it, and the run of zeros at the root
    assert trie.hashed == 8


def test_no_change_costs_one_hash() -> None:
    trie = Trie(HEIGHT)
    assert trie.set({}) == 0
    root = trie.set({1 << 250: 1, 1: 2})
    assert trie.set({}) == root
    assert trie.hashed == 1


def test_a_node_at_every_depth_does_not_exhaust_the_stack() -> None:
    keys = {1 << bit: bit + 1 for bit in range(HEIGHT)} | {0: 7}
    trie = Trie(HEIGHT)
    assert trie.set(keys) == map_root(HEIGHT, keys, cheap)
    assert trie.set({0: 8}) == map_root(HEIGHT, keys | {0: 8}, cheap)
    assert trie.set({0: 0, 1: 0}) == map_root(HEIGHT, keys | {0: 0, 1: 0}, cheap)


def test_a_list_is_a_map_of_height_64_by_index() -> None:
    values = {0: 1, 1: 2, 2: 3}
    assert Trie(64, poseidon).set(values) == LIST_OF_3
    many = {index: index * 7 + 1 for index in range(37)}
    assert Trie(64, pedersen).set(many) == list_root(list(many.values()), pedersen)


def test_the_length_of_an_edge_is_added_in_the_field() -> None:
    assert Trie(64, lambda a, b: P - 1).set({1: 5}) == 63


def test_a_missing_node_is_an_error_and_not_an_empty_subtree() -> None:
    trie = Trie(8)
    trie.set({0: 1, 255: 2, 254: 3})
    assert isinstance(trie.read(ROOT), Binary)
    del trie.stored[NodePath(1, 1)]
    with pytest.raises(MissingNode):
        trie.set({255: 5})
    with pytest.raises(MissingNode):
        find(trie.read, 8, 255)


@given(
    st.one_of(
        st.builds(Binary, st.integers(0, P - 1), st.integers(0, P - 1)),
        st.integers(1, HEIGHT).flatmap(
            lambda run: st.builds(
                Edge, st.integers(0, P - 1), st.just(run), st.integers(0, (1 << run) - 1)
            )
        ),
    )
)
def test_a_node_is_read_as_it_was_written(node: Node) -> None:
    assert node_from_bytes(node.to_bytes()) == node
    assert type(node_from_bytes(node.to_bytes())) is type(node)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0" * 64, b"\x05" + bytes(32), bytes(66)])
def test_bytes_that_are_no_node_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="trie node"):
        node_from_bytes(data)


def test_paths_have_distinct_bytes() -> None:
    paths = [NodePath(length, bits) for length in range(10) for bits in range(1 << length)]
    assert len({path.to_bytes() for path in paths}) == len(paths)
