"""docs/metrics.md: every series, recorded series and alert, from where each is declared."""

from collections.abc import Iterator

from node.monitoring.alerts import ALERTS, RECORDINGS
from workers.series import BUCKETS_S, GROUPS

_HEAD = """# Metrics

*Written by `python -m node.monitoring` from `workers/series.py` and `node/monitoring/alerts.py`; a test compares.*

A node with `--metrics` serves them at `http://HOST:PORT/metrics` (`--metrics-host`, `--metrics-port`: `localhost` and
`9090` if not said), all processes together: each tells the broker of itself once a second, and the metrics process asks
the broker whenever Prometheus asks it. Between scrapes it does nothing. `configs/prometheus/` and `configs/grafana/`
are ready to use.

A series with the label `worker` is said by one process of itself. A process that was started again begins to count
from nought; the metrics process adds what its earlier lives had told, so a counter goes on where it was, as long as the
metrics process itself lives. What was counted in the last second before a death, and not told, is lost. After
the metrics process, the broker or the machine was restarted counters may begin anew; `rate` and `increase` know how to
read that. While a process is away only `hera_worker_up` (0) and `hera_worker_restarts_total` speak of it.

Label values come from lists in the program: rules, topics, stages, protocols, names of programs; never from what
a peer chooses. One process keeps at most 64 sets of values of one series, the rest counts as `other`."""


def text() -> str:
    """Return the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    yield f"Buckets of every histogram, in seconds: {', '.join(f'{bound:g}' for bound in BUCKETS_S)}."
    for title, group in GROUPS:
        yield f"\n## {title}\n"
        yield "| series | type | labels | meaning |"
        yield "|---|---|---|---|"
        for series in group:
            labels = [*(["worker"] if series.of_worker else []), *series.labels]
            shown = ", ".join(f"`{label}`" for label in labels) or "–"
            yield f"| `{series.name}` | {series.kind} | {shown} | {series.help} |"
    yield "\n## Worked out by Prometheus (`configs/prometheus/rules.yml`)\n"
    yield "| series | meaning |"
    yield "|---|---|"
    for recording in RECORDINGS:
        yield f"| `{recording.name}` | {recording.help} |"
    yield "\n## Alerts\n"
    yield "| alert | severity | when | what to do |"
    yield "|---|---|---|---|"
    for alert in ALERTS:
        expr = alert.expr.replace("|", "\\|")
        lasts = "" if alert.lasts == "0m" else f" for {alert.lasts}"
        yield f"| {alert.name} | {alert.severity} | `{expr}`{lasts} | {alert.hint} |"
