"""Where the recorded blocks are; tests that need them are skipped, with a reason, where they are not."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Return the folder of recorded gateway answers, one sub-folder a network."""
    root = Path(__file__).resolve().parent.parent
    path = Path(os.environ.get("HERA_FIXTURES", root.parent / "shared" / "fixtures"))
    if not (path / "sepolia").is_dir():
        pytest.skip("recorded blocks are not here: set HERA_FIXTURES to their folder")
    return path
