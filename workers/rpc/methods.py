"""The page of methods: what each takes, in the specification's order, and who answers it; HTTP and WebSocket alike."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from workers.rpc import blocks, classes, events, node, proofs, receipts, state, transactions
from workers.rpc.params import (
    Param,
    arguments,
    block_id,
    felt,
    felt_bytes,
    flags,
    list_of,
    natural,
    trie_key,
)
from workers.rpc.specs import V0_10, Spec


@dataclass(frozen=True)
class Method:
    """A method that is answered from the store: ``run`` takes the view and a value for each parameter.

    Where it fails with a code of ``elsewhere``, another node is asked, if there is one.
    """

    run: Callable[..., object]
    params: tuple[Param, ...] = ()
    elsewhere: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Forwarded:
    """A method that another node answers; without one the error says what this one lacks."""

    lacks: str


@dataclass(frozen=True)
class Added(Forwarded):
    """A method that takes a transaction of ``kind``, as ``param``; where there is no other node, for the gateway."""

    kind: str
    param: Param

    def transaction(self, given: Any) -> Any:
        """Return the transaction in the request's parameters; error -32602 if there is none."""
        (found,) = arguments((self.param,), given)
        return found


AnyMethod = Method | Forwarded

BLOCK = Param("block_id", block_id)
HASH = Param("transaction_hash", felt_bytes)
ADDRESS = Param("contract_address", felt)
TRANSACTION_FLAGS = Param(
    "response_flags",
    flags(transactions.PROOF_FACTS),
    required=False,
    default=frozenset(),
    since=V0_10.since,
)
STORAGE_FLAGS = Param(
    "response_flags",
    flags(state.LAST_UPDATE),
    required=False,
    default=frozenset(),
    since=V0_10.since,
)
ONLY_CONTRACTS = Param("contract_addresses", list_of(felt), required=False, since=V0_10.since)

EXECUTION = "this node does not execute Cairo: set --rpc-upstream"
COMPILER = "this node has no Sierra compiler: set --rpc-upstream"
MEMPOOL = "this network has no gateway that takes transactions: set --rpc-upstream"
LAYER_1 = "this node does not read L1: set --rpc-upstream"

NOT_YET = frozenset({29})  # a transaction that waits is known where transactions are taken

ALL: dict[str, AnyMethod] = {
    "starknet_specVersion": Method(node.spec_version),
    "starknet_chainId": Method(node.chain_id),
    "starknet_syncing": Method(node.syncing),
    "starknet_blockNumber": Method(node.block_number),
    "starknet_blockHashAndNumber": Method(node.block_hash_and_number),
    "starknet_getBlockWithTxHashes": Method(blocks.with_hashes, (BLOCK,)),
    "starknet_getBlockWithTxs": Method(blocks.with_transactions, (BLOCK, TRANSACTION_FLAGS)),
    "starknet_getBlockWithReceipts": Method(blocks.with_receipts, (BLOCK, TRANSACTION_FLAGS)),
    "starknet_getBlockTransactionCount": Method(blocks.transaction_count, (BLOCK,)),
    "starknet_getStateUpdate": Method(state.state_update, (BLOCK, ONLY_CONTRACTS)),
    "starknet_getStorageAt": Method(
        state.storage_at, (ADDRESS, Param("key", felt), BLOCK, STORAGE_FLAGS)
    ),
    "starknet_getNonce": Method(state.nonce, (BLOCK, ADDRESS)),
    "starknet_getClassHashAt": Method(state.class_hash_at, (BLOCK, ADDRESS)),
    "starknet_getClass": Method(classes.by_hash, (BLOCK, Param("class_hash", felt))),
    "starknet_getClassAt": Method(classes.of_contract, (BLOCK, ADDRESS)),
    "starknet_getTransactionByHash": Method(transactions.by_hash, (HASH, TRANSACTION_FLAGS)),
    "starknet_getTransactionByBlockIdAndIndex": Method(
        transactions.by_place, (BLOCK, Param("index", natural), TRANSACTION_FLAGS)
    ),
    "starknet_getTransactionReceipt": Method(receipts.receipt, (HASH,)),
    "starknet_getTransactionStatus": Method(receipts.status, (HASH,), NOT_YET),
    "starknet_getEvents": Method(events.get_events, (Param("filter", events.read_filter),)),
    "starknet_getStorageProof": Method(
        proofs.storage_proof,
        (
            BLOCK,
            Param("class_hashes", list_of(trie_key), required=False, default=()),
            Param("contract_addresses", list_of(trie_key), required=False, default=()),
            Param(
                "contracts_storage_keys", list_of(proofs.storage_keys), required=False, default=()
            ),
        ),
    ),
    "starknet_getMessagesStatus": Forwarded(LAYER_1),
    "starknet_getCompiledCasm": Forwarded(COMPILER),
    **{
        f"starknet_{name}": Forwarded(EXECUTION)
        for name in (
            *("call", "estimateFee", "estimateMessageFee", "simulateTransactions"),
            *("traceTransaction", "traceBlockTransactions"),
        )
    },
    **{
        f"starknet_add{name}Transaction": Added(
            MEMPOOL, kind, Param(f"{kind.lower()}_transaction", lambda value: value)
        )
        for name, kind in (
            ("Invoke", "INVOKE"),
            ("Declare", "DECLARE"),
            ("DeployAccount", "DEPLOY_ACCOUNT"),
        )
    },
}


def methods_of(spec: Spec) -> dict[str, AnyMethod]:
    """Return the methods of one version, with the parameters that it has."""
    return {name: as_in(spec, method) for name, method in ALL.items()}


def as_in(spec: Spec, method: AnyMethod) -> AnyMethod:
    """Return a method with the parameters that it has in one version."""
    if isinstance(method, Forwarded):
        return method
    params = tuple(param for param in method.params if param.since <= spec.since)
    missing = [param.default for param in method.params if param.since > spec.since]

    def run(view: Any, *values: Any) -> object:
        return method.run(view, *values, *missing)

    return replace(method, run=run, params=params) if missing else method
