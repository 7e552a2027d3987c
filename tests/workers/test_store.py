"""The store: what is written is the chain and nothing else, whatever happens to the writer."""

import errno
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from broker.codec import Body
from starknet.wire import sync_pb2 as pb
from starknet.wire.delimited import join, split
from tests.workers import blocks as made
from workers.component import Component
from workers.errors import PeerFault
from workers.messages import BlockVerified
from workers.store import DiskFull, Head, StoreError, rocks
from workers.store.reader import Reader, digest, dump
from workers.store.schema import CHAIN_KEY, SCHEMA_KEY, SCHEMA_VERSION, Family
from workers.store.writer import Writer, revert_to

CHAIN = "SN_TEST"
GENERATED = 60
KILLS = 10


@pytest.fixture(scope="module")
def chain() -> list[BlockVerified]:
    return made.generated(GENERATED)


@pytest.fixture(scope="module")
def undisturbed(chain: list[BlockVerified], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The digest of a store of no block, of one, of two, …"""
    db_path = tmp_path_factory.mktemp("undisturbed")
    writer = Writer(db_path, CHAIN)
    digests = [digest(db_path)]
    for block in chain:
        writer.store(block)
        digests.append(digest(db_path))
    writer.close()
    assert len(set(digests)) == GENERATED + 1
    return digests


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    opened = Writer(tmp_path, CHAIN)
    yield opened
    opened.close()


def store_all(db_path: Path, blocks: list[BlockVerified], chain_id: str = CHAIN) -> None:
    writer = Writer(db_path, chain_id)
    for block in blocks:
        writer.store(block)
    writer.close()


def contents(db_path: Path) -> list[tuple[Family, bytes, bytes]]:
    return list(dump(db_path))


def head_of(block: BlockVerified) -> Head:
    return Head(block.number, block.block_hash, block.state_root)


# ---- what is stored ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("network", "count"), [("sepolia", 7), ("mainnet", 10)])
def test_recorded_blocks_lead_to_their_state_roots(
    fixtures: Path, tmp_path: Path, network: str, count: int
) -> None:
    blocks = made.recorded(fixtures, network, count)

    store_all(tmp_path, blocks)

    reader = Reader(tmp_path)
    assert reader.head() == head_of(blocks[-1])
    assert reader.chain_id() == CHAIN
    for block in blocks:
        assert reader.part(Component.HEADERS, block.number) == block.header
        assert reader.part(Component.STATE_DIFFS, block.number) == block.state_diff
        assert reader.part(Component.TRANSACTIONS, block.number) == block.transactions
        assert reader.part(Component.EVENTS, block.number) == block.events
        assert reader.block_hash(block.number) == block.block_hash
        assert reader.number_of(block.block_hash) == block.number
    reader.close()


def test_a_generated_chain_leads_to_roots_computed_from_scratch(
    tmp_path: Path, chain: list[BlockVerified]
) -> None:
    store_all(tmp_path, chain)

    reader = Reader(tmp_path)
    assert reader.head() == head_of(chain[-1])
    reader.close()


def test_each_class_is_served_with_the_block_that_declares_or_first_deploys_it(
    fixtures: Path, tmp_path: Path
) -> None:
    blocks = made.recorded(fixtures, "mainnet", 10)  # deploys the same class in most blocks
    store_all(tmp_path, blocks)

    reader = Reader(tmp_path)
    served = [reader.part(Component.CLASSES, number) for number in range(10)]
    reader.close()

    assert sorted(frames(served[0])) == sorted(frames(blocks[0].classes))
    brought = [frame for part in served for frame in frames(part)]
    assert len(brought) == len(set(brought))


def test_a_class_declared_again_is_served_again_since_the_protocol_demands_it(
    tmp_path: Path, chain: list[BlockVerified]
) -> None:
    store_all(tmp_path, chain)
    reader = Reader(tmp_path)
    again = 0

    for block in chain:
        part = reader.part(Component.CLASSES, block.number)
        assert part is not None
        served = set(map(class_name, frames(part)))
        brought = set(map(class_name, frames(block.classes)))
        declared = {
            message.declared_class.class_hash.elements
            for message in map(parse_diff, frames(block.state_diff))
            if message.HasField("declared_class")
        }
        assert served == brought | declared
        again += len(declared - brought)

    reader.close()
    assert again > 0


def frames(body: bytes | None) -> list[bytes]:
    return [bytes(payload) for payload in split(body or b"", 1 << 22)]


def class_name(frame: bytes) -> bytes:
    return bytes(getattr(pb.ClassesResponse.FromString(frame), "class").class_hash.elements)


def parse_diff(frame: bytes) -> pb.StateDiffsResponse:
    return pb.StateDiffsResponse.FromString(frame)


def test_transactions_are_found_by_hash_and_a_repeated_hash_keeps_its_first_place(
    tmp_path: Path, chain: list[BlockVerified]
) -> None:
    places: dict[bytes, tuple[int, int]] = {}
    repeated = 0
    for block in chain:
        hashes = [
            block.transaction_hashes[at : at + 32]
            for at in range(0, len(block.transaction_hashes), 32)
        ]
        repeated += sum(name in places for name in hashes)
        for index, name in enumerate(hashes):
            places.setdefault(name, (block.number, index))
    store_all(tmp_path, chain)

    reader = Reader(tmp_path)
    found = {name: reader.transaction_at(name) for name in places}
    assert reader.transaction_at(bytes(32)) is None
    reader.close()

    assert found == places
    assert repeated > 0


def test_old_state_can_be_read_at_every_block(tmp_path: Path, chain: list[BlockVerified]) -> None:
    store_all(tmp_path, chain)
    reader = Reader(tmp_path)
    storage: dict[tuple[int, int], int] = {}
    nonces: dict[int, int] = {}
    classes: dict[int, int] = {}

    for block in chain:
        for message in map(parse_diff, frames(block.state_diff)):
            diff = message.contract_diff
            address = int.from_bytes(diff.address.elements, "big")
            if diff.HasField("nonce"):
                nonces[address] = int.from_bytes(diff.nonce.elements, "big")
            if diff.HasField("class_hash"):
                classes[address] = int.from_bytes(diff.class_hash.elements, "big")
            for item in diff.values:
                key = int.from_bytes(item.key.elements, "big")
                storage[address, key] = int.from_bytes(item.value.elements, "big")
        n = block.number
        assert all(reader.storage_at(*key, n) == value for key, value in storage.items())
        assert all(reader.nonce_at(key, n) == value for key, value in nonces.items())
        assert all(reader.class_hash_at(key, n) == value for key, value in classes.items())
    assert reader.nonce_at(12345, GENERATED) == 0
    reader.close()


# ---- what is refused ---------------------------------------------------------------------------------------------


def refused(writer: Writer, block: BlockVerified) -> PeerFault:
    """The fault that storing the block raises, after which it stores all the same as before."""
    head = writer.head
    with pytest.raises(PeerFault) as caught:
        writer.store(block)
    assert writer.head == head
    assert caught.value.number == block.number
    return caught.value


def test_a_wrong_state_root_blames_header_and_state_diff(
    writer: Writer, chain: list[BlockVerified], tmp_path: Path
) -> None:
    writer.store(chain[0])
    writer.store(chain[1])
    before = contents(tmp_path)
    wrong = replace(chain[2], state_root=chain[1].state_root)

    fault = refused(writer, wrong)

    assert fault.rule == "state.root"
    assert fault.guilty == (Component.HEADERS, Component.STATE_DIFFS)
    assert contents(tmp_path) == before
    writer.store(chain[2])


def test_a_state_diff_with_one_value_changed_is_refused(
    writer: Writer, chain: list[BlockVerified]
) -> None:
    messages = list(map(parse_diff, frames(chain[0].state_diff)))
    values = next(m.contract_diff.values for m in messages if m.contract_diff.values)
    values[0].value.elements = b"\x05"

    fault = refused(writer, replace(chain[0], state_diff=Body(join(messages))))

    assert fault.rule == "state.root"


def test_a_block_that_does_not_follow_the_head_is_refused(
    writer: Writer, chain: list[BlockVerified]
) -> None:
    first = replace(chain[0], parent_hash=b"\1" * 32)
    assert refused(writer, first).rule == "header.parent"
    assert refused(writer, chain[1]).rule == "header.parent"
    writer.store(chain[0])
    for wrong in (
        replace(chain[1], parent_hash=b"\1" * 32),
        chain[2],
        chain[0],
    ):
        fault = refused(writer, wrong)
        assert fault.rule == "header.parent"
        assert fault.guilty == (Component.HEADERS,)


def test_a_declared_or_deployed_class_without_definition_is_refused(
    fixtures: Path, writer: Writer
) -> None:
    for network in ("sepolia", "mainnet"):  # declared in the one, only deployed in the other
        block = made.recorded(fixtures, network, 1)[0]

        fault = refused(writer, replace(block, classes=Body(b""), class_hashes=Body(b"")))

        assert fault.rule == "classes.missing"
        assert fault.guilty == (Component.CLASSES,)
    writer.store(block)


def test_a_second_writer_is_refused_in_this_and_in_another_process(
    writer: Writer, tmp_path: Path
) -> None:
    before = files(tmp_path)

    with pytest.raises(StoreError, match="another process writes this store"):
        Writer(tmp_path, CHAIN)
    other = run_python(
        "import sys; from pathlib import Path; from workers.store.writer import Writer\n"
        "Writer(Path(sys.argv[1]), sys.argv[2])",
        str(tmp_path),
        CHAIN,
    )

    assert other.returncode != 0
    assert other.stderr.strip().splitlines()[-1].endswith("choose another --db-path")
    assert files(tmp_path) == before


def test_a_writer_that_was_refused_leaves_the_store_free(tmp_path: Path) -> None:
    store_all(tmp_path, [])
    with pytest.raises(StoreError):
        Writer(tmp_path, "SN_OTHER")
    Writer(tmp_path, CHAIN).close()


def test_the_store_of_another_chain_is_refused_and_untouched(
    tmp_path: Path, chain: list[BlockVerified]
) -> None:
    store_all(tmp_path, chain[:3])
    before = files(tmp_path)

    with pytest.raises(StoreError, match="holds chain SN_TEST, not SN_MAIN") as caught:
        Writer(tmp_path, "SN_MAIN")

    assert "\n" not in str(caught.value)
    assert files(tmp_path) == before


@pytest.mark.parametrize("schema", [b"%d" % (SCHEMA_VERSION + step) for step in (-1, 1)])
def test_another_schema_is_refused_by_writer_and_reader_and_untouched(
    tmp_path: Path, schema: bytes
) -> None:
    store_all(tmp_path, [])
    rewrite_meta(tmp_path, SCHEMA_KEY, schema)
    before = files(tmp_path)

    for opening in (lambda: Writer(tmp_path, CHAIN), lambda: Reader(tmp_path)):
        with pytest.raises(
            StoreError, match=f"has schema {schema.decode()}, this program knows {SCHEMA_VERSION}"
        ):
            opening()

    assert files(tmp_path) == before


def test_what_is_not_a_store_is_refused_and_untouched(tmp_path: Path) -> None:
    foreign_files = tmp_path / "files"
    (foreign_files / "chain").mkdir(parents=True)
    (foreign_files / "chain" / "letter.txt").write_text("dear")
    foreign_database = tmp_path / "database"
    store_all(foreign_database, [])
    rewrite_meta(foreign_database, CHAIN_KEY, None)
    plain_file = tmp_path / "file"
    plain_file.write_text("dear")

    for db_path, reason in (
        (foreign_files, "is not a Hera store"),
        (foreign_database, "is not a Hera store"),
        (plain_file, "cannot be written"),
    ):
        before = files(tmp_path)
        with pytest.raises(StoreError, match=reason):
            Writer(db_path, CHAIN)
        assert files(tmp_path) == before


@pytest.mark.parametrize("damaged", ["MANIFEST-*", "CURRENT", "*.sst"])
def test_a_damaged_store_is_one_clear_line(
    tmp_path: Path, chain: list[BlockVerified], damaged: str
) -> None:
    store_all(tmp_path, chain[:3])
    for path in (tmp_path / "chain").glob(damaged):
        path.write_bytes(b"\xff" * 100)
    before = files(tmp_path)

    with pytest.raises(StoreError) as caught:
        Writer(tmp_path, CHAIN)

    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert files(tmp_path) == before


@pytest.mark.parametrize("cut", [slice(0, -1), slice(0, 0)])
def test_a_damaged_page_of_a_trie_is_one_clear_line_and_nothing_is_written(
    tmp_path: Path, chain: list[BlockVerified], cut: slice
) -> None:
    store_all(tmp_path, chain[:20])
    database = rocks.open_primary(tmp_path / "chain")
    batch = database.batch()
    for name, page in list(database.items(Family.TRIE_PAGES)):
        batch.put(Family.TRIE_PAGES, name, page[cut])
    database.write(batch, sync=True)
    database.close()
    before = contents(tmp_path)
    writer = Writer(tmp_path, CHAIN)

    for change in (lambda: writer.store(chain[20]), writer.undo_head):
        with pytest.raises(
            StoreError, match=r"the store is damaged: trie node \w+ is damaged$"
        ) as caught:
            change()
        assert "\n" not in str(caught.value)

    writer.close()
    assert contents(tmp_path) == before


def test_a_head_that_is_not_its_header_is_refused(
    tmp_path: Path, chain: list[BlockVerified]
) -> None:
    store_all(tmp_path, chain[:3])
    value = {key: value for _, key, value in contents(tmp_path) if key == b"head"}[b"head"]
    rewrite_meta(tmp_path, b"head", value[:-1] + bytes([value[-1] ^ 1]))

    with pytest.raises(StoreError, match="damaged"):
        Writer(tmp_path, CHAIN)


def test_a_disk_that_refuses_is_one_clear_line_and_leaves_whole_blocks(
    tmp_path: Path, undisturbed: list[str]
) -> None:
    done = run_python(
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.workers import blocks\n"
        "from workers.store import StoreError\n"
        "from workers.store.writer import Writer\n"
        "writer = Writer(Path(sys.argv[1]), sys.argv[2])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "try:\n"
        "    for block in blocks.generated(60): writer.store(block)\n"
        "except StoreError as error: sys.exit(f'StoreError {error}')\n",
        str(tmp_path),
        CHAIN,
    )
    assert done.stderr.startswith("StoreError "), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert_whole(tmp_path, undisturbed)


def rewrite_meta(db_path: Path, key: bytes, value: bytes | None) -> None:
    opened = rocks.open_primary(db_path / "chain")
    batch = opened.batch()
    if value is None:
        batch.delete(Family.META, key)
    else:
        batch.put(Family.META, key, value)
    opened.write(batch, sync=True)
    opened.close(sync=True)


def files(folder: Path) -> dict[str, bytes]:
    """Every file of the databases below a folder; the lock files beside them are empty and ours."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("writer.lock", "readers.lock")
    }


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )


# ---- going back --------------------------------------------------------------------------------------------------


def test_undoing_blocks_gives_the_store_that_never_had_them(
    tmp_path: Path, chain: list[BlockVerified], undisturbed: list[str]
) -> None:
    writer = Writer(tmp_path, CHAIN)
    for block in chain:
        writer.store(block)

    for number in reversed(range(-1, GENERATED - 1)):
        assert writer.undo_head() == (head_of(chain[number]) if number >= 0 else None)
        assert digest(tmp_path) == undisturbed[number + 1]

    for block in chain:
        writer.store(block)
    assert digest(tmp_path) == undisturbed[GENERATED]
    writer.close()


def test_reverting_a_closed_store_takes_back_all_above_the_number(
    tmp_path: Path, chain: list[BlockVerified], undisturbed: list[str]
) -> None:
    store_all(tmp_path, chain[:20])

    assert revert_to(tmp_path, 25) == head_of(chain[19])
    assert revert_to(tmp_path, 12) == head_of(chain[12])
    assert digest(tmp_path) == undisturbed[13]
    assert revert_to(tmp_path, -1) is None
    assert digest(tmp_path) == undisturbed[0]


def test_reverting_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        revert_to(tmp_path, 3)


# ---- readers -----------------------------------------------------------------------------------------------------


def test_a_reader_waits_for_the_store_and_sees_each_block_as_it_comes(
    tmp_path: Path, chain: list[BlockVerified]
) -> None:
    reader = Reader(tmp_path)
    assert reader.head() is None
    assert reader.part(Component.HEADERS, 0) is None
    assert reader.part(Component.CLASSES, 0) is None
    assert reader.storage_at(1, 0, 0) == 0

    writer = Writer(tmp_path, CHAIN)
    for block in chain[:10]:
        writer.store(block)
        reader.refresh()
        assert reader.head() == head_of(block)
        assert reader.part(Component.EVENTS, block.number) == block.events
    writer.undo_head()
    reader.refresh()
    assert reader.head() == head_of(chain[8])
    assert reader.part(Component.HEADERS, 9) is None

    writer.close()
    reader.close()


def test_a_reader_follows_across_writers_that_come_and_go(
    tmp_path: Path, chain: list[BlockVerified]
) -> None:
    store_all(tmp_path, chain[:1])
    reader = Reader(tmp_path)

    for block in chain[1:30]:
        store_all(tmp_path, [block])  # each close flushes, and so lets old files be compacted away
        reader.refresh()
        assert reader.head() == head_of(block)
        assert reader.part(Component.HEADERS, 0) == chain[0].header

    assert [reader.block_hash(b.number) for b in chain[:30]] == [b.block_hash for b in chain[:30]]
    reader.close()


def test_a_view_that_stands_still_beside_a_writer_that_writes_is_opened_anew(
    tmp_path: Path, chain: list[BlockVerified], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path, CHAIN)
    writer.store(chain[0])
    reader = Reader(tmp_path)
    opened: list[Reader] = []
    open_anew = Reader._open_anew

    def stand_still(_: rocks.Rocks) -> None:
        """As RocksDB was seen to: it says that it has caught up, and has not."""

    def open_again(reader: Reader) -> None:
        opened.append(reader)
        open_anew(reader)

    monkeypatch.setattr(rocks.Rocks, "catch_up", stand_still)
    monkeypatch.setattr(Reader, "_open_anew", open_again)
    reader.refresh()
    for block in chain[1:3]:
        writer.store(block)
    patient = time.monotonic() + 20
    while reader.head() != head_of(chain[2]):
        assert time.monotonic() < patient
        reader.refresh()
    for _ in range(100):
        reader.refresh()
    assert len(opened) == 1
    assert reader.part(Component.HEADERS, 2) == chain[2].header

    writer.close()
    reader.close()


def test_a_reader_turns_to_the_store_that_was_made_in_place_of_its_own(
    tmp_path: Path, chain: list[BlockVerified]
) -> None:
    store_all(tmp_path, chain[:5])
    reader = Reader(tmp_path)

    shutil.rmtree(tmp_path / "chain")
    reader.refresh()
    assert reader.part(Component.HEADERS, 4) == chain[4].header
    for block in (chain[:2], chain[2:3]):
        store_all(tmp_path, block)
        reader.refresh()
        assert reader.head() == head_of(block[-1])

    reader.close()


def test_private_folders_go_at_close_and_those_of_the_dead_at_the_next_open(
    tmp_path: Path,
) -> None:
    store_all(tmp_path, [])
    run_python(
        "import os, signal, sys; from pathlib import Path; from workers.store.reader import Reader\n"
        "reader = Reader(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)",
        str(tmp_path),
    )
    dead = list(tmp_path.glob("secondary-*"))
    assert len(dead) == 1

    living = Reader(tmp_path)
    other = Reader(tmp_path)
    assert not dead[0].exists()
    assert len(list(tmp_path.glob("secondary-*"))) == 2
    other.close()
    assert living.chain_id() == CHAIN
    living.close()
    assert list(tmp_path.glob("secondary-*")) == []


# ---- kill -9 -----------------------------------------------------------------------------------------------------

FOREVER = """
import pickle, sys
from pathlib import Path
from starknet.hashes import pedersen, poseidon
from workers.store.writer import Writer

pedersen(1, poseidon(1, 2))  # loads the libraries, so that the kills fall into writing
chain = pickle.loads(Path(sys.argv[3]).read_bytes())
writer = Writer(Path(sys.argv[1]), sys.argv[2])
print("ready", flush=True)
while True:
    start = writer.head.number + 1 if writer.head else 0
    for block in chain[start:]:
        writer.store(block)
    while writer.head:
        writer.undo_head()
"""


def test_a_writer_killed_at_any_instant_leaves_the_very_store_of_its_head(
    tmp_path: Path, chain: list[BlockVerified], undisturbed: list[str]
) -> None:
    draw = random.Random(9)
    recorded = tmp_path / "blocks"
    recorded.write_bytes(pickle.dumps(chain))
    heads = set()
    reader = Reader(tmp_path / "db")  # follows through it all
    for _ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", FOREVER, str(tmp_path / "db"), CHAIN, str(recorded)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        killed_at = time.monotonic() + draw.uniform(0.0, 0.6)
        while time.monotonic() < killed_at:
            reader.refresh()
            head = reader.head()
            assert head is None or head == head_of(chain[head.number])
            assert head is None or reader.block_hash(head.number) == head.block_hash
        assert child.poll() is None
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        heads.add(assert_whole(tmp_path / "db", undisturbed))
    reader.close()
    assert len(heads) > 2


REFUSED = """
import pickle, resource, sys
from pathlib import Path
from workers.store import StoreError
from workers.store.writer import Writer
writer = Writer(Path(sys.argv[1]), sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 15, 1 << 15))
try:
    for block in pickle.loads(Path(sys.argv[3]).read_bytes()):
        writer.store(block)
except StoreError as error:
    print(error)
writer.close()
"""


def test_a_disk_that_refuses_a_write_leaves_the_store_of_its_head(
    tmp_path: Path, chain: list[BlockVerified], undisturbed: list[str]
) -> None:
    recorded = tmp_path / "blocks"
    recorded.write_bytes(pickle.dumps(chain))
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, str(tmp_path / "db"), CHAIN, str(recorded)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    assert "File too large" in done.stdout
    assert 0 <= assert_whole(tmp_path / "db", undisturbed) < GENERATED - 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_what_to_do(tmp_path: Path, number: int) -> None:
    reason = os.strerror(number)
    said = f"{tmp_path}: the disk is full; make room, then start the node again"
    with pytest.raises(DiskFull, match=said), rocks.errors_of(tmp_path):
        raise Exception(
            f"IO error: {reason}: While appending to file: 000012.log: {reason}"
        )  # as rocksdict does


def assert_whole(db_path: Path, undisturbed: list[str]) -> int:
    """The store opens and equals an undisturbed one of the same head; returns the head's number."""
    writer = Writer(db_path, CHAIN)
    number = -1 if writer.head is None else writer.head.number
    writer.close()
    assert digest(db_path) == undisturbed[number + 1]
    return number


def test_a_store_whose_creation_was_cut_short_is_created_anew(tmp_path: Path) -> None:
    (tmp_path / "unfinished-abc").mkdir()
    (tmp_path / "unfinished-abc" / "CURRENT").write_text("MANIFEST-000001\n")

    Writer(tmp_path, CHAIN).close()

    assert list(tmp_path.glob("unfinished-*")) == []
    assert os.listdir(tmp_path / "chain")
