"""The Patricia trie: keeps a commitment to a map of felts and tells which nodes a batch of changes rewrites.

A trie of height h holds non-zero values under keys of h bits. Its nodes live wherever the caller keeps them,
under their path from the root; leaves are not nodes, their values stand in the node above. The result
depends on the map alone, not on the order or the batches in which it came to be.

An update is planned first, node by node, and hashed afterwards: all that is planned on one ``Sheet``, of however
many tries, is hashed in one call of the kernel.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from starknet.felt import HASH_BYTES, P, to_bytes32
from starknet.hashes import KERNEL_KINDS, PairHash
from starknet.native import node_hashes

HEIGHT = 251  # of the tries of contracts, classes and storage
UNKNOWN = -1  # hash of a root that no node above states
FIRST = -2  # of the numbers that stand for hashes to come; the next ones are below
LEFT_REFERS, RIGHT_REFERS = 1, 2  # flags in what the kernel takes


class NodePath(NamedTuple):
    """The way from the root to a node: `bits`, the first one highest, is a number of `length` bits."""

    length: int
    bits: int

    def down(self, length: int, bits: int) -> "NodePath":
        """The path that goes on by `length` bits."""
        return NodePath(self.length + length, self.bits << length | bits)

    def to_bytes(self) -> bytes:
        """One byte of length, then the bits in as few bytes as the length needs."""
        return bytes([self.length]) + self.bits.to_bytes((self.length + 7) // 8, "big")


class Binary(NamedTuple):
    """A node with something on both sides."""

    left: int
    right: int

    def to_bytes(self) -> bytes:
        """A zero byte, then two hashes of 32 bytes."""
        return b"\0" + to_bytes32(self.left) + to_bytes32(self.right)


class Edge(NamedTuple):
    """A node above a run of `length` levels (at least one) without a second side; `path` is its bits."""

    child: int
    length: int
    path: int

    def to_bytes(self) -> bytes:
        """One byte of length, the child's hash of 32 bytes, then the bits in as few bytes as needed."""
        path = self.path.to_bytes((self.length + 7) // 8, "big")
        return bytes([self.length]) + to_bytes32(self.child) + path


Node = Binary | Edge
ROOT = NodePath(0, 0)


@dataclass(frozen=True)
class TrieUpdate:
    """The root after a batch of changes, and the nodes that differ: None stands for one that is gone."""

    root: int
    nodes: dict[NodePath, Node | None]


class MissingNode(LookupError):
    """A node that the one above it promises is not there: what keeps the trie is damaged."""


class Sheet:
    """Nodes that wait for their hashes. A hash to come is known by a negative number, and may go into nodes above."""

    def __init__(self) -> None:
        self._nodes: list[tuple[int, int, int]] = []

    def add(self, left: int, right: int, length: int = 0) -> int:
        """Note a binary node, or an edge (child, path, length); return the number of its hash."""
        self._nodes.append((left, right, length))
        return FIRST + 1 - len(self._nodes)

    def solve(self, hash_pair: PairHash) -> list[int]:
        """All hashes; that of number n stands at ``FIRST - n``."""
        kind = KERNEL_KINDS.get(hash_pair)
        if kind is None:
            return self._one_by_one(hash_pair)
        hashes = node_hashes(kind, b"".join([_record(*node) for node in self._nodes]))
        cuts = range(0, len(hashes), HASH_BYTES)
        return [int.from_bytes(hashes[at : at + HASH_BYTES], "big") for at in cuts]

    def _one_by_one(self, hash_pair: PairHash) -> list[int]:
        hashes: list[int] = []
        for left, right, length in self._nodes:
            pair = (hashes[FIRST - side] if side < 0 else side for side in (left, right))
            hashes.append((hash_pair(*pair) + length) % P)
        return hashes


def _record(left: int, right: int, length: int) -> bytes:
    """A node as the kernel takes it."""
    flags = 0
    if left < 0:
        flags, left = LEFT_REFERS, FIRST - left
    if right < 0:
        flags, right = flags | RIGHT_REFERS, FIRST - right
    return bytes((flags, length)) + left.to_bytes(32, "big") + right.to_bytes(32, "big")


@dataclass(frozen=True)
class Plan:
    """An update whose hashes are still to come: numbers below 0 stand for them."""

    root: int
    nodes: dict[NodePath, Node | None]

    def settle(self, hashes: Sequence[int]) -> TrieUpdate:
        """The update, by the hashes of the sheet that it was planned on."""
        nodes = {path: _settled(node, hashes) for path, node in self.nodes.items()}
        return TrieUpdate(hashes[FIRST - self.root] if self.root < 0 else self.root, nodes)


def _settled(node: Node | None, hashes: Sequence[int]) -> Node | None:
    if isinstance(node, Edge):
        child = node.child
        return Edge(hashes[FIRST - child], node.length, node.path) if child < 0 else node
    if node is None:
        return None
    left, right = node
    if left < 0:
        left = hashes[FIRST - left]
    if right < 0:
        right = hashes[FIRST - right]
    return Binary(left, right)


Read = Callable[[NodePath], Node | None]


def plan(read: Read, height: int, changes: Mapping[int, int], sheet: Sheet) -> Plan:
    """Set every key of `changes` to its value, 0 meaning absent, and note each changed node once.

    `read` gives the node at a path as it was before, or None. Raises MissingNode.
    """
    items = sorted(changes.items())
    assert not items or (items[0][0] >= 0 and items[-1][0] >> height == 0), "keys fit the height"
    batch = _Batch(read, height, sheet)
    old = batch.load(ROOT, UNKNOWN)
    new = batch.merge(ROOT, old, items)
    if new is None:
        return Plan(0, batch.nodes)
    if new == old:
        batch.keep(ROOT)
        return Plan(batch.hash_of(new), batch.nodes)
    return Plan(batch.close(ROOT, new), batch.nodes)


def update(read: Read, height: int, hash_pair: PairHash, changes: Mapping[int, int]) -> TrieUpdate:
    """Plan the changes of one trie, and hash them; raises MissingNode."""
    sheet = Sheet()
    planned = plan(read, height, changes, sheet)
    return planned.settle(sheet.solve(hash_pair))


Name = TypeVar("Name")
ReadMany = Callable[[Sequence[tuple[Name, NodePath]]], Sequence[Node | None]]


def reach(
    read_many: ReadMany[Name], height: int, keys: Mapping[Name, Sequence[int]]
) -> dict[tuple[Name, NodePath], Node | None]:
    """The nodes on the way to the keys of several tries, which are ascending; each level is one read of many.

    Enough for a plan that deletes nothing; a deletion may need a node beside the way. A place without a node
    is there as None.
    """
    reached: dict[tuple[Name, NodePath], Node | None] = {}
    front = [(name, ROOT, 0, len(those)) for name, those in keys.items() if those]
    while front:
        places = [(name, path) for name, path, _, _ in front]
        nodes = read_many(places)
        reached.update(zip(places, nodes, strict=True))
        below: list[tuple[Name, NodePath, int, int]] = []
        for (name, path, first, end), node in zip(front, nodes, strict=True):
            left = height - path.length
            if isinstance(node, Edge):
                child = path.down(node.length, node.path)
                start = child.bits << left - node.length
                first = bisect_left(keys[name], start, first, end)
                end = bisect_left(keys[name], start + (1 << left - node.length), first, end)
                steps = [(name, child, first, end)]
            elif node is not None:
                middle = bisect_left(keys[name], (path.bits << 1 | 1) << left - 1, first, end)
                steps = [
                    (name, path.down(1, 0), first, middle),
                    (name, path.down(1, 1), middle, end),
                ]
            else:
                continue
            below += [step for step in steps if step[2] < step[3] and step[1].length < height]
        front = below
    return reached


def find(read: Read, height: int, key: int) -> int:
    """The value under a key, 0 if there is none; raises MissingNode."""
    path, value = ROOT, 0
    while path.length < height:
        node = read(path)
        if node is None:
            if path != ROOT:
                raise MissingNode(f"trie node of {path.length} bits, {path.bits:#x}")
            return 0
        left = height - path.length
        if isinstance(node, Edge):
            if key >> left - node.length & (1 << node.length) - 1 != node.path:
                return 0
            path, value = path.down(node.length, node.path), node.child
        else:
            bit = key >> left - 1 & 1
            path, value = path.down(1, bit), node[bit]
    return value


def node_from_bytes(data: bytes) -> Node:
    """The node that `to_bytes` of Binary or Edge wrote; raises ValueError."""
    length, body = data[:1], data[1:]
    run = length[0] if length else 0
    size = HASH_BYTES + (run + 7) // 8 if run else 2 * HASH_BYTES
    if len(body) != size:
        raise ValueError(f"trie node of {len(data)} bytes")
    first, second = (int.from_bytes(part, "big") for part in (body[:32], body[32:]))
    return Edge(first, run, second) if run else Binary(first, second)


class _Run(NamedTuple):
    """A subtree: `length` levels with one side only, `path` their bits, then `child`: a binary node or leaf."""

    child: int
    length: int
    path: int

    def up(self, length: int, bits: int) -> "_Run":
        """The same subtree seen from `length` levels above."""
        return _Run(self.child, self.length + length, bits << self.length | self.path)

    def down(self, length: int) -> "_Run":
        """The same subtree seen from `length` levels below, along the run."""
        rest = self.length - length
        return _Run(self.child, rest, self.path & (1 << rest) - 1)


Changes = Sequence[tuple[int, int]]  # sorted by key


@dataclass
class _Batch:
    """One update under way; `nodes` gathers what differs from before."""

    read: Read
    height: int
    sheet: Sheet
    nodes: dict[NodePath, Node | None] = field(default_factory=dict)

    def load(self, path: NodePath, hashed: int) -> _Run | None:
        """The old subtree at a path, whose hash the node above states; it counts as gone until kept."""
        if path.length == self.height:
            return _Run(hashed, 0, 0)
        node = self.read(path)
        if node is None:
            if path == ROOT:
                return None
            raise MissingNode(f"trie node of {path.length} bits, {path.bits:#x}")
        if isinstance(node, Edge):
            self.nodes[path] = None
            return _Run(*node)
        return _Run(hashed, 0, 0)

    def keep(self, path: NodePath) -> None:
        """Take back that the node at a path is gone."""
        self.nodes.pop(path, None)

    def merge(self, path: NodePath, old: _Run | None, changes: Changes) -> _Run | None:
        """The subtree at a path after its changes."""
        left = self.height - path.length
        if old is None:
            changes = [change for change in changes if change[1]]
        if not changes:
            return old
        if left == 0:
            value = changes[0][1]
            return _Run(value, 0, 0) if value else None
        if old is None and len(changes) == 1:
            key, value = changes[0]
            return _Run(value, left, key & (1 << left) - 1)
        if old is not None and old.length == 0:
            return self.merge_binary(path, old, changes)
        skip, bits = self.shared(left, old, changes)
        if skip:
            below = old.down(skip) if old else None
            merged = self.merge(path.down(skip, bits), below, changes)
            return merged.up(skip, bits) if merged else None
        sides: list[_Run | None] = [None, None]
        if old is not None:
            sides[old.path >> old.length - 1] = old.down(1)
        return self.merge_sides(path, sides, changes)

    def shared(self, left: int, old: _Run | None, changes: Changes) -> tuple[int, int]:
        """How many bits from here on all changes and the old run have in common, and those bits."""
        mask = (1 << left) - 1
        first, last = changes[0][0] & mask, changes[-1][0] & mask
        skip = left - (first ^ last).bit_length()
        if old is not None:
            differ = first >> left - old.length ^ old.path
            skip = min(skip, old.length - differ.bit_length())
        return skip, first >> left - skip

    def merge_sides(
        self, path: NodePath, sides: Sequence[_Run | None], changes: Changes
    ) -> _Run | None:
        """Join two sides of a place where there was no binary node."""
        zeros, ones = self.split(path, changes)
        left = self.merge(path.down(1, 0), sides[0], zeros)
        right = self.merge(path.down(1, 1), sides[1], ones)
        if left is None or right is None:
            return _only(left, right)
        hashes = self.close(path.down(1, 0), left), self.close(path.down(1, 1), right)
        return self.put(path, Binary(*hashes))

    def merge_binary(self, path: NodePath, old: _Run, changes: Changes) -> _Run | None:
        """Change what is below the binary node at a path."""
        node = self.read(path)
        if not isinstance(node, Binary):
            raise MissingNode(f"trie node of {path.length} bits, {path.bits:#x}")
        parts = self.split(path, changes)
        places = (path.down(1, 0), path.down(1, 1))
        before: list[_Run | None] = [None, None]
        after: list[_Run | None] = [None, None]
        for bit in (0, 1):
            if parts[bit]:
                before[bit] = self.load(places[bit], node[bit])
                after[bit] = self.merge(places[bit], before[bit], parts[bit])
        if any(parts[bit] and after[bit] is None for bit in (0, 1)):
            self.nodes[path] = None
            for bit in (0, 1):
                if not parts[bit]:  # the only side left may be an edge, which is then too short
                    after[bit] = self.load(places[bit], node[bit])
            return _only(*after)
        hashes = [node.left, node.right]
        for bit in (0, 1):
            run = after[bit]
            if run is not None and run == before[bit]:
                self.keep(places[bit])
            elif run is not None:
                hashes[bit] = self.close(places[bit], run)
        return old if hashes == [*node] else self.put(path, Binary(*hashes))

    def split(self, path: NodePath, changes: Changes) -> tuple[Changes, Changes]:
        """The changes on either side of the node at a path."""
        shift = self.height - path.length - 1
        at = bisect_left(changes, 1, key=lambda change: change[0] >> shift & 1)
        return changes[:at], changes[at:]

    def put(self, path: NodePath, binary: Binary) -> _Run:
        """Keep a new binary node."""
        self.nodes[path] = binary
        return _Run(self.sheet.add(*binary), 0, 0)

    def close(self, path: NodePath, run: _Run) -> int:
        """Keep a new edge node, if the subtree at a path begins with one, and hash the subtree."""
        if run.length:
            self.nodes[path] = Edge(*run)
        return self.hash_of(run)

    def hash_of(self, run: _Run) -> int:
        """The hash of a subtree, or the number of one to come."""
        if run.length:
            return self.sheet.add(run.child, run.path, run.length)
        if run.child == UNKNOWN:
            root = self.read(ROOT)
            assert isinstance(root, Binary), "only a binary root is without a stated hash"
            return self.sheet.add(*root)
        return run.child


def _only(left: _Run | None, right: _Run | None) -> _Run | None:
    """The subtree of a place with one side at most."""
    if left is not None:
        return left.up(1, 0)
    return right.up(1, 1) if right is not None else None
