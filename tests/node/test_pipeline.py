"""The page is wired right: what is given is taken, types fit, nothing runs in a circle."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from broker.topic import Topic
from node import diagram, pipeline
from workers import fetch, verify
from workers.component import Component
from workers.stage import Source, Stage

STAGES: tuple[Stage[Any], ...] = pipeline.PIPELINE
TOPICS = [value for value in vars(pipeline).values() if isinstance(value, Topic)]
P2P_NODE: tuple[Source | Stage[Any], ...] = (pipeline.P2P, *pipeline.PIPELINE)
FEEDER_NODE: tuple[Source | Stage[Any], ...] = (pipeline.FEEDER, pipeline.VERIFY, pipeline.COMMIT)


def test_every_topic_has_a_name_and_a_message_of_its_own() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
    assert len({topic.carries for topic in TOPICS}) == len(TOPICS)


def test_every_topic_of_a_peer_node_has_a_giver_and_a_taker() -> None:
    given = {topic.name for row in P2P_NODE for topic in row.gives}
    assert given == {topic.name for row in P2P_NODE for topic in row.taken}
    assert given == {topic.name for topic in TOPICS}


def test_every_topic_of_a_feeder_node_has_a_giver_and_a_taker() -> None:
    given = {topic.name for row in FEEDER_NODE for topic in row.gives}
    assert given == {topic.name for row in FEEDER_NODE for topic in row.taken}


def test_the_stages_alone_form_no_cycle() -> None:
    order = {row.takes.name: place for place, row in enumerate(STAGES)}
    for place, row in enumerate(STAGES):
        for topic in row.gives:
            assert order.get(topic.name, len(order)) > place, (row.name, topic.name)


def test_there_is_a_fetch_stage_for_each_component() -> None:
    assert [row.name for row in pipeline.FETCH] == [f"fetch-{component}" for component in Component]


@pytest.mark.parametrize(
    ("row", "function"),
    [
        *zip(
            pipeline.FETCH,
            (
                fetch.headers.cut,
                fetch.state_diffs.cut,
                fetch.classes.cut,
                fetch.transactions.cut,
                fetch.events.cut,
            ),
            strict=True,
        ),
        (pipeline.VERIFY, verify.verify),
    ],
)
def test_a_stage_takes_and_gives_what_its_function_says(
    row: Stage[Any], function: Callable[..., Any]
) -> None:
    hints = get_type_hints(function)
    message = list(inspect.signature(function).parameters)[1]
    assert hints[message] is row.takes.carries
    (outputs,) = get_args(hints["return"])
    faults = {pipeline.FAULTS.carries}
    assert set(get_args(outputs) or (outputs,)) == {topic.carries for topic in row.gives} - faults


def test_the_architecture_page_shows_the_pipeline_as_it_is() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "architecture.md").read_text()
    assert diagram.replaced(page) == page, "run: python -m node.diagram docs/architecture.md"
