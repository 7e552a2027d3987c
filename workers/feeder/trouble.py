"""Says in one line what keeps the feeder from its next block: in the log once, and in ``line`` for the status."""

import logging

from workers.feeder.client import BadAnswer, FeederError, Unreachable, backoff
from workers.log import fields, log

PAUSE_SECONDS = 1.0  # without an answer from the gateway, doubled each time
PAUSE_SECONDS_MAX = 30.0
REASONS = ("timeout", "connection", "limited", "server", "refused", "malformed", "missing")
"""Why a try failed, as it is counted."""
TOLD_MAX = 256  # causes remembered so as not to be logged again


class Trouble:
    """Causes that were told, each about a block until that is stored, and the pause of a silent gateway."""

    def __init__(self, url: str) -> None:
        self.paused_until = 0.0
        self._url = url
        self._pauses = 0
        self._paused_for = ""
        self._told: dict[tuple[int, str], None] = {}

    @property
    def line(self) -> str:
        """What is wrong now, empty while nothing is."""
        return self._paused_for or next((text for _, text in reversed(self._told)), "")

    def pause(self, error: Unreachable, now: float) -> None:
        """Ask nothing for a while; one line for as long as it lasts."""
        if now < self.paused_until:
            return
        self._paused_for = str(error)
        if self._pauses == 0:
            hint = f"; {error.hint}" if error.hint else ""
            log.warning(f"{error}{hint}, trying again")
        self._pauses += 1
        self.paused_until = now + backoff(self._pauses, PAUSE_SECONDS, PAUSE_SECONDS_MAX)

    def answered(self) -> None:
        """Note that the gateway is there."""
        if self._pauses:
            log.info("The gateway answers again", extra=fields(url=self._url))
        self._pauses, self._paused_for, self.paused_until = 0, "", 0.0

    def failed(self, number: int, error: Exception) -> None:
        """Tell why the block after the head does not come."""
        before = number - 1
        stay = f"staying at block {before}" if before >= 0 else "staying before the first block"
        block = f"block {number}: "
        text = str(error) if str(error).startswith(block) else block + str(error)
        level = logging.ERROR if isinstance(error, BadAnswer) else logging.WARNING
        self.tell(number, f"{text}; {stay}", level)

    def tell(self, number: int, text: str, level: int) -> None:
        """Log a line about a block once, until the block is stored."""
        if (number, text) in self._told:
            return
        while len(self._told) >= TOLD_MAX:
            del self._told[next(iter(self._told))]
        self._told[number, text] = None
        log.log(level, text, extra=fields(number=number))

    def quiet(self) -> bool:
        """Whether nothing was told that is still in the way."""
        return not self._told

    def stored(self, number: int) -> None:
        """Forget what was told about blocks up to ``number``."""
        for told in [key for key in self._told if key[0] <= number]:
            del self._told[told]


def reason_of(error: Exception) -> str:
    """Return the label of a failure that is no matter of reaching the gateway."""
    return "malformed" if isinstance(error, FeederError) else "missing"
