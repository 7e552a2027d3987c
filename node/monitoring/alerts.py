"""What Prometheus works out of a node's series and when it calls a person, each alert with the cases that test it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

GIB = 1 << 30
TEST_AT = "40m"
_ONE = 'instance="a",job="hera"'  # the node in the cases


@dataclass(frozen=True)
class Recording:
    """A series that Prometheus works out by itself."""

    name: str
    expr: str
    help: str


@dataclass(frozen=True)
class Alert:
    """When to call, and why. ``summary`` is a template of Prometheus; ``hint`` says what to do.

    ``fires`` and ``quiet`` map series to their values, one a minute, of a case with and one without the alert;
    ``labels`` and ``says`` are the labels and the summary that the first one must have.
    """

    name: str
    expr: str
    lasts: str
    severity: str
    summary: str
    hint: str
    fires: Mapping[str, str]
    quiet: Mapping[str, str]
    says: str
    labels: Mapping[str, str]


RECORDINGS = (
    Recording(
        "hera:sync_lag_blocks",
        "clamp_min(max by (instance, job) (hera_sync_best_known_block) - (max by (instance, job)"
        " (hera_chain_head_block) or max by (instance, job) (hera_sync_best_known_block) * 0 - 1), 0)",
        "Blocks between the stored head and the best known block.",
    ),
    Recording(
        "hera:sync_blocks:rate5m",
        "sum by (instance, job) (rate(hera_sync_blocks_total[5m]))",
        "Blocks stored a second.",
    ),
    Recording(
        "hera:sync_eta_seconds",
        "hera:sync_lag_blocks / (hera:sync_blocks:rate5m > 0)",
        "Seconds until the head is reached at this speed; absent while nothing is stored.",
    ),
    Recording(
        "hera:stage_busy:ratio",
        "avg by (instance, job, stage) (rate(hera_stage_busy_seconds_total[1m]))",
        "Share of their time that the processes of a stage work; the highest is the bottleneck.",
    ),
    Recording(
        "hera:queue_fill:ratio",
        "(hera_queue_items / hera_queue_capacity_items) >= (hera_queue_bytes / hera_queue_capacity_bytes)"
        " or (hera_queue_bytes / hera_queue_capacity_bytes)",
        "How full a topic is, by messages or by bytes, whichever is more.",
    ),
)

ALERTS = (
    Alert(
        "HeraExporterDown",
        'up{job="hera"} == 0',
        "1m",
        "critical",
        "Metrics of {{ $labels.instance }} do not answer",
        "Is the node running, with --metrics and the port that Prometheus asks?",
        fires={"up": "1x10 0x50"},
        quiet={"up": "1x60"},
        says="Metrics of a do not answer",
        labels={},
    ),
    Alert(
        "HeraWorkerDown",
        "hera_worker_up == 0",
        "1m",
        "critical",
        "Process {{ $labels.worker }} of {{ $labels.instance }} is missed",
        "Its last lines in the node's log say why it ended.",
        fires={'hera_worker_up{worker="commit"}': "1x10 0x50"},
        quiet={'hera_worker_up{worker="commit"}': "1x39 0 1x20"},
        says="Process commit of a is missed",
        labels={"worker": "commit"},
    ),
    Alert(
        "HeraCrashLoop",
        "increase(hera_worker_restarts_total[15m]) > 3",
        "0m",
        "warning",
        "Process {{ $labels.worker }} of {{ $labels.instance }} keeps dying",
        "Its last lines in the node's log say why; report a traceback.",
        fires={'hera_worker_restarts_total{worker="verify-1"}': "0x30 1+1x29"},
        quiet={'hera_worker_restarts_total{worker="verify-1"}': "0x30 1x29"},
        says="Process verify-1 of a keeps dying",
        labels={"worker": "verify-1"},
    ),
    Alert(
        "HeraSyncStalled",
        "hera:sync_lag_blocks > 0 and on (instance, job)"
        " (sum by (instance, job) (increase(hera_sync_blocks_total[10m])) == 0)",
        "5m",
        "critical",
        "{{ $labels.instance }} stores nothing, {{ $value }} blocks behind",
        'The log line "The head does not move" names what is waited for.',
        fires={
            'hera_sync_best_known_block{worker="p2p"}': "150x60",
            'hera_chain_head_block{worker="commit"}': "100x60",
            'hera_sync_blocks_total{worker="commit"}': "100x60",
        },
        quiet={
            'hera_sync_best_known_block{worker="p2p"}': "100x60",
            'hera_chain_head_block{worker="commit"}': "100x60",
            'hera_sync_blocks_total{worker="commit"}': "100x60",
        },
        says="a stores nothing, 50 blocks behind",
        labels={},
    ),
    Alert(
        "HeraNotCatchingUp",
        "hera:sync_lag_blocks > 100 and on (instance, job) (deriv(hera:sync_lag_blocks[15m]) >= 0)",
        "15m",
        "warning",
        "{{ $labels.instance }} falls behind: {{ $value }} blocks",
        "The stage with the highest busy ratio is the bottleneck: more --verify-workers, or a faster disk.",
        fires={
            'hera_sync_best_known_block{worker="p2p"}': "1000+2x60",
            'hera_chain_head_block{worker="commit"}': "800+1x60",
        },
        quiet={
            'hera_sync_best_known_block{worker="p2p"}': "1000+2x60",
            'hera_chain_head_block{worker="commit"}': "0+10x60",
        },
        says="a falls behind: 240 blocks",
        labels={},
    ),
    Alert(
        "HeraNoPeers",
        "sum by (instance, job) (hera_p2p_peers) == 0",
        "5m",
        "critical",
        "{{ $labels.instance }} has no peers",
        "Is the port of --p2p-addr reachable, and does a peer of --p2p-peers answer?",
        fires={'hera_p2p_peers{worker="p2p",agent="hera",direction="inbound"}': "3x10 0x50"},
        quiet={'hera_p2p_peers{worker="p2p",agent="hera",direction="inbound"}': "0x10 3x50"},
        says="a has no peers",
        labels={},
    ),
    Alert(
        "HeraFewPeers",
        "sum by (instance, job) (hera_p2p_peers) > 0 < 3",
        "30m",
        "warning",
        "{{ $labels.instance }} has only {{ $value }} peers",
        "Parts of a block are then asked of few peers: name more in --p2p-peers.",
        fires={'hera_p2p_peers{worker="p2p",agent="hera",direction="inbound"}': "2x60"},
        quiet={'hera_p2p_peers{worker="p2p",agent="hera",direction="inbound"}': "2x30 3x30"},
        says="a has only 2 peers",
        labels={},
    ),
    Alert(
        "HeraPeersLie",
        "sum by (instance, job) (hera_p2p_quarantined_peers + hera_p2p_banned_peers)"
        " > sum by (instance, job) (hera_p2p_peers)",
        "10m",
        "warning",
        "More peers of {{ $labels.instance }} are left alone than connected",
        "hera peers list shows who broke which rule; is --network right?",
        fires={
            'hera_p2p_quarantined_peers{worker="p2p"}': "3x60",
            'hera_p2p_banned_peers{worker="p2p"}': "1x60",
            'hera_p2p_peers{worker="p2p",agent="hera",direction="inbound"}': "3x60",
        },
        quiet={
            'hera_p2p_quarantined_peers{worker="p2p"}': "1x60",
            'hera_p2p_banned_peers{worker="p2p"}': "1x60",
            'hera_p2p_peers{worker="p2p",agent="hera",direction="inbound"}': "3x60",
        },
        says="More peers of a are left alone than connected",
        labels={},
    ),
    Alert(
        "HeraChecksFail",
        "sum by (instance, job, rule) (increase(hera_verify_failures_total[15m])) > 5",
        "0m",
        "warning",
        "Blocks that {{ $labels.instance }} got fail the check {{ $labels.rule }}",
        "Peers lie, or this node is of an older protocol version than the chain.",
        fires={'hera_verify_failures_total{worker="verify-1",rule="block.hash"}': "0+1x60"},
        quiet={'hera_verify_failures_total{worker="verify-1",rule="block.hash"}': "0x30 2x30"},
        says="Blocks that a got fail the check block.hash",
        labels={"rule": "block.hash"},
    ),
    Alert(
        "HeraMessagePoisoned",
        "increase(hera_queue_poisoned_items_total[1h]) > 0",
        "0m",
        "warning",
        "{{ $labels.instance }} set a message aside: processes died of it",
        'Report the log line "Message set aside" and the traceback before it.',
        fires={"hera_queue_poisoned_items_total": "0x20 1x40"},
        quiet={"hera_queue_poisoned_items_total": "1x60"},
        says="a set a message aside: processes died of it",
        labels={},
    ),
    Alert(
        "HeraDeepReorg",
        "increase(hera_sync_reorged_blocks_total[1h]) > 10",
        "0m",
        "warning",
        "{{ $labels.instance }} took many blocks back: the network left its chain",
        "Read the log around it; compare the head with another node's.",
        fires={'hera_sync_reorged_blocks_total{worker="commit"}': "0x20 20x40"},
        quiet={'hera_sync_reorged_blocks_total{worker="commit"}': "0x20 1x40"},
        says="a took many blocks back: the network left its chain",
        labels={"worker": "commit"},
    ),
    Alert(
        "HeraQueueFull",
        "hera:queue_fill:ratio > 0.9",
        "10m",
        "warning",
        "Topic {{ $labels.topic }} of {{ $labels.instance }} is full",
        "The stage that takes it is too slow, or it hangs: see its busy ratio.",
        fires={
            'hera_queue_items{topic="block.parts"}': "3900x60",
            'hera_queue_capacity_items{topic="block.parts"}': "4000x60",
            'hera_queue_bytes{topic="block.parts"}': "10x60",
            'hera_queue_capacity_bytes{topic="block.parts"}': "1000x60",
        },
        quiet={
            'hera_queue_items{topic="block.parts"}': "1000x60",
            'hera_queue_capacity_items{topic="block.parts"}': "4000x60",
            'hera_queue_bytes{topic="block.parts"}': "800x60",
            'hera_queue_capacity_bytes{topic="block.parts"}': "1000x60",
        },
        says="Topic block.parts of a is full",
        labels={"topic": "block.parts"},
    ),
    Alert(
        "HeraGatewayFails",
        'sum by (instance, job) (rate(hera_feeder_requests_total{status=~"0|429|5.."}[5m]))'
        " / sum by (instance, job) (rate(hera_feeder_requests_total[5m])) > 0.5",
        "5m",
        "warning",
        "The gateway answers {{ $labels.instance }} badly",
        "Is --feeder-url right, and does the gateway limit how often it is asked?",
        fires={
            'hera_feeder_requests_total{worker="feeder",endpoint="get_state_update",status="0"}': "0+3x60",
            'hera_feeder_requests_total{worker="feeder",endpoint="get_state_update",status="200"}': "0+1x60",
        },
        quiet={
            'hera_feeder_requests_total{worker="feeder",endpoint="get_state_update",status="429"}': "0+1x60",
            'hera_feeder_requests_total{worker="feeder",endpoint="get_state_update",status="200"}': "0+9x60",
        },
        says="The gateway answers a badly",
        labels={},
    ),
    Alert(
        "HeraSlowCommits",
        "histogram_quantile(0.95, sum by (instance, job, le)"
        " (rate(hera_store_commit_duration_seconds_bucket[10m]))) > 2.5",
        "15m",
        "warning",
        "Blocks of {{ $labels.instance }} take seconds to be stored",
        "Is the disk of --db-path slow, or used by others?",
        fires={
            'hera_store_commit_duration_seconds_bucket{worker="commit",le="2.5"}': "0x60",
            'hera_store_commit_duration_seconds_bucket{worker="commit",le="5.0"}': "0+6x60",
            'hera_store_commit_duration_seconds_bucket{worker="commit",le="+Inf"}': "0+6x60",
        },
        quiet={
            'hera_store_commit_duration_seconds_bucket{worker="commit",le="2.5"}': "0+6x60",
            'hera_store_commit_duration_seconds_bucket{worker="commit",le="5.0"}': "0+6x60",
            'hera_store_commit_duration_seconds_bucket{worker="commit",le="+Inf"}': "0+6x60",
        },
        says="Blocks of a take seconds to be stored",
        labels={},
    ),
    Alert(
        "HeraRpcFails",
        'sum by (instance, job) (rate(hera_rpc_errors_total{code="-32603"}[5m]))'
        " / sum by (instance, job) (rate(hera_rpc_requests_total[5m])) > 0.05",
        "10m",
        "warning",
        "JSON-RPC requests to {{ $labels.instance }} end in internal errors",
        'Report the traceback at the log line "A request failed".',
        fires={
            'hera_rpc_errors_total{worker="rpc",code="-32603"}': "0+1x60",
            'hera_rpc_requests_total{worker="rpc",method="starknet_getEvents"}': "0+10x60",
        },
        quiet={
            'hera_rpc_errors_total{worker="rpc",code="24"}': "0+9x60",
            'hera_rpc_requests_total{worker="rpc",method="starknet_getEvents"}': "0+10x60",
        },
        says="JSON-RPC requests to a end in internal errors",
        labels={},
    ),
    Alert(
        "HeraDiskNearlyFull",
        f"hera_store_disk_free_bytes < {5 * GIB}",
        "5m",
        "critical",
        "{{ $labels.instance }} has {{ $value | humanize1024 }}B of disk left",
        "Make room; a full disk stops the node, what it holds is kept.",
        fires={"hera_store_disk_free_bytes": f"{GIB}x60"},
        quiet={"hera_store_disk_free_bytes": f"{50 * GIB}x60"},
        says="a has 1GiB of disk left",
        labels={},
    ),
    Alert(
        "HeraDiskFillsSoon",
        "predict_linear(hera_store_disk_free_bytes[6h], 86400) < 0",
        "30m",
        "warning",
        "The disk of {{ $labels.instance }} is full within a day",
        "Make room, or move --db-path to a larger disk.",
        fires={"hera_store_disk_free_bytes": f"{100 * GIB}-{GIB}x60"},
        quiet={"hera_store_disk_free_bytes": f"{100 * GIB}x60"},
        says="The disk of a is full within a day",
        labels={},
    ),
)


def rules() -> str:
    """Return rules.yml."""
    lines = [_HEADER, "groups:", "- name: hera.recorded", "  rules:"]
    for recording in RECORDINGS:
        lines += [f"  - record: {recording.name}", f"    expr: {_text(recording.expr)}"]
    lines += ["- name: hera.alerts", "  rules:"]
    for alert in ALERTS:
        lines += [
            f"  - alert: {alert.name}",
            f"    expr: {_text(alert.expr)}",
            f"    for: {alert.lasts}",
            f"    labels: {{severity: {alert.severity}}}",
            "    annotations:",
            f"      summary: {_text(alert.summary)}",
            f"      hint: {_text(alert.hint)}",
        ]
    return "\n".join(lines) + "\n"


def tests() -> str:
    """Return rules_test.yml for ``promtool test rules``: each alert once fires and once is quiet."""
    lines = [
        _HEADER,
        "rule_files: [rules.yml]",
        "evaluation_interval: 1m",
        "group_eval_order: [hera.recorded, hera.alerts]  # else any: alerts of the minute before",
        "tests:",
    ]
    for alert in ALERTS:
        lines += _case(alert, alert.fires, is_firing=True)
        lines += _case(alert, alert.quiet, is_firing=False)
    return "\n".join(lines) + "\n"


_HEADER = "# written by python -m node.monitoring: change node/monitoring/alerts.py"


def _case(alert: Alert, series: Mapping[str, str], *, is_firing: bool) -> Iterator[str]:
    word = "fires" if is_firing else "is quiet"
    yield f"- name: {alert.name} {word}"
    yield "  interval: 1m"
    yield "  input_series:"
    for name, values in series.items():
        yield f"  - series: {_text(_of_node(name))}"
        yield f"    values: {_text(values)}"
    yield "  alert_rule_test:"
    yield f"  - eval_time: {TEST_AT}"
    yield f"    alertname: {alert.name}"
    if not is_firing:
        yield "    exp_alerts: []"
        return
    labels = {"severity": alert.severity, "instance": "a", "job": "hera", **alert.labels}
    yield "    exp_alerts:"
    yield f"    - exp_labels: {json.dumps(labels)}"
    yield f"      exp_annotations: {json.dumps({'summary': alert.says, 'hint': alert.hint})}"


def _of_node(series: str) -> str:
    name, brace, labels = series.partition("{")
    return f"{name}{{{_ONE},{labels}" if brace else f"{name}{{{_ONE}}}"


def _text(value: str) -> str:
    """Write a YAML string; JSON's are YAML's."""
    return json.dumps(value, ensure_ascii=False)
