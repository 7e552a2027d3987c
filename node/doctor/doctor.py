"""Doctor: makes all checks at once, each in a thread of its own and for a bounded time, and prints what they found.

A check that fails, hangs or breaks hides no other one.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict

import click

from node.config import load_in_part
from node.doctor import folders, machine, network
from node.doctor.findings import Finding, Level, Patient, fail
from node.sources import config_file

SECONDS_MAX = 13.0  # for all checks; the command, with its start and end, takes no more than 15

Check = Callable[[Patient], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (  # in the order in which they are printed
    folders.options,
    machine.versions,
    machine.kernel,
    machine.processors,
    machine.memory,
    machine.descriptors,
    folders.folder,
    folders.disk,
    folders.running,
    folders.database,
    folders.keys,
    network.ports,
    network.broker,
    network.gateway,
    network.clock,
    network.chain,
    network.peers,
)


def run(
    flags: Mapping[str, str], environ: Mapping[str, str], path: str | None, *, as_json: bool
) -> int:
    """Check everything and print a line for each finding; 1 if one of them is a failure, else 0."""
    config, refused = load_in_part(flags, environ, config=path)
    patient = Patient(config, refused, config_file(environ, path), folders.PRIVATE_KEY in flags)
    findings, is_whole = examine(patient)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(_line(finding))
    code = 1 if any(finding.level is Level.FAIL for finding in findings) else 0
    if not is_whole:  # the interpreter would wait for what still hangs, such as a look-up of a name
        sys.stdout.flush()
        os._exit(code)
    return code


def examine(
    patient: Patient, checks: tuple[Check, ...] = CHECKS, seconds_max: float = SECONDS_MAX
) -> tuple[list[Finding], bool]:
    """Make all checks at once; return their findings, in the order of the checks, and whether all have ended."""
    found: list[list[Finding]] = [[] for _ in checks]
    threads = [
        threading.Thread(target=_make, args=(check, patient, findings), daemon=True)
        for check, findings in zip(checks, found, strict=True)
    ]
    end = time.monotonic() + seconds_max
    for thread in threads:
        thread.start()
    for thread, check, findings in zip(threads, checks, found, strict=True):
        thread.join(max(0.0, end - time.monotonic()))
        if thread.is_alive():
            findings.append(fail(check.__name__, f"no result in {seconds_max:.0f} s"))
    is_whole = not any(thread.is_alive() for thread in threads)
    return [finding for findings in found for finding in list(findings)], is_whole


def _make(check: Check, patient: Patient, findings: list[Finding]) -> None:
    try:
        findings.extend(check(patient))
    except Exception as error:  # noqa: BLE001  (a check that breaks must not hide the others)
        text = f"could not be checked: {type(error).__name__}: {error}"
        findings.append(fail(check.__name__, " ".join(text.split())))


def _line(finding: Finding) -> str:
    hint = f": {finding.hint}" if finding.hint else ""
    return f"{finding.level:4}  {finding.check:8}  {finding.text}{hint}"
