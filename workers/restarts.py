"""How often the supervisor started each process again: a small file beside the broker's socket, for the exporter."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

BYTES_MAX = 1 << 16


def write(path: Path, restarts: Mapping[str, int]) -> None:
    """Replace the file. Raises OSError."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(dict(restarts)))
    os.replace(fresh, path)


def read(path: Path | None) -> dict[str, int]:
    """Return restarts by process; nothing where no supervisor runs, as in a container of one worker."""
    try:
        text = "{}" if path is None else path.read_text()[:BYTES_MAX]
        values = json.loads(text)
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {name: count for name, count in values.items() if isinstance(count, int)}
