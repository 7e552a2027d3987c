"""Block hashes of every era, from a header's fields and the block's commitments."""

from dataclasses import dataclass

from starknet.felt import require, short_string
from starknet.hashes import pedersen_array, poseidon_many
from starknet.network import Network
from starknet.transactions import get
from starknet.versions import BlockHash, Rules
from starknet.wire.sync_pb2 import SignedBlockHeader, Uint128

_HASH0 = short_string("STARKNET_BLOCK_HASH0")
_HASH1 = short_string("STARKNET_BLOCK_HASH1")
_GAS_PRICES = short_string("STARKNET_GAS_PRICES0")


@dataclass(frozen=True)
class ClassicCommitments:
    """The Pedersen roots and counts that hashes before 0.13.2 are made of; no header carries them."""

    transactions: int
    transactions_root: int
    events: int
    events_root: int


def block_hash(header: SignedBlockHeader, rules: Rules) -> int:
    """The hash since 0.13.2, all from the header; for older blocks the one under which lists of P2P nodes know them.

    Raises FeltError or FieldMissing.
    """
    require(header, "state_diff_commitment", "transactions", "events")
    hash1 = rules.block_hash is BlockHash.HASH1
    prices = l1_prices(header)
    return poseidon_many(
        [
            _HASH1 if hash1 else _HASH0,
            header.number,
            get(header, "state_root"),
            get(header, "sequencer_address"),
            header.time,
            _counts(header),
            get(header.state_diff_commitment, "root"),
            get(header.transactions, "root"),
            get(header.events, "root"),
            get(header, "receipts"),
            *([poseidon_many([_GAS_PRICES, *prices, *l2_prices(header)])] if hash1 else prices),
            short_string(header.protocol_version),
            0,
            get(header, "parent_hash"),
        ]
    )


def classic_block_hashes(
    header: SignedBlockHeader, commitments: ClassicCommitments, network: Network
) -> tuple[int, ...]:
    """The hashes a block before 0.13.2 may have, likeliest first: the sequencer may be missing on the wire."""
    if header.number < network.first_07_block:
        return (_first_block_hash(header, commitments, network),)
    stated = get(header, "sequencer_address")
    sequencers = (stated,) if stated else (0, network.fallback_sequencer)
    return tuple(_classic_block_hash(header, commitments, seq) for seq in dict.fromkeys(sequencers))


def l1_prices(header: SignedBlockHeader) -> list[int]:
    """Prices of L1 gas and L1 data gas, each in wei and then fri."""
    return [
        uint128(header.l1_gas_price_wei),
        uint128(header.l1_gas_price_fri),
        uint128(header.l1_data_gas_price_wei),
        uint128(header.l1_data_gas_price_fri),
    ]


def l2_prices(header: SignedBlockHeader) -> list[int]:
    """Price of L2 gas in wei and in fri."""
    return [uint128(header.l2_gas_price_wei), uint128(header.l2_gas_price_fri)]


def uint128(number: Uint128) -> int:
    """The number that the wire carries as two halves."""
    return int(number.high) << 64 | int(number.low)


def _counts(header: SignedBlockHeader) -> int:
    length = header.state_diff_commitment.state_diff_length
    blob = 1 << 63 if header.l1_data_availability_mode else 0
    return header.transactions.n_leaves << 192 | header.events.n_leaves << 128 | length << 64 | blob


def _classic_block_hash(
    header: SignedBlockHeader, commitments: ClassicCommitments, sequencer: int
) -> int:
    head = [header.number, get(header, "state_root"), sequencer, header.time]
    transactions = [commitments.transactions, commitments.transactions_root]
    events = [commitments.events, commitments.events_root]
    return pedersen_array([*head, *transactions, *events, 0, 0, get(header, "parent_hash")])


def _first_block_hash(
    header: SignedBlockHeader, commitments: ClassicCommitments, network: Network
) -> int:
    head = [header.number, get(header, "state_root"), 0, 0]
    transactions = [commitments.transactions, commitments.transactions_root]
    tail = [0, 0, 0, 0, network.chain_id_felt, get(header, "parent_hash")]
    return pedersen_array([*head, *transactions, *tail])
