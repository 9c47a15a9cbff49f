"""Where a learning curve is best, noise left aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from toprung.trainables.trial.objectives import Objective

WINDOW_SHARE = 1 / 3
"""The share of a curve that a moving average is taken over."""


def steady_epoch(curve: Sequence[float] | NDArray[np.float64], objective: Objective) -> int:
    """The first epoch, from 1, at which the curve (finite values) is best once averaged over a third of its epochs.

    The average is over neighbours on both sides, as far as there are any. The best of many noisy values is best by its
    noise: what another training has at that epoch is worse than at this one.
    """
    values = np.asarray(curve, dtype=float)
    reach = round(len(values) * WINDOW_SHARE) // 2
    windows = [values[max(0, epoch - reach) : epoch + reach + 1] for epoch in range(len(values))]
    # Equal means differ in their last digits.
    scores = [objective.score(float(f"{window.mean():.12g}")) for window in windows]
    return 1 + int(np.argmax(scores))


def curve_of(epochs: pd.DataFrame, trial_id: str, metric: str) -> tuple[float, ...]:
    """The values that a trial has in the table `epochs`, from its first epoch to the last before any not finite."""
    rows = epochs[epochs["trial_id"] == trial_id].drop_duplicates("epoch").sort_values("epoch")
    values = rows[metric].to_numpy(dtype=float, na_value=np.nan)
    finite = np.isfinite(values)
    return tuple(map(float, values[: len(values) if finite.all() else int(np.argmin(finite))]))
