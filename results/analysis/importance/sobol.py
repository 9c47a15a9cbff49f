"""The total Sobol indices of the model's predictions.

They are estimated over the whole space, uniform in the scale of each parameter, with Jansen's estimator (Saltelli et
al. 2010, "Variance based sensitivity analysis of model output", table 2, f): what share of the variance is lost where
all others are known and this one is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toprung.results.analysis.importance.parameter import MISSING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from toprung.results.analysis.importance.joint_model import JointModel
    from toprung.results.analysis.importance.parameter import Parameter

    Floats = NDArray[np.float64]

SAMPLES = 512


@dataclass(frozen=True)
class ParameterImportance:
    """The total Sobol index of a parameter, and the share of the space in which it exists.

    The index is the mean over some epochs. Where the parameter exists in a part alone, it is over that part.
    """

    name: str
    index: float
    active_share: float


def sobol_indices(model: JointModel, epochs: Sequence[int], seed: int = 0) -> list[ParameterImportance]:
    """The total Sobol index of each parameter, the mean over these epochs, in the model's order."""
    from scipy.stats.qmc import Sobol

    parameters, count = model.parameters, len(model.parameters)
    draws = Sobol(2 * count, seed=seed).random(SAMPLES)
    first, second = draws[:, :count], draws[:, count:]
    active = _active(parameters, first)
    base = _predicted(model, first, active, epochs)
    found = []
    conditional_on = {term.name for one in parameters for term in one.condition.terms}
    for i, parameter in enumerate(parameters):
        exists = active[:, i]
        changed = first[exists].copy()
        changed[:, i] = second[exists, i]
        still = _active(parameters, changed) if parameter.name in conditional_on else active[exists]
        index = 0.0
        if exists.any():
            differences = base[:, exists] - _predicted(model, changed, still, epochs)
            index = _mean_index(base[:, exists].var(axis=1), (differences**2).mean(axis=1))
        found.append(ParameterImportance(parameter.name, index, float(exists.mean())))
    return found


def _mean_index(variances: Floats, squares: Floats) -> float:
    """The mean over epochs, shapes (epochs,), of those in which anything varies."""
    varies = variances > 0.0
    return float((squares[varies] / (2.0 * variances[varies])).mean()) if varies.any() else 0.0


def _predicted(model: JointModel, units: Floats, active: NDArray[np.bool_], epochs: Sequence[int]) -> Floats:
    """The predictions at each epoch, shape (epochs, rows)."""
    snapped = np.column_stack([_snapped(one, units[:, i]) for i, one in enumerate(model.parameters)])
    rows = np.where(active, snapped, MISSING)
    logs = np.log(np.maximum(1, np.asarray(epochs, dtype=float)))
    features = np.column_stack([np.tile(rows, (len(logs), 1)), np.repeat(logs, len(rows))])
    return model.predict_units(features).reshape(len(logs), len(rows))


def _snapped(parameter: Parameter, units: Floats) -> Floats:
    """Quantiles as the units of the values that they stand for: of a categorical one, of its choices."""
    count = len(parameter.choices)
    if not count:
        return units
    return np.minimum(count - 1, np.floor(units * count)) / max(1, count - 1)


def _active(parameters: Sequence[Parameter], units: Floats) -> NDArray[np.bool_]:
    """Which parameters exist in each row, shape (rows, parameters); a condition may rest on another's."""
    active = np.ones(units.shape, dtype=bool)
    conditional = [i for i, one in enumerate(parameters) if one.condition.terms]
    if not conditional:
        return active
    for row in range(len(units)):
        values = {one.name: one.value(units[row, i]) for i, one in enumerate(parameters)}
        waiting = conditional
        while True:
            missing = [i for i in waiting if not parameters[i].condition.holds(values)]
            if not missing:
                break
            for i in missing:
                active[row, i] = False
                values.pop(parameters[i].name, None)
            waiting = [i for i in waiting if i not in missing]
    return active
