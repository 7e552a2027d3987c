"""Blocks as heavy as mainnet's, generated: version 0.13.5, all invokes of version 3, signed by a key of our own."""

import random
from collections.abc import Iterable

from broker.codec import Body
from node import networks
from starknet import block_hash, gateway, signatures
from starknet.felt import P, to_wire
from starknet.network import Network
from starknet.transactions import transaction_hashes
from starknet.versions import rules_for
from starknet.wire import sync_pb2 as pb
from starknet.wire.delimited import join
from workers.messages import BlockAssembled

VERSION = "0.13.5"
NETWORK = "mainnet"
SECRET = 0x1234567
TRANSACTIONS = 300
CALLDATA = 60
EVENTS_EACH = 4
DATA = 6
WRITES = 1_000
PEERS = ("a", "b", "c", "d", "e")


def heavy_block(number: int) -> BlockAssembled:
    """A block whose every rule holds; ``number`` is also the seed."""
    draw = random.Random(number)
    network = networks.load(NETWORK)
    transactions = [_invoke(draw) for _ in range(TRANSACTIONS)]
    for transaction, found in zip(
        transactions, transaction_hashes(transactions, network), strict=True
    ):
        transaction.transaction_hash.elements = to_wire(found)
    pairs = [_with_receipt(draw, transaction) for transaction in transactions]
    events = [_event(draw, pair) for pair in transactions for _ in range(EVENTS_EACH)]
    contract = pb.ContractDiff(address=pb.Address(elements=b"\x05"))
    for key in draw.sample(range(1, 2**60), WRITES):
        contract.values.add(key=_felt(key), value=_any_felt(draw))
    diff = [pb.StateDiffsResponse(contract_diff=contract)]
    header = _header(draw, number, len(pairs), len(events))
    wire = gateway.WireBlock(header, diff, pairs, events, [], [])
    return signed(gateway.fill_commitments(wire, VERSION))


def signed(wire: gateway.WireBlock) -> BlockAssembled:
    """The block with its hash, signed by a key of our own, as the verify stage gets it; without classes."""
    header = wire.header
    found = block_hash.block_hash(header, rules_for(header.protocol_version))
    header.block_hash.elements = to_wire(found)
    r, s = signatures.sign(SECRET, found)
    header.signatures.add(r=pb.Felt252(elements=to_wire(r)), s=pb.Felt252(elements=to_wire(s)))
    return BlockAssembled(
        attempt=1,
        number=header.number,
        peers=PEERS,
        header=_body([pb.BlockHeadersResponse(header=header)]),
        state_diff=_body(wire.state_diff),
        classes=_body([]),
        transactions=_body(
            pb.TransactionsResponse(transaction_with_receipt=pair) for pair in wire.transactions
        ),
        events=_body(pb.EventsResponse(event=event) for event in wire.events),
    )


def public_key() -> int:
    """The key that blocks are signed by."""
    return signatures.public_key(SECRET)


def network() -> Network:
    """The network that blocks are of."""
    return networks.load(NETWORK)


def _body(messages: Iterable[object]) -> Body:
    return Body(join(messages))  # type: ignore[arg-type]  # wire messages, whatever they are


def _felt(number: int) -> pb.Felt252:
    return pb.Felt252(elements=to_wire(number))


def _any_felt(draw: random.Random) -> pb.Felt252:
    return _felt(draw.randrange(1, P))


def _invoke(draw: random.Random) -> pb.TransactionInBlock:
    def limits() -> pb.ResourceLimits:
        return pb.ResourceLimits(max_amount=_felt(1 << 20), max_price_per_unit=_felt(1 << 30))

    return pb.TransactionInBlock(
        invoke_v3=pb.InvokeV3(
            sender=pb.Address(elements=to_wire(draw.randrange(1, P))),
            signature=pb.AccountSignature(parts=[_any_felt(draw), _any_felt(draw)]),
            calldata=[_any_felt(draw) for _ in range(CALLDATA)],
            resource_bounds=pb.ResourceBounds(
                l1_gas=limits(), l2_gas=limits(), l1_data_gas=limits()
            ),
            nonce=_felt(draw.randrange(1000)),
        )
    )


def _with_receipt(
    draw: random.Random, transaction: pb.TransactionInBlock
) -> pb.TransactionWithReceipt:
    resources = pb.Receipt.ExecutionResources(
        total_l1_gas=_felt(draw.randrange(1 << 20)), l1_data_gas=_felt(128), l2_gas=_felt(0)
    )
    common = pb.Receipt.Common(
        actual_fee=_felt(draw.randrange(1 << 60)), execution_resources=resources
    )
    receipt = pb.Receipt(invoke=pb.Receipt.Invoke(common=common))
    return pb.TransactionWithReceipt(transaction=transaction, receipt=receipt)


def _event(draw: random.Random, transaction: pb.TransactionInBlock) -> pb.Event:
    return pb.Event(
        transaction_hash=transaction.transaction_hash,
        from_address=_any_felt(draw),
        keys=[_any_felt(draw), _any_felt(draw)],
        data=[_any_felt(draw) for _ in range(DATA)],
    )


def _header(
    draw: random.Random, number: int, transactions: int, events: int
) -> pb.SignedBlockHeader:
    def root() -> pb.Hash:
        return pb.Hash(elements=to_wire(draw.randrange(1, P)))

    price = pb.Uint128(low=10**9)
    header = pb.SignedBlockHeader(
        parent_hash=root(),
        state_root=root(),
        number=number,
        time=1_700_000_000 + number,
        sequencer_address=pb.Address(elements=b"\x01"),
        protocol_version=VERSION,
        l1_data_availability_mode=pb.Blob,
        l1_gas_price_fri=price,
        l1_gas_price_wei=price,
        l1_data_gas_price_fri=price,
        l1_data_gas_price_wei=price,
        l2_gas_price_fri=price,
        l2_gas_price_wei=price,
    )
    header.transactions.n_leaves = transactions
    header.events.n_leaves = events
    header.state_diff_commitment.state_diff_length = WRITES
    return header
