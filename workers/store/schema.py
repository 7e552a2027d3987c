"""What the store keeps, and under which keys: every family of the database and the bytes of its keys and values.

Numbers in keys are 8 bytes, big-endian, so that keys sort by number; felts and hashes are 32 bytes, big-endian.
All of it is a pure function of the chain: two stores with the same head hold the same bytes.

=============== ================================== ==================================================================
family          key                                value
=============== ================================== ==================================================================
meta            ``schema`` ``chain`` ``head``      number as text; chain id as text; number ‖ block hash ‖ state root
headers         number                             the part's bytes as the sync protocol sends them
state_diffs     number                             the same
transactions    number                             the same
events          number                             the same
classes         class hash                         one length-delimited ClassesResponse; the first one seen
block_classes   number                             class hashes, ascending: declared here, or deployed and new here
number_by_hash  block hash                         number
tx_index        transaction hash                   number ‖ index (4 bytes); the first one of that hash
tx_hashes       number                             the block's transaction hashes, in order
trie_pages      trie ‖ level ‖ path                nodes of one trie, as ``starknet/native/trie.c`` writes them
contracts       address                            class hash ‖ nonce ‖ storage root; absent if all three are 0
history         kind ‖ what ‖ number               its value (a felt) since that block, for each block that set it
event_index     place ‖ end of a felt ‖ number     nothing; an event of the block has such a felt in that place
=============== ================================== ==================================================================
"""

from enum import StrEnum

from workers.component import Component
from workers.store import Head

SCHEMA_VERSION = 3
NUMBER_BYTES = 8
NUMBER_MAX = 2 ** (8 * NUMBER_BYTES) - 1
INDEX_BYTES = 4
FELT_BYTES = 32
ZERO = bytes(FELT_BYTES)

SCHEMA_KEY = b"schema"
CHAIN_KEY = b"chain"
HEAD_KEY = b"head"


class Family(StrEnum):
    """The column families, all of them created with the store."""

    META = "meta"
    HEADERS = "headers"
    STATE_DIFFS = "state_diffs"
    TRANSACTIONS = "transactions"
    EVENTS = "events"
    CLASSES = "classes"
    BLOCK_CLASSES = "block_classes"
    NUMBER_BY_HASH = "number_by_hash"
    TX_INDEX = "tx_index"
    TX_HASHES = "tx_hashes"
    TRIE_PAGES = "trie_pages"
    CONTRACTS = "contracts"
    HISTORY = "history"
    EVENT_INDEX = "event_index"


PART_FAMILY = {  # classes are stored one by one, see block_classes
    Component.HEADERS: Family.HEADERS,
    Component.STATE_DIFFS: Family.STATE_DIFFS,
    Component.TRANSACTIONS: Family.TRANSACTIONS,
    Component.EVENTS: Family.EVENTS,
}


class Kind:
    """First bytes of history keys: what has a value that changes with the blocks."""

    STORAGE = b"s"  # ‖ address ‖ key
    NONCE = b"n"  # ‖ address
    CLASS_HASH = b"c"  # ‖ address
    COMPILED = b"k"  # ‖ class hash: the compiled class hash in the class trie
    DEFINED = b"d"  # ‖ class hash: the block that brought its definition; the value is 0


EVENT_KEYS_INDEXED = 4  # of each event; a filter for later ones is left to whoever reads the events
_INDEXED_BYTES = 7


def event_prefix(place: int, value: bytes) -> bytes:
    """Begin the keys of ``event_index`` for a felt of 32 bytes: place 0 is the sender, place n the n-th key.

    The end of the felt stands for all of it: another felt may share it, a block that has the felt is never missed.
    """
    return bytes([place]) + value[-_INDEXED_BYTES:]


def felt(value: int) -> bytes:
    """Write a felt or hash as key or value."""
    return value.to_bytes(FELT_BYTES, "big")


def number_key(number: int) -> bytes:
    """Write a block number so that keys sort by it."""
    return number.to_bytes(NUMBER_BYTES, "big")


def pack_head(head: Head) -> bytes:
    """Write the value of ``meta/head``."""
    return number_key(head.number) + head.block_hash + head.state_root


def unpack_head(value: bytes) -> Head:
    """Read the value of ``meta/head``."""
    number = int.from_bytes(value[:NUMBER_BYTES], "big")
    hashes = value[NUMBER_BYTES:]
    return Head(number, hashes[:FELT_BYTES], hashes[FELT_BYTES:])


def pack_location(number: int, index: int) -> bytes:
    """Write the value of ``tx_index``."""
    return number_key(number) + index.to_bytes(INDEX_BYTES, "big")


def unpack_location(value: bytes) -> tuple[int, int]:
    """Read the value of ``tx_index``: block number and index in the block."""
    return int.from_bytes(value[:NUMBER_BYTES], "big"), int.from_bytes(value[NUMBER_BYTES:], "big")


def cut_hashes(value: bytes) -> list[bytes]:
    """Cut a row of hashes into single ones."""
    return [value[at : at + FELT_BYTES] for at in range(0, len(value), FELT_BYTES)]
