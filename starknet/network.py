"""What differs between Starknet networks: identity, sequencer key, and the quirks of their first blocks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """One chain's parameters (protocol rules read them; nothing here is a secret)."""

    name: str
    chain_id: str  # e.g. SN_MAIN, as in protocol ids and transaction hashes
    feeder_url: str  # base of …/get_block, ends in /feeder_gateway/
    gateway_url: str
    l1_chain_id: int
    core_contract: str
    public_key: int | None  # pinned sequencer key (x of the Stark-curve point)
    first_07_block: int = 0
    fallback_sequencer: int = 0
    unverifiable_from: int | None = (
        None  # blocks in this range (inclusive) do not reproduce their hash
    )
    unverifiable_to: int | None = None
    transaction_chain_ids: tuple[
        str, ...
    ] = ()  # further chain ids old transactions were hashed with

    @property
    def chain_id_felt(self) -> int:
        """The chain id's ASCII bytes as a big-endian integer."""
        return int.from_bytes(self.chain_id.encode("ascii"), "big")

    @property
    def chain_id_bytes(self) -> bytes:
        """The same as hashes take it, in 32 bytes."""
        return self.chain_id.encode("ascii").rjust(32, b"\0")
