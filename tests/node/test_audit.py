"""What hera verify says of recorded blocks: each real one holds, a changed field is named, what is lacking is said."""

import copy
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from node import audit, cli, networks
from starknet.block import Outcome
from tests.starknet import recorded

KINDS = ("block", "state_update", "signature")
UNVERIFIABLE = {("goerli", 119802), ("integration", 33443), ("integration", 70000)}
UNVERIFIABLE |= {("integration", 77881)}
PER_FIELD = 1  # values changed of each field
TABLE = Path("vectors") / "pathfinder" / "sepolia_block_hashes.bin"
CHANGED = (  # one or two of each era; True: with a table of block hashes
    ("mainnet", 0, False),
    ("mainnet", 833, False),
    ("integration", 283364, False),
    ("goerli", 119802, False),
    ("sepolia", 0, False),
    ("sepolia", 0, True),
    ("sepolia", 56377, True),
    ("sepolia-integration", 35749, False),
    ("sepolia-integration", 64164, False),
    ("sepolia-integration", 1164618, False),
)
# JSON fields by the wire field that stands for them in the list of uncovered ones.
JSON_OF_WIRE = {
    r"headers\.time": r"block\.timestamp",
    r"headers\.number": r"block\.block_number",
    r"headers\.parent_hash": r"block\.parent_block_hash",
    r"headers\.l1_gas_price_(wei|fri)": r"block\.(l1_gas_price\..*|gas_price)",
    r"headers\.l1_data_gas_price_(wei|fri)": r"block\.l1_data_gas_price\..*",
    r"events": r"block\.transaction_receipts\.\*\.events\..*",
    r"transactions\.transaction\.(signature|max_fee|version)": r"block\.transactions\.\*\.\1.*",
    r"transactions\.receipt": r"block\.transaction_receipts\.\*\.(?!events|transaction_hash).*",
    r".*execution_resources\.builtins": r".*\.builtin_instance_counter\..*",
    r".*execution_resources\.steps": r".*\.n_steps",
    r".*execution_resources\.memory_holes": r".*\.n_memory_holes",
    r".*execution_resources\.l1_gas": r".*\.data_availability\.l1_gas",
    r".*execution_resources\.l2_gas": r".*\.(data_availability|total_gas_consumed)\.l2_gas",
}


def hera(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.cli, [str(word) for word in arguments], prog_name="hera")


def reports(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def checks(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["result"] for check in report["checks"]}


@pytest.fixture
def table(fixtures: Path) -> Path:
    path = fixtures.parent / TABLE
    if not path.is_file():
        pytest.skip(f"the table of Sepolia's block hashes is not here: {path}")
    return path


@pytest.mark.parametrize("name", recorded.NETWORKS)
def test_every_recorded_block_holds_or_lies_in_an_unverifiable_range(
    fixtures: Path, name: str
) -> None:
    result = hera("verify", fixtures / name, "--json", "--workers", "1")
    assert result.exit_code == 0, result.output
    found = reports(result)
    assert len(found) == len(list((fixtures / name / "block").glob("*.json")))
    for report in found:
        results = checks(report)
        assert results["transactions.hash"] == "passed", report
        expected = "not verifiable" if (name, report["number"]) in UNVERIFIABLE else "passed"
        assert (report["result"], results["header.block_hash"]) == (expected, expected), report
        assert "failed" not in results.values()
        assert all("reason" in c for c in report["checks"] if c["result"] == "not verifiable")
        assert report["uncovered"]
    assert f"{len(found)} blocks with " in result.stderr


def test_processes_give_the_same_lines_in_the_same_order(fixtures: Path) -> None:
    one = hera("verify", fixtures / "sepolia", "--workers", "1")
    two = hera("verify", fixtures / "sepolia", "--workers", "2")
    assert one.exit_code == two.exit_code == 0
    assert one.stdout == two.stdout
    lines = one.stdout.splitlines()
    assert lines[0].startswith("sepolia 0 0.12.3 passed; passed: ")
    assert "classes (no definition is given of 0x9037525" in lines[7]
    assert all(char.isprintable() for line in lines for char in line)


def test_a_block_file_finds_what_was_recorded_beside_it(fixtures: Path) -> None:
    result = hera("verify", fixtures / "sepolia" / "block" / "4.json", "--json")
    (report,) = reports(result)
    results = checks(report)
    assert (results["state_diff"], results["header.signature"]) == ("passed", "passed")
    assert results["classes"] == "passed"


def test_what_is_not_there_is_said_and_is_no_failure(fixtures: Path, tmp_path: Path) -> None:
    for number in (3, 4072139):
        shutil.copy(fixtures / "sepolia" / "block" / f"{number}.json", tmp_path)
    result = hera("verify", *sorted(tmp_path.iterdir()), "--network", "sepolia", "--json")
    assert result.exit_code == 0, result.output
    old, new = reports(result)
    for report in (old, new):
        results = checks(report)
        assert report["result"] == results["header.block_hash"] == "passed"
        for name in ("state_diff", "header.signature", "classes"):
            assert results[name] == "not verifiable"
    assert checks(new)["receipts.root"] == "passed"  # by the stated state diff commitment
    assert checks(old)["receipts.root"] == "not verifiable"


def test_a_bound_block_that_states_no_state_diff_commitment_is_not_verifiable_without_one(
    fixtures: Path, tmp_path: Path
) -> None:
    block = json.loads((fixtures / "sepolia" / "block" / "4072139.json").read_text())
    del block["state_diff_commitment"]
    (tmp_path / "a.json").write_text(json.dumps(block))
    (report,) = reports(hera("verify", tmp_path / "a.json", "--network", "sepolia", "--json"))
    assert report["result"] == checks(report)["header.block_hash"] == "not verifiable"


def test_a_table_of_hashes_binds_old_blocks_whole(fixtures: Path, table: Path) -> None:
    folder = fixtures / "sepolia" / "block"
    files = [folder / f"{number}.json" for number in (*range(8), 100, 16697, 56377, 56378)]
    result = hera("verify", *files, "--block-hash-table", table, "--json")
    assert result.exit_code == 0, result.output
    for report in reports(result):
        results = checks(report)
        for name in ("block.table_hash", "state_diff", "receipts.root", "events.root"):
            assert results[name] == "passed", report
        assert "transactions.receipt" not in report["uncovered"]


def test_a_table_of_other_hashes_fails_old_blocks(fixtures: Path, tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(bytes(32 * 2))
    folder = fixtures / "sepolia" / "block"
    files = [folder / f"{number}.json" for number in (0, 2)]
    result = hera("verify", *files, "--block-hash-table", tmp_path / "table", "--json")
    assert result.exit_code == 1
    within, beyond = map(checks, reports(result))
    assert (within["block.table_hash"], beyond["block.table_hash"]) == ("failed", "not verifiable")


@pytest.mark.parametrize(("name", "number", "with_table"), CHANGED)
def test_any_changed_field_is_named_by_a_check_or_listed_as_uncovered(
    fixtures: Path, tmp_path: Path, name: str, number: int, with_table: bool
) -> None:
    path = fixtures.parent / TABLE
    if with_table and not path.is_file():
        pytest.skip(f"the table of Sepolia's block hashes is not here: {path}")
    answers = _copied(fixtures / name, tmp_path, number)
    recording = audit.Recording(
        networks.load(name),
        tmp_path,
        networks.load(name).public_key or audit.recorded_key(fixtures / name),
        path if with_table else None,
    )
    named = 0
    for kind, field, changed in _changes(answers):
        file = tmp_path / kind / f"{number}.json"
        file.write_text(json.dumps(changed))
        report = audit.audit_file(recording, tmp_path / "block" / f"{number}.json")
        file.write_text(json.dumps(answers[kind]))
        if report.outcome is Outcome.FAILED:
            named += 1
        else:
            assert _is_listed(report, field), (field, report)
    assert named > 15


def _copied(source: Path, folder: Path, number: int) -> dict[str, Any]:
    answers = {}
    for kind in KINDS:
        (folder / kind).mkdir()
        answer = recorded.read(source / kind / f"{number}.json")
        if answer is not None:
            (folder / kind / f"{number}.json").write_text(json.dumps(answer))
            answers[kind] = answer
    return answers


def _changes(answers: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """One answer at a time with one value changed; the field's name has ``*`` for places and hashes."""
    seen: dict[str, int] = {}
    for kind, answer in answers.items():
        for path, old in _leaves(answer):
            steps = (kind, *path)
            field = ".".join(_step(step) for step in steps)
            seen[field] = seen.get(field, 0) + 1
            if seen[field] > PER_FIELD or old is None:
                continue
            changed = copy.deepcopy(answer)
            holder = changed
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = _other(old)
            yield kind, field, changed


def _step(step: str | int) -> str:
    return "*" if isinstance(step, int) or step.startswith("0x") else step


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def _other(old: Any) -> Any:
    if isinstance(old, int):
        return old + 1
    if re.fullmatch("0x[0-9a-fA-F]+", old):
        return hex(int(old, 16) ^ 1)
    return f"{old}x"


def _is_listed(report: audit.Report, field: str) -> bool:
    plain = field.replace(".*", "")
    if any(plain == unread or plain.startswith(f"{unread}.") for unread in report.unread):
        return True
    if field == "block.transactions.*.nonce":  # of a declare of version 0, which has none
        return report.number == 0
    for uncovered in report.uncovered:
        for wire, answer in JSON_OF_WIRE.items():
            found = re.fullmatch(wire, uncovered)
            if found and re.fullmatch(found.expand(answer), field):
                return True
    return False


@pytest.mark.parametrize(
    ("content", "check", "reason"),
    [
        (b"{", "block.format", "is no JSON"),
        (b"\xff\xfe", "block.format", "is no JSON"),
        (b"[" * 100_000, "block.format", "is no JSON"),
        (b"[]", "block.format", "is no JSON object"),
        (b"{}", "block.format", "block_hash is missing"),
    ],
)
def test_a_file_that_is_no_block_fails_and_the_others_go_on(
    fixtures: Path, tmp_path: Path, content: bytes, check: str, reason: str
) -> None:
    folder = tmp_path / "sepolia" / "block"
    folder.mkdir(parents=True)
    shutil.copy(fixtures / "sepolia" / "block" / "0.json", folder)
    (folder / "1.json").write_bytes(content)
    result = hera("verify", folder.parent, "--json", "--workers", "1")
    assert result.exit_code == 1
    good, bad = reports(result)
    assert (good["result"], bad["result"]) == ("passed", "failed")
    (found,) = bad["checks"]
    assert found["name"] == check
    assert reason in found["reason"]


def test_a_version_newer_than_the_node_is_refused(fixtures: Path, tmp_path: Path) -> None:
    block = json.loads((fixtures / "sepolia" / "block" / "4072139.json").read_text())
    block["starknet_version"] = "0.15.0"
    (tmp_path / "a.json").write_text(json.dumps(block))
    result = hera("verify", tmp_path / "a.json", "--network", "sepolia")
    assert result.exit_code == 1
    assert "header.version (protocol version 0.15.0 is newer than this node knows)" in result.stdout


def test_bad_input_is_one_line_and_code_78(fixtures: Path, tmp_path: Path) -> None:
    sepolia = fixtures / "sepolia"
    (tmp_path / "odd").write_bytes(bytes(33))
    (tmp_path / "empty").write_bytes(b"")
    for arguments, words in (
        ([tmp_path / "none"], "does not exist"),
        ([tmp_path], "holds no recorded block"),
        ([sepolia, "--network", "sepoli"], "did you mean sepolia"),
        ([sepolia, "--workers", "0"], "--workers"),
        ([sepolia, "--block-hash-table", tmp_path / "odd"], "not a multiple of 32"),
        ([sepolia, "--block-hash-table", tmp_path / "empty"], "it is empty"),
        ([sepolia, "--block-hash-table", tmp_path / "none"], "cannot be read"),
    ):
        result = hera("verify", *arguments)
        assert result.exit_code == 78, (arguments, result.output)
        assert result.output.startswith("Error: ")
        assert len(result.output.splitlines()) == 1
        assert words in result.output
    shutil.copy(sepolia / "block" / "0.json", tmp_path / "0.json")
    result = hera("verify", tmp_path / "0.json")
    assert result.exit_code == 78
    assert "is not named after a network: give --network" in result.output


def test_a_key_that_is_not_pinned_is_read_from_the_recording(
    fixtures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "goerli"
    for kind in (*KINDS, "public_key"):
        shutil.copytree(fixtures / "goerli" / kind, folder / kind)
    file = folder / "block" / "0.json"
    (report,) = reports(hera("verify", file, "--json"))
    assert checks(report)["header.signature"] == "passed"
    (folder / "public_key" / "pk.json").write_text('"0x1"')
    (report,) = reports(hera("verify", file, "--json"))
    assert checks(report)["header.signature"] == "failed"
    (folder / "public_key" / "pk.json").write_text("?")
    assert hera("verify", file).exit_code == 78
    shutil.rmtree(folder / "public_key")
    (report,) = reports(hera("verify", file, "--json"))
    assert checks(report)["header.signature"] == "not verifiable"
