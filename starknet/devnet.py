"""A generated chain: valid in every hash, commitment, state root and signature, and the same for the same seed.

Nothing is executed: state changes, receipts and events are made up, but all that a block hash binds is bound.
Every tenth block, by the last digit of its number, brings the same kind of transaction (``_SPECIALS``).
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starknet import block_hash, classes, commitments, gateway, signatures, state, transactions
from starknet.felt import P, short_string, to_wire
from starknet.hashes import sn_keccak
from starknet.network import Network
from starknet.wire import sync_pb2 as pb

Json = dict[str, Any]

GENESIS_TIME = 1_700_000_000
BLOCK_SECONDS = 30
SYSTEM_CONTRACT = 1  # keeps block hashes
HASH_LAG = 10  # blocks after which a block's hash is written there
EMPTY_EVERY = 50
LARGE_EVERY = 50
LARGE_TRANSACTIONS = 20
STRK, ETH, ACCOUNT, APP = 0x5712C, 0x37E, 0xACC0, 0xA990
SEQUENCER = 0x1176A1BD84444C89232EC27754698E5D2E7E1A7F1539F12027F28B23EC9F3D8
L1_SENDER = 0xAE0EE0A63A2CE6BAEEFFE56E7714FB4EFE48D419
BUILTINS = ("range_check", "pedersen", "poseidon")


class Devnet:
    """One generated chain of ``length`` blocks, made in order and kept once a block is asked for."""

    def __init__(
        self,
        seed: int = 0,
        length: int = 250,
        version: str = "0.13.4",
        chain_id: str = "SN_HERA_DEVNET",
    ) -> None:
        assert length >= 0
        self.seed = seed
        self.length = length
        self._version = version
        self._chain_id = chain_id
        self._random = random.Random(f"{chain_id} {version} {seed}")
        self._secret = self._random.randrange(1, 1 << 250)
        self.public_key = signatures.public_key(self._secret)
        self._state = state.State()
        self._world = _World()
        self._blocks: list[tuple[Json, Json, Json]] = []
        self._hashes: list[int] = []
        self._numbers: dict[int, int] = {}
        self._roots = [0]

    def network(self) -> Network:
        """Return the network a node must be told to follow this chain; its URLs are empty."""
        return Network(
            name="devnet",
            chain_id=self._chain_id,
            feeder_url="",
            gateway_url="",
            l1_chain_id=0,
            core_contract="0x0",
            public_key=self.public_key,
        )

    def block(self, number: int) -> tuple[Json, Json, Json]:
        """Return the gateway's block, state update and signature; IndexError outside the chain."""
        if not 0 <= number < self.length:
            raise IndexError(f"block {number} of a devnet of {self.length} blocks")
        while len(self._blocks) <= number:
            self._extend()
        return self._blocks[number]

    def number_of(self, block_hash: int) -> int | None:
        """Return the number of a block made before."""
        return self._numbers.get(block_hash)

    def class_definition(self, class_hash: int) -> Json | None:
        """Return the definition of a class that a block made so far declares."""
        return self._world.definitions.get(class_hash)

    def compiled_class(self, class_hash: int) -> Json | None:
        """Return the compiled form of a Sierra class that a block made so far declares."""
        return self._world.compiled.get(class_hash)
