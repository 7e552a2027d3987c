"""The main job: three nodes of a private network, of which the last knows only the second, end at one head."""

import re

from tests.process.nodes import run


def test_the_demo_ends_with_all_heads_equal() -> None:
    """105 blocks: a whole range and a partial one."""
    done = run("demo", "--blocks", "105", "--timeout", "200", seconds=240)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = re.findall(
        r"^(feeder|node-a|node-b) +(\d+) +(0x\S+) +(0x\S+)", done.stdout, re.MULTILINE
    )
    assert [row[0] for row in rows] == ["feeder", "node-a", "node-b"]
    assert {row[1:] for row in rows} == {rows[0][1:]}
    assert rows[0][1] == "104"
    assert "All heads are equal." in done.stdout


def test_a_demo_without_enough_time_says_so_and_fails() -> None:
    done = run("demo", "--blocks", "250", "--timeout", "1", seconds=120)
    assert done.returncode == 1
    assert "All heads are equal." not in done.stdout
