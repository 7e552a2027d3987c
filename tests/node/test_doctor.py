"""hera doctor: each check is seen well and unwell, under real conditions; none hides another, none writes or hangs."""

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result

from broker import curve
from node import cli, key_file, locks
from node.config import ConfigError, load
from node.doctor import doctor, folders, machine, network
from node.doctor.doctor import Check
from node.doctor.findings import Finding, Patient, ok
from starknet.devnet import Devnet
from tests.node.test_config import CUSTOM, PEER
from tests.process.nodes import free_port
from workers.gateway.gateway import serve
from workers.gateway.generated import Generated
from workers.p2p import addresses, keys
from workers.p2p.book import Book
from workers.p2p.host import Host
from workers.store.writer import Writer

CHAIN = "SN_HERA_DEVNET"
NOBODY = 65534


def hera(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli.cli, [str(word) for word in arguments], env=env, prog_name="hera")


def patient(db_path: Path, file: Path | None = None, **flags: str) -> Patient:
    told = {"db-path": str(db_path)} | {
        name.replace("_", "-"): text for name, text in flags.items()
    }
    is_shown = "p2p-private-key" in told and file is None
    return Patient(load(told, {}), (), file, is_shown)


def levels(check: Check, told: Patient) -> list[str]:
    return [finding.level for finding in check(told)]


def only(check: Check, told: Patient) -> Finding:
    (finding,) = check(told)
    return finding


# ---- the machine -------------------------------------------------------------------------------------------------


def test_another_libp2p_is_refused_in_the_words_of_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert only(machine.versions, patient(tmp_path)).level == "ok"
    info = tmp_path / "libp2p-9.9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: libp2p\nVersion: 9.9.9\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = only(machine.versions, patient(tmp_path))
    assert (found.level, "libp2p 9.9.9 is installed" in found.text) == ("fail", True)


def test_a_kernel_that_hashes_wrong_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = only(machine.kernel, patient(tmp_path))
    assert found.level in ("ok", "warn")
    assert found.text.startswith("in C, with")
    monkeypatch.setattr(machine, "PEDERSEN_OF_0_0", 1)
    assert only(machine.kernel, patient(tmp_path)).level == "fail"


def test_more_verify_workers_than_cores_and_a_single_core_are_warnings(tmp_path: Path) -> None:
    mine = os.sched_getaffinity(0)
    assert levels(machine.processors, patient(tmp_path, verify_workers="256")) == ["warn"]
    if len(mine) > 1:
        assert levels(machine.processors, patient(tmp_path)) == ["ok"]
    os.sched_setaffinity(0, {min(mine)})
    try:
        assert only(machine.processors, patient(tmp_path)).text == "1 core"
    finally:
        os.sched_setaffinity(0, mine)


def test_a_budget_beyond_the_memory_is_a_failure(tmp_path: Path) -> None:
    assert levels(machine.memory, patient(tmp_path, memory_budget="16", verify_workers="1")) == [
        "ok"
    ]
    found = only(
        machine.memory,
        patient(tmp_path, memory_budget="65536", verify_workers="256", rpc_workers="256", http="1"),
    )
    assert found.level == "fail"
    assert "--memory-budget" in found.hint


def test_few_descriptors_are_a_failure_and_fewer_than_the_stores_files_a_warning(
    tmp_path: Path,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert levels(machine.descriptors, patient(tmp_path)) == ["ok"]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
        found = only(machine.descriptors, patient(tmp_path))
        assert (found.level, "ulimit" in found.hint) == ("fail", True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (800, hard))
        assert levels(machine.descriptors, patient(tmp_path)) == ["ok"]
        (tmp_path / "chain").mkdir()
        for number in range(600):
            (tmp_path / "chain" / f"{number:06}.sst").touch()
        assert levels(machine.descriptors, patient(tmp_path)) == ["warn"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ---- options -----------------------------------------------------------------------------------------------------


def test_every_wrong_option_is_told_in_the_words_of_a_start(tmp_path: Path) -> None:
    file = tmp_path / "hera.toml"
    file.write_text('db-paht = "x"\nhttp-port = 7000\nnetwork = 5\n')
    arguments = ["--config", str(file), "--log-level", "loud", "--db-path", str(tmp_path / "db")]

    result = hera("doctor", "--json", *arguments, "--p2p-feeder-node", "--p2p-peers", PEER)

    told = [row["text"] for row in json.loads(result.stdout) if row["check"] == "config"]
    assert result.exit_code == 1
    assert told[:4] == [
        f"db-paht in {file}: there is no such key: did you mean db-path?",
        f"network in {file}: give a string in quotes",
        '--log-level: "loud" is not one of trace, debug, info, warn, error',
        "if any flags in the group [p2p-feeder-node p2p-peers] are set none of the others can be; "
        "[p2p-feeder-node p2p-peers] were all set",
    ]
    assert told[4:] == ["--p2p-feeder-node has no effect without --p2p"]
    assert f"Error: {told[0]}\n" == hera("run", *arguments).stderr


def test_each_refusal_of_a_start_names_the_options_to_leave_out(tmp_path: Path) -> None:
    for flags in (
        {"cn-name": "mine"},
        CUSTOM | {"network": "sepolia"},
        {"network": "nowhere"},
        {"network": "sepolia", "public-key": "0x7"},
        {"verify-workers": "0"},
        {"broker": "tcp://127.0.0.1:1"},
        {"broker-listen": "tcp://127.0.0.1:1"},
        {"broker": "tcp://a:1", "broker-listen": "tcp://b:1", "broker-keys": str(tmp_path)},
        {"broker": "tcp://a:1", "broker-keys": str(tmp_path)},
    ):
        with pytest.raises(ConfigError) as refused:
            load(flags, {})
        assert refused.value.names, flags
    result = hera("doctor", "--json", "--config", tmp_path / "nothing.toml", "--db-path", tmp_path)
    assert json.loads(result.stdout)[0]["text"].endswith("create it or correct the path")


def test_what_has_no_effect_is_a_warning(tmp_path: Path) -> None:
    env = {"JUNO_ETH_NODE": "ws://127.0.0.1:1"}
    result = hera("doctor", "--json", "--db-path", tmp_path, "--p2p-feeder-node", env=env)
    told = {
        row["text"]: row["level"] for row in json.loads(result.stdout) if row["check"] == "config"
    }
    assert told["JUNO_ETH_NODE (L1 is not followed) has no effect"] == "warn"
    assert told["--p2p-feeder-node has no effect without --p2p"] == "warn"


def test_good_options_are_counted(tmp_path: Path) -> None:
    assert only(folders.options, patient(tmp_path, network="sepolia")).level == "ok"


# ---- files -------------------------------------------------------------------------------------------------------


def said_at_start(told: Patient) -> str:
    with pytest.raises(ConfigError) as refused:
        told.config.make_folders()
    return str(refused.value)


def test_a_folder_that_can_be_made_is_well_and_is_not_made(tmp_path: Path) -> None:
    assert levels(folders.folder, patient(tmp_path / "a" / "b")) == ["ok"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_in_the_words_of_a_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for db_path in (tmp_path / "file", tmp_path / "file" / "below"):
        told = patient(db_path)
        found = only(folders.folder, told)
        assert (found.level, found.text) == ("fail", said_at_start(told))


def test_a_folder_of_another_program_is_told_in_the_words_of_a_start(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").touch()
    told = patient(tmp_path)
    found = only(folders.folder, told)
    assert (found.level, found.text) == ("fail", said_at_start(told))


def test_a_run_folder_that_others_may_enter_is_told_in_the_words_of_a_start(tmp_path: Path) -> None:
    told = patient(tmp_path)
    told.config.make_folders()
    assert levels(folders.folder, told) == ["ok"]
    told.config.run_folder.chmod(0o755)
    found = only(folders.folder, told)
    assert (found.level, found.text) == ("fail", said_at_start(told))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user without rights; skipped where we are not root, who may become one."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_of_another_user_is_told_in_the_words_of_a_start() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        told = patient(Path(folder) / "db")
        with as_nobody():
            found = only(folders.folder, told)
            assert (found.level, found.text) == ("fail", said_at_start(told))
        told = patient(Path(folder))
        with as_nobody():
            found = only(folders.folder, told)
            assert (found.level, found.text) == ("fail", said_at_start(told))


def test_memory_is_no_place_for_a_database() -> None:
    if folders._file_system(Path("/dev/shm")) != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")
    found = only(folders.folder, patient(Path("/dev/shm/hera-doctor-test")))
    assert (found.level, "lost when the machine restarts" in found.text) == ("warn", True)


def test_a_small_disk_is_a_warning_and_a_full_one_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = patient(tmp_path / "db", network="sepolia-integration")
    monkeypatch.setattr(folders, "OTHER_GIB", 0)
    assert levels(folders.disk, told) == ["ok"]
    monkeypatch.setattr(folders, "OTHER_GIB", 1 << 40)
    assert levels(folders.disk, told) == ["warn"]
    monkeypatch.setattr(folders, "FREE_GIB_MIN", 1 << 40)
    assert levels(folders.disk, told) == ["fail"]


def test_it_is_told_whether_a_node_runs_and_what_one_has_left(tmp_path: Path) -> None:
    told = patient(tmp_path)
    assert only(folders.running, told).text == "no node runs on this database"
    told.config.make_folders()
    run_folder = told.config.run_folder
    assert only(folders.running, told).text == "no node runs on this database"
    lock = locks.hold_for_processes(run_folder, lambda _: None)
    left = only(folders.running, told)
    assert (left.level, left.text) == ("warn", str(locks.held_by_processes(run_folder)))
    other = locks.hold(run_folder)
    runs = only(folders.running, told)
    assert runs.level == "ok"
    assert str(locks.held_by_node(run_folder)) in runs.text
    assert lock is not None
    os.close(lock)
    os.close(other)


def test_keys_that_others_can_read_are_told(tmp_path: Path) -> None:
    key = keys.generate().private_hex
    file = tmp_path / "hera.toml"
    file.touch(mode=0o600)
    assert "--p2p-private-key-file" in only(folders.keys, patient(tmp_path, p2p="1")).hint
    assert levels(folders.keys, patient(tmp_path, file, p2p="1", p2p_private_key=key)) == ["ok"]
    file.chmod(0o644)
    found = only(folders.keys, patient(tmp_path, file, p2p="1", p2p_private_key=key))
    assert (found.level, found.hint) == ("warn", f"chmod 600 {file}")
    assert (
        "command line" in only(folders.keys, patient(tmp_path, p2p="1", p2p_private_key=key)).text
    )
    assert list(folders.keys(patient(tmp_path))) == []


def test_a_key_file_is_judged_as_at_a_start(tmp_path: Path) -> None:
    key_file.write(tmp_path / "key")
    told = patient(tmp_path, p2p="1", p2p_private_key_file=str(tmp_path / "key"))
    assert levels(folders.keys, told) == ["ok"]
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(ConfigError) as refused:
        key_file.known(told.config)
    found = only(folders.keys, told)
    assert (found.level, found.text) == ("fail", str(refused.value))
    assert "chmod 600" in found.text


def test_keys_of_a_broker_are_judged_as_at_its_start(tmp_path: Path) -> None:
    curve.new(tmp_path / "keys")
    told = patient(
        tmp_path, broker_listen="tcp://127.0.0.1:7788", broker_keys=str(tmp_path / "keys")
    )
    assert levels(folders.keys, told) == ["ok"]
    (tmp_path / "keys" / "secret.key").chmod(0o644)
    with pytest.raises(ConfigError) as refused:
        told.config.check_broker()
    found = only(folders.keys, told)
    assert (found.level, found.text) == ("fail", str(refused.value))


def test_a_database_of_another_chain_or_schema_is_a_failure(tmp_path: Path) -> None:
    told = patient(tmp_path, network="sepolia")
    assert only(folders.database, told).text == "none yet: the first start makes it"
    Writer(tmp_path, "SN_SEPOLIA").close()
    assert only(folders.database, told).text == "no block yet of SN_SEPOLIA"
    found = only(folders.database, patient(tmp_path, network="mainnet"))
    assert found.level == "fail"
    assert "holds chain SN_SEPOLIA, not SN_MAIN; choose another --db-path" in found.text
    for path in (tmp_path / "chain").glob("MANIFEST*"):
        path.write_bytes(b"nothing")
    assert levels(folders.database, told) == ["fail"]


# ---- ports -------------------------------------------------------------------------------------------------------


@contextmanager
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield int(taken.getsockname()[1])


def port_flags(port: int, which: str) -> dict[str, str]:
    return {
        "http": {"http": "1", "http-host": "127.0.0.1", "http-port": str(port)},
        "metrics": {"metrics": "1", "metrics-host": "127.0.0.1", "metrics-port": str(port)},
        "p2p": {"p2p": "1", "p2p-addr": f"/ip4/127.0.0.1/tcp/{port}"},
        "broker": {"broker-listen": f"tcp://127.0.0.1:{port}", "broker-keys": "keys"},
    }[which]


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("http", "Cannot serve HTTP on 127.0.0.1 port {} (Address already in use): choose another"),
        ("metrics", "Cannot serve metrics on 127.0.0.1 port {} (Address already in use)"),
        ("p2p", "cannot listen on /ip4/127.0.0.1/tcp/{}: the port is in use; stop the other"),
        ("broker", "tcp://127.0.0.1:{} cannot be listened on (Address already in use): give an"),
    ],
)
def test_a_taken_port_is_a_failure_unless_the_running_node_has_it(
    tmp_path: Path, which: str, said: str
) -> None:
    with listener() as port:
        told = patient(tmp_path, None, **port_flags(port, which))
        found = only(network.ports, told)
        assert found.level == "fail"
        assert found.text.startswith(said.format(port))
        assert f"process {os.getpid()} " in found.hint

        told.config.make_folders()
        lock = locks.hold_for_processes(told.config.run_folder, lambda _: None)
        assert lock is not None
        found = only(network.ports, told)
        os.close(lock)
        assert (found.level, found.text) == ("ok", f"{which}: {port}, which the running node has")
    assert levels(network.ports, told) == ["ok"]


def test_an_address_of_no_interface_and_a_name_that_nobody_knows_are_failures(
    tmp_path: Path,
) -> None:
    port = free_port()
    flags = {"http": "1", "http-host": "192.0.2.1", "http-port": str(port), "p2p": "1"}
    told = patient(tmp_path, None, **flags, p2p_addr=f"/dns4/nowhere.invalid/tcp/{port}")
    found = list(network.ports(told))
    assert [each.level for each in found] == ["fail", "fail"]
    assert "Cannot assign requested address" in found[0].text
    assert "no such host name" in found[1].text


# ---- the gateway -------------------------------------------------------------------------------------------------


@contextmanager
def gateway(seed: int = 0) -> Iterator[str]:
    """A real gateway of a generated chain, in a thread."""
    url: list[str] = []
    ready, stop = threading.Event(), threading.Event()

    def listening(at: str) -> None:
        url.append(at)
        ready.set()

    source = Generated(Devnet(seed=seed, length=1))
    told = {"listening": listening, "stop": stop}
    thread = threading.Thread(target=serve, args=(source, "127.0.0.1", 0), kwargs=told)
    thread.start()
    try:
        assert ready.wait(10)
        yield url[0]
    finally:
        stop.set()
        thread.join(10)


@contextmanager
def clockwork(seconds: float) -> Iterator[str]:
    """A gateway that has a key and a clock which goes wrong."""

    class Wrong(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'"0x7"')

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(int(time.time() + seconds))

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Wrong) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)


def of_gateway(db_path: Path, url: str, **flags: str) -> Patient:
    told = CUSTOM | {"cn-feeder-url": url}
    return patient(db_path, None, **told, **flags)


def test_a_gateway_that_answers_is_well_and_one_that_does_not_a_failure_where_it_is_needed(
    tmp_path: Path,
) -> None:
    with gateway() as url:
        assert levels(network.gateway, of_gateway(tmp_path, url)) == ["ok"]
    found = only(network.gateway, of_gateway(tmp_path, url))
    assert (found.level, "does not answer" in found.text) == ("fail", True)
    pinned = patient(tmp_path, network="sepolia", p2p="1", feeder_url=url)
    assert levels(network.gateway, pinned) == ["warn"]
    feeds = patient(tmp_path, network="sepolia", p2p="1", p2p_feeder_node="1", feeder_url=url)
    assert levels(network.gateway, feeds) == ["fail"]


def test_the_gateway_of_another_network_is_told_in_the_words_of_a_start(tmp_path: Path) -> None:
    with gateway() as url:
        found = only(network.gateway, patient(tmp_path, network="sepolia", feeder_url=url))
    assert found.level == "fail"
    assert "states another public key than that of sepolia" in found.text


@pytest.mark.parametrize(
    ("seconds", "level"), [(0, "ok"), (-60, "warn"), (60, "warn"), (3600, "fail"), (-3600, "fail")]
)
def test_the_clock_is_compared_with_the_gateways(
    tmp_path: Path, seconds: float, level: str
) -> None:
    with clockwork(seconds) as url:
        found = only(network.clock, of_gateway(tmp_path, url))
    assert found.level == level
    assert level == "ok" or ("behind" if seconds > 0 else "ahead of") in found.text
    assert only(network.clock, of_gateway(tmp_path, url)).text.startswith("not compared")


def test_a_store_whose_first_block_the_gateway_does_not_have_is_a_failure(tmp_path: Path) -> None:
    from tests.flow import chains
    from workers import verify

    chain, blocks = chains.devnet(20)
    writer = Writer(tmp_path, CHAIN)
    (first,) = verify.verify(chains.settings(chain.network(), tmp_path), blocks[0])
    writer.store(first)
    writer.close()
    with gateway() as same:
        assert levels(network.chain, of_gateway(tmp_path, same)) == ["ok"]
    assert levels(network.chain, of_gateway(tmp_path, same)) == ["warn"]
    with gateway(seed=1) as other:
        found = only(network.chain, of_gateway(tmp_path, other))
    assert found.level == "fail"
    assert first.block_hash.hex() in found.text
    assert list(network.chain(of_gateway(tmp_path / "none", other))) == []


# ---- peers -------------------------------------------------------------------------------------------------------


@contextmanager
def peer() -> Iterator[str]:
    """A real libp2p host in a thread; gives its multiaddr."""
    found: list[str] = []
    ready = threading.Event()
    scope: list[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = []

    async def run() -> None:
        host = Host(keys.generate(), "hera/test")
        async with host.run([addresses.parse_listen("/ip4/127.0.0.1/tcp/0")]):
            found.append(str(host.listening()[0]))
            with trio.CancelScope() as until:
                scope.append((trio.lowlevel.current_trio_token(), until))
                ready.set()
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        token, until = scope[0]
        token.run_sync_soon(until.cancel)
        thread.join(10)
        assert not thread.is_alive()


def test_each_peer_is_dialled_and_must_be_who_its_address_says(tmp_path: Path) -> None:
    with peer() as address:
        where, _, _ = address.partition("/p2p/")
        somebody = keys.generate().peer_id
        told = patient(tmp_path, p2p="1", p2p_peers=f"{address},{where}/p2p/{somebody}")
        well, unwell = network.peers(told)
    assert (well.level, well.text) == ("ok", f"{address} answers")
    assert (unwell.level, somebody in unwell.text) == ("warn", True)
    found = only(network.peers, patient(tmp_path, p2p="1", p2p_peers=address))
    assert (found.level, "refused" in found.text) == ("fail", True)
    denied = patient(tmp_path, p2p="1", p2p_peers=address, p2p_deny="127.0.0.0/8")
    assert "denied by --p2p-deny" in only(network.peers, denied).text


def test_a_peer_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "DIAL_SECONDS_MAX", 0.3)
    with listener() as port:
        silent = f"/ip4/127.0.0.1/tcp/{port}/p2p/{keys.generate().peer_id}"
        found = only(network.peers, patient(tmp_path, p2p="1", p2p_peers=silent))
    assert (found.level, "no answer" in found.text) == ("fail", True)


def test_a_node_without_peers_may_know_some_from_before(tmp_path: Path) -> None:
    told = patient(tmp_path, p2p="1")
    assert only(network.peers, told).hint.startswith("give --p2p-peers")
    book = Book(tmp_path)
    book.note(keys.generate().peer_id, [addresses.parse("/ip4/192.0.2.1/tcp/7777")])
    assert book.save()
    assert only(network.peers, told).text == "1 met before"
    (tmp_path / "peers.json").write_text("[")
    assert levels(network.peers, told) == ["warn", "warn"]
    feeds = patient(tmp_path, p2p="1", p2p_feeder_node="1")
    assert list(network.peers(feeds)) == []


# ---- all together ------------------------------------------------------------------------------------------------


def test_a_check_that_hangs_or_breaks_hides_no_other_one(tmp_path: Path) -> None:
    release = threading.Event()

    def hangs(_: Patient) -> Iterator[Finding]:
        yield ok("hangs", "so far")
        release.wait()

    def breaks(_: Patient) -> Iterator[Finding]:
        yield ok("breaks", "so far")
        raise RuntimeError("a\nbug")

    def holds(_: Patient) -> Iterator[Finding]:
        yield ok("holds", "all")

    found, is_whole = doctor.examine(patient(tmp_path), (hangs, breaks, holds), seconds_max=0.3)
    release.set()
    assert not is_whole
    assert [(each.check, each.level, each.text) for each in found] == [
        ("hangs", "ok", "so far"),
        ("hangs", "fail", "no result in 0 s"),
        ("breaks", "ok", "so far"),
        ("breaks", "fail", "could not be checked: RuntimeError: a bug"),
        ("holds", "ok", "all"),
    ]


HANGS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from node.doctor import doctor

def hangs(patient):  # as a look-up of a name does, in a thread that the interpreter waits for
    ThreadPoolExecutor().submit(Event().wait).result()
    yield

doctor.CHECKS = (hangs,)
doctor.examine.__defaults__ = ((hangs,), 0.3)
sys.exit(doctor.run({"db-path": sys.argv[1]}, {}, None, as_json=False))
"""


def test_what_hangs_does_not_keep_the_command_from_its_end(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HANGS, str(tmp_path / "db")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "no result in" in ended.stdout


def test_a_worker_on_another_machine_must_reach_its_broker(tmp_path: Path) -> None:
    with listener() as port:
        told = patient(
            tmp_path, broker=f"tcp://127.0.0.1:{port}", broker_keys="keys", network="sepolia"
        )
        assert levels(network.broker, told) == ["ok"]
    found = only(network.broker, told)
    assert (found.level, "refused" in found.text) == ("fail", True)
    assert list(network.broker(patient(tmp_path))) == []


def test_a_healthy_node_is_all_well_and_nothing_is_written(tmp_path: Path) -> None:
    store = tmp_path / "db"
    Writer(store, CHAIN).close()
    before = contents(store)
    with gateway() as url, peer() as address:
        own = CUSTOM | {"cn-feeder-url": url}
        flags = [f"--{name}={text}" for name, text in own.items()]
        flags += ["--db-path", str(store), "--p2p-peers", address]
        flags += ["--http", "--http-port", str(free_port()), "--verify-workers", "1", "--p2p"]
        env = {"HERA_P2P_PRIVATE_KEY": keys.generate().private_hex}
        result = hera("doctor", *flags, env=env)
        as_json = hera("doctor", "--json", *flags, env=env)
    assert result.exit_code == 0, result.output
    assert "fail  " not in result.stdout
    rows = json.loads(as_json.stdout)
    assert as_json.exit_code == 0
    assert {"config", "ports", "gateway", "clock", "peers", "database"} <= {
        row["check"] for row in rows
    }
    assert {tuple(row) for row in rows} == {("check", "level", "text", "hint")}
    assert contents(store) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_failures_end_with_code_1_and_each_is_a_line_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with listener() as port:
        result = hera(
            *("doctor", "--db-path", tmp_path / "file" / "db", "--network", "nowhere"),
            *("--http", "--http-host", "127.0.0.1", "--http-port", str(port)),
            *("--feeder-url", "http://127.0.0.1:1/", "--metrics-port", "x"),
        )
    assert result.exit_code == 1
    failed = [line for line in result.stdout.splitlines() if line.startswith("fail")]
    assert {line.split()[1] for line in failed} == {"config", "db-path", "ports", "gateway"}
