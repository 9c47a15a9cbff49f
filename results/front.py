"""The Pareto set: the trials that no other beats in every objective at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd


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
