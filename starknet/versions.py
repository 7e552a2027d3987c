"""Which rules a block follows: one table row for each protocol version that changed something.

The ``starknet_version`` string of a block selects the last row whose ``since`` is not above it. Versions newer
than the newest known one are refused, because their hashes would be guesses.
"""

import re
from dataclasses import dataclass
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
    POSEIDON_OR_ZERO = "poseidon_or_zero"  # hash and signature, one 0 in place of an empty signature
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
    """Groups of versions whose hash binds the same fields."""

    UNVERSIONED = "unversioned"
    CLASSIC = "classic"
    CLASSIC_SIGNED = "classic_signed"
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
    unversioned_transactions: bool  # hash forms without version and fee are allowed
    class_trie: bool  # the state root knows declared classes
    state_root_always_poseidon: bool
    data_gas_repair: bool  # receipts on the wire may lack the data gas of state aliases
    compiled_hash: CompiledHash  # of newly declared classes
    migrates_classes: bool  # state diffs may carry compiled hashes of classes declared before

    @property
    def header_binds(self) -> bool:
        """Whether the block hash can be computed from the header's own fields and commitments."""
        return self.block_hash is not BlockHash.CLASSIC


def _row(since: Version, era: Era, *, block_hash: BlockHash = BlockHash.CLASSIC,
         transaction_leaf: TransactionLeaf = TransactionLeaf.PEDERSEN, modern: bool = False,
         unversioned_transactions: bool = False, class_trie: bool = True, state_root_always_poseidon: bool = False,
         data_gas_repair: bool = False, blake: bool = False) -> Rules:  # fmt: skip
    return Rules(
        since=since,
        era=era,
        block_hash=block_hash,
        transaction_leaf=transaction_leaf,
        event_leaf=EventLeaf.POSEIDON if modern else EventLeaf.PEDERSEN,
        pair=poseidon if modern else pedersen,
        unversioned_transactions=unversioned_transactions,
        class_trie=class_trie,
        state_root_always_poseidon=state_root_always_poseidon,
        data_gas_repair=data_gas_repair,
        compiled_hash=CompiledHash.BLAKE if blake else CompiledHash.POSEIDON,
        migrates_classes=blake,
    )


