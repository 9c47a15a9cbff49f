"""How long a search still takes: its rest is played through many times (`search_rest.py`), and the median is told."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from toprung.results.analysis.time_and_cost.search_rest import KnownSearch, Play, Rise, RunningTrial
from toprung.results.tables.schema import VAL_ACCURACY
from toprung.trainables.trial.objectives import Objective
from toprung.trainables.trial.trial_id import AS_MANY_AS_FIT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PLAYS, FEWEST_PLAYS, MOST_TRIALS_PLAYED = 60, 5, 4_000
LATEST_EPOCHS = 3  # a trial's pace is the median over these: machines get slower and faster within a training
DOUBT = 0.5  # so many measurements of no rise, and of equal work, stand against what was measured
TINY = 1e-12


@dataclass(frozen=True)
class SearchPlan:
    """What a search means to do.

    Attributes:
        trials: How many.
        rung_epochs: The last is a full training.
        reduction_factor: One trial in so many passes each rung.
        objective: What trials are compared by.
    """

    trials: int
    rung_epochs: tuple[int, ...]
    reduction_factor: int
    objective: Objective = VAL_ACCURACY.main


def remaining_secs(
    proposals: pd.DataFrame,
    epochs: pd.DataFrame,
    trials: pd.DataFrame,
    plan: SearchPlan,
    now: datetime,
    active_since: datetime | None = None,
    seed: int = 0,
) -> float | None:
    """Seconds until the last trial ends; None before a first result, where hours end it, and when nothing is left.

    Args:
        proposals: The table.
        epochs: The table.
        trials: The table of ended trials.
        plan: What the search means to do.
        now: The present, UTC.
        active_since: When the driver that writes the run started; no trial was trained just before. None where one
            driver has written all of it.
        seed: Of the plays.
    """
    proposed = proposals.drop_duplicates("trial_id")
    running = proposed[~proposed["trial_id"].isin(trials["trial_id"])]
    to_begin = max(0, plan.trials - len(proposed))
    if epochs.empty or plan.trials >= AS_MANY_AS_FIT or not (len(running) or to_begin):
        return None
    known = _known(running, _measured(epochs, plan.objective), trials, plan, to_begin, now)
    if active_since:
        known = known.silent_at_most(max(0.0, (now - active_since).total_seconds()))
    if not known.paces:
        return None
    rng = Random(seed)
    plays = max(FEWEST_PLAYS, min(PLAYS, MOST_TRIALS_PLAYED // max(1, to_begin)))
    return float(np.median([Play(known, rng).secs() for _ in range(plays)]))


def _measured(epochs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """The epochs with a column `score`, higher is better, each once and in order of arrival."""
    rows = epochs.drop_duplicates(["trial_id", "epoch"]).sort_values("arrival_index")
    score = objective.sign * rows[objective.metric].astype(float)
    return rows.assign(score=score.where(np.isfinite(score)))


def _known(
    running: pd.DataFrame,
    epochs: pd.DataFrame,
    trials: pd.DataFrame,
    plan: SearchPlan,
    to_begin: int,
    now: datetime,
) -> KnownSearch:
    work, paces = _work(epochs, plan.rung_epochs)
    at_rungs = [
        epochs[(epochs["epoch"] == epoch) & epochs["score"].notna()].set_index("trial_id")["score"]
        for epoch in plan.rung_epochs
    ]
    first = at_rungs[0][at_rungs[0].index.isin(paces.index)]
    if first.empty:  # nobody has arrived yet: all are alike
        first = pd.Series(0.0, index=paces.index)
    return KnownSearch(
        rung_epochs=plan.rung_epochs,
        reduction_factor=plan.reduction_factor,
        results=[scores.to_list() for scores in at_rungs],
        rises=rises(at_rungs),
        work=work.tolist(),
        paces=paces.reindex(first.index).to_list(),
        first_scores=first.to_list(),
        start_secs=_start_secs(epochs, trials),
        running=_running(running, epochs, paces, now),
        to_begin=to_begin,
    )


def _work(epochs: pd.DataFrame, rung_epochs: Sequence[int]) -> tuple[Floats, pd.Series]:
    """The work up to each epoch, in units of the first epoch's, and the seconds of a unit by trial.

    An epoch's work is that of its stretch between two rungs, relative to the stretch before in the same trials: first
    epochs compile, and a training may unfreeze a network. A trial's seconds for a unit are those of its latest epochs.
    """
    edges = sorted({0, 1, *rung_epochs})
    timed = np.isfinite(epochs["epoch_secs"].astype(float)) & (epochs["epoch_secs"] > 0.0)
    known = epochs[timed & (epochs["epoch"] <= edges[-1])]
    stretch = np.searchsorted(edges, known["epoch"].to_numpy(), side="left") - 1
    means = known.groupby([known["trial_id"], stretch])["epoch_secs"].mean().unstack()
    factors = [1.0]
    for before, after in pairwise(range(len(edges) - 1)):
        ratios = np.empty(0)
        if {before, after} <= {*means}:
            ratios = (means[after] / means[before]).dropna().to_numpy(dtype=float)
        shrunk = (
            float(np.median(np.log(ratios))) * len(ratios) / (len(ratios) + DOUBT) if len(ratios) else 0.0
        )
        factors.append(factors[-1] * float(np.exp(shrunk)))
    of_epoch = np.repeat(factors, np.diff(edges))
    paces = known[["trial_id"]].assign(
        secs=known["epoch_secs"] / of_epoch[known["epoch"].to_numpy(dtype=int) - 1]
    )
    latest = paces.groupby("trial_id").tail(LATEST_EPOCHS).groupby("trial_id")["secs"].median()
    return np.concatenate([[0.0], np.cumsum(of_epoch)]), latest


def rises(at_rungs: Sequence[pd.Series]) -> list[Rise]:
    """How scores rise to each next rung, as far as trials were measured at both; before that they stay as they are.

    The line is a least-squares fit that few measurements leave nearer to slope 1 without a rise. High scores rise
    less than low ones; with one rise for all of them too many trials would pass.

    Args:
        at_rungs: The scores at each rung, by trial; finite.
    """
    spread = float(at_rungs[0].std()) / 2 if len(at_rungs[0]) > 1 else 0.0
    found = []
    for lower, upper in pairwise(at_rungs):
        both = pd.concat([lower, upper], axis=1, join="inner").to_numpy(dtype=float)
        if not len(both):
            found.append(Rise(1.0, 0.0, spread))
            continue
        start, end = both.T
        mean = float((end - start).sum()) / (len(both) + DOUBT)
        off_start, off_end = start - start.mean(), end - end.mean()
        doubt = DOUBT * float(off_start.var()) + TINY
        slope = (float(off_start @ off_end) + doubt) / (float(off_start @ off_start) + doubt)
        line = Rise(max(0.0, slope), float(start.mean()) * (1.0 - max(0.0, slope)) + mean, 0.0)
        beside = end - line.slope * start - line.intercept
        spread = float(np.sqrt((beside @ beside + DOUBT * spread**2) / (len(both) + DOUBT)))
        found.append(line._replace(deviation=spread))
    return found


def _start_secs(epochs: pd.DataFrame, trials: pd.DataFrame) -> float:
    """Seconds of a trial beside its epochs, the median of the ended ones; as measured, where they were."""
    lasted = (trials["ended_at"] - trials["started_at"]).dt.total_seconds()
    trained = trials["trial_id"].map(epochs.groupby("trial_id")["epoch_secs"].sum()).astype(float)
    spare = lasted - trained  # of a trial that was interrupted, with the time until it was continued
    if "overhead_secs" in trials:
        spare = trials["overhead_secs"].astype(float).fillna(spare)
    spare = spare.dropna()
    return max(0.0, float(spare.median())) if len(spare) else 0.0


def _running(
    running: pd.DataFrame, epochs: pd.DataFrame, paces: pd.Series, now: datetime
) -> list[RunningTrial]:
    last = epochs.dropna(subset=["score"]).drop_duplicates("trial_id", keep="last").set_index("trial_id")
    found = []
    for name, proposed_at in zip(running["trial_id"], running["proposed_at"], strict=True):
        since = last["reported_at"].get(name, proposed_at)
        silent_secs = 0.0 if pd.isna(since) else max(0.0, (now - since).total_seconds())
        if name in last.index and name in paces.index:
            row = last.loc[name]
            found.append(
                RunningTrial(int(row["epoch"]), float(row["score"]), float(paces[name]), silent_secs)
            )
        else:
            found.append(RunningTrial(0, None, None, silent_secs))
    return found
