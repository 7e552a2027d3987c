"""Draws the pipeline page as a Mermaid flowchart, for docs/architecture.md.

``python -m node.diagram FILE`` writes it between the two marker comments of FILE.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from node import pipeline
from workers.stage import Source, Stage

BEGIN = "<!-- pipeline diagram: begin (derived from node/pipeline.py, compared by a test) -->"
END = "<!-- pipeline diagram: end -->"


def mermaid() -> str:
    """Return the flowchart: one arrow for each topic, from who gives to who takes."""
    sources = (pipeline.P2P, pipeline.FEEDER)
    lines = ["flowchart TD", "  peers((peers)) <--> p2p", "  gateway((gateway)) --> feeder"]
    lines += sorted(set(_arrows((*sources, *pipeline.PIPELINE))), key=_page_order)
    lines += ["  commit --> store[(store)]", "  store -. read only .-> p2p & feeder & rpc"]
    return "\n".join(lines)


def _arrows(rows: tuple[Source | Stage[Any], ...]) -> Iterator[str]:
    for giver in rows:
        for topic in giver.gives:
            for taker in rows:
                if topic in taker.taken:
                    yield f"  {giver.name} -- {topic.name} --> {taker.name}"


def _page_order(arrow: str) -> tuple[int, str]:
    names = [row.name for row in (pipeline.P2P, pipeline.FEEDER, *pipeline.PIPELINE)]
    return names.index(arrow.split()[0]), arrow


def replaced(text: str) -> str:
    """Return ``text`` with what stands between the markers replaced by the diagram."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n```mermaid\n{mermaid()}\n```\n{END}{after}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(replaced(page.read_text()))
