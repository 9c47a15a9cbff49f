"""How many workers a search has asked for and how many are here, for those who look at it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class WorkerPresence:
    """The workers of a running search.

    Attributes:
        asked: How many the search has asked Ray for.
        here: How many are connected to the driver.
        placed: How many have a place on a node, those that are starting included.
    """

    asked: int = 0
    here: int = 0
    placed: int = 0

    @property
    def all_here(self) -> bool:
        """Whether none is missing."""
        return self.here >= self.asked

    def __str__(self) -> str:
        missing = (
            "" if self.all_here else ", starting" if self.placed >= self.asked else ", waiting for resources"
        )
        return f"{self.asked} asked, {self.here} here{missing}"
