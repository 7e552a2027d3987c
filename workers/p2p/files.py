"""Small JSON files beside the store: read within a bound, replaced by one rename."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE_BYTES_MAX = 4 << 20


class FileBroken(Exception):
    """A file that is not what it should be; ``str()`` is one line that names it."""


def read_object(path: Path, version: int) -> dict[str, Any]:
    """The object in the file, which states this ``format``; empty where there is no file. Raises FileBroken."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise FileBroken(f"{path}: larger than {FILE_BYTES_MAX} bytes")
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FileBroken(f"{path}: {error}") from error
    if not isinstance(content, dict) or content.get("format") != version:
        raise FileBroken(f"{path}: not of format {version}")
    return content


def replace(path: Path, content: Mapping[str, Any]) -> None:
    """Write the whole file anew: who reads it sees the old or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".json.new")
    with fresh.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
