"""Runs a source of the page as a process of its own."""

import sys

from node import pipeline
from workers import runtime
from workers.settings import Settings

ROWS = {row.name: row for row in (pipeline.P2P, pipeline.FEEDER, pipeline.RPC)}


def run(name: str, settings: Settings, worker: str | None = None) -> None:
    """Be the process of that row, exit code included."""
    sys.exit(runtime.run_source(ROWS[name], settings, worker=worker or name))
