"""Which trials keep the bounds of their search, and which comes nearest where none does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from toprung.trainables.trial.bounds import VIOLATION

if TYPE_CHECKING:
    from toprung.trainables.trial.bounds import Bounds


def violations(frame: pd.DataFrame) -> pd.Series[float]:
    """How far each row of `trials`, `epochs` or a leaderboard is beyond the bounds; NaN where that is not known."""
    if VIOLATION in frame:
        return frame[VIOLATION].astype(float)
    return pd.Series(np.nan, index=frame.index)


def keeps_bounds(frame: pd.DataFrame) -> pd.Series[bool]:
    """Which rows are not known to break a bound: all of them in a search without bounds."""
    return ~(violations(frame) > 0.0)


def bounds_line(board: pd.DataFrame, bounds: Bounds) -> str | None:
    """How many trials of a leaderboard keep the bounds, and the nearest miss where none does.

    None where there are no bounds, or nothing was measured yet.
    """
    known = board[violations(board).notna()]
    if not bounds or known.empty:
        return None
    kept = int(keeps_bounds(known).sum())
    if kept:
        return f"{kept} of {len(known)} trials keep {bounds}"
    nearest = known.iloc[int(violations(known).argmin())]
    values = {name: float(nearest[name]) for name in bounds.metrics if pd.notna(nearest[name])}
    missed = bounds.broken_in_words(values)
    return f"none of {len(known)} trials keeps {bounds}; the nearest is {nearest['trial_id']}: {missed}"
