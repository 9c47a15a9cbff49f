"""Who leads and how far the search is: pure functions over the tables' frames, at any moment of a search."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from toprung.results.tables.schema import CONFIG, EXTRA
from toprung.spaces.errors import InputError
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNNING = "RUNNING"


UNFIT = frozenset(outcome for outcome in Outcome if not outcome.may_win)
"""Outcomes that a retraining would meet again: such a trial may lead at some epoch and still cannot win."""
_FRONT = ["rank", "trial_id", "outcome"]


@dataclass(frozen=True)
class Leader:
    """The best trial so far; its value with the epoch it was measured at."""

    trial_id: str
    value: float
    epoch: int


@dataclass(frozen=True)
class Progress:
    """How far a search is, from its tables alone.

    `outcomes` counts the ended trials by outcome, every outcome named; `epochs` counts each epoch of a trial
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
    metric: str = "val_accuracy",
    mode: str = "max",
    top: int | None = None,
    secondary_objectives: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """One row a trial, best first: rank, trial_id, outcome (RUNNING while it has none), `metric` with
    best_epoch, last_epoch, train_secs, then the config/ columns.

    `secondary_objectives` are the objectives beside the metric, with max or min: each is a column, its value at
    best_epoch, and
    `pareto` says whether no other trial that may win is better in all of them at once.
    Non-finite values never count. Trials that diverged, ran out of memory or failed come after those that may
    win, trials without a value last. Equal values: completed trials first, then the lower trial number.
    Raises InputError when the epochs have no such metric.
    """
    board = _joined(proposals, trials).join(best_epochs(epochs, metric, mode)).join(_last_epochs(epochs))
    board["last_epoch"] = board["last_epoch"].fillna(0)
    board["train_secs"] = board["train_secs"].fillna(0.0)
    board = board.reset_index().rename(columns={"value": metric})
    board = board.loc[_order(board, metric, mode)].reset_index(drop=True)
    if secondary_objectives:
        board = _with_front(board, epochs, {metric: mode, **secondary_objectives})
    board.insert(0, "rank", np.arange(1, len(board) + 1))
    config = [name for name in board.columns if str(name).startswith(CONFIG)]
    others = [*secondary_objectives, "pareto"] if secondary_objectives else []
    shown = [*_FRONT, metric, *others, "best_epoch", "last_epoch", "train_secs", *config, EXTRA]
    return board[shown].head(len(board) if top is None else top)


def progress(
    proposals: pd.DataFrame,
    epochs: pd.DataFrame,
    trials: pd.DataFrame,
    metric: str = "val_accuracy",
    mode: str = "max",
    *,
    now: datetime | None = None,
    window_secs: float = 60.0,
) -> Progress:
    """How far the search is; `now` (UTC) is the present by default, so a dead search shows none a second."""
    board = leaderboard(proposals, epochs, trials, metric, mode)
    counts = board["outcome"].value_counts()
    counted = epochs.drop_duplicates(["trial_id", "epoch"])
    return Progress(
        proposed=len(board),
        running=int(counts.get(RUNNING, 0)),
        outcomes={outcome: int(counts.get(outcome, 0)) for outcome in Outcome},
        epochs=len(counted),
        epochs_per_sec=_rate(counted["reported_at"], now or datetime.now(UTC), window_secs),
        leader=_leader(board, metric),
    )


def best_epochs(epochs: pd.DataFrame, metric: str, mode: str) -> pd.DataFrame:
    """By trial id: the best finite `value` and its `best_epoch`, the earliest among equals."""
    if metric not in epochs.columns:
        measured = ", ".join(name for name in epochs.columns if epochs[name].dtype == np.float64)
        raise InputError.single("metric", f"{metric} was not measured", f"must be one of {measured}")
    finite: pd.DataFrame = epochs.loc[np.isfinite(epochs[metric]), ["trial_id", "epoch", metric]]
    ordered = finite.sort_values([metric, "epoch"], ascending=[mode == "min", True], kind="stable")
    best = ordered.drop_duplicates("trial_id").set_index("trial_id")
    return best.rename(columns={"epoch": "best_epoch", metric: "value"})


def _with_front(board: pd.DataFrame, epochs: pd.DataFrame, modes: Mapping[str, str]) -> pd.DataFrame:
    others = list(modes)[1:]
    measured = epochs.rename(columns={"epoch": "best_epoch"})[["trial_id", "best_epoch", *others]]
    measured = measured.drop_duplicates(["trial_id", "best_epoch"])
    board = board.merge(measured, how="left", on=["trial_id", "best_epoch"], validate="one_to_one")
    may_win = board.where(~board["outcome"].isin(UNFIT))
    return board.assign(pareto=front(may_win, modes))


def _last_epochs(epochs: pd.DataFrame) -> pd.DataFrame:
    last = epochs.sort_values(["epoch", "arrival_index"], kind="stable").drop_duplicates(
        "trial_id", keep="last"
    )
    renamed = last.rename(columns={"epoch": "last_epoch", "elapsed_secs": "train_secs"})
    return renamed.set_index("trial_id")[["last_epoch", "train_secs"]]


def _joined(proposals: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """By trial id: number, outcome and configuration; proposed trials that have not ended are RUNNING."""
    config = [name for name in proposals.columns if str(name).startswith(CONFIG)]
    proposed = proposals.drop_duplicates("trial_id").set_index("trial_id")[["number", *config, EXTRA]]
    outcomes = trials.drop_duplicates("trial_id", keep="last").set_index("trial_id")["outcome"]
    return proposed.assign(outcome=outcomes.reindex(proposed.index).fillna(RUNNING))


def _order(board: pd.DataFrame, metric: str, mode: str) -> pd.Index:
    unfit = board["outcome"].isin(UNFIT).astype(int)
    keys = pd.DataFrame(
        {
            "group": unfit.mask(board[metric].isna(), 2),
            "value": board[metric] if mode == "min" else -board[metric],
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
    fit = board[board[metric].notna() & ~board["outcome"].isin(UNFIT)]
    if fit.empty:
        return None
    first = fit.iloc[0]
    return Leader(str(first["trial_id"]), float(first[metric]), int(first["best_epoch"]))


def front(board: pd.DataFrame, modes: Mapping[str, str]) -> np.ndarray:
    """Which rows no other row dominates, shape (rows,), bool.

    `modes` gives max or min for each objective, a column of the board. One row dominates another when it is at least
    as good in all of them and better in one; equal rows stand side by side. A row that lacks a finite value of any
    objective is not in the set and beats nobody.
    """
    signs = np.array([1.0 if mode == "max" else -1.0 for mode in modes.values()])
    values = board[list(modes)].to_numpy(dtype=float) * signs
    inside = np.isfinite(values).all(axis=1)
    result: np.ndarray = inside.copy()
    # Best first: whoever is dominated is dominated by a row before it.
    order = np.flatnonzero(inside)[np.lexsort(-values[inside].T[::-1])]
    kept = np.zeros((0, values.shape[1]))
    for row in order.tolist():
        beaten = ((kept >= values[row]).all(axis=1) & (kept > values[row]).any(axis=1)).any()
        result[row] = not beaten
        if not beaten:
            kept = np.vstack([kept, values[row]])
    return result
