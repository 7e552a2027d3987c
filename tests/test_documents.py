"""What the documents point at is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_test_file_that_a_document_names_exists() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")]:
        named = set(
            re.findall(
                r"(?:tests|docs|benchmarks|configs)/[\w/.-]+\.(?:py|md|toml)", page.read_text()
            )
        )
        missing = sorted(name for name in named if not (ROOT / name).is_file())
        assert not missing, f"{page.name} names {missing}"


def test_every_promise_of_the_mission_names_its_test_or_issue() -> None:
    rows = re.findall(
        r"^\| (A\d+) \|.*\| (.*) \|$", (ROOT / "docs" / "mission.md").read_text(), re.MULTILINE
    )
    assert len(rows) == 89
    shown = re.compile(r"`(?:tests/[\w/.]+|docs/\S+|make \w+)`|issue \d|README|words only")
    assert [name for name, what in rows if not shown.search(what)] == []
