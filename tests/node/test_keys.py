"""``hera keys`` and the options between machines, as a person uses them."""

from pathlib import Path

import pytest

from broker import curve
from node.config import ConfigError, load
from tests.node.test_cli import hera

ELSEWHERE = {"broker": "tcp://127.0.0.1:7788", "network": "sepolia"}


def test_three_commands_let_a_worker_of_another_machine_in(tmp_path: Path) -> None:
    broker = hera("keys", "new", "--out", f"{tmp_path}/keys").stdout.strip()
    worker = hera("keys", "new", "--out", f"{tmp_path}/far", "--broker", broker).stdout.strip()
    allowed = hera("keys", "allow", worker, "--keys", f"{tmp_path}/keys", "--name", "far")
    assert (allowed.exit_code, allowed.output) == (0, "")
    listed = hera("keys", "list", "--keys", f"{tmp_path}/keys")
    assert listed.stdout == f"{broker} (this broker)\n{worker} far verify\n"
    assert curve.load_passport(tmp_path / "far", "").broker.hex() == broker


def test_what_cannot_be_done_is_one_line_and_code_78(tmp_path: Path) -> None:
    keys = f"{tmp_path}/keys"
    hera("keys", "new", "--out", keys)
    for arguments, said in (
        (("new", "--out", keys), "is there already"),
        (("new", "--out", f"{tmp_path}/far", "--broker", "12"), '--broker: "12" is no key'),
        (("allow", "zz", "--keys", keys, "--name", "far"), "is no key: give its 64 hex digits"),
        (("allow", "00" * 32, "--keys", keys, "--name", "a b"), "is no name"),
        (("allow", "00" * 32, "--keys", keys, "--name", "a", "--rows", "verfy"), "no worker"),
        (("allow", "00" * 32, "--keys", f"{keys}x", "--name", "a"), "No such file"),
        (("list", "--keys", f"{keys}x"), "No such file"),
    ):
        result = hera("keys", *arguments)
        assert result.exit_code == 78, arguments
        assert said in result.stderr
        assert result.stderr.count("\n") == 1
    assert not (tmp_path / "far").exists()


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (ELSEWHERE, "broker: plain tcp:// is refused: give --broker-keys"),
        ({"verify-workers": "0"}, "0 leaves the work to other machines: give --broker-listen"),
        ({"broker-listen": "tcp://0.0.0.0:1"}, "broker-listen: plain tcp:// is refused"),
        ({"broker-listen": "ipc://x", "broker-keys": "k"}, "not of the form tcp://HOST:PORT"),
        ({"broker": "tcp://x:70000", "broker-keys": "k"}, "not of the form tcp://HOST:PORT"),
        ({"broker": "tcp://x:1", "broker-keys": "k"}, "must be told the node's --network"),
        (ELSEWHERE | {"broker-keys": "k", "broker-listen": "tcp://x:1"}, "drop --broker-listen"),
    ],
)
def test_between_machines_keys_and_network_must_be_said(flags: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load(flags, {})


def test_a_nodes_processes_are_told_where_the_keys_are(tmp_path: Path) -> None:
    flags = {"broker-listen": "tcp://0.0.0.0:7788", "broker-keys": "keys"}
    config = load(flags, {}, cwd=tmp_path)
    again = load({}, config.environment())
    assert (again.broker_listen, again.broker_keys) == ("tcp://0.0.0.0:7788", tmp_path / "keys")


def test_the_realm_tells_apart_what_would_be_judged_otherwise(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(bytes(32))
    sepolia = load({"network": "sepolia"}, {})
    others = (
        load({"network": "mainnet"}, {}).realm(1),
        sepolia.realm(2),
        load({"network": "sepolia", "block-hash-table": f"{tmp_path}/table"}, {}).realm(1),
    )
    assert sepolia.realm(1) == load({"network": "sepolia", "http": "true"}, {}).realm(1)
    assert len({sepolia.realm(1), *others}) == 4


@pytest.mark.parametrize("verb", ["run", "broker"])
def test_a_node_does_not_take_the_option_of_a_worker_elsewhere(verb: str, tmp_path: Path) -> None:
    words = [f"--{name}={text}" for name, text in ELSEWHERE.items()]
    result = hera(verb, *words, "--broker-keys", str(tmp_path), "--db-path", f"{tmp_path}/db")
    assert (result.exit_code, result.stderr.count("\n")) == (78, 1)
    assert "it is for hera worker" in result.stderr


def test_a_worker_elsewhere_that_needs_the_store_must_be_told_where_it_is(tmp_path: Path) -> None:
    hera("keys", "new", "--out", f"{tmp_path}/far", "--broker", "00" * 32)
    words = [f"--{name}={text}" for name, text in ELSEWHERE.items()]
    result = hera("worker", "commit", *words, "--broker-keys", f"{tmp_path}/far")
    assert (result.exit_code, result.stderr.count("\n")) == (78, 1)
    assert "worker commit needs the node's store: give its --db-path" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("worker", "verify", *(f"--{name}={text}" for name, text in ELSEWHERE.items())),
        ("run", "--broker-listen", "tcp://127.0.0.1:7788"),
        ("broker", "--broker-listen", "tcp://127.0.0.1:7788"),
    ],
)
def test_missing_keys_are_one_line_and_code_78(words: tuple[str, ...], tmp_path: Path) -> None:
    result = hera(*words, "--db-path", f"{tmp_path}/db", "--broker-keys", f"{tmp_path}/none")
    assert (result.exit_code, result.stderr.count("\n")) == (78, 1)
    assert "broker-keys: " in result.stderr
