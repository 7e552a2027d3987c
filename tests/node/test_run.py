"""A node that cannot run says why in one line and leaves with code 78; one that waits can be stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import psutil

from tests.node.test_config import CUSTOM
from workers.store.writer import Writer

SECONDS_MAX = 60.0
# Nobody listens there; the pinned key does, and few processes are needed.
NO_GATEWAY = ("--network", "sepolia", "--feeder-url", "http://127.0.0.1:1")
PROCESSES = 4  # broker, feeder, verify-1, commit


@contextmanager
def hera(
    folder: Path, *arguments: str, environ: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """Start ``hera`` on a database in ``folder``; give the process and what it has said so far."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("HERA_")}
    words = (sys.executable, "-m", "node", "--verify-workers", "1", *arguments)
    log = folder / f"log-{time.monotonic_ns()}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            (*words, "--db-path", str(folder / "db")),
            stdout=output,
            stderr=output,
            env={**own, **environ},
        )
    try:
        yield process, lambda: log.read_text(errors="replace")
    finally:
        process.terminate()
        process.wait(SECONDS_MAX)


def wait_for(holds: Callable[[], bool], said: Callable[[], str]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, said()
        time.sleep(0.02)


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if "\tERROR\t" in line or line.startswith("Error:")]


def test_the_banner_comes_first_and_p2p_is_called_experimental(tmp_path: Path) -> None:
    custom = [f"--{name}={text}" for name, text in CUSTOM.items()]
    custom[1] = "--cn-feeder-url=http://127.0.0.1:1"  # nobody listens there
    with hera(tmp_path, "--p2p", "--log-level", "debug", *custom) as (process, said):
        wait_for(lambda: "asking again" in said(), said)
        text = said()
        assert text.splitlines()[5].endswith(" 0.1.0")
        assert text.index("Hera is a ") < text.index("Running Hera with config:")
        assert "\tWARN\tnode/run.py" in text
        assert "P2P features enabled. Please note P2P is in experimental stage\n" in text
        assert "Neither block hash nor signature binds these fields" in text
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0


def test_what_is_set_for_juno_is_used_and_said_once(tmp_path: Path) -> None:
    juno = {"JUNO_NETWORK": "sepolia", "JUNO_ETH_NODE": "ws://x", "JUNO_LOG_LEVEL": "debug"}
    url = ("--feeder-url", "http://127.0.0.1:1")
    with hera(tmp_path, *url, "--pprof", "--log-json", environ=juno) as (_, said):
        wait_for(lambda: '"process": "feeder"' in said(), said)
        lines = [json.loads(line) for line in said().splitlines() if line.startswith("{")]
        told = [line for line in lines if "Juno" in line["message"]]
    assert [(line["level"], line.get("variables"), line.get("ignored")) for line in told] == [
        ("INFO", "JUNO_NETWORK, JUNO_LOG_LEVEL", None),
        (
            "WARN",
            None,
            "JUNO_ETH_NODE (L1 is not followed); --pprof (there is no such server)",
        ),
    ]
    assert {line["process"] for line in lines} >= {"hera", "feeder"}


def test_a_table_of_block_hashes_is_said_to_bind_up_to_its_last_block(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(bytes(32 * 8))
    words = ("--block-hash-table", str(tmp_path / "table"))
    with hera(tmp_path, *NO_GATEWAY, "--p2p", "--p2p-feeder-node", *words) as (_, said):
        wait_for(lambda: "Neither block hash nor signature binds" in said(), said)
        text = said()
        assert "A table of block hashes binds what old hashes leave open" in text
        assert '"up_to_block":7' in text.replace(" ", "")
        assert '"these_only_after_block":7' in text.replace(" ", "")


def test_a_busy_http_port_is_one_line_and_code_78(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = ("--http", "--http-host", "127.0.0.1", f"--http-port={port}")
        with hera(tmp_path, *NO_GATEWAY, *arguments) as (process, said):
            assert process.wait(SECONDS_MAX) == 78
    line, stopping = errors(said())
    assert f"port {port}" in line
    assert "choose another --http-port" in line
    assert json.loads(stopping.split("\t")[-1]) == {"process": "rpc"}


def test_another_chains_database_is_one_line_and_code_78(tmp_path: Path) -> None:
    Writer(tmp_path / "db", "SN_MAIN").close()
    with hera(tmp_path, *NO_GATEWAY) as (process, said):
        assert process.wait(SECONDS_MAX) == 78
    line, stopping = errors(said())
    assert "SN_MAIN" in line
    assert json.loads(stopping.split("\t")[-1]) == {"process": "commit"}


def test_a_second_node_on_one_database_is_refused_and_a_killed_one_leaves_nothing(
    tmp_path: Path,
) -> None:
    with hera(tmp_path, *NO_GATEWAY) as (first, said):
        root = psutil.Process(first.pid)
        wait_for(lambda: len(root.children()) == PROCESSES, said)
        with hera(tmp_path, *NO_GATEWAY) as (second, second_said):
            assert second.wait(SECONDS_MAX) == 78
        assert "another node runs on this database" in errors(second_said())[0]

        children = root.children()
        first.kill()
        with hera(tmp_path, *NO_GATEWAY) as (third, third_said):
            wait_for(lambda: len(psutil.Process(third.pid).children()) == PROCESSES, third_said)
            assert not [child for child in children if alive(child)]
            third.send_signal(signal.SIGTERM)
            assert third.wait(SECONDS_MAX) == 0
            assert not errors(third_said())


def alive(process: psutil.Process) -> bool:
    """Whether it runs; where nobody collects orphans, one that has ended stays as a zombie."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_worker_alone_waits_for_its_broker_and_then_asks_to_be_started_again(
    tmp_path: Path,
) -> None:
    with hera(tmp_path, "worker", "verify", "--network", "sepolia") as (process, said):
        assert process.wait(SECONDS_MAX) == 75
        assert "no broker answers" in said()
