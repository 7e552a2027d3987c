"""What may go wrong in a stage, and what follows.

* ``PeerFault``  a peer sent what a rule forbids: the peer is blamed, the block is fetched again from others.
* ``TryLater``   what is needed is not there yet: the same message comes again, a bounded number of times.
* anything else  our own bug: the worker exits, the supervisor restarts it, the broker hands the message out again.
"""

from workers.component import Component


class PeerFault(Exception):
    """A rule was broken by whoever sent the ``guilty`` parts of block ``number``.

    ``rule`` is a dotted name (``events.commitment``): the log field and the metric label.
    ``guilty`` holds more than one component only where an era's hashes cannot tell which of them lied.
    """

    def __init__(
        self, rule: str, number: int, guilty: tuple[Component, ...], detail: str = ""
    ) -> None:
        super().__init__(f"block {number}: {rule}" + (f": {detail}" if detail else ""))
        self.rule = rule
        self.number = number
        self.guilty = guilty
        self.detail = detail


class TryLater(Exception):
    """The stage cannot handle this message yet."""
