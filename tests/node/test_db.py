"""hera db: what a store holds is told, each row that is wrong is named, and blocks are taken back whole."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from node import cli, locks, networks
from node.config import load
from starknet.network import Network
from tests.flow import chains
from tests.settings import settings_of
from tests.workers import blocks as made
from workers import verify
from workers.messages import BlockAssembled, BlockVerified
from workers.store.opening import FOLDER
from workers.store.reader import Reader, digest
from workers.store.rocks import Rocks, open_primary
from workers.store.schema import HEAD_KEY, Family, Kind, number_key, pack_location
from workers.store.writer import Writer

LENGTH = 20
LONG = 80
CHAIN = "SN_HERA_DEVNET"


def hera(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli.cli, [str(word) for word in arguments], env=env, prog_name="hera")


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of verified blocks; each test has a copy."""
    db_path = tmp_path_factory.mktemp("synced")
    chain, blocks = chains.devnet(LENGTH)
    store_checked(db_path, chain.network(), blocks)
    return db_path


@pytest.fixture
def db_path(synced: Path, tmp_path: Path) -> Path:
    shutil.copytree(synced, tmp_path / "db")
    return tmp_path / "db"


@pytest.fixture(scope="module")
def key() -> str:
    """The sequencer's."""
    return hex(chains.devnet(LENGTH)[0].network().public_key or 0)


def store(db_path: Path, blocks: list[BlockVerified]) -> None:
    writer = Writer(db_path, CHAIN)
    for block in blocks:
        writer.store(block)
    writer.close()


def store_checked(db_path: Path, network: Network, blocks: Iterable[BlockAssembled]) -> None:
    """Store blocks as the pipeline does."""
    settings = chains.settings(network, db_path)
    writer = Writer(db_path, network.chain_id)
    for block in blocks:
        for checked in verify.verify(settings, block):
            writer.store(checked)
    writer.close()


def stored_head(db_path: Path) -> int:
    reader = Reader(db_path)
    number = head_of(reader)
    reader.close()
    return number


# ---- info and size -----------------------------------------------------------------------------------------------


def test_info_tells_the_chain_and_the_last_block_under_junos_keys(db_path: Path) -> None:
    reader = Reader(db_path)
    head = reader.head()
    reader.close()
    assert head is not None

    result = hera("db", "info", "--db-path", db_path)

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith('{\n  "network": ')
    told = json.loads(result.stdout)
    assert list(told)[:7] == [
        "network",
        "chain_height",
        "latest_block_hash",
        "latest_state_root",
        "l1_height",
        "l1_block_hash",
        "l1_state_root",
    ]
    assert (told["network"], told["chain_height"]) == (CHAIN, LENGTH - 1)
    assert told["latest_block_hash"] == f"0x{head.block_hash.hex()}"
    assert told["latest_state_root"] == f"0x{head.state_root.hex()}"
    assert (told["schema"], told["in_use"]) == (3, False)


def test_info_names_a_network_that_is_known_and_tells_of_an_empty_store(tmp_path: Path) -> None:
    Writer(tmp_path, "SN_SEPOLIA").close()
    told = json.loads(hera("db", "info", "--db-path", tmp_path).stdout)
    assert (told["network"], told["chain_height"]) == ("sepolia", None)


def test_info_size_and_verify_are_answered_beside_a_writer(db_path: Path) -> None:
    writer = Writer(db_path, CHAIN)
    config = load({"db-path": str(db_path)}, {})
    config.make_folders()
    lock = locks.hold(config.run_folder)

    told = json.loads(hera("db", "info", "--db-path", db_path).stdout)
    sizes = hera("db", "size", "--db-path", db_path)
    writer.undo_head()  # what it does meanwhile is no fault
    checked = hera("db", "verify", "--db-path", db_path, "--workers", "1")

    os.close(lock)
    writer.close()
    assert (told["chain_height"], told["in_use"]) == (LENGTH - 1, True)
    assert sizes.exit_code == 0
    assert checked.exit_code == 0
    assert f"blocks 0 to {LENGTH - 2}" in checked.stderr


def test_size_has_a_row_for_each_family_and_their_sums(db_path: Path) -> None:
    told = json.loads(hera("db", "size", "--json", "--db-path", db_path).stdout)
    table = hera("db", "size", "--db-path", db_path).stdout

    assert set(told["families"]) == set(map(str, Family))
    for column in ("bytes", "keys"):
        assert told["total"][column] == sum(row[column] for row in told["families"].values())
        assert f"{told['total'][column]:,}" in table
    assert told["families"]["headers"]["keys"] == LENGTH
    assert all(row["bytes"] > 0 for row in told["families"].values())
    assert told["on_disk"] > 0
    assert all(str(family) in table for family in Family)


# ---- verify ------------------------------------------------------------------------------------------------------


def test_a_synced_store_holds_in_one_process_and_in_two(db_path: Path, key: str) -> None:
    for workers in "12":
        result = hera(
            "db", "verify", "--db-path", db_path, "--public-key", key, "--workers", workers
        )
        assert result.exit_code == 0, result.output
        assert result.stdout == ""
        assert result.stderr == f"blocks 0 to {LENGTH - 1}, state at block {LENGTH - 1}: 0 faults\n"


@pytest.mark.parametrize(("name", "length"), [("sepolia", 7), ("mainnet", 10)])
def test_recorded_blocks_hold_with_their_networks_key(
    fixtures: Path, tmp_path: Path, name: str, length: int
) -> None:
    store_checked(tmp_path, networks.load(name), chains.recorded(fixtures, name, length))

    result = hera("db", "verify", "--json", "--db-path", tmp_path, "--workers", "1")

    told = {"from": 0, "to": length - 1, "signatures": True, "faults": []}
    assert json.loads(result.stdout) == told
    assert result.exit_code == 0


def test_unchecked_signatures_are_said_and_a_wrong_key_is_a_fault_of_each_block(
    db_path: Path,
) -> None:
    unsigned = verified(db_path)
    assert unsigned.exit_code == 0
    assert "signatures were not checked" in unsigned.stderr

    wrong = verified(db_path, "--public-key", "0x7")
    assert wrong.exit_code == 1
    assert len(wrong.stdout.splitlines()) == LENGTH
    assert all("signature" in line for line in wrong.stdout.splitlines())


def verified(db_path: Path, *arguments: str) -> Result:
    return hera("db", "verify", "--db-path", db_path, "--workers", "1", *arguments)


Change = Callable[[Rocks, Any], None]  # of what is open for writing, in a batch


def flipped(family: Family, number: int) -> Change:
    """Change the last byte of what a family holds of a block."""

    def change(rocks: Rocks, batch: Any) -> None:
        value = rocks.get(family, number_key(number))
        assert value
        batch.put(family, number_key(number), value[:-1] + bytes([value[-1] ^ 1]))

    return change


def lost(family: Family, number: int) -> Change:
    return lambda _, batch: batch.delete(family, number_key(number))


def first_lost(family: Family, prefix: bytes = b"") -> Change:
    def change(rocks: Rocks, batch: Any) -> None:
        found, _ = next(rocks.items(family, prefix))
        batch.delete(family, found)

    return change


def last_flipped(family: Family, prefix: bytes = b"") -> Change:
    def change(rocks: Rocks, batch: Any) -> None:
        *_, (found, value) = rocks.items(family, prefix)
        batch.put(family, found, value[:-1] + bytes([value[-1] ^ 1]))

    return change


def garbled(_: Rocks, batch: Any) -> None:
    """Leave no header where one was."""
    batch.put(Family.HEADERS, number_key(7), b"\x03abc")


def displaced(rocks: Rocks, batch: Any) -> None:
    """Say of a transaction that it is elsewhere."""
    found, _ = next(rocks.items(Family.TX_INDEX))
    batch.put(Family.TX_INDEX, found, pack_location(0, 999))


def renamed(rocks: Rocks, batch: Any) -> None:
    """Give the head another state root."""
    value = rocks.get(Family.META, HEAD_KEY)
    assert value is not None
    batch.put(Family.META, HEAD_KEY, value[:-1] + bytes([value[-1] ^ 1]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (flipped(Family.HEADERS, 7), "block 7: header"),
        (garbled, "block 7: headers.malformed"),
        (garbled, "block 8: a stored header cannot be read: the store is damaged"),
        (flipped(Family.STATE_DIFFS, 7), "block 7: "),
        (flipped(Family.TRANSACTIONS, 7), "block 7: "),
        (flipped(Family.EVENTS, 7), "block 7: "),
        (lost(Family.TRANSACTIONS, 7), "block 7: its transactions are not stored"),
        (last_flipped(Family.CLASSES), "classes"),
        (first_lost(Family.CLASSES), "classes"),
        (flipped(Family.TX_HASHES, 7), "block 7: tx_hashes is not of its transactions"),
        (displaced, "tx_index does not lead to its transactions"),
        (first_lost(Family.TX_INDEX), "tx_index does not lead to its transactions"),
        (first_lost(Family.NUMBER_BY_HASH), "number_by_hash does not lead to it"),
        (first_lost(Family.EVENT_INDEX), "event_index lacks some of its events"),
        (first_lost(Family.HISTORY, Kind.STORAGE), "history lacks some of its state diff"),
        (last_flipped(Family.HISTORY, Kind.STORAGE), "is not as in history"),
        (last_flipped(Family.HISTORY, Kind.NONCE), "state: nonce of contract"),
        (last_flipped(Family.HISTORY, Kind.CLASS_HASH), "state: class_hash of contract"),
        (last_flipped(Family.HISTORY, Kind.COMPILED), "in the trie of classes as in history"),
        (last_flipped(Family.CONTRACTS), "state: contract"),
        (first_lost(Family.CONTRACTS), "state: contract"),
        (last_flipped(Family.TRIE_PAGES, b"c"), "state: "),
        (last_flipped(Family.TRIE_PAGES, b"k"), "state: "),
        (last_flipped(Family.TRIE_PAGES, b"s"), "state: storage of contract"),
        (first_lost(Family.TRIE_PAGES, b"s"), "state: storage of contract"),
        (first_lost(Family.TRIE_PAGES, b"c"), "state: its root is"),
        (renamed, "state: the head's state root is not that of its header"),
    ],
)
def test_each_row_that_is_wrong_is_named(
    db_path: Path, key: str, change: Change, said: str
) -> None:
    rocks = open_primary(db_path / FOLDER)
    batch = rocks.batch()
    change(rocks, batch)
    rocks.write(batch, sync=True)
    rocks.close()

    result = verified(db_path, "--public-key", key)

    assert result.exit_code == 1, result.output
    assert any(said in line for line in result.stdout.splitlines()), result.stdout
    assert all(line.startswith(("block ", "state: ")) for line in result.stdout.splitlines())


def test_a_block_of_another_chain_between_ours_is_not_linked(db_path: Path, tmp_path: Path) -> None:
    """Block and header of a fork hold by themselves."""
    unkeyed = settings_of(chains.devnet(LENGTH)[0].network(), tmp_path)
    (other,) = verify.verify(unkeyed, chains.another_devnet(8)[7])
    rocks = open_primary(db_path / FOLDER)
    batch = rocks.batch()
    for family, body in (
        (Family.HEADERS, other.header),
        (Family.STATE_DIFFS, other.state_diff),
        (Family.TRANSACTIONS, other.transactions),
        (Family.EVENTS, other.events),
    ):
        batch.put(family, number_key(7), body)
    rocks.write(batch, sync=True)
    rocks.close()

    lines = verified(db_path, "--from", "7", "--to", "8").stdout.splitlines()

    assert "block 7: its parent's hash is not that of block 6" in lines
    assert "block 8: its parent's hash is not that of block 7" in lines


def test_a_range_is_checked_alone_and_one_outside_is_refused(db_path: Path) -> None:
    rocks = open_primary(db_path / FOLDER)
    batch = rocks.batch()
    lost(Family.TX_HASHES, 7)(rocks, batch)
    rocks.write(batch, sync=True)
    rocks.close()

    assert verified(db_path, "--from", "8").exit_code == 0
    assert verified(db_path, "--to", "6").exit_code == 0
    assert verified(db_path, "--from", "7", "--to", "7").exit_code == 1
    for arguments in (["--to", "20"], ["--from", "9", "--to", "8"], ["--from", "-1"]):
        refused = verified(db_path, *arguments)
        assert refused.exit_code == 78
        assert "holds blocks 0 to 19: give a range of these" in refused.stderr


def test_another_network_than_the_stores_is_refused_in_the_words_of_a_start(db_path: Path) -> None:
    refused = verified(db_path, "--network", "sepolia")
    assert refused.exit_code == 78
    assert f"holds chain {CHAIN}, not SN_SEPOLIA" in refused.stderr


# ---- revert ------------------------------------------------------------------------------------------------------


def test_reverting_leaves_the_very_store_of_the_block(tmp_path: Path) -> None:
    blocks = made.generated(LENGTH)
    store(tmp_path / "db", blocks)
    store(tmp_path / "twin", blocks[:8])

    result = hera("db", "revert", "--to-block", "7", "--db-path", tmp_path / "db")

    assert result.exit_code == 0, result.output
    hash_ = f"0x{blocks[7].block_hash.hex()}"
    assert result.stdout == f"blocks 8 to 19 were taken back; the last block is 7, {hash_}\n"
    assert digest(tmp_path / "db") == digest(tmp_path / "twin")
    again = hera("db", "revert", "--to-block", "7", "--db-path", tmp_path / "db")
    assert again.stdout == f"nothing was taken back; the last block is 7, {hash_}\n"
    assert again.exit_code == 0


@pytest.mark.parametrize("number", ["-1", "20", "999999999999999999999999"])
def test_a_block_that_is_not_there_is_refused_in_one_line(db_path: Path, number: str) -> None:
    result = hera("db", "revert", f"--to-block={number}", "--db-path", db_path)
    assert result.exit_code == 78
    assert f"holds blocks 0 to 19, {number} is not among them: give one of these" in result.stderr
    assert result.stderr.count("\n") == 1
    assert stored_head(db_path) == LENGTH - 1


@pytest.fixture
def run_folder(db_path: Path) -> Path:
    config = load({"db-path": str(db_path)}, {})
    config.make_folders()
    return config.run_folder


def test_nothing_is_reverted_while_a_node_runs(db_path: Path, run_folder: Path) -> None:
    lock = locks.hold(run_folder)
    result = hera("db", "revert", "--to-block", "3", "--db-path", db_path)
    os.close(lock)
    assert result.exit_code == 78
    assert str(locks.held_by_node(run_folder)) in result.stderr
    assert stored_head(db_path) == LENGTH - 1


def test_nothing_is_reverted_while_processes_of_a_killed_node_live(
    db_path: Path, run_folder: Path
) -> None:
    lock = locks.hold_for_processes(run_folder, lambda _: None)
    assert lock is not None
    result = hera("db", "revert", "--to-block", "3", "--db-path", db_path)
    os.close(lock)
    assert result.exit_code == 78
    assert str(locks.held_by_processes(run_folder)) in result.stderr
    assert stored_head(db_path) == LENGTH - 1


def test_nothing_is_reverted_under_a_worker_that_was_started_alone(db_path: Path) -> None:
    writer = Writer(db_path, CHAIN)
    result = hera("db", "revert", "--to-block", "3", "--db-path", db_path)
    assert result.exit_code == 78
    assert "another process writes this store" in result.stderr
    assert writer.head is not None
    assert writer.head.number == LENGTH - 1
    writer.close()


def test_no_node_starts_during_a_revert_and_a_killed_one_leaves_a_whole_store(
    tmp_path: Path,
) -> None:
    """Killed on its way down, it has left the very store of the block it was at; and it goes on from there."""
    blocks = made.generated(LONG)
    store(tmp_path / "full", blocks)
    command = [sys.executable, "-m", "node", "db", "revert", "--to-block", "2", "--db-path"]
    was_held, midway = False, 0
    for below in (50, 30):
        db_path = tmp_path / f"db{below}"
        shutil.copytree(tmp_path / "full", db_path)
        lock = load({"db-path": str(db_path)}, {}).run_folder / locks.SUPERVISOR
        reader = Reader(db_path)
        child = subprocess.Popen([*command, str(db_path)], stdout=subprocess.PIPE)
        while child.poll() is None and head_of(reader) >= below:
            pass
        child.send_signal(signal.SIGSTOP)
        was_held |= locks.is_held(lock)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        left = head_of(reader)
        reader.close()
        assert left < below
        assert not locks.is_held(lock)
        store(tmp_path / f"twin{below}", blocks[: left + 1])
        assert digest(db_path) == digest(tmp_path / f"twin{below}")
        assert hera("db", "revert", "--to-block", "2", "--db-path", db_path).exit_code == 0
        assert stored_head(db_path) == 2
        midway += left > 2
    assert was_held
    assert midway


def head_of(reader: Reader) -> int:
    reader.refresh()
    head = reader.head()
    return -1 if head is None else head.number


@pytest.mark.parametrize("verb", [["info"], ["size"], ["verify"], ["revert", "--to-block", "1"]])
def test_a_folder_without_a_store_is_one_line_and_stays_as_it_is(
    tmp_path: Path, verb: list[str]
) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        result = hera("db", *verb, "--db-path", folder)
        assert result.exit_code == 78
        assert result.stderr == f"Error: {folder}: there is no store; give the node's --db-path\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [["info"], ["size"], ["verify"], ["revert", "--to-block", "1"]])
def test_a_store_of_another_schema_is_one_line(tmp_path: Path, verb: list[str]) -> None:
    Writer(tmp_path, CHAIN).close()
    rocks = open_primary(tmp_path / FOLDER)
    batch = rocks.batch()
    batch.put(Family.META, b"schema", b"99")
    rocks.write(batch, sync=True)
    rocks.close()
    result = hera("db", *verb, "--db-path", tmp_path)
    assert result.exit_code == 78
    assert "has schema 99, this program knows 3" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", [["info"], ["verify"], ["revert", "--to-block", "1"]])
def test_a_head_that_cannot_be_read_is_one_line(db_path: Path, verb: list[str]) -> None:
    rocks = open_primary(db_path / FOLDER)
    batch = rocks.batch()
    batch.put(Family.HEADERS, number_key(LENGTH - 1), b"\x03abc")
    rocks.write(batch, sync=True)
    rocks.close()
    result = hera("db", *verb, "--db-path", db_path)
    assert result.exit_code == 78
    assert result.stderr == "Error: a stored header cannot be read: the store is damaged\n"
