"""The best value so far, against epochs, worker hours and hours on the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from toprung.results.analysis.bounds_kept import keeps_bounds
from toprung.results.analysis.leaderboard import may_win

if TYPE_CHECKING:
    from toprung.trainables.trial.objectives import Objective


def incumbents(epochs: pd.DataFrame, trials: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """One row for each new best in order of arrival, and a last row at the newest report.

    The columns are trial_id, epoch, value, epochs (of all trials so far), worker_hours (of training) and hours (since
    the first report began, pauses between drivers included). Trials that cannot win do not count, nor epochs beyond the
    bounds.
    """
    rows = epochs.drop_duplicates(["trial_id", "epoch"]).sort_values("arrival_index").reset_index(drop=True)
    began = (
        rows["reported_at"].min() - pd.to_timedelta(rows["epoch_secs"].head(1).fillna(0.0), unit="s").sum()
    )
    since = (rows["reported_at"] - began).dt.total_seconds() / 3600
    table = pd.DataFrame(
        {
            "trial_id": rows["trial_id"],
            "epoch": rows["epoch"],
            "value": rows[objective.metric].astype(float),
            "epochs": np.arange(1, len(rows) + 1),
            "worker_hours": rows["epoch_secs"].fillna(0.0).cumsum() / 3600,
            "hours": since.cummax(),
        }
    )
    score = objective.sign * table["value"]
    losers = set(trials.loc[~may_win(trials["outcome"]), "trial_id"])
    is_finite = np.isfinite(table["value"].to_numpy(dtype=float, na_value=np.nan))
    counts = is_finite & ~table["trial_id"].isin(losers) & keeps_bounds(rows)
    best = score.where(counts).cummax().ffill()
    is_new = counts & (best > best.shift().fillna(-np.inf))
    found: pd.DataFrame = table[is_new]
    if found.empty or found.index[-1] == table.index[-1]:
        return found.set_axis(range(len(found)))
    held = found.iloc[-1]
    last = table.tail(1).assign(trial_id=held["trial_id"], epoch=held["epoch"], value=held["value"])
    joined: pd.DataFrame = pd.concat([found, last], ignore_index=True)
    return joined
