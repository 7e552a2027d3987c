"""Which rules a block follows: one table row for each protocol version that changed something.

The ``starknet_version`` string of a block selects the last row whose ``since`` is not above it. Versions newer
than the newest known one are refused, because their hashes would be guesses.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from starknet.hashes import PairHash, pedersen, poseidon

Version = tuple[int, int, int, int]

NEWEST: Version = (0, 14, 4, 0)

_SHAPE = re.compile(r"(0|[1-9][0-9]{0,3})(\.(0|[1-9][0-9]{0,3})){1,3}", re.ASCII)


class UnknownVersion(ValueError):
    """A version string this node has no rules for."""


class BlockHash(StrEnum):
    """How the block hash is formed."""

    CLASSIC = "classic"  # Pedersen over header fields; short form below the chain's first 0.7 block
    HASH0 = "hash0"  # Poseidon, L1 prices one by one
    HASH1 = "hash1"  # Poseidon, all prices under one hash


class TransactionLeaf(StrEnum):
    """What of a transaction enters the transaction commitment."""

    PEDERSEN_INVOKE = "pedersen_invoke"  # hash; signature of invoke transactions only
    PEDERSEN = "pedersen"  # hash and signature
    POSEIDON_OR_ZERO = "poseidon_or_zero"  # the same, with [0] for an empty signature
    POSEIDON = "poseidon"  # hash and signature


class EventLeaf(StrEnum):
    """What of an event enters the event commitment."""

    PEDERSEN = "pedersen"  # sender, keys, data
    POSEIDON = "poseidon"  # sender, transaction hash, keys, data


class CompiledHash(StrEnum):
    """Which hash of the compiled class a declaration carries."""

    POSEIDON = "poseidon"
    BLAKE = "blake"


class Era(StrEnum):
    """Groups of versions whose block hash binds the same fields."""

    UNVERSIONED = "unversioned"  # no version string: old transaction forms, no events before 0.7
    CLASSIC_INVOKE = "classic_invoke"  # signatures of other transactions than invoke are not bound
    CLASSIC = "classic"
    HASH0 = "hash0"
    HASH1 = "hash1"


@dataclass(frozen=True)
class Rules:
    """One row: the rules of all versions from ``since`` up to the next row."""

    since: Version
    era: Era
    block_hash: BlockHash
    transaction_leaf: TransactionLeaf
    event_leaf: EventLeaf
    pair: PairHash  # of the commitment tries
    unversioned_transactions: bool  # transaction hash forms without version and fee are allowed
    class_trie: bool  # the state root knows declared classes
    state_root_always_poseidon: bool  # even without any declared class
    data_gas_repair: bool  # receipts on the wire may lack the data gas of state aliases
    compiled_hash: CompiledHash  # of newly declared classes
    migrates_classes: bool  # state diffs may carry new compiled hashes of classes declared before

    @property
    def receipts_in_hash(self) -> bool:
        """Whether the block hash covers every part, so that the header alone gives it (since 0.13.2)."""
        return self.block_hash is not BlockHash.CLASSIC


_UNVERSIONED = Rules(
    since=(0, 0, 0, 0),
    era=Era.UNVERSIONED,
    block_hash=BlockHash.CLASSIC,
    transaction_leaf=TransactionLeaf.PEDERSEN_INVOKE,
    event_leaf=EventLeaf.PEDERSEN,
    pair=pedersen,
    unversioned_transactions=True,
    class_trie=False,
    state_root_always_poseidon=False,
    data_gas_repair=False,
    compiled_hash=CompiledHash.POSEIDON,
    migrates_classes=False,
)
# Each row repeats the one above and names what its version changed.
_V0_1 = replace(
    _UNVERSIONED, since=(0, 0, 0, 1), era=Era.CLASSIC_INVOKE, unversioned_transactions=False
)
_V0_11_0 = replace(_V0_1, since=(0, 11, 0, 0), class_trie=True)
_V0_11_1 = replace(
    _V0_11_0, since=(0, 11, 1, 0), era=Era.CLASSIC, transaction_leaf=TransactionLeaf.PEDERSEN
)
_V0_13_2 = replace(
    _V0_11_1,
    since=(0, 13, 2, 0),
    era=Era.HASH0,
    block_hash=BlockHash.HASH0,
    transaction_leaf=TransactionLeaf.POSEIDON_OR_ZERO,
    event_leaf=EventLeaf.POSEIDON,
    pair=poseidon,
)
_V0_13_4 = replace(
    _V0_13_2,
    since=(0, 13, 4, 0),
    era=Era.HASH1,
    block_hash=BlockHash.HASH1,
    transaction_leaf=TransactionLeaf.POSEIDON,
    data_gas_repair=True,
)
_V0_14_0 = replace(_V0_13_4, since=(0, 14, 0, 0), state_root_always_poseidon=True)
_V0_14_1 = replace(
    _V0_14_0, since=(0, 14, 1, 0), compiled_hash=CompiledHash.BLAKE, migrates_classes=True
)

TABLE: tuple[Rules, ...] = (
    _UNVERSIONED,
    _V0_1,
    _V0_11_0,
    _V0_11_1,
    _V0_13_2,
    _V0_13_4,
    _V0_14_0,
    _V0_14_1,
)


def parse(text: str) -> Version:
    """The version as four numbers, missing ones 0 and the empty string all 0; raises UnknownVersion."""
    if text == "":
        return (0, 0, 0, 0)
    if not _SHAPE.fullmatch(text):
        raise UnknownVersion(f"not a protocol version: {text[:40]!r}")
    numbers = [int(part) for part in text.split(".")]
    first, second, third, fourth = numbers + [0] * (4 - len(numbers))
    return first, second, third, fourth


def rules_for(version: str) -> Rules:
    """The rules of a block with this version string; raises UnknownVersion above 0.14.4."""
    number = parse(version)
    if number > NEWEST:
        raise UnknownVersion(f"protocol version {version} is newer than this node knows")
    return next(row for row in reversed(TABLE) if row.since <= number)


def wire_rules(rules: Rules) -> Rules:
    """The rules of the commitments that a header carries: blocks older than 0.13.2 carry those of 0.13.2."""
    return rules if rules.receipts_in_hash else _V0_13_2


def is_fully_bound(version: str) -> bool:
    """Whether a block of this version is bound by its header alone; raises UnknownVersion."""
    return rules_for(version).receipts_in_hash
