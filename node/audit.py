"""Audit: checks recorded blocks by the rules of the verify worker, spread over processes, and tells how each went.

A recorded block is what a feeder gateway answered: ``block/N.json`` with, where they were kept, its siblings
``state_update/N.json``, ``signature/N.json``, ``class/0x….json`` and ``public_key/*.json``. What is not there is said
and is no failure.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click

from node import networks
from node.config import ConfigError
from node.progress import progress
from starknet import gateway
from starknet.block import Missing, Outcome, Parts, Verdict, audit_block, unbound_fields
from starknet.felt import FieldMissing, value
from starknet.gateway import GatewayFormatError, WireBlock
from starknet.network import Network
from starknet.transactions import declared_class
from starknet.versions import UnknownVersion, is_fully_bound, rules_for
from starknet.wire.parse import bytes_of
from starknet.wire.sync_pb2 import Class
from workers import hash_table

CHUNK_MAX = 16  # blocks that a process takes at once
CHUNKS_PER_PROCESS = 4  # at least, so that all end at about the same time
REASON_LENGTH_MAX = 300
FIRST_BOUND = "0.13.2"  # the first version whose block hash binds all parts
BLOCK_HASH = "header.block_hash"
UNREAD = (  # fields of the answers that say nothing of their own, or nothing that the wire carries
    "block.status",
    "block.transaction_receipts.transaction_index",
    "block.transaction_receipts.l1_to_l2_consumed_message",
    "block.transaction_receipts.execution_resources.data_availability.l1_data_gas",
    "state_update.old_root",
)
UNREAD_BEFORE_BOUND = (  # of several forms, and at times wrong: recomputed instead
    "block.transaction_commitment",
    "block.event_commitment",
    "block.receipt_commitment",
    "block.state_diff_commitment",
    "block.state_diff_length",
)
UNBOUND_WITHOUT_HASH = (  # where even the block's own hash does not reproduce
    "headers.number",
    "headers.parent_hash",
    "headers.state_root",
    "headers.time",
    "headers.sequencer_address",
    "events",
    "transactions.transaction.signature",
)

Json = dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """One network's folder of recorded answers; ``key`` is the sequencer's, None where nobody knows it."""

    network: Network
    folder: Path
    key: int | None
    table: Path | None

    @cached_property
    def classes(self) -> dict[int, Path]:
        """The recorded class definitions by their hash; names may have leading zeros."""
        found = {}
        for path in sorted((self.folder / "class").glob("*.json")):
            try:
                found[int(path.stem, 16)] = path
            except ValueError:
                continue  # not named after a hash, so not of a class anybody asks for
        return found


@dataclass(frozen=True)
class Task:
    """Some recorded blocks of one network, as one process takes them."""

    recording: Recording
    blocks: tuple[Path, ...]


@dataclass(frozen=True)
class Report:
    """How the checks of one recorded block went.

    ``uncovered`` are the wire fields that nothing binds, ``unread`` fields of the answers that no check looks at.
    """

    network: str
    file: str
    number: int | None
    version: str
    transactions: int
    verdicts: tuple[Verdict, ...]
    uncovered: tuple[str, ...]
    unread: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """Failed if any check failed, not verifiable if the block's hash is, else passed."""
        outcomes = {verdict.check: verdict.outcome for verdict in self.verdicts}
        if any(verdict.outcome is Outcome.FAILED for verdict in self.verdicts):
            return Outcome.FAILED
        return outcomes.get(BLOCK_HASH, Outcome.NOT_VERIFIABLE)


# ---- one block --------------------------------------------------------------------------------------------------


def audit_task(task: Task) -> list[Report]:
    """Audit some blocks; runs in a process of its own."""
    return [audit_file(task.recording, path) for path in task.blocks]


def audit_file(recording: Recording, path: Path) -> Report:
    """Audit the recorded block at ``path``. Whatever the file holds, the answer is a report."""
    report = Report(recording.network.name, str(path), None, "", 0, (), (), UNREAD)
    try:
        block = _read(path)
        wire = gateway.block_from_gateway(block, None, None)
    except (_Unreadable, GatewayFormatError) as error:
        return replace(report, verdicts=(_failed("block.format", error),))
    verdicts: list[Verdict] = []
    report = replace(
        report,
        number=wire.header.number,
        version=wire.header.protocol_version,
        transactions=len(wire.transactions),
    )
    try:
        parts = _parts(recording, path.name, block, wire, verdicts)
    except (GatewayFormatError, UnknownVersion) as error:
        name = "header.version" if isinstance(error, UnknownVersion) else "block.format"
        return replace(report, verdicts=(*verdicts, _failed(name, error)))
    table_hash = _table_hash(recording, wire.header.number)
    verdicts += audit_block(recording.network, recording.key, parts, table_hash)
    return replace(
        report,
        verdicts=tuple(map(_printable, verdicts)),
        uncovered=_uncovered(report.version, verdicts),
        unread=UNREAD + (() if is_fully_bound(report.version) else UNREAD_BEFORE_BOUND),
    )


class _Unreadable(Exception):
    """A file that holds no JSON object; the text says why."""


def _parts(
    recording: Recording, name: str, block: Json, wire: WireBlock, verdicts: list[Verdict]
) -> Parts:
    """The block with whatever was recorded beside it; what does not fit is added to ``verdicts`` and left out."""
    state_update = _sibling(recording, "state_update", name, verdicts)
    signature = _sibling(recording, "signature", name, verdicts)
    wire, state_update, signature = _joined(block, wire, state_update, signature, verdicts)
    missing = {Missing.CLASSES}
    if signature is None:
        missing.add(Missing.SIGNATURE)
    if state_update is None:
        missing.add(Missing.STATE_UPDATE)
        if block.get("state_diff_commitment") is None or block.get("state_diff_length") is None:
            missing.add(Missing.COMMITMENT)
    else:
        verdicts.append(_agrees(state_update, wire))
    if not is_fully_bound(wire.header.protocol_version):
        missing.add(Missing.ROOTS)
    wire = gateway.with_stated_roots(wire, block)
    return Parts(
        header=wire.header,
        state_diff=wire.state_diff,
        classes=_classes(recording, wire, state_update is not None, verdicts),
        transactions=bytes_of(wire.transactions),
        events=bytes_of(wire.events),
        missing=frozenset(missing),
        signed_commitment=None if signature is None else gateway.signed_commitment(signature),
    )


def _joined(
    block: Json,
    wire: WireBlock,
    state_update: Json | None,
    signature: Json | None,
    verdicts: list[Verdict],
) -> tuple[WireBlock, Json | None, Json | None]:
    """The block joined with its other two answers, without those that are malformed or of another block."""
    if state_update is not None:
        try:
            wire = gateway.with_state_update(wire, state_update)
        except GatewayFormatError as error:
            verdicts.append(_failed("state_update.format", error))
            state_update = None
    if signature is not None:
        try:
            signed = gateway.with_signature(wire, signature)
            gateway.signed_commitment(signature)
            _check_number(block, signature)
            wire = signed
        except GatewayFormatError as error:
            verdicts.append(_failed("signature.format", error))
            signature = None
    return wire, state_update, signature


def _check_number(block: Json, signature: Json) -> None:
    """An old signature also states the block's number."""
    if signature.get("block_number") not in (None, block.get("block_number")):
        raise GatewayFormatError("block_number", "is of another block")


def _agrees(state_update: Json, wire: WireBlock) -> Verdict:
    """Whether the state update's own statement of the state root, which no wire message carries, is the block's."""
    name = "state_update.new_root"
    stated = state_update.get("new_root")
    if stated is None:
        return Verdict(name, Outcome.NOT_VERIFIABLE, "the state update does not state it")
    is_hex = isinstance(stated, str) and gateway.HEX.fullmatch(stated)
    if is_hex and int(stated, 16) == value(wire.header.state_root):
        return Verdict(name, Outcome.PASSED)
    return Verdict(name, Outcome.FAILED, "it is not the block's state root")


def _classes(
    recording: Recording, wire: WireBlock, has_diff: bool, verdicts: list[Verdict]
) -> list[Class]:
    """The recorded definitions of the classes that the block brings."""
    wanted = set(wire.declared) if has_diff else _declared(wire)
    if rules_for(wire.header.protocol_version).unversioned_transactions:
        wanted |= set(wire.deployed)  # before 0.9 a deployment is a class's first mention
    found = []
    for class_hash in sorted(wanted & recording.classes.keys()):
        try:
            definition = _read(recording.classes[class_hash])
            found.append(gateway.class_from_gateway(definition, class_hash))
        except (_Unreadable, GatewayFormatError) as error:
            verdicts.append(_failed("class.format", error))
    return found


def _declared(wire: WireBlock) -> set[int]:
    try:
        hashes = {declared_class(pair.transaction) for pair in wire.transactions}
    except FieldMissing as error:
        raise GatewayFormatError("transactions", str(error)) from None
    return {class_hash for class_hash in hashes if class_hash is not None}


def _uncovered(version: str, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """What nothing binds: a table binds of an old block what its own hash would since 0.13.2."""
    in_table = Verdict("block.table_hash", Outcome.PASSED) in verdicts
    fields = unbound_fields(FIRST_BOUND if in_table else version)
    if in_table or Verdict(BLOCK_HASH, Outcome.PASSED) in verdicts:
        return fields
    return tuple(dict.fromkeys(fields + UNBOUND_WITHOUT_HASH))


def _table_hash(recording: Recording, number: int) -> int | None:
    return None if recording.table is None else hash_table.entry(recording.table, number)


def _sibling(recording: Recording, kind: str, name: str, verdicts: list[Verdict]) -> Json | None:
    path = recording.folder / kind / name
    if not path.is_file():
        return None
    try:
        return _read(path)
    except _Unreadable as error:
        verdicts.append(_failed(f"{kind}.format", error))
        return None


def _read(path: Path) -> Json:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise _Unreadable(f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):  # also of bytes that are no text
        raise _Unreadable(f"{path.name} is no JSON") from None
    if not isinstance(content, dict):
        raise _Unreadable(f"{path.name} is no JSON object")
    return content


def _failed(check: str, error: Exception) -> Verdict:
    return _printable(Verdict(check, Outcome.FAILED, str(error)))


def _printable(verdict: Verdict) -> Verdict:
    """The verdict in one line of characters that a terminal shows: the files are not ours."""
    reason = verdict.reason[:REASON_LENGTH_MAX]
    return replace(verdict, reason="".join(c if c.isprintable() else "?" for c in reason))


# ---- all blocks -------------------------------------------------------------------------------------------------


def run(
    paths: Sequence[Path], network: str | None, table: Path | None, workers: int, *, as_json: bool
) -> int:
    """Audit everything at ``paths`` and print a line a block; 1 if a check failed. ConfigError: bad input."""
    tasks = _tasks(_find(paths, network, table), workers)
    total = sum(len(task.blocks) for task in tasks)
    counts = dict.fromkeys(Outcome, 0)
    seen = 0
    try:
        with progress(total) as advance:
            for report in _reports(tasks, workers):
                click.echo(json.dumps(_as_json(report)) if as_json else _line(report))
                counts[report.outcome] += 1
                seen += report.transactions
                advance()
    except BrokenProcessPool:
        click.echo("Error: a process ended before its blocks were checked: memory may be short, "
                   "give fewer --workers", err=True)  # fmt: skip
        return 1
    shown = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    click.echo(f"{total} blocks with {seen} transactions: {shown}", err=True)
    return 1 if counts[Outcome.FAILED] else 0


def _find(
    paths: Sequence[Path], network: str | None, table: Path | None
) -> list[tuple[Recording, list[Path]]]:
    """Every recorded block by its network's folder, in the order of the paths; the same block only once."""
    found: dict[Path, tuple[Recording, dict[Path, None]]] = {}
    for path in paths:
        folder, blocks = _blocks(path)
        if folder not in found:
            found[folder] = (_recording(folder, network, table), {})
        found[folder][1].update(dict.fromkeys(blocks))
    names = sorted({recording.network.name for recording, _ in found.values()})
    if table is not None and len(names) > 1:
        raise ConfigError(
            f"--block-hash-table: one table is of one network, not of {', '.join(names)}: "
            "verify them one by one"
        )
    return [(recording, list(blocks)) for recording, blocks in found.values()]


def _blocks(path: Path) -> tuple[Path, list[Path]]:
    """The network's folder and the block files that ``path`` stands for."""
    path = path.resolve()
    if path.is_file():
        return (path.parent.parent if path.parent.name == "block" else path.parent), [path]
    if not path.is_dir():
        raise ConfigError(
            f"{path} does not exist: give a folder of recorded blocks, or their files"
        )
    blocks = sorted((path / "block").glob("*.json"), key=_by_number)
    if not blocks:
        raise ConfigError(
            f"{path} holds no recorded block: block/0.json and its like are looked for there"
        )
    return path, blocks


def _by_number(path: Path) -> tuple[int, str]:
    return (int(path.stem), "") if path.stem.isdecimal() else (1 << 64, path.stem)


def _recording(folder: Path, name: str | None, table: Path | None) -> Recording:
    if name is None and folder.name not in networks.names():
        raise ConfigError(
            f"{folder} is not named after a network: give --network, one of "
            f"{', '.join(networks.names())}"
        )
    try:
        network = networks.load(name or folder.name)
    except networks.NetworkError as error:
        raise ConfigError(f"--network: {error}") from None
    key = network.public_key
    if key is None:
        key = recorded_key(folder)
    return Recording(network, folder, key, table)


def recorded_key(folder: Path) -> int | None:
    """Return the key that the gateway gave, where one was recorded; ConfigError if the file holds none."""
    for path in sorted((folder / "public_key").glob("*.json")):
        try:
            return networks.felt(path.read_text("utf-8").strip().strip('"'))
        except (OSError, ValueError, networks.NetworkError):
            raise ConfigError(f"{path} holds no public key: correct or remove it") from None
    return None


def _tasks(found: Iterable[tuple[Recording, list[Path]]], workers: int) -> list[Task]:
    """Cut the blocks into what one process takes at once."""
    listed = list(found)
    total = sum(len(blocks) for _, blocks in listed)
    size = max(1, min(CHUNK_MAX, total // (workers * CHUNKS_PER_PROCESS)))
    return [
        Task(recording, tuple(blocks[start : start + size]))
        for recording, blocks in listed
        for start in range(0, len(blocks), size)
    ]


def _reports(tasks: Sequence[Task], workers: int) -> Iterator[Report]:
    """All reports in order; one worker is this process itself."""
    workers = min(workers, len(tasks))
    if workers == 1:
        for task in tasks:
            yield from audit_task(task)
        return
    # fresh processes: a fork would copy the thread that draws the progress bar
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for reports in pool.map(audit_task, tasks):
            yield from reports


# ---- what is printed --------------------------------------------------------------------------------------------


def _line(report: Report) -> str:
    """One block in one line: number, version, outcome, then each check by how it went."""
    groups = [f"passed: {' '.join(_named(report, Outcome.PASSED)) or 'none'}"]
    for outcome in (Outcome.FAILED, Outcome.NOT_VERIFIABLE):
        reasons: dict[str, list[str]] = {}
        for verdict in report.verdicts:
            if verdict.outcome is outcome:
                reasons.setdefault(verdict.reason, []).append(verdict.check)
        if reasons:
            texts = [f"{' '.join(checks)} ({reason})" for reason, checks in reasons.items()]
            word = outcome.upper() if outcome is Outcome.FAILED else outcome
            groups.append(f"{word}: {', '.join(texts)}")
    number = Path(report.file).name if report.number is None else report.number
    version = _printable(Verdict("", report.outcome, report.version)).reason or "-"
    return f"{report.network} {number} {version} {report.outcome}; {'; '.join(groups)}"


def _named(report: Report, outcome: Outcome) -> list[str]:
    return [verdict.check for verdict in report.verdicts if verdict.outcome is outcome]


def _as_json(report: Report) -> Json:
    return {
        "network": report.network,
        "file": report.file,
        "number": report.number,
        "version": report.version,
        "transactions": report.transactions,
        "result": report.outcome,
        "checks": [
            {"name": verdict.check, "result": verdict.outcome}
            | ({"reason": verdict.reason} if verdict.reason else {})
            for verdict in report.verdicts
        ],
        "uncovered": list(report.uncovered),
        "unread": list(report.unread),
    }
