"""Where a learning curve is best, noise left aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

SMOOTHED = 3  # a curve is averaged over this part of it, one in so many


def steady_epoch(curve: Sequence[float] | np.ndarray, mode: str = "max") -> int:
    """The first epoch, from 1, at which the curve (finite values) is best once averaged over a third of its epochs.

    Averaged is over neighbours on both sides, as far as there are any. The best of many noisy values is best by its
    noise: what another training has at that epoch is worse than at this one.
    """
    values = np.asarray(curve, dtype=float)
    reach = round(len(values) / SMOOTHED) // 2
    around = [values[max(0, number - reach) : number + reach + 1] for number in range(len(values))]
    # Equal means differ in their last digits.
    mean = np.array([float(f"{part.mean():.12g}") for part in around])
    return 1 + int(np.argmax(mean if mode == "max" else -mean))


def curve_of(epochs: pd.DataFrame, trial_id: str, metric: str) -> tuple[float, ...]:
    """The values that a trial has in the table `epochs`, from its first epoch to the last before any not finite."""
    rows = epochs[epochs["trial_id"] == trial_id].drop_duplicates("epoch").sort_values("epoch")
    values = rows[metric].to_numpy(dtype=float, na_value=np.nan)
    finite = np.isfinite(values)
    return tuple(map(float, values[: len(values) if finite.all() else int(np.argmin(finite))]))
