"""The file of a node's private key: made for its owner alone, refused where others can read it, told to nobody."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from node import key_file
from node.cli import cli
from node.config import ConfigError, load
from tests.node.test_run import NO_GATEWAY, hera, wait_for
from workers.p2p import keys


def test_a_key_pair_is_kept_in_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        result = CliRunner().invoke(cli, ["genp2pkeypair", "--out", str(path)])
    finally:
        os.umask(before)

    assert result.exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    pair = key_file.read(path)
    assert result.stdout == f"P2P Public Key: {pair.public_hex}\nP2P PeerID: {pair.peer_id}\n"


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("mine")

    result = CliRunner().invoke(cli, ["genp2pkeypair", "--out", str(path)])

    assert (result.exit_code, path.read_text()) == (78, "mine")
    assert result.stderr == f"Error: --out: {path} exists and is kept: choose another name\n"


def test_where_the_disk_is_full_no_half_a_key_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        key_file.write(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_file_that_others_may_read_or_write_is_refused_with_its_cure(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "key"
    key_file.write(path)
    path.chmod(mode)

    with pytest.raises(ConfigError) as refused:
        key_file.read(path)

    assert str(refused.value) == (
        f"p2p-private-key-file: others may read {path} (mode {mode:04o}): run chmod 600 {path}"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "0 hex digits"), ("zz", "not hexadecimal"), ("P2P PeerID: 12D3", "not hexadecimal")],
)
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=said):
        key_file.read(path)


def test_a_missing_file_is_refused_with_the_verb_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hera genp2pkeypair --out"):
        key_file.read(tmp_path / "key")
    with pytest.raises(ConfigError, match="is no file"):
        key_file.read(tmp_path)


def test_what_genp2pkeypair_prints_may_be_the_file(tmp_path: Path) -> None:
    pair, path = keys.generate(), tmp_path / "key"
    path.write_text(f"P2P Private Key: {pair.private_hex}\nP2P Public Key: {pair.public_hex}\n")
    path.chmod(0o600)

    config = load({"p2p": "true", "p2p-private-key-file": "key"}, {}, cwd=tmp_path)

    assert key_file.known(config).p2p_private_key == pair.seed
    assert config.with_drawn_key() == config


def test_a_key_and_a_key_file_exclude_each_other() -> None:
    flags = {"p2p-private-key": keys.generate().private_hex, "p2p-private-key-file": "key"}
    with pytest.raises(ConfigError, match="drop one of them"):
        load(flags, {})


def test_no_process_shows_a_secret(tmp_path: Path) -> None:
    pair, api_key = keys.generate(), "s3cret"
    words = ("--p2p", "--p2p-feeder-node", "--log-level", "debug")
    secrets = (f"--p2p-private-key={pair.private_hex}", "--gw-api-key", api_key)
    with hera(tmp_path, *NO_GATEWAY, *words, *secrets) as (process, said):
        wait_for(lambda: pair.peer_id in said(), said)  # so it was told to p2p
        wait_for(lambda: "does not answer" in said(), said)
        node = psutil.Process(process.pid)
        shown = [
            Path(f"/proc/{each.pid}/{what}").read_bytes()
            for each in (node, *node.children())
            for what in ("cmdline", "environ")
        ]
        for secret in (pair.private_hex[:64], api_key):
            assert secret not in said()
            assert not any(secret.encode() in text for text in shown)


@pytest.mark.parametrize("verb", [("run",), ("worker", "p2p")])
def test_who_needs_a_key_file_that_cannot_be_used_says_so_in_one_line(
    tmp_path: Path, verb: tuple[str, ...]
) -> None:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("HERA_")}
    options = ("--db-path", str(tmp_path), "--p2p", "--p2p-private-key-file", f"{tmp_path}/none")

    result = subprocess.run(
        [sys.executable, "-m", "node", *verb, *options],
        capture_output=True,
        text=True,
        env=environ,
        timeout=60,
        check=False,
    )

    assert (result.returncode, result.stderr.count("\n")) == (78, 1)
    assert "p2p-private-key-file" in result.stderr


def test_a_worker_that_needs_no_key_does_not_need_its_file(tmp_path: Path) -> None:
    config = load({"p2p": "true", "p2p-private-key-file": "none"}, {}, cwd=tmp_path)
    assert config.settings(1).p2p is not None
