"""Measurements: what the project claims about its speed, and whether it holds on this machine."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """A measured ratio and what it has to reach; ``note`` holds the numbers behind it."""

    label: str
    ratio: float
    reach: float
    sense: Literal["at least", "at most"]
    note: str

    @property
    def reached(self) -> bool:
        """Whether the ratio is on the right side of its target."""
        return self.ratio >= self.reach if self.sense == "at least" else self.ratio <= self.reach

    def __str__(self) -> str:
        """One row of the table."""
        return (
            f"{self.label:46} {self.ratio:7.2f}  {self.sense} {self.reach:5.2f}"
            f"  {'yes' if self.reached else 'NO ':3}  {self.note}"
        )
