"""The Patricia trie by its definition, from all of its leaves: what the kernel's work is compared with."""

from collections.abc import Mapping, Sequence

from starknet.felt import P, to_bytes32
from starknet.hashes import PairHash
from starknet.trie import HEIGHT


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


class Packed:
    """A trie's root, and its pages by their names, as a map leads to them."""

    def __init__(
        self, name: bytes, values: Mapping[int, int], pair: PairHash, page_bytes: int
    ) -> None:
        self.name = name
        self.pair = pair
        self.page_bytes = page_bytes
        self.root = 0
        self.pages: dict[bytes, bytes] = {}
        leaves = sorted((key, value) for key, value in values.items() if value)
        if leaves:
            self.root, self.pages[name + b"\0"] = self.link(leaves, 0, topmost=True)

    def link(
        self, leaves: Sequence[tuple[int, int]], start: int, *, topmost: bool = False
    ) -> tuple[int, bytes]:
        """The hash of what begins on level `start`, and what the node above says of it."""
        first, last = leaves[0][0], leaves[-1][0]
        level = HEIGHT - (first ^ last).bit_length()
        mark, tail = b"", b""
        if level == HEIGHT:
            child = leaves[0][1]
        else:
            child, node = self.node(leaves, level)
            if len(node) > self.page_bytes and not topmost:
                self.pages[self.page_name(first, level)] = node
                mark = b"\xfc"
            else:
                tail = len(node).to_bytes(2, "big") + node
        length = level - start
        if length == 0:
            return child, mark + bytes([level]) + to_bytes32(child) + tail
        path = first >> HEIGHT - level & (1 << length) - 1
        own = (self.pair(child, path) + length) % P
        run = path.to_bytes((length + 7) // 8, "big")
        return own, mark + bytes([level]) + to_bytes32(own) + to_bytes32(child) + run + tail

    def node(self, leaves: Sequence[tuple[int, int]], level: int) -> tuple[int, bytes]:
        """The hash and bytes of the node on a level, above at least two leaves."""
        sides: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for leaf in leaves:
            sides[leaf[0] >> HEIGHT - level - 1 & 1].append(leaf)
        (left, left_bytes), (right, right_bytes) = (self.link(side, level + 1) for side in sides)
        return self.pair(left, right), left_bytes + right_bytes

    def page_name(self, key: int, level: int) -> bytes:
        """What the page of a node on the way to a key is called."""
        path = key >> HEIGHT - level
        return self.name + bytes([level]) + path.to_bytes((level + 7) // 8, "big")
