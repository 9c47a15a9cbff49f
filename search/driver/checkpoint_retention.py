"""Which ended trials keep their checkpoints, and which are deleted when they take too much storage."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from toprung.results.analysis.bounds_kept import keeps_bounds
from toprung.trainables.trial.report import Outcome
from toprung.trainables.worker.checkpoints import CheckpointStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from toprung.search.loop.trial_state import ActiveTrial, TrialEnd
    from toprung.trainables.trial.messages import Worker
    from toprung.trainables.trial.objectives import Objective


class CheckpointRetention:
    """Keeps the checkpoints of trials that trained fully, within a quota, and deletes the others."""

    def __init__(
        self,
        store: CheckpointStore,
        objective: Objective,
        max_bytes: int | None = None,
        keep_stopped: bool = False,
        kept: Mapping[str, float | None] | None = None,
    ) -> None:
        """Start from what earlier drivers kept.

        Args:
            store: Where the checkpoints are.
            objective: Picks the best trial, whose checkpoint is never deleted.
            max_bytes: What the checkpoints may take on storage; None for no limit.
            keep_stopped: Whether trials that were stopped keep their checkpoints too.
            kept: The trials that keep theirs already, in the order they ended, with their best values (None: not
                finite, or out of bounds), see `trials_with_checkpoint`.
        """
        self._store, self._objective = store, objective
        self._max_bytes, self._keep_stopped = max_bytes, keep_stopped
        self._kept = dict(kept or {})
        self._last_deleted: dict[tuple[str, int], str] = {}

    def keeps(self, trial: ActiveTrial, end: TrialEnd) -> bool:
        """Whether a trial that ended so keeps its checkpoint."""
        is_wanted = self._keep_stopped and end.outcome is Outcome.STOPPED and bool(trial.reports)
        return end.trained_fully or is_wanted

    def keep(self, trial: ActiveTrial, best: float | None) -> None:
        """Keep an ended trial's checkpoint; `best` is its best value, None where none was finite or within bounds."""
        self._delete_late_checkpoint(trial.worker)
        self._make_room()
        self._kept[trial.trial_id] = best

    def delete(self, trial: ActiveTrial) -> None:
        """Delete an ended trial's checkpoint."""
        self._delete_late_checkpoint(trial.worker)
        self._store.discard(trial.trial_id)
        self._last_deleted[trial.worker.node, trial.worker.pid] = trial.trial_id

    def _delete_late_checkpoint(self, worker: Worker) -> None:
        """Delete once more the checkpoint of the worker's trial before this one.

        A worker reports a rung while it writes its checkpoint, so that the file may come after it was deleted. It
        completes that write before it reports on its next trial.
        """
        earlier = self._last_deleted.pop((worker.node, worker.pid), None)
        if earlier is not None:
            self._store.discard(earlier)

    def _make_room(self) -> None:
        """Delete until the quota is met: first what late checkpoints there are, then the oldest, but never the best."""
        if self._max_bytes is not None:
            best = self._best_kept()
            expendable = [trial_id for trial_id in self._kept if trial_id != best]
            self._store.keep_within(self._max_bytes, [*self._last_deleted.values(), *expendable])

    def _best_kept(self) -> str | None:
        scores = {name: self._objective.score(best) for name, best in self._kept.items() if best is not None}
        return max(scores, key=lambda name: scores[name], default=None)


def trials_with_checkpoint(trials: pd.DataFrame, metric: str) -> dict[str, float | None]:
    """The trials of a `trials` table that keep a checkpoint, in the order they ended, with their best values."""
    with_checkpoint = trials[trials["checkpoint"].notna()].sort_values("ended_at")
    if with_checkpoint.empty:
        return {}
    values = with_checkpoint[f"best_{metric}"].where(keeps_bounds(with_checkpoint))
    best = [None if math.isnan(value) else float(value) for value in values]
    return dict(zip(with_checkpoint["trial_id"].map(str), best, strict=True))


def keep_recorded(checkpoints: str, trials: pd.DataFrame, metric: str) -> None:
    """Delete the checkpoints in a folder or at a URI but those of `trials_with_checkpoint`."""
    kept = trials_with_checkpoint(trials, metric)
    CheckpointStore(checkpoints).keep_only(frozenset(kept))
