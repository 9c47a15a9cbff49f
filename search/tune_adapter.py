"""Ray Tune's Searcher: Ray starts the workers of a search and starts others for those that die.

A trial of Ray's is the working life of one worker. What it trains it hears at the desk: for Ray itself a new trial is
tens of milliseconds of folders, resets and round trips, and a result is four, in which the worker would wait. Trials
keep their own checkpoints, so that one may go on with any worker and Ray needs to restore nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray.tune.search import Searcher

from trainables.trial import SEAT

if TYPE_CHECKING:
    from search.desk import Desk


class SeatSearcher(Searcher):  # type: ignore[misc]
    """Hands Ray a seat at the desk for each of `concurrent` workers."""

    def __init__(self, desk: Desk, concurrent: int) -> None:
        super().__init__(metric=None, mode=None)
        self._desk, self._concurrent = desk, concurrent

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A seat for one worker, None to be asked again, FINISHED when no more are needed."""
        self._desk.check()
        if self._desk.seats < self._concurrent and self._desk.open(trial_id):
            return {SEAT: trial_id}
        return str(Searcher.FINISHED) if self._desk.finished else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A worker has gone home, or has died."""
        self._desk.leave(trial_id, died=error)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray writes its searcher to disk to restore it, and the tables are the only memory."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the tables are the only memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the tables are the only memory."""
