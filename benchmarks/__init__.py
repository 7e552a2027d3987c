"""Measurements: what the project claims about its speed, and whether it holds on this machine."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """A measured ratio and what it has to reach (None: nothing); ``note`` holds the numbers behind it."""

    label: str
    ratio: float
    reach: float | None
    sense: Literal["at least", "at most"]
    note: str

    @property
    def reached(self) -> bool:
        """Whether the ratio is on the right side of its target, if there is one."""
        if self.reach is None:
            return True
        return self.ratio >= self.reach if self.sense == "at least" else self.ratio <= self.reach

    def __str__(self) -> str:
        """One row of the table."""
        goal = "-" if self.reach is None else f"{self.sense} {self.reach:.2f}"
        verdict = "-" if self.reach is None else "yes" if self.reached else "NO"
        return f"{self.label:42} {self.ratio:7.2f}  {goal:14} {verdict:4} {self.note}"


HEADER = f"{'figure':42} {'ratio':>7}  {'target':14} {'met':4} measured"
