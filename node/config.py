"""Config: lets through one whole, typed configuration, or stops with one line that says what is wrong and where.

Precedence: flag > environment (``HERA_…``, then ``JUNO_…``) > file (``--config``) > default (``node.sources``). Every
value, wherever it comes from, is first a text and passes the same parser. Nothing else in Hera reads the environment.
"""

import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from tempfile import gettempdir
from typing import Any, TypeVar
from urllib.parse import urlsplit

from broker import endpoint
from broker.curve import Passport, allowed, load_broker, load_passport
from node import durations, networks
from node.banner import VERSION
from node.sources import ConfigError as ConfigError
from node.sources import Key, Value, gather, variable
from starknet.network import Network
from workers import hash_table
from workers.settings import P2PSettings, Settings

T = TypeVar("T")

LOG_LEVELS = ("trace", "debug", "info", "warn", "error")
LOG_FORMATS = ("console", "json")
LISTEN_DEFAULT = "/ip4/0.0.0.0/tcp/0"
SOCKET_PATH_BYTES_MAX = 100  # the kernel takes 107; ZeroMQ and the closing zero want some of them
FOREIGN = "CURRENT"  # a file of Juno's database (Pebble)
MEMORY_MIB_DEFAULT = 128
MEMORY_MIB_MIN = 16
MEMORY_MIB_MAX = 65536
WORKERS_MAX = 256
FEEDER_POLL_SECONDS = (
    5.0  # a new block comes every few seconds; asking faster only burdens the gateway
)
FEEDER_POLL_SECONDS_MIN, FEEDER_POLL_SECONDS_MAX = 0.1, 3600.0
GATEWAY_TIMEOUT = "5s"
API_KEY_CHARACTERS_MAX = 512
CUSTOM_KEYS = (
    "cn-name",
    "cn-feeder-url",
    "cn-gateway-url",
    "cn-l1-chain-id",
    "cn-l2-chain-id",
    "cn-core-contract-address",
    "cn-unverifiable-range",
)


@dataclass(frozen=True)
class Config:
    """Everything a node can be told. ``given`` holds what was set, as texts, so that a child can be told the same."""

    db_path: Path
    network: Network
    log_level: str
    log_format: str
    colour: bool
    http: bool
    http_host: str
    http_port: int
    metrics: bool
    metrics_host: str
    metrics_port: int
    rpc_upstream: str | None = field(repr=False)  # another node, for what this one cannot answer
    rpc_cors_enable: bool
    rpc_workers: int
    p2p: bool
    p2p_addr: tuple[str, ...]
    p2p_public_addr: tuple[str, ...]
    p2p_peers: tuple[str, ...]
    p2p_discovery: bool
    p2p_feeder_node: bool
    p2p_private_key: bytes | None = field(repr=False)  # 32-byte seed
    p2p_private_key_file: Path | None  # read by who needs the key: ``node.key_file``
    p2p_allow: tuple[str, ...]
    p2p_deny: tuple[str, ...]
    feeder_url: str | None  # None: the network's own
    gw_api_key: str | None = field(repr=False)
    gw_timeout: tuple[float, ...]  # seconds; each where the one before was too short
    pending_poll_interval: float  # seconds
    public_key: int | None
    verify_workers: int
    memory_budget_mib: int
    block_hash_table: Path | None
    broker_elsewhere: str | None  # of a worker on another machine: tcp://HOST:PORT
    broker_listen: str | None  # where the broker also takes workers of other machines
    broker_keys: Path | None
    db_path_given: bool
    given: tuple[tuple[str, str], ...] = field(repr=False)
    read_as_juno: tuple[str, ...] = ()  # variables of Juno's that were taken as Hera's
    unused: tuple[str, ...] = ()  # what was set and has no meaning, each with why

    @property
    def run_folder(self) -> Path:
        """The folder of the processes' sockets: ``run`` in the database, or a short one for a long path."""
        return run_folder(self.db_path)

    @property
    def broker(self) -> str:
        """The broker's ZeroMQ endpoint; it follows from ``db_path`` alone, so that every process finds it."""
        return f"ipc://{self.run_folder / 'broker'}"

    @property
    def restarts_file(self) -> Path:
        """Where the supervisor says how often it started each process again (``workers.restarts``)."""
        return self.run_folder / "restarts.json"

    @property
    def role(self) -> str:
        """What the node is to others: peer, feeder (a peer that follows a gateway), or gateway (no peer at all)."""
        if not self.p2p:
            return "gateway"
        return "feeder" if self.p2p_feeder_node else "peer"

    def check_broker(self) -> None:
        """Check what a node or a broker is told of other machines: nothing for a worker, keys in order; ConfigError."""
        if self.broker_elsewhere is not None:
            raise ConfigError(
                "broker: it is for hera worker; a node takes workers of other machines with --broker-listen"
            )
        if self.broker_listen is not None:
            assert self.broker_keys is not None
            _with_keys(lambda folder: (load_broker(folder), allowed(folder)), self.broker_keys)

    def with_given(self, **values: str) -> "Config":
        """Return a copy in which these keys (``_`` for ``-``) are set; no validation: ours are right."""
        merged = dict(self.given) | {
            name.replace("_", "-"): value for name, value in values.items()
        }
        return replace(self, given=tuple(sorted(merged.items())))

    def with_drawn_key(self) -> "Config":
        """Return a copy with a private key, drawn at random if none was given, also not in a file."""
        if self.p2p_private_key is not None or self.p2p_private_key_file is not None:
            return self
        seed = secrets.token_bytes(32)
        return replace(self.with_given(p2p_private_key=seed.hex()), p2p_private_key=seed)

    def make_folders(self) -> None:
        """Create the database's folder and the sockets' folder, for this user alone; ConfigError if impossible."""
        try:
            self.db_path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"db-path: {self.db_path} cannot be created ({error.strerror}): choose another --db-path"
            ) from None
        if (self.db_path / FOREIGN).exists():  # ours is in a folder of its own in there
            raise ConfigError(
                f"db-path: {self.db_path} holds another program's database, such as Juno's: choose another --db-path"
            )
        try:
            self.run_folder.mkdir(mode=0o700, exist_ok=True)
            endpoint.check_folder(self.run_folder)
        except OSError as error:
            raise ConfigError(f"{self.run_folder} cannot be created: {error.strerror}") from None
        except endpoint.EndpointError as error:
            raise ConfigError(str(error)) from None

    def environment(self) -> dict[str, str]:
        """Return the variables that give a child process this same configuration, but for secrets."""
        return {variable(name): value for name, value in self.given if name not in SECRETS}

    def secrets(self, row: str) -> dict[str, str]:
        """Return the variables with the secrets of one row of the page, which no other process is told."""
        return {variable(name): value for name, value in self.given if SECRETS.get(name, "") == row}

    def shown(self) -> dict[str, Any]:
        """Return every value in force, for the log, with keys masked."""
        values = {f.name.replace("_", "-"): getattr(self, f.name) for f in fields(self)}
        for name in ("given", "read-as-juno", "unused"):
            del values[name]
        values["network"] = asdict(self.network)
        values["feeder-url"] = self.feeder_url or self.network.feeder_url
        values |= {name: HIDDEN for name in SECRETS if values[name] is not None}
        if self.rpc_upstream is not None:  # a key may be part of it
            values["rpc-upstream"] = urlsplit(self.rpc_upstream).hostname
        return values

    def realm(self, public_key: int | None) -> str:
        """Return what workers of one node must have been told alike, so that they judge a block alike."""
        key = "none" if public_key is None else f"{public_key:#x}"
        table = self.block_hash_table
        digest = "none" if table is None else sha256(table.read_bytes()).hexdigest()[:16]
        return f"chain {self.network.chain_id}, public key {key}, block hash table {digest}"

    def passport(self, public_key: int | None) -> Passport | None:
        """Return what a worker shows to a broker on another machine; ConfigError for keys that cannot be used."""
        if self.broker_elsewhere is None:
            return None
        assert self.broker_keys is not None
        realm = self.realm(public_key)
        return _with_keys(lambda folder: load_passport(folder, realm), self.broker_keys)

    def settings(self, public_key: int | None) -> Settings:
        """Return what a worker is told; a private key is drawn where none was given."""
        return Settings(
            network=self.network,
            db_path=self.db_path,
            broker=self.broker_elsewhere or self.broker,
            passport=self.passport(public_key),
            memory_bytes=self.memory_budget_mib << 20,
            log_level=self.log_level,
            log_format=self.log_format,
            p2p=self._p2p_settings() if self.p2p else None,
            feeder_url=self.feeder_url or self.network.feeder_url,
            feeder_poll_seconds=self.pending_poll_interval,
            gateway_api_key=self.gw_api_key,
            gateway_timeouts_s=self.gw_timeout,
            http_host=self.http_host,
            http_port=self.http_port,
            metrics_host=self.metrics_host,
            metrics_port=self.metrics_port,
            restarts=self.restarts_file,
            rpc_upstream=self.rpc_upstream,
            rpc_cors=self.rpc_cors_enable,
            rpc_workers=self.rpc_workers,
            public_key=public_key,
            version=VERSION,
            block_hash_table=self.block_hash_table,
        )

    def _p2p_settings(self) -> P2PSettings:
        return P2PSettings(
            listen=self.p2p_addr,
            public=self.p2p_public_addr,
            peers=self.p2p_peers,
            private_key=self.p2p_private_key or secrets.token_bytes(32),
            serve_only=self.p2p_feeder_node,
            allow=self.p2p_allow,
            deny=self.p2p_deny,
            discovery=self.p2p_discovery,
        )


KEYS = (
    Key("db-path", "text", "Folder of the database.", "DIR", "$PWD/hera"),
    Key("network", "text", "Network to follow; see also the cn-* options.", "NAME", "mainnet"),
    Key("log-level", "text", "trace, debug, info, warn or error.", "LEVEL", "info"),
    Key("log-format", "text", "console or json.", "FORMAT", "console"),
    Key("log-json", "bool", "The same as --log-format json.", "[=BOOL]", "false"),
    Key(
        "colour", "bool", "Colour the log on a terminal, unless NO_COLOR is set.", "[=BOOL]", "true"
    ),
    Key("http", "bool", "Serve status and JSON-RPC over HTTP.", "[=BOOL]", "false"),
    Key("http-host", "text", "Address the HTTP server listens on.", "HOST", "localhost"),
    Key("http-port", "int", "Port the HTTP server listens on.", "PORT", "6060"),
    Key("metrics", "bool", "Serve metrics for Prometheus over HTTP.", "[=BOOL]", "false"),
    Key("metrics-host", "text", "Address the metrics are served on.", "HOST", "localhost"),
    Key("metrics-port", "int", "Port the metrics are served on.", "PORT", "9090"),
    Key(
        "rpc-upstream",
        "text",
        "Node that is asked for calls, fees, traces and to add transactions; {version} in it becomes v0_10 and so on.",
        "URL",
        secret_of="rpc",  # it may hold a key
    ),
    Key("rpc-cors-enable", "bool", "Let web pages of any origin ask.", "[=BOOL]", "false"),
    Key("rpc-workers", "int", "Processes that answer over HTTP, on one port.", "N", "1"),
    Key("p2p", "bool", "Sync from peers and serve them.", "[=BOOL]", "false"),
    Key("p2p-addr", "list", "Address to listen on for peers.", "MULTIADDR", LISTEN_DEFAULT),
    Key("p2p-public-addr", "list", "Further address told to peers.", "MULTIADDR"),
    Key(
        "p2p-peers",
        "list",
        "Peers to begin with, comma-separated, each with /p2p/ID.",
        "MULTIADDR,…",
    ),
    Key("p2p-discovery", "bool", "Find more peers by those at hand.", "[=BOOL]", "true"),
    Key("p2p-feeder-node", "bool", "Sync from the gateway and serve peers.", "[=BOOL]", "false"),
    Key(
        "p2p-private-key",
        "text",
        "Ed25519 key in hex (a new one at each boot if absent).",
        "HEX",
        secret_of="p2p",
    ),
    Key(
        "p2p-private-key-file",
        "text",
        "File with that key, for this user alone, as hera genp2pkeypair --out makes it.",
        "FILE",
    ),
    Key(
        "p2p-allow",
        "list",
        "Networks that alone may connect or be dialled (all if absent).",
        "CIDR,…",
    ),
    Key("p2p-deny", "list", "Networks that may neither connect nor be dialled.", "CIDR,…"),
    Key("feeder-url", "text", "Feeder gateway (the network's own if absent).", "URL"),
    Key(
        "gw-api-key",
        "text",
        "Key for higher limits at the gateway; as HERA_GW_API_KEY it is in no list of processes.",
        "KEY",
        secret_of="feeder",
    ),
    Key(
        "gw-timeout",
        "text",
        "Time-out of a request to the gateway, doubled where it is too short; or 5s,10s,20s; 5s, stays.",
        "DURATION,…",
        GATEWAY_TIMEOUT,
    ),
    Key(
        "pending-poll-interval",
        "text",
        "How often the gateway is asked for new blocks (0s, off in Juno, is the default here).",
        "DURATION",
        "5s",
    ),
    Key(
        "public-key",
        "text",
        "Sequencer's public key (pinned, or asked of the gateway, if absent).",
        "HEX",
    ),
    Key("verify-workers", "int", "Processes that verify blocks (one a core if absent).", "N"),
    Key(
        "memory-budget", "int", "MiB that blocks in flight, not yet stored, may take.", "MIB", "128"
    ),
    Key(
        "block-hash-table",
        "text",
        "Hashes by the rules of 0.13.2 of the blocks before it (32 bytes each, from block 0), to check them by.",
        "FILE",
    ),
    Key(
        "broker-listen",
        "text",
        "Also take workers of other machines; needs --broker-keys.",
        "tcp://ADDRESS:PORT",
    ),
    Key(
        "broker", "text", "For a worker on another machine: the broker to join.", "tcp://HOST:PORT"
    ),
    Key("broker-keys", "text", "Folder made by hera keys new, for the two above.", "DIR"),
    Key("cn-name", "text", "Custom network: name (all cn-* options or none).", "NAME"),
    Key("cn-feeder-url", "text", "Custom network: feeder gateway.", "URL"),
    Key("cn-gateway-url", "text", "Custom network: gateway.", "URL"),
    Key("cn-l1-chain-id", "text", "Custom network: chain id of its layer 1.", "N"),
    Key("cn-l2-chain-id", "text", "Custom network: chain id, such as SN_AWESOME.", "ID"),
    Key("cn-core-contract-address", "text", "Custom network: its contract on layer 1.", "0xHEX"),
    Key(
        "cn-unverifiable-range",
        "list",
        "Custom network: first and last block whose hash follows no rule; [] for none.",
        "[A,B]",
    ),
)
NAMES = tuple(key.name for key in KEYS)
SECRETS = {key.name: key.secret_of for key in KEYS if key.secret_of}
HIDDEN = "(hidden)"


def load(
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    *,
    config: str | None = None,
    cwd: Path | None = None,
) -> Config:
    """Join flags, environment, file and defaults into one Config; raise ConfigError, one line, for bad input.

    ``flags`` maps option names to texts. ``config`` is the file's path (``HERA_CONFIG``, or ``JUNO_CONFIG``, if None).
    """
    given = gather(KEYS, flags, environ, config)
    built = _build(_Values(given.values), cwd or Path.cwd())
    return replace(built, read_as_juno=given.read_as_juno, unused=given.unused)


def run_folder(db_path: Path) -> Path:
    """Return the folder of the sockets of the node on ``db_path``, an absolute path."""
    inside = db_path / "run"
    if len(os.fsencode(inside / "broker")) <= SOCKET_PATH_BYTES_MAX:
        return inside
    digest = sha256(os.fsencode(db_path)).hexdigest()[:16]
    return Path(gettempdir()) / f"hera-{os.getuid()}-{digest}"


class _Values:
    """What was set, from any origin; parses each value and names its origin in the error line."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._set = {name: value for name, value in values.items() if value.text.strip()}

    def get(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """Return the parsed value of option ``name``, or the default where it was not set."""
        value = self._set.get(name)
        if value is None:
            return default
        try:
            return parse(value.text.strip())
        except (ValueError, networks.NetworkError) as error:
            raise ConfigError(f"{value.origin}: {error}") from None

    def texts(self) -> dict[str, str]:
        """Return the text of everything that was set."""
        return {name: value.text.strip() for name, value in self._set.items()}


def _build(values: _Values, cwd: Path) -> Config:
    get = values.get
    config = Config(
        db_path=get("db-path", lambda text: Path(os.path.abspath(cwd / text)), cwd / "hera"),
        network=_network(values),
        log_level=get("log-level", lambda text: _one_of(text.lower(), LOG_LEVELS), "info"),
        log_format=_log_format(values),
        colour=get("colour", boolean, True),
        http=get("http", boolean, False),
        http_host=get("http-host", host, "localhost"),
        http_port=get("http-port", port, 6060),
        metrics=get("metrics", boolean, False),
        metrics_host=get("metrics-host", host, "localhost"),
        metrics_port=get("metrics-port", port, 9090),
        rpc_upstream=get("rpc-upstream", rpc_url, None),
        rpc_cors_enable=get("rpc-cors-enable", boolean, False),
        rpc_workers=get("rpc-workers", worker_count, 1),
        p2p=get("p2p", boolean, False),
        p2p_addr=get("p2p-addr", _listen, (LISTEN_DEFAULT,)),
        p2p_public_addr=get("p2p-public-addr", _public, ()),
        p2p_peers=get("p2p-peers", _peers, ()),
        p2p_discovery=get("p2p-discovery", boolean, True),
        p2p_feeder_node=get("p2p-feeder-node", boolean, False),
        p2p_private_key=get("p2p-private-key", _private_key, None),
        p2p_private_key_file=get(
            "p2p-private-key-file", lambda text: Path(os.path.abspath(cwd / text)), None
        ),
        p2p_allow=get("p2p-allow", _networks, ()),
        p2p_deny=get("p2p-deny", _networks, ()),
        feeder_url=get("feeder-url", feeder_url, None),
        gw_api_key=get("gw-api-key", _api_key, None),
        gw_timeout=get("gw-timeout", durations.timeouts, durations.timeouts(GATEWAY_TIMEOUT)),
        pending_poll_interval=get("pending-poll-interval", _poll_seconds, FEEDER_POLL_SECONDS),
        public_key=get("public-key", networks.felt, None),
        verify_workers=get("verify-workers", lambda text: _number(text, 0, WORKERS_MAX), cores()),
        memory_budget_mib=get("memory-budget", _memory, MEMORY_MIB_DEFAULT),
        block_hash_table=get("block-hash-table", lambda text: hash_table_file(cwd / text), None),
        broker_elsewhere=get("broker", endpoint.tcp_endpoint, None),
        broker_listen=get("broker-listen", endpoint.tcp_endpoint, None),
        broker_keys=get("broker-keys", lambda text: Path(os.path.abspath(cwd / text)), None),
        db_path_given="db-path" in values.texts(),
        given=(),
    )
    _check_together(config)
    _check_machines(config, values.texts())
    given = values.texts() | {"db-path": str(config.db_path)}
    if config.broker_keys is not None:
        given["broker-keys"] = str(config.broker_keys)
    if config.p2p_private_key_file is not None:
        given["p2p-private-key-file"] = str(config.p2p_private_key_file)
    if config.block_hash_table is not None:
        given["block-hash-table"] = str(config.block_hash_table)
    return replace(config, given=tuple(sorted(given.items())))


def _check_together(config: Config) -> None:
    if config.p2p_feeder_node and config.p2p_peers:
        raise ConfigError(
            "if any flags in the group [p2p-feeder-node p2p-peers] are set none of the others can be; "
            "[p2p-feeder-node p2p-peers] were all set"
        )
    if config.p2p_private_key is not None and config.p2p_private_key_file is not None:
        raise ConfigError(
            "p2p-private-key: a key is given and a p2p-private-key-file as well: drop one of them"
        )
    pinned = config.network.public_key
    if config.public_key is not None and pinned not in (None, config.public_key):
        raise ConfigError(
            f"public-key: {config.public_key:#x} is not the key of {config.network.name} "
            f"({pinned:#x}): leave it out or correct --network"
        )


def _with_keys(load: Callable[[Path], T], folder: Path) -> T:
    try:
        return load(folder)
    except endpoint.EndpointError as error:
        raise ConfigError(f"broker-keys: {error}") from None


def _check_machines(config: Config, given: Mapping[str, str]) -> None:
    """Between machines everything is said: keys, and the network that is only assumed on one machine."""
    if config.verify_workers == 0 and config.broker_listen is None:
        raise ConfigError(
            "verify-workers: 0 leaves the work to other machines: give --broker-listen"
        )
    for name in ("broker", "broker-listen"):
        if name in given and config.broker_keys is None:
            raise ConfigError(
                f"{name}: plain tcp:// is refused: give --broker-keys, a folder made by hera keys new"
            )
    if "broker" in given and "broker-listen" in given:
        raise ConfigError(
            "broker: a process either joins a broker or listens as one: drop --broker-listen"
        )
    if "broker" in given and "network" not in given and config.network.name != given.get("cn-name"):
        raise ConfigError("broker: a worker elsewhere must be told the node's --network (or cn-*)")


def _log_format(values: _Values) -> str:
    if values.get("log-json", boolean, False):
        return "json"
    return values.get("log-format", lambda text: _one_of(text.lower(), LOG_FORMATS), "console")


def _network(values: _Values) -> Network:
    """Return the named network or the one the cn-* options describe; never a mixture."""
    given = values.texts()
    custom = [name for name in CUSTOM_KEYS if name in given]
    if not custom:
        return values.get("network", networks.load, None) or networks.load("mainnet")
    if "network" in given:
        raise ConfigError(
            "if any flags in the group [network cn-name] are set none of the others can be; "
            f"[{custom[0]} network] were all set"
        )
    missing = [name for name in CUSTOM_KEYS if name not in given]
    if missing:
        raise ConfigError(
            f"if any flags in the group [{' '.join(CUSTOM_KEYS)}] are set they must all be set; "
            f"missing [{' '.join(missing)}]"
        )
    nothing: tuple[int | None, int | None] = (None, None)
    first, last = values.get("cn-unverifiable-range", _block_range, nothing)
    return Network(
        name=given["cn-name"],
        chain_id=values.get("cn-l2-chain-id", networks.chain_id, ""),
        feeder_url=values.get("cn-feeder-url", feeder_url, ""),
        gateway_url=values.get("cn-gateway-url", gateway_url, ""),
        l1_chain_id=values.get("cn-l1-chain-id", _l1_chain_id, 0),
        core_contract=values.get("cn-core-contract-address", networks.ethereum_address, ""),
        public_key=None,
        unverifiable_from=first,
        unverifiable_to=last,
    )


# ---- parsers: text in, value out, ValueError with one clause that says what to give ---------------------------


def boolean(text: str) -> bool:
    """Read a yes or no the way Go's flags do."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f'"{text}" is neither true nor false')


def port(text: str) -> int:
    """Read a TCP port."""
    return _number(text, 1, 65535)


def worker_count(text: str) -> int:
    """Read a number of processes."""
    return _number(text, 1, WORKERS_MAX)


def host(text: str) -> str:
    """Read an IP address or a host name."""
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    label = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    if len(text) > 253 or not re.fullmatch(rf"{label}(\.{label})*\.?", text) or text[-1].isdigit():
        raise ValueError(f'"{text}" is neither an IP address nor a host name')
    return text


def feeder_url(text: str) -> str:
    """Read the feeder gateway's URL; a URL without a path gets the gateway's own."""
    return _with_path(text, "feeder_gateway/")


def gateway_url(text: str) -> str:
    """Read the gateway's URL; a URL without a path gets the gateway's own."""
    return _with_path(text, "gateway/")


def rpc_url(text: str) -> str:
    """Read the URL of another node; ``{version}`` in it stands for the version asked of it."""
    parts = urlsplit(text)  # it may carry a key in its path or after "?"
    networks.base_url(f"{parts.scheme}://{parts.netloc}")
    return text


def hash_table_file(path: Path) -> Path:
    """Read the path of a table of block hashes, as an absolute one."""
    try:
        hash_table.entries(path)
    except hash_table.TableError as error:
        raise ValueError(str(error)) from None
    return Path(os.path.abspath(path))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _with_path(text: str, path: str) -> str:
    url = networks.base_url(text)
    return url if urlsplit(url).path != "/" else url + path


def _one_of(text: str, valid: Sequence[str]) -> str:
    if text not in valid:
        raise ValueError(f'"{text}" is not one of {", ".join(valid)}')
    return text


def _number(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
        raise ValueError(f'"{text}" is no whole number from {low} to {high}')
    return int(text)


def _api_key(text: str) -> str:
    if not re.fullmatch(rf"[!-~]{{1,{API_KEY_CHARACTERS_MAX}}}", text):  # and never show it
        raise ValueError(f"give 1 to {API_KEY_CHARACTERS_MAX} printable characters without spaces")
    return text


def _poll_seconds(text: str) -> float:
    """Read the pace at the head. Without polling there were no new blocks, so Juno's off is the usual pace."""
    if durations.seconds(text, 0.0, FEEDER_POLL_SECONDS_MAX) == 0.0:
        return FEEDER_POLL_SECONDS
    return durations.seconds(text, FEEDER_POLL_SECONDS_MIN, FEEDER_POLL_SECONDS_MAX)


def _memory(text: str) -> int:
    return _number(text, MEMORY_MIB_MIN, MEMORY_MIB_MAX)


def _l1_chain_id(text: str) -> int:
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,64}|[0-9]{1,77}", text):
        raise ValueError(f'"{text}" is no chain id: give a decimal number, or 0x and hex digits')
    return int(text, 0) if text.startswith("0x") else int(text)


def _block_range(text: str) -> tuple[int | None, int | None]:
    inside = text.removeprefix("[").removesuffix("]").strip()
    if not inside:
        return None, None
    match = re.fullmatch(r"([0-9]{1,18})\s*,\s*([0-9]{1,18})", inside)
    if not match or int(match[1]) > int(match[2]):
        raise ValueError(f'"{text}" is no range: give FIRST,LAST block, or [] for none')
    return int(match[1]), int(match[2])


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.strip("[]").split(",") if item.strip())


def _listen(text: str) -> tuple[str, ...]:
    from workers.p2p import addresses  # here, for a quick start: few commands need it

    return tuple(str(addresses.parse_listen(item)) for item in _items(text))


def _public(text: str) -> tuple[str, ...]:
    from workers.p2p import addresses  # as above

    return tuple(str(addresses.parse(item)) for item in _items(text))


def _peers(text: str) -> tuple[str, ...]:
    from workers.p2p import addresses  # as above

    return tuple(str(addresses.parse_peer(item)) for item in _items(text))


def _networks(text: str) -> tuple[str, ...]:
    from workers.p2p import gate  # as above

    return tuple(str(gate.parse_network(item)) for item in _items(text))


def _private_key(text: str) -> bytes:
    from workers.p2p import keys  # as above

    return keys.parse(text).seed
