"""Every series that a node exports, declared once: who exports it, what its labels are, what it means.

``Figures`` (``workers.metrics``) counts only what stands here; docs/metrics.md is written from it, and rules and
dashboards may name nothing else. Names follow Prometheus' rules: base units, ``_total`` for what only grows.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What may be done with a series: ``rate`` with counters and histograms, nothing but looking with gauges."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Series:
    """One series. ``labels`` are all of it but ``worker``, which what a process says of itself always has."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    of_worker: bool = True


def _counter(name: str, help: str, *labels: str, of_worker: bool = True) -> Series:
    return Series(name, Kind.COUNTER, labels, help, of_worker)


def _gauge(name: str, help: str, *labels: str, of_worker: bool = True) -> Series:
    return Series(name, Kind.GAUGE, labels, help, of_worker)


def _seconds(name: str, help: str, *labels: str, of_worker: bool = True) -> Series:
    return Series(name, Kind.HISTOGRAM, labels, help, of_worker)


NODE = (
    _gauge(
        "hera_build_info", "1; its labels say what runs.", "version", "network", of_worker=False
    ),
    _gauge("hera_worker_up", "1 while the broker hears the process, 0 while it is missed."),
    _gauge(
        "hera_worker_last_heartbeat_timestamp_seconds", "When the broker last heard the process."
    ),
    _gauge("hera_worker_start_time_seconds", "When the process began."),
    _counter("hera_worker_restarts_total", "How often the supervisor started the process again."),
    _counter("hera_worker_cpu_seconds_total", "CPU time of the process."),
    _gauge("hera_worker_rss_bytes", "Resident memory of the process."),
    _gauge("hera_worker_leased_items", "Messages that the process holds."),
)
SYNC = (
    _gauge("hera_chain_head_block", "Number of the last stored block; absent for an empty store."),
    _gauge("hera_chain_head_timestamp_seconds", "Time that the last stored block states."),
    _gauge("hera_sync_best_known_block", "Highest block that a peer or the gateway has."),
    _counter("hera_sync_blocks_total", "Blocks stored."),
    _counter("hera_sync_transactions_total", "Transactions of the blocks stored."),
    _counter("hera_sync_events_total", "Events of the blocks stored."),
    _counter("hera_sync_reorgs_total", "How often the network's chain left ours."),
    _counter("hera_sync_reorged_blocks_total", "Blocks taken back because of that."),
    _gauge("hera_sync_window_bytes", "Bytes asked for or held beyond the stored head."),
    _gauge(
        "hera_sync_window_capacity_bytes", "How many they may be; only the lowest block passes it."
    ),
    _counter(
        "hera_verify_failures_total", "Blocks or parts that failed a check, by its rule.", "rule"
    ),
)
PIPELINE = (
    _gauge(
        "hera_queue_items",
        "Messages of a topic that wait or are worked on.",
        "topic",
        of_worker=False,
    ),
    _gauge("hera_queue_bytes", "Bytes of them.", "topic", of_worker=False),
    _gauge(
        "hera_queue_leased_items",
        "Those of them in flight: held by a process.",
        "topic",
        of_worker=False,
    ),
    _gauge("hera_queue_capacity_items", "Bound of a topic in messages.", "topic", of_worker=False),
    _gauge("hera_queue_capacity_bytes", "Bound of a topic in bytes.", "topic", of_worker=False),
    _counter("hera_queue_added_items_total", "Messages that came in.", "topic", of_worker=False),
    _counter(
        "hera_queue_added_bytes_total", "Bytes of messages that came in.", "topic", of_worker=False
    ),
    _seconds(
        "hera_queue_wait_seconds",
        "How long a message waited for a process.",
        "topic",
        of_worker=False,
    ),
    _counter(
        "hera_queue_poisoned_items_total",
        "Messages set aside because processes died of them.",
        of_worker=False,
    ),
    _seconds("hera_stage_duration_seconds", "Work on one message.", "stage"),
    _counter("hera_stage_busy_seconds_total", "Time spent on messages.", "stage"),
    _counter(
        "hera_stage_messages_total",
        "Messages taken: done, found at fault, or handed back.",
        "stage",
        "outcome",
    ),
)
P2P = (
    _gauge(
        "hera_p2p_peers",
        "Peers connected, by the program they say they are and by who dialled.",
        "agent",
        "direction",
    ),
    _gauge(
        "hera_p2p_quarantined_peers", "Peers, connected or not, that are not asked for a while."
    ),
    _gauge("hera_p2p_banned_peers", "Peers of which not even a connection is wanted."),
    _counter("hera_p2p_dials_total", "Dials of peers.", "outcome"),
    _counter(
        "hera_p2p_requests_total",
        "Requests; in: answered by us, out: by peers.",
        "protocol",
        "direction",
        "outcome",
    ),
    _seconds(
        "hera_p2p_request_duration_seconds",
        "From a request to the end of its answer.",
        "protocol",
        "direction",
    ),
    _counter("hera_p2p_bytes_total", "Bytes of answers.", "protocol", "direction"),
    _counter("hera_p2p_blocks_served_total", "Parts of blocks given to peers.", "protocol"),
    _counter("hera_p2p_faults_total", "Faults of peers, by the rule they broke.", "rule"),
)
FEEDER = (
    _counter(
        "hera_feeder_requests_total",
        "Requests to the gateway; status 0: no whole answer.",
        "endpoint",
        "status",
    ),
    _seconds(
        "hera_feeder_request_duration_seconds", "Duration of a request to the gateway.", "endpoint"
    ),
    _counter("hera_feeder_bytes_total", "Bytes of answers, as they were sent.", "endpoint"),
    _gauge("hera_feeder_requests_in_flight", "Blocks, or their classes, being asked for."),
    _counter(
        "hera_feeder_failures_total",
        "Tries that failed: timeout, connection, limited, server, refused; malformed or missing parts.",
        "reason",
    ),
    _counter(
        "hera_feeder_limited_seconds_total", "How long the gateway told us to wait, 429 or 503."
    ),
    _counter(
        "hera_feeder_classes_total",
        "Classes of blocks, by where they came from: gateway, window (fetched for a lower block) or store.",
        "origin",
    ),
)
RPC = (
    _counter(
        "hera_rpc_requests_total",
        "JSON-RPC requests; a method that is not served is unknown.",
        "method",
    ),
    _counter(
        "hera_rpc_errors_total", "JSON-RPC requests that ended in an error, by its code.", "code"
    ),
    _seconds(
        "hera_rpc_request_duration_seconds", "Work on one JSON-RPC request, by whichever method."
    ),
)
STORE = (
    _seconds("hera_store_commit_duration_seconds", "Work on one block: tries, state root, write."),
    _seconds(
        "hera_store_write_duration_seconds", "The write of a block's batch into the database."
    ),
    _seconds(
        "hera_store_read_duration_seconds",
        "One read: a part of a block, or catching up with the writer.",
        "op",
    ),
    _gauge(
        "hera_store_bytes",
        "Size of one family of keys: its files and what is still in memory.",
        "family",
    ),
    _gauge("hera_store_disk_bytes", "Size of the database's files.", of_worker=False),
    _gauge("hera_store_disk_free_bytes", "Free space beside the database.", of_worker=False),
)
ALIASES = (
    _gauge("sync_blockchain_height", "As Juno names it: hera_chain_head_block.", of_worker=False),
    _gauge(
        "sync_best_known_block_number",
        "As Juno names it: hera_sync_best_known_block.",
        of_worker=False,
    ),
)

GROUPS = (
    ("Processes", NODE),
    ("Sync", SYNC),
    ("Pipeline", PIPELINE),
    ("Peers", P2P),
    ("Gateway", FEEDER),
    ("JSON-RPC", RPC),
    ("Store", STORE),
    ("Names that Juno's operators use", ALIASES),
)
ALL = {series.name: series for _, group in GROUPS for series in group}

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of every histogram; the last bucket, of what took longer, has none."""
