"""A run opened from Python: its tables as pandas frames, its leaders, its job, its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toprung.results.analysis.leaderboard import as_of_now, leaderboard, progress, without_empty
from toprung.results.run_actions import run_actions
from toprung.results.tables.parts import read_table, read_tables
from toprung.results.tables.rows import config_of
from toprung.results.tables.run_lock import present_holder
from toprung.results.tables.schema import EPOCHS, PROPOSALS, RUNGS, SPACE, TRIALS
from toprung.trainables.system.uris import absolute, without_trailing_slash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from toprung.results.run_actions import RunJob


@dataclass(frozen=True)
class BestTrial:
    """The trial with the best finite value of the metric so far, and the epoch at which it was measured."""

    trial_id: str
    metric: str
    value: float
    epoch: int
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One run, at a local folder or URI; `load` opens it.

    Each access reads the storage again, so that a running search is seen growing.
    """

    root: str

    @property
    def proposals(self) -> pd.DataFrame:
        """One row for each proposed configuration."""
        return read_table(self.root, PROPOSALS)

    @property
    def epochs(self) -> pd.DataFrame:
        """One row for each epoch of a trial, in order of arrival."""
        return read_table(self.root, EPOCHS)

    @property
    def trials(self) -> pd.DataFrame:
        """One row for each ended trial."""
        return read_table(self.root, TRIALS)

    @property
    def space(self) -> pd.DataFrame:
        """One row for each parameter of the space."""
        return read_table(self.root, SPACE)

    @property
    def rungs(self) -> pd.DataFrame:
        """One row for each decision at a rung, in order."""
        return read_table(self.root, RUNGS)

    @property
    def job(self) -> RunJob:
        """The effective job, a `toprung.search.Job`."""
        return run_actions().job(self.root)

    def leaderboard(self, top: int | None = None) -> pd.DataFrame:
        """One row for each trial, best first: value, epoch, outcome, configuration; no columns without any value.

        A trial that has not ended is RUNNING while a search writes the run, else INTERRUPTED.

        With several objectives, the column `pareto` marks the trials that no other trial beats in all of them.

        Args:
            top: Number of rows; None for all.
        """
        board = leaderboard(*read_tables(self.root), self.job.search.optimized, top)
        return without_empty(as_of_now(board, present_holder(self.root) is not None))

    @property
    def best(self) -> BestTrial | None:
        """The leading trial; None before the first epoch of the run.

        Trials that diverged, failed or ran out of memory do not count.
        """
        main = self.job.search.optimized.main
        proposals, epochs, trials = read_tables(self.root)
        leader = progress(proposals, epochs, trials, main).leader
        if leader is None:
            return None
        row = proposals[proposals["trial_id"] == leader.trial_id].iloc[0]
        config = config_of({str(name): value for name, value in row.items()})
        return BestTrial(leader.trial_id, main.metric, leader.value, leader.epoch, config)

    def retrain(
        self,
        overrides: Sequence[str] = (),
        trial_id: str | None = None,
        address: str | None = None,
        promote: bool = False,
    ) -> Mapping[str, Any]:
        """Train the winner on train + validation, test it once, save and register it, as `toprung retrain` does.

        Args:
            overrides: Settings to change, as in `["retrain.confirm=3"]`.
            trial_id: The trial to retrain; None for the best.
            address: The Ray cluster that trains; None for this machine.
            promote: Whether the model becomes the champion whatever its test says.

        Returns:
            The report, as saved beside the model in RUN/retrain/MODEL/report.json.

        Raises:
            InputError: The run has no winner, its images have changed, or it cannot be written.
            RuntimeError: The training failed (`SearchFailedError`), or no cluster answers at the address.
        """
        return run_actions().retrain(self.root, overrides, trial_id, address, promote)

    def model(self) -> Any:
        """The champion among the retrained Keras models: from images (N, H, W, C), 0 to 255, to class probabilities.

        Raises:
            InputError: The run was not retrained.
        """
        return run_actions().model(self.root)


def load(path: str | Path) -> Run:
    """Open a run.

    Args:
        path: Its folder or URI.

    Raises:
        InputError: There is no run.
    """
    run = Run(without_trailing_slash(absolute(str(path))))
    _ = run.job  # raises where there is no run
    return run
