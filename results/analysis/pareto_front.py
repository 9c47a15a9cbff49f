"""The Pareto set of a table: the rows that no other row beats in every objective at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from toprung.trainables.trial.objectives import Objectives


def front(board: pd.DataFrame, objectives: Objectives) -> NDArray[np.bool_]:
    """Which rows no other row dominates, shape (rows,).

    Each objective is a column of the board. One row dominates another when it is at least as good in all of them and
    better in one; equal rows are both in the set. A row that lacks a finite value of any objective is not in the set
    and dominates no other.
    """
    scores = board[list(objectives.metrics)].to_numpy(dtype=float) * np.array(objectives.signs)
    finite = np.isfinite(scores).all(axis=1)
    in_front: NDArray[np.bool_] = finite.copy()
    # Best first: whichever row is dominated is dominated by a row before it.
    order = np.flatnonzero(finite)[np.lexsort(-scores[finite].T[::-1])]
    kept = np.zeros((0, scores.shape[1]))
    for row in order.tolist():
        is_dominated = ((kept >= scores[row]).all(axis=1) & (kept > scores[row]).any(axis=1)).any()
        in_front[row] = not is_dominated
        if not is_dominated:
            kept = np.vstack([kept, scores[row]])
    return in_front
