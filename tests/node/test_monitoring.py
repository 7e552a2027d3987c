"""What is shipped for Prometheus and Grafana is written from the declarations and names nothing else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.monitoring import files
from node.monitoring.alerts import ALERTS, RECORDINGS
from node.monitoring.dashboards import BOARDS, SOURCE_UID
from workers.series import ALL, Kind

ROOT = Path(__file__).resolve().parents[2]
KNOWN = ALL.keys() | {recording.name for recording in RECORDINGS} | {"up"}


@pytest.mark.parametrize("name", files.texts())
def test_what_is_written_from_the_declarations_is_as_they_are(name: str) -> None:
    assert (ROOT / name).read_text() == files.texts()[name], "run: python -m node.monitoring"


def test_every_series_of_rules_cases_and_dashboards_is_declared() -> None:
    for expr in (
        *expressions(),
        *(name for alert in ALERTS for name in (*alert.fires, *alert.quiet)),
    ):
        for name in named(expr):
            assert name in KNOWN, f"{name} in {expr}"


def test_only_what_grows_is_asked_for_its_rate() -> None:
    for expr in expressions():
        for function, name in re.findall(r"(rate|increase)\((\w[\w:]*)", expr):
            series = ALL.get(name) or ALL[name.removesuffix("_bucket")]
            assert series.kind is not Kind.GAUGE, f"{function} of {name}"


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet() -> None:
    assert len(ALERTS) >= 10
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    cases = (ROOT / "configs/prometheus/rules_test.yml").read_text()
    rules = (ROOT / "configs/prometheus/rules.yml").read_text()
    alerts = re.findall(r"alert: (\w+)", rules)
    assert alerts == [alert.name for alert in ALERTS]
    for name in alerts:
        for word in ("fires", "is quiet"):
            assert cases.count(f"- name: {name} {word}\n") == 1


def test_every_query_of_a_dashboard_is_of_the_node_that_was_chosen() -> None:
    for board in BOARDS:
        for panel in board.panels:
            for expr in panel.exprs():
                for match in re.finditer(r"(?:hera|sync)[_:][\w:]+", expr):
                    assert expr[match.end() :].startswith('{instance=~"$instance"'), expr


def test_dashboards_have_ids_places_and_a_provisioned_data_source() -> None:
    provisioned = ROOT / "configs/grafana/provisioning/datasources/prometheus.yml"
    assert f"uid: {SOURCE_UID}\n" in provisioned.read_text()
    boards = [json.loads(text) for name, text in files.texts().items() if name.endswith(".json")]
    assert sorted(board["uid"] for board in boards) == [
        "hera-overview",
        "hera-p2p",
        "hera-pipeline",
        "hera-storage",
    ]
    for board in boards:
        panels = board["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        taken = [cell for panel in panels for cell in cells(**panel["gridPos"])]
        assert len(set(taken)) == len(taken), "two panels overlap"
        assert max(x for x, _ in taken) < 24


def expressions() -> Iterator[str]:
    yield from (recording.expr for recording in RECORDINGS)
    yield from (alert.expr for alert in ALERTS)
    yield from (expr for board in BOARDS for panel in board.panels for expr in panel.exprs())


def named(expr: str) -> Iterator[str]:
    for name in re.findall(r"\b(?:hera[_:]|sync_|up\b)[\w:]*", re.sub(r'"[^"]*"', "", expr)):
        yield name if name in KNOWN else name.removesuffix("_bucket")


def cells(x: int, y: int, w: int, h: int) -> Iterator[tuple[int, int]]:
    return ((column, row) for column in range(x, x + w) for row in range(y, y + h))
