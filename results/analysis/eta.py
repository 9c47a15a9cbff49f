"""How long a search still takes, from its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

RECENT_SHARE = 0.5  # trials that end later train longer: the first half of those that have ended is left out


def remaining_secs(
    proposals: pd.DataFrame, epochs: pd.DataFrame, trials: pd.DataFrame, max_trials: int, now: datetime
) -> float | None:
    """Seconds until the last of `max_trials` trials ends; None before a trial has ended, or when none is left.

    Trials that are still to begin take as many worker seconds as the later half of those that have ended, running ones
    half of that; and the workers are as many as trials run now.
    """
    ended = trials.sort_values("ended_at")
    proposed = proposals.drop_duplicates("trial_id")
    running = proposed[~proposed["trial_id"].isin(ended["trial_id"])]
    to_begin = max(0, max_trials - len(proposed))
    if ended.empty or not (len(running) or to_begin):
        return None
    lasted = (ended["ended_at"] - ended["started_at"]).dt.total_seconds().to_numpy(dtype=float)
    typical_secs = float(np.nanmean(lasted[int(len(lasted) * (1 - RECENT_SHARE)) :]))
    workers = max(1, len(running))
    left_secs = typical_secs * (to_begin + 0.5 * len(running)) / workers
    return max(0.0, left_secs - _silent_secs(epochs, now))


def _silent_secs(epochs: pd.DataFrame, now: datetime) -> float:
    """Seconds since the last report; what runs has come on since then."""
    return 0.0 if epochs.empty else max(0.0, (now - epochs["reported_at"].max()).total_seconds())
