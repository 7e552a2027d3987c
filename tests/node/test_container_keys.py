"""Keys made at once for containers: whole, each for its own row, and left as they are the next time."""

import stat
from pathlib import Path

import pytest

from broker import curve
from node import container_keys, processes
from node.config import ConfigError, load
from workers.p2p import keys

ROWS = [row.name for row in processes.every_row()]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_worker_gets_a_key_that_may_join_for_its_own_row_alone(tmp_path: Path) -> None:
    assert container_keys.node(tmp_path / "keys") == 0
    broker = curve.load_broker(tmp_path / "keys" / "broker")
    allowed = curve.allowed(broker.folder)
    passports = {row: curve.load_passport(tmp_path / "keys" / row, realm="") for row in ROWS}
    assert {row: allowed[passport.public].rows for row, passport in passports.items()} == {
        row: (row,) for row in ROWS
    }
    assert {passport.broker for passport in passports.values()} == {broker.public}


def test_a_second_time_changes_nothing_but_finishes_what_was_cut_short(tmp_path: Path) -> None:
    container_keys.node(tmp_path)
    before = contents(tmp_path)
    container_keys.node(tmp_path)
    assert contents(tmp_path) == before
    lines = (tmp_path / "broker" / "allowed").read_text().splitlines(keepends=True)
    (tmp_path / "broker" / "allowed").write_text("".join(lines[:-1]))
    (tmp_path / "p2p.toml").unlink()
    container_keys.node(tmp_path)
    after = contents(tmp_path)
    assert after.keys() == before.keys()
    assert {path.name for path in after if after[path] != before[path]} == {"p2p.toml"}


def test_a_nodes_p2p_key_is_read_by_its_config_and_by_nobody_else(tmp_path: Path) -> None:
    container_keys.node(tmp_path)
    path = tmp_path / "p2p.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load({}, {}, config=str(path)).p2p_private_key is not None


def test_the_nodes_of_a_network_know_the_first_by_name_and_peer_id(tmp_path: Path) -> None:
    hosts = [("feeder", 7777), ("node1", 7778), ("node2", 7779)]
    container_keys.network(tmp_path, hosts)
    before = contents(tmp_path)
    container_keys.network(tmp_path, hosts)
    assert contents(tmp_path) == before
    configs = [load({}, {}, config=str(tmp_path / f"{name}.toml")) for name, _ in hosts]
    seed = configs[0].p2p_private_key
    assert seed is not None
    known = f"/dns4/feeder/tcp/7777/p2p/{keys.from_seed(seed).peer_id}"
    assert [config.p2p_peers for config in configs] == [(), (known,), (known,)]
    assert [config.p2p_addr for config in configs] == [
        (f"/ip4/0.0.0.0/tcp/{port}",) for _, port in hosts
    ]
    assert len({config.p2p_private_key for config in configs}) == 3


def test_what_is_in_the_way_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "node1.toml").write_text('p2p-peers = "x"\n')
    with pytest.raises(ConfigError, match=r"node1\.toml holds no p2p-private-key: remove it"):
        container_keys.network(tmp_path, [("feeder", 1), ("node1", 2)])
    other = tmp_path / "other"
    container_keys.node(tmp_path / "keys")
    container_keys.node(other)
    for path in (tmp_path / "keys" / "verify").iterdir():
        path.write_bytes((other / "verify" / path.name).read_bytes())
    with pytest.raises(ConfigError, match="has the keys of another broker: remove it"):
        container_keys.node(tmp_path / "keys")
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigError, match="others may enter it"):
        container_keys.node(tmp_path)


@pytest.mark.parametrize("text", ["feeder", "feeder:0", ":7777", "a b:7777", "10.0.0.300:1"])
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is n"):
        container_keys.listening(text)
