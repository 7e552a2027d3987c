"""Says how the sync goes, one line every ten seconds; at the head, where each block has a line, it is silent.

It runs in the broker's process, of which a node has exactly one, also where its workers are spread over containers and
where nothing is served over HTTP. What it sees last goes into the broker's figures, for ``hera status``.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from workers.log import details, log
from workers.progress import Progress, Sample, Stages, progress, sample

SPAN_LOOKS = 13  # half a minute of the broker's looks: what speeds are measured over
LATE_LOOKS = (
    4  # ten seconds of them: a block that is known for so long and has not come is worth a line
)
SAY_SECONDS = 10.0
SAY_AGAIN_SECONDS_MAX = 600.0  # of what has not changed for long
NEAR_BLOCKS = 3  # so far behind is as good as at the head while blocks come


class Teller:
    """Takes looks at the broker's figures, and says what they mean as seldom as is enough."""

    def __init__(self, stages: Stages, clock: Callable[[], float] = time.monotonic) -> None:
        self._stages = stages
        self._clock = clock
        self._looks: deque[Sample] = deque(maxlen=SPAN_LOOKS)
        self._seen: Progress | None = None
        self._due = clock() + SAY_SECONDS
        self._pause = SAY_SECONDS
        self._said: Progress | None = None  # last
        self._is_behind = True  # as was said last

    def vitals(self) -> dict[str, Any]:
        """Return what was seen last, as JSON knows it."""
        return {} if self._seen is None else {"progress": self._seen.as_json()}

    def status(self) -> str:
        """Return what was seen last as one line, for a service manager."""
        return "running" if self._seen is None else self._seen.line()

    def look(self, figures: Mapping[str, Any]) -> None:
        """Take one look, and say what it shows if that is due."""
        now = self._clock()
        known = self._looks[-1].head if self._looks else None
        look = sample(figures, now)
        if look.head is None:  # commit, which knows it, is being started again
            look = sample(figures, now, head=known)
        self._looks.append(look)
        seen = self._seen = progress(self._looks[0], self._looks[-1], self._stages)
        if self._is_behind and self._is_at_head(seen) and (self._said or now >= self._due):
            self._say(seen, now, is_behind=False)
        elif now >= self._due and (seen.stuck or self._is_far(seen)):
            self._say(seen, now, is_behind=True)

    @staticmethod
    def _is_at_head(seen: Progress) -> bool:
        return seen.target is not None and not seen.is_syncing and not seen.stuck

    def _is_far(self, seen: Progress) -> bool:
        if seen.target is None or not seen.is_syncing:
            return False
        late = list(self._looks)[-LATE_LOOKS:]
        waits = all(look.head == seen.head and look.target == seen.target for look in late)
        return waits or seen.target - (-1 if seen.head is None else seen.head) > NEAR_BLOCKS

    def _say(self, seen: Progress, now: float, *, is_behind: bool) -> None:
        """Say it; as long as the head stands still, twice as late each time."""
        stands = is_behind and self._said is not None and self._said.head == seen.head
        self._pause = min(2 * self._pause, SAY_AGAIN_SECONDS_MAX) if stands else SAY_SECONDS
        self._due, self._said, self._is_behind = now + self._pause, seen, is_behind
        values = seen.as_json()
        del values["stages"]
        log.info(seen.line(), extra=details(**values))
