"""docs/guide.md has no command that no test runs."""

import re

from tests.guide import AT_A_NODE, FENCE, PAGE, WITH_PROGRAMS, blocks

PROGRAMS = ("hera", "docker", "systemctl", "journalctl", "curl", "pip", "prometheus", "promtool")
EVERY = AT_A_NODE | WITH_PROGRAMS


def test_every_block_has_a_setting_whose_commands_a_test_runs() -> None:
    kinds = [kind for kind, _ in FENCE.findall(PAGE.read_text())]
    assert {kind for kind in kinds if kind != "text"} == {f"sh {setting}" for setting in EVERY}
    assert len(blocks(EVERY)) == sum(kind != "text" for kind in kinds)


def test_what_is_to_be_seen_stands_behind_a_command() -> None:
    text = PAGE.read_text()
    assert text.count("\n```text\n") == sum(bool(block.seen) for block in blocks(EVERY))
    assert not re.search(r"^(?: {4}|\t|~~~)", FENCE.sub("", text), re.MULTILINE), (
        "a command stands outside of a block"
    )


def test_a_command_in_the_words_stands_in_a_block_too_or_is_a_part_of_one() -> None:
    run = " ".join(block.commands for block in blocks(EVERY))
    words = re.sub(r"\s+", " ", FENCE.sub("", PAGE.read_text()))
    named = [code for code in re.findall(r"`([^`]+)`", words) if code.split()[0] in PROGRAMS]
    assert named
    assert [code for code in named if code not in run] == []
