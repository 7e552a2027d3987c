"""The Grafana dashboards: overview, pipeline, p2p, storage. Each panel is a line or two here, JSON is made of it."""

import json
from dataclasses import dataclass
from typing import Any

SOURCE_UID = "hera-prometheus"  # configs/grafana/provisioning/datasources/prometheus.yml
WIDTH, HEIGHT = 24, 8
STAT_WIDTH, STAT_HEIGHT = 4, 4
PANEL_WIDTH = 12
_NODE = 'instance=~"$instance"'
_RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """One picture: queries with their legends. ``{}`` in a query stands for the node that was chosen."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    help: str = ""

    def exprs(self) -> tuple[str, ...]:
        """Return the queries as Grafana has them."""
        return tuple(_of_node(query) for query, _ in self.queries)


@dataclass(frozen=True)
class Board:
    """One dashboard; its name is also its file's."""

    name: str
    title: str
    panels: tuple[Panel, ...]


def _stat(title: str, unit: str, query: str, legend: str = "{{instance}}") -> Panel:
    return Panel(title, unit, ((query, legend),), kind="stat")


def _lines(title: str, unit: str, *queries: tuple[str, str], help: str = "") -> Panel:
    return Panel(title, unit, queries, help=help)


def _quantiles(title: str, histogram: str, label: str, help: str = "") -> Panel:
    """Median and 95th percentile of a histogram, for each value of a label."""
    by = f"le, {label}" if label else "le"
    name = f"{{{{{label}}}}} " if label else ""
    query = f"sum by ({by}) (rate({histogram}_bucket{{}}{_RATE}))"
    return Panel(
        title,
        "s",
        tuple(
            (f"histogram_quantile({quantile}, {query})", f"{name}{legend}")
            for quantile, legend in ((0.5, "median"), (0.95, "95 %"))
        ),
        help=help,
    )


OVERVIEW = Board(
    "overview",
    "Hera: overview",
    (
        _stat("Head", "none", "max by (instance) (hera_chain_head_block{})"),
        _stat("Blocks behind", "none", "hera:sync_lag_blocks{}"),
        _stat("Time left", "s", "hera:sync_eta_seconds{} or hera:sync_lag_blocks{} * 0"),
        _stat("Peers", "none", "sum by (instance) (hera_p2p_peers{})"),
        _stat(
            "Processes missed",
            "none",
            "count by (instance) (hera_worker_up{} == 0) or hera:sync_lag_blocks{} * 0",
        ),
        _stat("Version", "none", "hera_build_info{}", "{{version}} {{network}}"),
        _lines(
            "Blocks stored",
            "blocks/s",
            (f"sum by (instance) (rate(hera_sync_blocks_total{{}}{_RATE}))", "{{instance}}"),
        ),
        _lines(
            "Stored and best known block",
            "none",
            ("max by (instance) (hera_chain_head_block{})", "{{instance}} head"),
            ("max by (instance) (hera_sync_best_known_block{})", "{{instance}} best known"),
        ),
        _lines(
            "Transactions and events",
            "ops",
            (
                f"sum by (instance) (rate(hera_sync_transactions_total{{}}{_RATE}))",
                "{{instance}} transactions",
            ),
            (f"sum by (instance) (rate(hera_sync_events_total{{}}{_RATE}))", "{{instance}} events"),
        ),
        _lines(
            "Age of the head",
            "s",
            ("time() - max by (instance) (hera_chain_head_timestamp_seconds{})", "{{instance}}"),
            help="Seconds since the time that the last stored block states.",
        ),
        _lines(
            "Failed checks",
            "ops",
            (
                f"sum by (rule) (rate(hera_verify_failures_total{{}}{_RATE})) or vector(0)",
                "{{rule}}",
            ),
            help="Blocks and parts that broke a rule; each was fetched again from others.",
        ),
        _lines(
            "Blocks taken back",
            "none",
            (
                f"sum by (instance) (increase(hera_sync_reorged_blocks_total{{}}{_RATE}))",
                "{{instance}}",
            ),
        ),
        _lines(
            "CPU",
            "percentunit",
            (f"sum by (worker) (rate(hera_worker_cpu_seconds_total{{}}{_RATE}))", "{{worker}}"),
        ),
        _lines("Memory", "bytes", ("sum by (worker) (hera_worker_rss_bytes{})", "{{worker}}")),
        _lines(
            "Restarts",
            "none",
            (f"sum by (worker) (increase(hera_worker_restarts_total{{}}{_RATE}))", "{{worker}}"),
        ),
        _lines(
            "JSON-RPC requests",
            "reqps",
            (f"sum by (method) (rate(hera_rpc_requests_total{{}}{_RATE}))", "{{method}}"),
        ),
        _lines(
            "JSON-RPC errors",
            "reqps",
            (f"sum by (code) (rate(hera_rpc_errors_total{{}}{_RATE})) or vector(0)", "{{code}}"),
        ),
        _quantiles("JSON-RPC answers", "hera_rpc_request_duration_seconds", ""),
    ),
)

PIPELINE = Board(
    "pipeline",
    "Hera: pipeline",
    (
        _lines(
            "Busy ratio of each stage",
            "percentunit",
            ("max by (stage) (hera:stage_busy:ratio{})", "{{stage}}"),
            help="The highest is the bottleneck.",
        ),
        _lines(
            "How full each topic is",
            "percentunit",
            ("max by (topic) (hera:queue_fill:ratio{})", "{{topic}}"),
        ),
        _quantiles("Work on one message", "hera_stage_duration_seconds", "stage"),
        _quantiles("Waiting for a process", "hera_queue_wait_seconds", "topic"),
        _lines(
            "Messages of each topic",
            "none",
            ("sum by (topic) (hera_queue_items{})", "{{topic}}"),
            help="Waiting or in flight.",
        ),
        _lines("In flight", "none", ("sum by (topic) (hera_queue_leased_items{})", "{{topic}}")),
        _lines(
            "Bytes of each topic", "bytes", ("sum by (topic) (hera_queue_bytes{})", "{{topic}}")
        ),
        _lines(
            "Messages through each stage",
            "ops",
            (
                f"sum by (stage, outcome) (rate(hera_stage_messages_total{{}}{_RATE}))",
                "{{stage}} {{outcome}}",
            ),
        ),
        _lines(
            "Bytes into each topic",
            "Bps",
            (f"sum by (topic) (rate(hera_queue_added_bytes_total{{}}{_RATE}))", "{{topic}}"),
        ),
        _lines(
            "Window beyond the head",
            "bytes",
            ("sum by (instance) (hera_sync_window_bytes{})", "{{instance}}"),
            ("sum by (instance) (hera_sync_window_capacity_bytes{})", "{{instance}} at most"),
        ),
        _lines(
            "Messages set aside",
            "none",
            ("sum by (instance) (hera_queue_poisoned_items_total{})", "{{instance}}"),
        ),
        _lines(
            "Messages held by each process",
            "none",
            ("sum by (worker) (hera_worker_leased_items{})", "{{worker}}"),
        ),
    ),
)

P2P = Board(
    "p2p",
    "Hera: peers",
    (
        _lines(
            "Peers",
            "none",
            ("sum by (instance) (hera_p2p_peers{})", "{{instance}} connected"),
            ("sum by (instance) (hera_p2p_quarantined_peers{})", "{{instance}} quarantined"),
            ("sum by (instance) (hera_p2p_banned_peers{})", "{{instance}} banned"),
        ),
        _lines(
            "Peers by program",
            "none",
            ("sum by (agent, direction) (hera_p2p_peers{})", "{{agent}} {{direction}}"),
        ),
        _lines(
            "Dials",
            "ops",
            (f"sum by (outcome) (rate(hera_p2p_dials_total{{}}{_RATE}))", "{{outcome}}"),
        ),
        _lines(
            "Requests to peers",
            "reqps",
            (
                f'sum by (protocol, outcome) (rate(hera_p2p_requests_total{{direction="out"}}{_RATE}))',
                "{{protocol}} {{outcome}}",
            ),
        ),
        _lines(
            "Requests of peers",
            "reqps",
            (
                f'sum by (protocol, outcome) (rate(hera_p2p_requests_total{{direction="in"}}{_RATE}))',
                "{{protocol}} {{outcome}}",
            ),
        ),
        _quantiles("Until an answer's end", "hera_p2p_request_duration_seconds", "direction"),
        _lines(
            "Bytes of answers",
            "Bps",
            (
                f"sum by (protocol, direction) (rate(hera_p2p_bytes_total{{}}{_RATE}))",
                "{{protocol}} {{direction}}",
            ),
            help="out: asked of peers; in: given to peers.",
        ),
        _lines(
            "Parts of blocks given",
            "ops",
            (f"sum by (protocol) (rate(hera_p2p_blocks_served_total{{}}{_RATE}))", "{{protocol}}"),
        ),
        _lines(
            "Faults of peers",
            "ops",
            (f"sum by (rule) (rate(hera_p2p_faults_total{{}}{_RATE})) or vector(0)", "{{rule}}"),
        ),
    ),
)

STORAGE = Board(
    "storage",
    "Hera: store and gateway",
    (
        _quantiles("Commit of a block", "hera_store_commit_duration_seconds", ""),
        _quantiles("Write of a block", "hera_store_write_duration_seconds", ""),
        _quantiles("Reads", "hera_store_read_duration_seconds", "op"),
        _lines(
            "Size of each family", "bytes", ("sum by (family) (hera_store_bytes{})", "{{family}}")
        ),
        _lines(
            "Size of the database",
            "bytes",
            ("sum by (instance) (hera_store_disk_bytes{})", "{{instance}}"),
        ),
        _lines(
            "Free disk",
            "bytes",
            ("min by (instance) (hera_store_disk_free_bytes{})", "{{instance}}"),
        ),
        _lines(
            "Requests to the gateway",
            "reqps",
            (
                f"sum by (endpoint, status) (rate(hera_feeder_requests_total{{}}{_RATE}))",
                "{{endpoint}} {{status}}",
            ),
        ),
        _quantiles("Answers of the gateway", "hera_feeder_request_duration_seconds", "endpoint"),
        _lines(
            "Failures at the gateway",
            "ops",
            (f"sum by (reason) (rate(hera_feeder_failures_total{{}}{_RATE}))", "{{reason}}"),
        ),
    ),
)

BOARDS = (OVERVIEW, PIPELINE, P2P, STORAGE)


def text(board: Board) -> str:
    """Return a dashboard's file."""
    return json.dumps(_json(board), indent=1, ensure_ascii=False) + "\n"


def _of_node(query: str) -> str:
    return query.replace('{direction="', f'{{{_NODE},direction="').replace("{}", f"{{{_NODE}}}")


def _json(board: Board) -> dict[str, Any]:
    return {
        "uid": f"hera-{board.name}",
        "title": board.title,
        "tags": ["hera"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["hera"], "title": "Hera", "asDropdown": False}],
        "templating": {"list": _VARIABLES},
        "panels": _placed(board),
    }


_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_VARIABLES: list[dict[str, Any]] = [
    {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": SOURCE_UID},
    },
    {
        "name": "instance",
        "label": "Node",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": "label_values(hera_build_info, instance)", "refId": "instance"},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    },
]


def _placed(board: Board) -> list[dict[str, Any]]:
    """Put panels side by side, row after row."""
    found: list[dict[str, Any]] = []
    x = y = row_height = 0
    for number, panel in enumerate(board.panels, 1):
        is_stat = panel.kind == "stat"
        width, height = (STAT_WIDTH, STAT_HEIGHT) if is_stat else (PANEL_WIDTH, HEIGHT)
        if x + width > WIDTH:
            x, y = 0, y + row_height
        found.append(_panel(panel, number) | {"gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x, row_height = x + width, height
    return found


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    calculate = {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "auto"}
    legend = {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi"},
    }
    options: dict[str, Any] = calculate if panel.kind == "stat" else legend
    if panel.title == "Version":
        options = calculate | {"textMode": "name"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": expr,
                "legendFormat": legend_text,
            }
            for index, (expr, (_, legend_text)) in enumerate(
                zip(panel.exprs(), panel.queries, strict=True)
            )
        ],
    }
