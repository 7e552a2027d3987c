"""Turns a broken rule into the Fault that names who sent the guilty parts."""

from typing import Any

from workers.component import Component
from workers.errors import PeerFault
from workers.messages import Fault

DETAIL_CHARS_MAX = 500
_ORDER = tuple(Component)


def fault_of(message: Any, fault: PeerFault) -> Fault:
    """Name the sender of each guilty part: a message comes from one ``peer``, or from five ``peers``."""
    if hasattr(message, "peer"):
        peers = (message.peer,) * len(fault.guilty)
    else:
        peers = tuple(message.peers[_ORDER.index(part)] for part in fault.guilty)
    return Fault(
        attempt=message.attempt,
        start=fault.number,
        count=1,
        components=fault.guilty,
        peers=peers,
        rule=fault.rule,
        # A peer's text may hold what UTF-8 cannot; it must not end this process.
        detail=fault.detail[:DETAIL_CHARS_MAX].encode("utf-8", "backslashreplace").decode(),
    )
