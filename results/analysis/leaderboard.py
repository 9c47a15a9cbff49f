"""Who leads and how far the search is: pure functions over the tables' frames, at any moment of a search."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from toprung.results.analysis.bounds_kept import keeps_bounds, violations
from toprung.results.analysis.pareto_front import front
from toprung.results.tables.schema import CONFIG, OVERFLOW
from toprung.spaces.errors import InputError
from toprung.trainables.trial.bounds import VIOLATION
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.trainables.trial.objectives import Objective

RUNNING = "RUNNING"
INTERRUPTED = "INTERRUPTED"
"""What `as_of_now` calls a trial that has not ended and that no search trains."""


@dataclass(frozen=True)
class Leader:
    """The best trial so far; its value with the epoch it was measured at."""

    trial_id: str
    value: float
    epoch: int


@dataclass(frozen=True)
class Progress:
    """How far a search is, from its tables alone.

    `outcomes` counts the ended trials by outcome, zeros included; `epochs` counts each epoch of a trial
    once, however often a resumed worker repeated it; `epochs_per_sec` is over the recent window.
    """

    proposed: int
    running: int
    outcomes: Mapping[Outcome, int]
    epochs: int
    epochs_per_sec: float
    leader: Leader | None

    @property
    def ended(self) -> int:
        """The number of trials that have an outcome."""
        return sum(self.outcomes.values())

    @property
    def completed(self) -> int:
        """Trials that reached their last epoch."""
        return self.outcomes[Outcome.COMPLETED]

    @property
    def stopped(self) -> int:
        """Trials cut at a rung."""
        return self.outcomes[Outcome.STOPPED]

    @property
    def failed(self) -> int:
        """Trials that ended in any other way: diverged, out of memory, preempted, timed out or failed."""
        return self.ended - self.completed - self.stopped


def leaderboard(
    proposals: pd.DataFrame,
    epochs: pd.DataFrame,
    trials: pd.DataFrame,
    objectives: Objectives,
    top: int | None = None,
) -> pd.DataFrame:
    """One row a trial, best first.

    The columns are rank, trial_id, outcome (RUNNING while it has none), the main objective's metric, the secondary ones
    and the bounded metrics (each with its value at best_epoch), with several objectives `pareto` (whether no other
    trial that may win is better in all of them at once), with bounds `violation` (see `Bounds.violation`), best_epoch,
    last_epoch, train_secs, and the configuration.

    Non-finite values never count. Trials beyond the bounds come after those within, the nearest first (Deb 2000), then
    trials that diverged, ran out of memory or failed, and trials without a value last. Equal values: completed trials
    first, then the lower trial number.

    Raises:
        InputError: The epochs have no such metric.
    """
    main = objectives.main
    board = _joined(proposals, trials).join(best_epochs(epochs, main)).join(_last_epochs(epochs))
    board[VIOLATION] = board[VIOLATION].fillna(_of_trials(trials, VIOLATION))
    board["last_epoch"] = board["last_epoch"].fillna(0)
    board["train_secs"] = board["train_secs"].fillna(0.0)
    board = board.reset_index().rename(columns={"value": main.metric})
    board = board.loc[_order(board, main)].reset_index(drop=True)
    others = [name for name in objectives.measured if name != main.metric]
    board = _with_values(board, epochs, trials, others) if others else board
    if objectives.secondary:
        eligible = board.where(may_win(board["outcome"]) & keeps_bounds(board))
        board = board.assign(pareto=front(eligible, objectives))
    board.insert(0, "rank", np.arange(1, len(board) + 1))
    config = [name for name in board.columns if str(name).startswith(CONFIG)]
    pareto = ["pareto"] if objectives.secondary else []
    beyond = [VIOLATION] if board[VIOLATION].notna().any() else []
    head = ["rank", "trial_id", "outcome", main.metric, *others, *pareto, *beyond]
    shown = [*head, "best_epoch", "last_epoch", "train_secs", *config, OVERFLOW]
    return board[shown].head(len(board) if top is None else top)


def as_of_now(board: pd.DataFrame, is_written: bool) -> pd.DataFrame:
    """The leaderboard as people see it: without a search that writes the run no trial is running."""
    return board if is_written else board.assign(outcome=board["outcome"].replace(RUNNING, INTERRUPTED))


def without_empty(board: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard without columns that have no value in any row; one without rows as it is."""
    return board.loc[:, board.notna().any()] if len(board) else board


def progress(
    proposals: pd.DataFrame,
    epochs: pd.DataFrame,
    trials: pd.DataFrame,
    objective: Objective,
    *,
    now: datetime | None = None,
    window_secs: float = 60.0,
) -> Progress:
    """How far the search is; `now` (UTC) is the present by default, so a dead search shows no epochs a second."""
    board = leaderboard(proposals, epochs, trials, Objectives((objective,)))
    counts = board["outcome"].value_counts()
    counted = epochs.drop_duplicates(["trial_id", "epoch"])
    return Progress(
        proposed=len(board),
        running=int(counts.get(RUNNING, 0)),
        outcomes={outcome: int(counts.get(outcome, 0)) for outcome in Outcome},
        epochs=len(counted),
        epochs_per_sec=_rate(counted["reported_at"], now or datetime.now(UTC), window_secs),
        leader=_leader(board, objective.metric),
    )


def best_epochs(epochs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """By trial id: the best finite `value`, its `best_epoch` and `violation`; the earliest among equals.

    Epochs that are less beyond the bounds come first, whatever their values.
    """
    metric = objective.metric
    if metric not in epochs.columns:
        measured = ", ".join(name for name in epochs.columns if epochs[name].dtype == np.float64)
        raise InputError.single("metric", f"{metric} was not measured", f"must be one of {measured}")
    finite: pd.DataFrame = epochs.loc[np.isfinite(epochs[metric]), ["trial_id", "epoch", metric]]
    finite = finite.assign(**{"score": objective.sign * finite[metric], VIOLATION: violations(epochs)})
    ordered = finite.sort_values([VIOLATION, "score", "epoch"], ascending=[True, False, True], kind="stable")
    best = ordered.drop_duplicates("trial_id").set_index("trial_id")[["epoch", metric, VIOLATION]]
    return best.rename(columns={"epoch": "best_epoch", metric: "value"})


def may_win(outcomes: pd.Series) -> pd.Series:
    """Which rows of a column of outcomes may be the winner's: a trial that has not ended still may."""
    return ~outcomes.isin([outcome for outcome in Outcome if not outcome.may_win])


def _with_values(
    board: pd.DataFrame, epochs: pd.DataFrame, trials: pd.DataFrame, names: Sequence[str]
) -> pd.DataFrame:
    """The board with the metrics of these names at the best epochs; of trials without epochs, what is known of them."""
    measured = epochs.rename(columns={"epoch": "best_epoch"})[["trial_id", "best_epoch", *names]]
    measured = measured.drop_duplicates(["trial_id", "best_epoch"])
    board = board.merge(measured, how="left", on=["trial_id", "best_epoch"], validate="one_to_one")
    known = {name: board[name].fillna(board["trial_id"].map(_of_trials(trials, name))) for name in names}
    return board.assign(**known)


def _of_trials(trials: pd.DataFrame, column: str) -> pd.Series[float]:
    """A column of numbers of the table `trials` by trial id; empty where it has none of this name."""
    if column not in trials:
        return pd.Series(dtype=float)
    return trials.drop_duplicates("trial_id", keep="last").set_index("trial_id")[column].astype(float)


def _last_epochs(epochs: pd.DataFrame) -> pd.DataFrame:
    last = epochs.sort_values(["epoch", "arrival_index"], kind="stable").drop_duplicates(
        "trial_id", keep="last"
    )
    renamed = last.rename(columns={"epoch": "last_epoch", "elapsed_secs": "train_secs"})
    return renamed.set_index("trial_id")[["last_epoch", "train_secs"]]


def _joined(proposals: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """By trial id: number, outcome and configuration; proposed trials that have not ended are RUNNING."""
    config = [name for name in proposals.columns if str(name).startswith(CONFIG)]
    proposed = proposals.drop_duplicates("trial_id").set_index("trial_id")[["number", *config, OVERFLOW]]
    outcomes = trials.drop_duplicates("trial_id", keep="last").set_index("trial_id")["outcome"]
    return proposed.assign(outcome=outcomes.reindex(proposed.index).fillna(RUNNING))


def _order(board: pd.DataFrame, objective: Objective) -> pd.Index:
    metric = objective.metric
    keys = pd.DataFrame(
        {
            "group": (~may_win(board["outcome"])).astype(int).mask(board[metric].isna(), 2),
            "violation": board[VIOLATION].fillna(0.0),
            "value": -objective.sign * board[metric],
            "unended": (board["outcome"] != Outcome.COMPLETED).astype(int),
            "number": board["number"],
        },
        index=board.index,
    )
    return keys.sort_values(list(keys.columns), kind="stable").index


def _rate(reported_at: pd.Series, now: datetime, window_secs: float) -> float:
    """Epochs a second over the window before `now`, or since the first report when that is more recent."""
    if reported_at.empty:
        return 0.0
    recent = int((reported_at > now - timedelta(seconds=window_secs)).sum())
    age_secs: float = (now - reported_at.min()).total_seconds()
    return recent / min(max(age_secs, 1.0), window_secs)


def _leader(board: pd.DataFrame, metric: str) -> Leader | None:
    eligible = board[board[metric].notna() & may_win(board["outcome"]) & keeps_bounds(board)]
    if eligible.empty:
        return None
    first = eligible.iloc[0]
    return Leader(str(first["trial_id"]), float(first[metric]), int(first["best_epoch"]))
