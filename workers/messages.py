"""Every message between processes, in the order in which it travels. Each carries all that its taker needs.

``Body`` fields are opaque bytes that travel as ZeroMQ frames of their own. A body of a part is the
concatenation of varint-length-delimited response messages exactly as the sync protocol sends them, without the
final ``Fin``; it is what gets hashed, stored and served. Hashes are 32 bytes, big-endian.

``attempt`` grows with every request of the p2p process (it survives restarts), so that a part fetched again
replaces the one it repairs. ``peer`` is a PeerID in base58, or ``gateway``.
"""

from dataclasses import dataclass

from broker.codec import Body
from workers.component import Component

GATEWAY = "gateway"


@dataclass(frozen=True)
class HeaderInfo:
    """What the other four fetch stages need of a verified header."""

    number: int
    block_hash: bytes
    version: str
    transactions: int
    events: int
    state_diff_length: int
    state_diff_commitment: bytes = b""  # empty where the block hash does not bind it


@dataclass(frozen=True)
class ClassesWanted:
    """Which classes block ``number`` brings: ``declared`` must come, ``deployed`` may (first use before 0.9)."""

    number: int
    block_hash: bytes
    declared: tuple[bytes, ...]
    deployed: tuple[bytes, ...]


# ---- p2p -> fetch: `peer` claims that `body` holds blocks start … start+count-1 of one component ------------


@dataclass(frozen=True)
class HeadersReceived:
    """`peer` claims these headers follow the block whose hash is ``parent_hash``; empty: whichever block it may be.

    Without a parent the answer is only looked at (where does a fork begin?): no part of it goes to assembly.
    """

    attempt: int
    start: int
    count: int
    peer: str
    parent_hash: bytes
    body: Body


@dataclass(frozen=True)
class StateDiffsReceived:
    """`peer` claims these are the state diffs of ``headers``."""

    attempt: int
    start: int
    peer: str
    headers: tuple[HeaderInfo, ...]
    body: Body

    @property
    def count(self) -> int:
        """How many blocks were asked for."""
        return len(self.headers)


@dataclass(frozen=True)
class ClassesReceived:
    """`peer` claims these are the classes of ``wanted``, one entry a block."""

    attempt: int
    start: int
    peer: str
    wanted: tuple[ClassesWanted, ...]
    body: Body

    @property
    def count(self) -> int:
        """How many blocks were asked for."""
        return len(self.wanted)


@dataclass(frozen=True)
class TransactionsReceived:
    """`peer` claims these are the transactions and receipts of ``headers``."""

    attempt: int
    start: int
    peer: str
    headers: tuple[HeaderInfo, ...]
    body: Body

    @property
    def count(self) -> int:
        """How many blocks were asked for."""
        return len(self.headers)


@dataclass(frozen=True)
class EventsReceived:
    """`peer` claims these are the events of ``headers``."""

    attempt: int
    start: int
    peer: str
    headers: tuple[HeaderInfo, ...]
    body: Body

    @property
    def count(self) -> int:
        """How many blocks were asked for."""
        return len(self.headers)


# ---- fetch -> p2p: how far the answer reached, and what to ask for next -------------------------------------


@dataclass(frozen=True)
class HeadersFetched:
    """These headers hold (hash, link, signature); ask for what they commit to. Fewer than asked: peer ended early."""

    attempt: int
    start: int
    peer: str
    headers: tuple[HeaderInfo, ...]


@dataclass(frozen=True)
class ForkSeen:
    """`peer` has a header ``number`` that the sequencer signed and that follows another block than ours."""

    attempt: int
    number: int
    peer: str


@dataclass(frozen=True)
class BodiesFetched:
    """``count`` whole blocks of ``component`` were cut from the answer; ``classes`` only from state diffs."""

    attempt: int
    component: Component
    start: int
    count: int
    peer: str
    classes: tuple[ClassesWanted, ...]


# ---- fetch -> assemble -> verify -> commit ------------------------------------------------------------------


@dataclass(frozen=True)
class BlockPart:
    """One part of one block, as `peer` sent it; ``block_hash`` is that of the header it was asked for."""

    attempt: int
    number: int
    block_hash: bytes
    component: Component
    peer: str
    body: Body


@dataclass(frozen=True)
class BlockAssembled:
    """A whole block: five parts, up to five peers (``peers`` in the order of ``Component``). Nothing is proven yet."""

    attempt: int
    number: int
    peers: tuple[str, ...]
    header: Body
    state_diff: Body
    classes: Body
    transactions: Body
    events: Body


@dataclass(frozen=True)
class BlockVerified:
    """A block whose every hash, commitment and signature holds; only order, state root and known classes are open."""

    attempt: int
    number: int
    peers: tuple[str, ...]
    block_hash: bytes
    parent_hash: bytes
    state_root: bytes
    header: Body
    state_diff: Body
    classes: Body
    transactions: Body
    events: Body
    transaction_hashes: Body
    class_hashes: Body


@dataclass(frozen=True)
class BlockStored:
    """commit -> p2p or feeder: durable; may be served, and the window moves on."""

    attempt: int
    number: int
    block_hash: bytes


RETREAT_BLOCKS_MAX = 4096  # blocks that are taken back at most; who asks for it keeps to it


@dataclass(frozen=True)
class Retreat:
    """p2p or feeder -> commit: the network's chain leaves ours after block ``number``: take back all above it.

    Blocks of attempts before this one belong to the chain that is left.
    """

    attempt: int
    number: int
    block_hash: bytes


@dataclass(frozen=True)
class BlocksUndone:
    """commit -> p2p or feeder: nothing above block ``number`` is stored any more."""

    number: int
    block_hash: bytes


@dataclass(frozen=True)
class Fault:
    """any stage -> p2p or feeder: ``peers`` broke ``rule``; blocks ``start`` … ``start+count-1`` must come anew.

    ``components`` and ``peers`` run in parallel: who sent which guilty part.
    """

    attempt: int
    start: int
    count: int
    components: tuple[Component, ...]
    peers: tuple[str, ...]
    rule: str
    detail: str
