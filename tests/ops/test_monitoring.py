"""Real Prometheus beside really syncing nodes: what is shipped for it is right, and every panel shows something."""

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.sync.client import connect

from node.monitoring.alerts import ALERTS, RECORDINGS
from node.monitoring.dashboards import BOARDS
from tests.ops.prometheus import Prometheus, need, prometheus, promtool
from tests.process.nodes import (
    Node,
    custom_network,
    feeding,
    free_port,
    gateway,
    nodes,
    wait_until,
)
from workers.series import ALL

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "prometheus"
BLOCKS = 300
SECONDS_MAX = 60.0  # from the first scrape until every panel has its series


@dataclass(frozen=True)
class Watched:
    """A feeder node and a node that syncs from it, each scraped once a second."""

    prometheus: Prometheus
    nodes: tuple[Node, Node]
    ports: tuple[int, int]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    need()
    folder = tmp_path_factory.mktemp("watched")
    ports = free_port(), free_port()
    options, address = feeding()
    with ExitStack() as stack:
        url = stack.enter_context(gateway("--devnet", "--blocks", str(BLOCKS)))
        make = stack.enter_context(nodes(folder))
        scraping = stack.enter_context(prometheus(configuration(folder, ports), folder / "data"))
        common = [*custom_network(url), "--verify-workers", "1", "--metrics", "--metrics-port"]
        feeder = make("feeder", *common, str(ports[0]), *options)
        peer = ["--p2p", "--p2p-addr", "/ip4/127.0.0.1/tcp/0", "--p2p-peers", address]
        node = make("node", *common, str(ports[1]), *peer)
        yield Watched(scraping, (feeder, node), ports)
        for each in (node, feeder):
            assert each.stop() == 0
            assert "Traceback" not in each.text()


def configuration(folder: Path, ports: tuple[int, int]) -> Path:
    """The shipped configuration with these targets, a second between scrapes, and the shipped rules."""
    text = (CONFIGS / "prometheus.yml").read_text()
    targets = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    assert '"localhost:9090"' in text
    assert "15s" in text
    changed = text.replace('"localhost:9090"', targets).replace("15s", "1s")
    (folder / "prometheus.yml").write_text(changed)
    (folder / "rules.yml").write_text((CONFIGS / "rules.yml").read_text())
    return folder / "prometheus.yml"


def scrape(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found: bytes = answer.read()
        return found


def test_the_shipped_configuration_and_rules_are_valid() -> None:
    for check in (("config", "prometheus.yml"), ("rules", "rules.yml")):
        done = promtool("check", check[0], str(CONFIGS / check[1]))
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_and_is_quiet_as_its_cases_say() -> None:
    done = promtool("test", "rules", str(CONFIGS / "rules_test.yml"))
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_every_panel_of_every_dashboard_shows_something_of_syncing_nodes(watched: Watched) -> None:
    queries = {
        (board.name, panel.title, expr)
        for board in BOARDS
        for panel in board.panels
        for expr in panel.exprs()
    }

    def empty() -> list[tuple[str, str, str]]:
        ask(watched.nodes[1])
        return sorted(key for key in queries if not watched.prometheus.query(filled(key[2])))

    wait_until(lambda: not empty(), SECONDS_MAX, lambda: f"nothing to show: {empty()}")


def ask(node: Node) -> None:
    """Put one JSON-RPC question to a node, if it answers already."""
    question = b'{"jsonrpc": "2.0", "id": 1, "method": "starknet_chainId"}'
    with (
        suppress(OSError),
        urllib.request.urlopen(
            f"http://127.0.0.1:{node.http_port}/", question, timeout=5
        ) as answer,
    ):
        answer.read()


def subscribe(node: Node) -> None:
    """Subscribe to a node's blocks over WebSocket and leave again."""
    wanted = '{"jsonrpc": "2.0", "id": 1, "method": "starknet_subscribeNewHeads"}'
    with connect(f"ws://127.0.0.1:{node.http_port}/") as client:
        client.send(wanted)
        assert "result" in str(client.recv(SECONDS_MAX))


def filled(expr: str) -> str:
    """A panel's query with what Grafana would put for its variables."""
    return expr.replace("$__rate_interval", "30s").replace("$instance", ".*")


def test_prometheus_evaluates_every_rule_without_an_error(watched: Watched) -> None:
    def health() -> dict[str, str]:
        return {rule["name"]: rule["health"] for rule in watched.prometheus.rules()}

    wait_until(lambda: set(health().values()) == {"ok"}, SECONDS_MAX, lambda: str(health()))
    assert health().keys() == {rule.name for rule in (*RECORDINGS, *ALERTS)}


def test_the_scrape_is_clean_and_has_declared_series_only(watched: Watched) -> None:
    for node in watched.nodes:
        node.wait_head(BLOCKS - 1)
        ask(node)
        subscribe(node)
    wait_until(lambda: b"hera_rpc_sockets" in scrape(watched.ports[0]), SECONDS_MAX, lambda: "none")
    seen: set[str] = set()
    for port in watched.ports:
        text = scrape(port)
        checked = promtool("check", "metrics", given=text)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
        seen |= {line.split()[2] for line in text.decode().splitlines() if line[:6] == "# TYPE"}
    known = seen & ALL.keys()
    assert seen == known
    # nobody lied, no question was wrong, and no client was slow
    quiet = {"hera_verify_failures_total", "hera_p2p_faults_total", "hera_rpc_errors_total"}
    quiet.add("hera_rpc_sockets_cut_total")
    assert ALL.keys() - known <= quiet


def test_the_aliases_that_junos_operators_use_give_the_head(watched: Watched) -> None:
    for node in watched.nodes:
        node.wait_head(BLOCKS - 1)
    for alias in ("sync_blockchain_height", "sync_best_known_block_number"):
        wait_until(
            lambda: values(watched, alias) == [BLOCKS - 1] * 2,  # noqa: B023
            SECONDS_MAX,
            lambda: f"{alias}: {values(watched, alias)}",  # noqa: B023
        )


def test_a_killed_process_is_counted_and_its_counters_go_on(watched: Watched) -> None:
    node = watched.nodes[1]
    node.wait_head(BLOCKS - 1)
    labels = f'worker="verify-1",instance="127.0.0.1:{watched.ports[1]}"'
    done = f'hera_stage_messages_total{{outcome="done",{labels}}}'
    # each block once: at least these, and here no message was handed out twice
    wait_until(lambda: values(watched, done) >= [BLOCKS], SECONDS_MAX, node.text)
    before = values(watched, done)
    child = node.child("verify-1")
    assert child is not None
    began = child.create_time()
    child.kill()
    for expr in (
        f"hera_worker_restarts_total{{{labels}}} == 1",
        f"hera_worker_start_time_seconds{{{labels}}} > {began + 5}",
        f"hera_worker_up{{{labels}}} == 1",
    ):
        wait_until(lambda: bool(values(watched, expr)), SECONDS_MAX, lambda: f"never {expr}")  # noqa: B023
    wait_until(lambda: bool(values(watched, done)), SECONDS_MAX, lambda: f"never {done}")
    assert values(watched, done) == before


def values(watched: Watched, expr: str) -> list[float]:
    """The values of an expression now."""
    return [float(sample["value"][1]) for sample in watched.prometheus.query(expr)]
