"""Peers that answer too slowly to be of use: what may be a bad line is borne with for a while, not for ever."""

from tests.hostile.conftest import Slow
from tests.hostile.lies import SLOWNESSES
from tests.process.nodes import wait_until

REQUESTS_MAX = (
    200  # of each, while they are the only ones with the next blocks, as long as all cases take
)


def test_who_drips_stalls_or_is_silent_does_not_hold_the_sync_up(slow: Slow) -> None:
    """The node was started before all other cases: patience takes its time."""
    scene = slow.scene
    assert set(slow.liars) == set(SLOWNESSES)
    for name, liar in slow.liars.items():
        wait_until(lambda liar=liar: bool(scene.faults(liar)), 100, scene.node.text)  # type: ignore[misc]
        first = scene.faults(liar)[0]
        assert first["rule"] == "stream.slow", (name, first)
        assert "not_asked_s" not in first, "once is not enough"
    scene.let_out(slow.last)
    for name, liar in slow.liars.items():
        assert liar.misbehaved > 0
        assert liar.requests.total() <= REQUESTS_MAX, (name, liar.requests)
    scene.assert_memory_is_flat()
    assert scene.node.stop() == 0
    assert "Traceback" not in scene.node.text()
