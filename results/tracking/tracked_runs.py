"""What every tracker can be told of a search: the interface between the tables' mirror and MLflow, TensorBoard, W&B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from toprung.results.tracking.search_end import SearchEnd
    from toprung.results.tracking.search_history import SearchFacts
    from toprung.results.tracking.tracking_settings import Tracking
    from toprung.results.tracking.trial_entries import PendingTrialUpdate


class RefusedError(Exception):
    """A tracker takes something of a trial not, now or later; the tables have all of it."""


class TrackedRuns(Protocol):
    """Where a search is written to. What it has already, also of an earlier process, is not written again."""

    written: set[str]
    """The runs that lacked something: the ids of trials, and the name of the search's own."""

    @staticmethod
    def load() -> None:
        """Import the tracker's package, which takes seconds, so that it says nothing on the terminal."""

    @staticmethod
    def may_be_silent(tracking: Tracking) -> bool:
        """Whether something beyond this machine has to answer, which it may never do."""

    def begin_search(self) -> None:
        """A driver works: the search is not over, whatever an earlier driver left."""

    def write(self, trial_id: str, update: PendingTrialUpdate) -> None:
        """Bring one trial up to date. Raises `RefusedError` where it is not taken, now or later."""

    def describe_search(self, facts: SearchFacts) -> None:
        """Bring the search's own run up to date."""

    def end_search(self, end: SearchEnd) -> None:
        """Close the search's own run, and the trials that were interrupted."""
