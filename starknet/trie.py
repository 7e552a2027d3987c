"""The Patricia trie: keeps a commitment to a map of felts, and the pages that tell its nodes.

A trie of 251 levels holds non-zero values under keys of 251 bits. Its pages live wherever the caller keeps them, under
names of bytes; ``native/trie.c`` says what they hold. Roots and pages depend on the map alone, not on the order or the
batches in which it came to be.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

from starknet.felt import HASH_BYTES, P, from_bytes, to_bytes32
from starknet.hashes import KERNEL_KINDS, PairHash
from starknet.native import trie_update

HEIGHT = 251
PAGE_BYTES = 768  # a node that takes more has a page of its own: see docs/performance.md
IN_OWN_PAGE = 252
SIZE_BYTES = 2

Pages = Mapping[bytes, bytes | None]
ReadPages = Callable[[Sequence[bytes]], Sequence[bytes | None]]


class MissingNode(LookupError):
    """A node that the one above it promises is not there, or is no node: what keeps the trie is damaged."""


class Binary(NamedTuple):
    """A node with something on both sides."""

    left: int
    right: int


class Edge(NamedTuple):
    """A node above a run of `length` levels (at least one) without a second side; `path` is its bits."""

    child: int
    length: int
    path: int


Node = Binary | Edge


@dataclass(frozen=True)
class TriesUpdate:
    """Roots after a batch of changes, by the tries' names, and the pages that differ: None is for one that is gone."""

    roots: dict[bytes, int]
    pages: dict[bytes, bytes | None]


def update(
    read: ReadPages,
    pair: PairHash,
    tries: Mapping[bytes, Mapping[int, int]],
    page_bytes: int = PAGE_BYTES,
) -> TriesUpdate:
    """Set every key of every trie to its value, 0 meaning absent; hash all that differs together.

    `read` gives the pages of some names as they were before, or None; it is called once for each level of pages.
    `pair` is one of ``pedersen`` and ``poseidon``. Raises MissingNode; ValueError for a key or value out of range.
    """
    changes = [(name, _packed(entries)) for name, entries in tries.items()]
    pages: dict[bytes, bytes | None] = {}
    try:
        while True:  # each turn leads at least one level down
            result = trie_update(KERNEL_KINDS[pair], page_bytes, changes, pages)
            if isinstance(result, tuple):
                break
            pages.update(zip(result, read(result), strict=True))
    except LookupError as error:
        raise MissingNode(str(error)) from error
    roots, written = result
    return TriesUpdate(dict(zip(tries, _cut(roots), strict=True)), written)


def _packed(entries: Mapping[int, int]) -> bytes:
    return b"".join([to_bytes32(part) for entry in sorted(entries.items()) for part in entry])


def _cut(felts: bytes) -> Iterator[int]:
    return (from_bytes(felts[at : at + HASH_BYTES]) for at in range(0, len(felts), HASH_BYTES))


def find(read: ReadPages, name: bytes, key: int) -> int:
    """The value under a key of a trie, 0 if there is none; raises MissingNode."""
    return way(read, name, key)[1]


def way(read: ReadPages, name: bytes, key: int) -> tuple[list[Node], int]:
    """The nodes from the root of a trie towards a key, and the key's value; raises MissingNode.

    Where the value is 0, the last node leads elsewhere, or there is no node at all.
    """
    nodes: list[Node] = []
    body = _page(read, name, 0, 0)
    if body is None:
        return nodes, 0
    (link,) = _links(body, 0, 1)
    while True:
        level = link.level
        if link.length:
            nodes.append(Edge(link.child, link.length, link.path))
            if key >> HEIGHT - level & (1 << link.length) - 1 != link.path:
                return nodes, 0
        if level == HEIGHT:
            return nodes, link.child
        body = link.node or _page(read, name, level, key >> HEIGHT - level)
        if body is None:
            raise _missing(name, level, key >> HEIGHT - level)
        sides = _links(body, level + 1, 2)
        nodes.append(Binary(sides[0].hash, sides[1].hash))
        link = sides[key >> HEIGHT - level - 1 & 1]


def root(read: ReadPages, name: bytes) -> int:
    """The root that the pages of a trie state, 0 for none; raises MissingNode where its page is damaged."""
    body = _page(read, name, 0, 0)
    return 0 if body is None else _links(body, 0, 1)[0].hash


def leaves(read: ReadPages, name: bytes, pair: PairHash) -> Iterator[tuple[int, int]]:
    """Yield every (key, value) of a trie, keys ascending; raises MissingNode at a node that its hash is not of."""
    body = _page(read, name, 0, 0)
    links = [] if body is None else [(_links(body, 0, 1)[0], 0)]
    while links:  # at most one for each level, and one more
        link, above = links.pop()
        path = above << link.length | link.path
        edge = Edge(link.child, link.length, link.path)
        if link.length and node_hash(edge, pair) != link.hash:
            raise _wrong(name, link.level, path)
        if link.level == HEIGHT:
            yield path, link.child
            continue
        body = link.node or _page(read, name, link.level, path)
        if body is None:
            raise _missing(name, link.level, path)
        left, right = _links(body, link.level + 1, 2)
        if node_hash(Binary(left.hash, right.hash), pair) != link.child:
            raise _wrong(name, link.level, path)
        links += [(right, path << 1 | 1), (left, path << 1)]


def node_hash(node: Node, pair: PairHash) -> int:
    """The hash by which the node above, or the trie's root, knows a node."""
    if isinstance(node, Binary):
        return pair(node.left, node.right)
    return (pair(node.child, node.path) + node.length) % P


def _missing(name: bytes, level: int, path: int) -> MissingNode:
    return MissingNode(f"trie node {_page_name(name, level, path).hex()} is missing")


def _wrong(name: bytes, level: int, path: int) -> MissingNode:
    return MissingNode(f"trie node {_page_name(name, level, path).hex()} does not fit its hash")


class _Link(NamedTuple):
    """What a node says of one side: an edge of any length, 0 too, that ends on `level`."""

    hash: int
    child: int
    length: int
    path: int
    level: int
    node: bytes  # nothing if it is a value, or in a page of its own


def _links(body: bytes, start: int, count: int) -> list[_Link]:
    """The links that begin on one level; raises MissingNode unless the body is these and no more."""
    data = BytesIO(body)
    try:
        links = [_link(data, start) for _ in range(count)]
        if data.read(1):
            raise ValueError("bytes beyond the node")
    except ValueError as error:
        raise MissingNode(f"trie node on level {start - 1} is damaged: {error}") from error
    return links


def _link(data: BytesIO, start: int) -> _Link:
    level = _take(data, 1)[0]
    elsewhere = level == IN_OWN_PAGE
    if elsewhere:
        level = _take(data, 1)[0]
    if not start <= level <= HEIGHT:
        raise ValueError(f"an edge from level {start} to {level}")
    hash = child = from_bytes(_take(data, HASH_BYTES))
    path = 0
    if level > start:
        child = from_bytes(_take(data, HASH_BYTES))
        path = int.from_bytes(_take(data, (level - start + 7) // 8), "big")
        if path >> level - start:
            raise ValueError(f"a path of more than {level - start} bits")
    node = b""
    if level < HEIGHT and not elsewhere:
        node = _take(data, int.from_bytes(_take(data, SIZE_BYTES), "big"))
    return _Link(hash, child, level - start, path, level, node)


def _take(data: BytesIO, size: int) -> bytes:
    taken = data.read(size)
    if len(taken) != size:
        raise ValueError("bytes are missing")
    return taken


def _page(read: ReadPages, name: bytes, level: int, path: int) -> bytes | None:
    return read([_page_name(name, level, path)])[0]


def _page_name(name: bytes, level: int, path: int) -> bytes:
    return name + bytes([level]) + path.to_bytes((level + 7) // 8, "big")
