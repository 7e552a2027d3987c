"""What a worker process is told at its start; ``node.config`` makes it, nothing else reads the environment."""

from dataclasses import dataclass, field
from pathlib import Path

from broker.curve import Passport
from starknet.network import Network
from workers.metrics import Figures

COPIES = 2  # of what is in flight: the broker has one, and the worker that holds it on lease


@dataclass(frozen=True)
class P2PSettings:
    """The peer-to-peer side. ``private_key`` is the 32-byte Ed25519 seed. Addresses are multiaddrs as text."""

    listen: tuple[str, ...]
    public: tuple[str, ...]
    peers: tuple[str, ...]
    private_key: bytes = field(repr=False)
    serve_only: bool  # a feeder node: answers peers, asks nobody
    allow: tuple[str, ...] = ()  # networks (CIDR) that alone may connect or be dialled; empty: all
    deny: tuple[str, ...] = ()  # networks that may not
    discovery: bool = True  # Kademlia, to ask and to answer


@dataclass(frozen=True)
class Settings:
    """One value holds all that any worker needs. ``memory_bytes`` bounds what blocks in flight take, in all."""

    network: Network
    db_path: Path
    broker: str  # ZeroMQ endpoint, ipc:// or tcp://
    memory_bytes: int
    log_level: str
    log_format: str  # console | json
    p2p: P2PSettings | None
    feeder_url: str
    feeder_poll_seconds: float
    http_host: str
    http_port: int
    public_key: (
        int | None
    )  # sequencer key x, pinned or asked of the gateway at start; None: signatures unchecked
    version: str
    block_hash_table: Path | None = None  # see workers.hash_table; None: old blocks not so bound
    rpc_upstream: str | None = field(
        default=None, repr=False
    )  # a node for what this one cannot answer
    rpc_cors: bool = False  # pages of any origin may ask
    rpc_workers: int = 1  # processes that share the HTTP port
    passport: Passport | None = None  # for a broker on another machine
    gateway_api_key: str | None = field(
        default=None, repr=False
    )  # for higher limits at the gateway
    gateway_timeouts_s: tuple[float, ...] = (
        5.0,
        10.0,
        20.0,
        40.0,
    )  # each where the one before was short
    metrics_host: str = "localhost"
    metrics_port: int = 9090
    restarts: Path | None = None  # the supervisor's file, see workers.restarts
    stages: tuple[tuple[str, str], ...] = ()  # of this node, see workers.progress
    figures: Figures = field(default_factory=Figures, compare=False, repr=False)  # of this process

    @property
    def in_flight_bytes(self) -> int:
        """How many bytes of blocks may be in flight, each counted once."""
        return self.memory_bytes // COPIES
