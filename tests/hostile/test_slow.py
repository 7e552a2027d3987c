"""Peers that answer too slowly to be of use: what may be a bad line is borne with for a while, not for ever."""

from tests.hostile.conftest import Slow
from tests.hostile.lies import SLOWNESSES

REQUESTS_MAX = 64


def test_who_drips_stalls_or_is_silent_is_left_alone_in_the_end(slow: Slow) -> None:
    """The node was started before all other cases: patience takes its time."""
    scene = slow.scene
    assert set(slow.liars) == set(SLOWNESSES)
    for liar in slow.liars.values():
        scene.wait_left_alone(liar, 150.0)
    scene.let_out(slow.last)
    for name, liar in slow.liars.items():
        faults = scene.faults(liar)
        found_out = next(fault for fault in faults if "not_asked_s" in fault)
        assert found_out["rule"] == "stream.slow", (name, faults)
        assert found_out is not faults[0], "once is not enough"
        assert liar.requests.total() <= REQUESTS_MAX, (name, liar.requests)
    scene.assert_memory_is_flat()
    assert scene.node.stop() == 0
    assert "Traceback" not in scene.node.text()
