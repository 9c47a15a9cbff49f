"""What a report of a run is made of: its tables, its leaderboard, its job and what a retraining left."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from toprung.results.analysis.bounds_kept import bounds_line
from toprung.results.analysis.importance.rung_results import rung_epochs_of, rung_results, searched_parameters
from toprung.results.analysis.leaderboard import RUNNING, leaderboard, progress
from toprung.results.analysis.rung_table import rung_table
from toprung.results.tables.parts import read_table, read_tables
from toprung.results.tables.schema import RUNGS, SPACE
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from toprung.results.analysis.importance.joint_model import RungResults
    from toprung.results.analysis.importance.parameter import Parameter
    from toprung.results.analysis.leaderboard import Leader
    from toprung.results.analysis.time_and_cost.eta import SearchPlan
    from toprung.trainables.trial.objectives import Objectives

KEPT = 400  # of a chart's trials, the best are drawn whatever is left out


@dataclass(frozen=True)
class JobFacts:
    """What a report says of a job beside its tables.

    Attributes:
        name: Of the run.
        objectives: What is optimized.
        plan: What the search means to do.
        yaml: The job as a job file.
        retrained: The report of a retraining; None without one.
        active_since: When the driver that writes the run now took it, UTC; None where none does.
        space: The name of the space.
        ended_because: What ended the search before its trials had ended; empty where that is not known.
    """

    name: str
    objectives: Objectives
    plan: SearchPlan
    yaml: str = ""
    retrained: Mapping[str, Any] | None = None
    active_since: datetime | None = None
    space: str = ""
    ended_because: str = ""

    @property
    def is_active(self) -> bool:
        """Whether a driver writes the run now."""
        return self.active_since is not None

    @property
    def trials(self) -> int:
        """How many trials the search may try."""
        return self.plan.trials

    @property
    def max_epochs(self) -> int:
        """Epochs of a full training."""
        return self.plan.rung_epochs[-1]


@dataclass(frozen=True)
class RunView:
    """A run at one moment; `board` has one row a trial, best first."""

    root: str
    job: JobFacts
    proposals: pd.DataFrame
    epochs: pd.DataFrame
    trials: pd.DataFrame
    rungs: pd.DataFrame
    space: pd.DataFrame
    board: pd.DataFrame = field(repr=False)

    @classmethod
    def read(cls, root: str, job: JobFacts) -> RunView:
        """The run as its tables are now."""
        rungs, space = read_table(root, RUNGS), read_table(root, SPACE)
        proposals, epochs, trials = read_tables(root)
        board = leaderboard(proposals, epochs, trials, job.objectives)
        return cls(
            root, job, proposals, epochs.drop_duplicates(["trial_id", "epoch"]), trials, rungs, space, board
        )

    @property
    def metric(self) -> str:
        """The metric that picks the winner."""
        return self.job.objectives.main.metric

    @cached_property
    def leader(self) -> Leader | None:
        """The best trial so far; None before the first value."""
        return progress(self.proposals, self.epochs, self.trials, self.job.objectives.main).leader

    @cached_property
    def bounds_line(self) -> str | None:
        """How many trials keep the bounds, or which is nearest; None without bounds."""
        return bounds_line(self.board, self.job.objectives.bounds)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The row of each trial in the leaderboard, by trial id; what charts call a trial by."""
        return dict(zip(self.board["trial_id"], range(len(self.board)), strict=True))

    @cached_property
    def outcomes(self) -> dict[str, str]:
        """The outcome of each trial, RUNNING for those that have none."""
        return dict(zip(self.board["trial_id"], self.board["outcome"], strict=True))

    @cached_property
    def rung_table(self) -> pd.DataFrame:
        """See `rung_table`."""
        return rung_table(self.rungs)

    @cached_property
    def rung_epochs(self) -> list[int]:
        """The epochs of the rungs that have results."""
        return rung_epochs_of(self.rungs)

    @cached_property
    def parameters(self) -> list[Parameter]:
        """The parameters that leave a choice."""
        return searched_parameters(self.space)

    @cached_property
    def rung_results(self) -> RungResults:
        """The results at the rungs, of all trials."""
        return rung_results(self.proposals, self.epochs, self.rung_epochs, self.metric)

    def numbers_of(self, trial_ids: pd.Series) -> list[int]:
        """The rows of the leaderboard of these trials."""
        return [self.numbers[name] for name in trial_ids]

    @property
    def fates(self) -> Sequence[str]:
        """The outcomes that occur, those without a fault first."""
        occurring = set(self.board["outcome"])
        return [
            name for name in (Outcome.STOPPED, Outcome.COMPLETED, RUNNING, *Outcome) if name in occurring
        ][: len(occurring) + 2]


def finite(values: pd.Series) -> np.ndarray:
    """Which values are finite, shape (rows,), bool."""
    return np.asarray(np.isfinite(values.to_numpy(dtype=float, na_value=np.nan)))
