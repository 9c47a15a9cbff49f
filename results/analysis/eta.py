"""How long a search still takes: its rest is played through many times, with what its tables say of epochs and ends.

How many epochs a trial trains follows from the share of trials that ended at each epoch so far (Kaplan & Meier 1958:
trials that still run count for the epochs they have reached), where few reached an epoch together with what successive
halving leads to expect: that one in `reduction_factor` passes a rung. The workers are as many as trials run now.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.trial.trial_id import AS_MANY_AS_FIT

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    from numpy.typing import NDArray

PLAYS, MOST_TRIALS_PLAYED = 100, 20_000
PRIOR_TRIALS = 3.0  # what is expected of a rung counts as much as so many trials


@dataclass(frozen=True)
class SearchPlan:
    """What a search means to do: how many trials, the epochs of its rungs (the last a full training), and which share.

    One trial in `reduction_factor` passes each rung.
    """

    trials: int
    rung_epochs: tuple[int, ...]
    reduction_factor: int


@dataclass(frozen=True)
class _Rest:
    """What is left to play: the trials that run, and how many are to begin.

    Attributes:
        reached: The epochs of the trials that run.
        epoch_secs: Their seconds an epoch.
        silent_secs: The seconds since their last report.
        to_begin: How many trials are to begin.
        first_epoch_secs: Seconds of first epochs, which compile and fill caches.
        later_epoch_secs: The mean of later ones.
        start_secs: Seconds of a trial beside its epochs.
    """

    reached: NDArray[np.int64]
    epoch_secs: NDArray[np.float64]
    silent_secs: NDArray[np.float64]
    to_begin: int
    first_epoch_secs: NDArray[np.float64]
    later_epoch_secs: float
    start_secs: float


def remaining_secs(
    proposals: pd.DataFrame,
    epochs: pd.DataFrame,
    trials: pd.DataFrame,
    plan: SearchPlan,
    now: datetime,
    seed: int = 0,
) -> float | None:
    """Seconds until the last trial ends; None before the first epoch, where hours end it, and when nothing is left.

    Args:
        proposals: The table.
        epochs: The table.
        trials: The table of ended trials.
        plan: What the search means to do.
        now: The present, UTC.
        seed: Of the plays.
    """
    proposed = proposals["trial_id"].drop_duplicates()
    running = proposed[~proposed.isin(trials["trial_id"])]
    to_begin = max(0, plan.trials - len(proposed))
    if epochs.empty or plan.trials >= AS_MANY_AS_FIT or not (len(running) or to_begin):
        return None
    rest = _rest(running, epochs, trials, to_begin, now)
    hazard = _hazard(epochs, trials, plan)
    rng = np.random.default_rng(seed)
    plays = max(10, min(PLAYS, MOST_TRIALS_PLAYED // max(1, to_begin)))
    return float(np.median([_played(rest, hazard, rng) for _ in range(plays)]))


def _rest(
    running: pd.Series, epochs: pd.DataFrame, trials: pd.DataFrame, to_begin: int, now: datetime
) -> _Rest:
    first = epochs[epochs["epoch"] == 1]["epoch_secs"].dropna()
    later = epochs[epochs["epoch"] > 1]
    overall = float((later if len(later) else epochs)["epoch_secs"].mean())
    known = (
        epochs.groupby("trial_id").agg(reached=("epoch", "max"), last=("reported_at", "max")).reindex(running)
    )
    own_secs = later.groupby("trial_id")["epoch_secs"].mean().reindex(running).fillna(overall)
    silent = (now - known["last"]).dt.total_seconds().fillna(0.0).clip(lower=0.0)
    lasted = (trials["ended_at"] - trials["started_at"]).dt.total_seconds()
    trained = trials["trial_id"].map(epochs.groupby("trial_id")["epoch_secs"].sum()).astype(float)
    spare = (lasted - trained).dropna()
    return _Rest(
        reached=known["reached"].fillna(0).to_numpy(dtype=np.int64),
        epoch_secs=own_secs.to_numpy(dtype=float),
        silent_secs=silent.to_numpy(dtype=float),
        to_begin=to_begin,
        first_epoch_secs=first.to_numpy(dtype=float) if len(first) else np.array([overall]),
        later_epoch_secs=overall,
        start_secs=max(0.0, float(spare.median())) if len(spare) else 0.0,
    )


def _hazard(epochs: pd.DataFrame, trials: pd.DataFrame, plan: SearchPlan) -> NDArray[np.float64]:
    """The share of the trials that reach epoch e and end there, at index e; 1 at the last epoch."""
    last_epoch = plan.rung_epochs[-1]
    reached = epochs.groupby("trial_id")["epoch"].max()
    has_ended = reached.index.isin(trials["trial_id"])
    at = np.clip(reached.to_numpy(dtype=np.int64), 0, last_epoch)
    ends = np.bincount(at[has_ended], minlength=last_epoch + 1).astype(float)
    stays = np.bincount(at[~has_ended], minlength=last_epoch + 1)
    at_risk = (ends + stays)[::-1].cumsum()[::-1] - stays  # who runs has not been decided on at its epoch
    expected = np.zeros(last_epoch + 1)
    expected[[epoch for epoch in plan.rung_epochs if epoch < last_epoch]] = 1.0 - 1.0 / plan.reduction_factor
    hazard: NDArray[np.float64] = (ends + PRIOR_TRIALS * expected) / (at_risk + PRIOR_TRIALS)
    hazard[0], hazard[last_epoch] = 0.0, 1.0
    return hazard


def _played(rest: _Rest, hazard: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Seconds until the last trial ends, in one play."""
    left_secs = (_ends_after(rest.reached, hazard, rng) - rest.reached) * rest.epoch_secs - rest.silent_secs
    free = np.maximum(0.0, left_secs).tolist() or [0.0]
    heapq.heapify(free)
    ends = _ends_after(np.zeros(rest.to_begin, dtype=np.int64), hazard, rng)
    first = rng.choice(rest.first_epoch_secs, size=rest.to_begin)
    lasting = rest.start_secs + first + (ends - 1) * rest.later_epoch_secs
    for secs in lasting.tolist():
        heapq.heapreplace(free, free[0] + secs)
    return float(max(free))


def _ends_after(
    reached: NDArray[np.int64], hazard: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """The epochs at which trials end that have reached these, drawn; at least the next one."""
    survival = np.concatenate([[1.0], np.cumprod(1.0 - hazard[1:])])  # beyond epoch e
    wanted = rng.random(len(reached)) * survival[np.minimum(reached, len(survival) - 1)]
    ends = np.searchsorted(-survival, -wanted, side="left")
    later: NDArray[np.int64] = np.clip(np.maximum(ends, reached + 1), 0, len(hazard) - 1)
    return later
