"""Each misbehaviour alone against one real node: left alone for its rule, soon, and nothing of it is stored."""

import re
from pathlib import Path

import pytest

from tests.hostile.lies import Lie, all_lies, all_weaknesses
from tests.hostile.scene import PATIENCE_SECONDS, Scene, undisturbed
from tests.process.nodes import wait_until
from workers.component import Component
from workers.store.reader import digest


@pytest.mark.parametrize("lie", all_lies(), ids=lambda lie: lie.name)
def test_who_lies_is_left_alone_for_its_rule_and_the_sync_goes_on(scene: Scene, lie: Lie) -> None:
    """Only the liar has the next blocks, until it is found out; then the honest peer has them as well."""
    last = scene.next_block(classes=Component.CLASSES in lie.parts)
    liar = scene.liar(lie, last)
    scene.wait_left_alone(liar)
    scene.let_out(last)
    faults = scene.faults(liar)
    found_out = next(fault for fault in faults if "not_asked_s" in fault)
    assert re.match(lie.rule, found_out["rule"]), faults
    assert found_out["component"] in lie.parts, faults
    assert liar.misbehaved > 0
    assert liar.requests.total() <= lie.requests_max, liar.requests
    assert found_out is faults[0], "it was found out at once"
    scene.assert_memory_is_flat()
    scene.network.stop(liar)


@pytest.mark.parametrize("weakness", all_weaknesses(), ids=lambda weakness: weakness.name)
def test_who_is_weak_is_borne_with_and_the_sync_goes_on(scene: Scene, weakness: Lie) -> None:
    """What may be a bad line's fault is counted; the peer is asked ever less often, never at once again and again."""
    last = scene.next_block(classes=False)
    weak = scene.liar(weakness, last)
    wait_until(lambda: bool(scene.faults(weak)), PATIENCE_SECONDS, scene.node.text)
    scene.let_out(last)
    faults = scene.faults(weak)
    assert all(re.match(weakness.rule, fault["rule"]) for fault in faults), faults
    assert all(fault["component"] in weakness.parts for fault in faults), faults
    assert weak.requests.total() <= weakness.requests_max, weak.requests
    scene.assert_memory_is_flat()
    scene.network.stop(weak)


def test_the_store_is_that_of_a_node_that_nobody_lied_to(scene: Scene, tmp_path: Path) -> None:
    assert scene.node.stop() == 0
    assert "Traceback" not in scene.node.text()
    assert digest(scene.node.db_path) == undisturbed(tmp_path / "store", scene.honest.length)
