"""A chain in an earlier or later era's format passes through real nodes, from the gateway to the last of three."""

import re

import pytest

from tests.process.nodes import run


@pytest.mark.parametrize("version", ["none", "0.12.3", "0.14.1"])
def test_three_nodes_end_at_one_head_of_a_chain_of(version: str) -> None:
    done = run(
        "demo", "--blocks", "12", "--timeout", "100", "--protocol-version", version, seconds=150
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"protocol version {version}," in done.stdout
    rows = re.findall(
        r"^(feeder|node-a|node-b) +(\d+) +(0x\S+) +(0x\S+)", done.stdout, re.MULTILINE
    )
    assert len(rows) == 3
    assert {row[1:] for row in rows} == {("11", *rows[0][2:])}


@pytest.mark.parametrize("verb", [("demo",), ("gateway", "serve", "--devnet")])
def test_an_unknown_version_is_one_line_with_those_that_are_possible(verb: tuple[str, ...]) -> None:
    done = run(*verb, "--protocol-version", "0.15.0")
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "0.15.0 is newer than this node" in done.stderr
    assert "0.12.3" in done.stderr
