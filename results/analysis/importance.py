"""Which hyperparameters matter, also after early stopping: one model of configuration and epoch, asked at the last.

Completed trials alone are few, and a selection: on the development tasks of LCBench their fANOVA ranks the parameters
no better than chance (`tests/benchmarks/importance.py`). Here extra trees (Geurts et al. 2006, "Extremely randomized
trees") are fitted to the results of all trials at all rungs, with the logarithm of the epoch as one more feature, and a
Gaussian process beside them where results are few. The total Sobol indices of their prediction at the last epoch are
estimated over the whole space, uniform in the scale of each parameter, with Jansen's estimator (Saltelli et al. 2010,
"Variance based sensitivity analysis of model output", table 2, f): what share of the variance is lost where all others
are known and this one is not.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.spaces.definition.conditions import Condition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST_TRIALS = 12
LEAST_R2 = (
    0.2  # on the development tasks, rankings of models below it agreed with the truth no better than chance
)
FOLDS = 5
TREES, SAMPLES = 100, 1024
FEATURE_SHARE = 0.5  # of the features tried at each split; as good as all of them, and twice as fast
MOST_TRIALS = 1000  # the others add seconds and hardly change the ranking
MOST_PROCESS_ROWS = 150  # a process takes seconds to fit to more, and the trees know more by then
MISSING = -1.0  # the feature of a parameter that a trial does not have: outside of the unit interval


@dataclass(frozen=True)
class Parameter:
    """One parameter of the space that leaves a choice.

    Attributes:
        name: Its name.
        low: Its bounds; 0 and the number of choices - 1 where it is categorical.
        high: See `low`.
        log: Whether its scale is logarithmic.
        integer: Whether it takes whole numbers alone.
        choices: The choices of a categorical parameter; empty for a number.
        condition: When it exists.
    """

    name: str
    low: float
    high: float
    log: bool = False
    integer: bool = False
    choices: tuple[Any, ...] = ()
    condition: Condition = field(default_factory=Condition)

    def unit(self, value: Any) -> float:
        """The value as a number from 0 to 1; MISSING for a value that the parameter cannot have."""
        if self.choices:
            matching = [
                i for i, choice in enumerate(self.choices) if choice == value and type(choice) is type(value)
            ]
            return matching[0] / max(1, len(self.choices) - 1) if matching else MISSING
        try:
            number, low, high = (
                math.log(one) if self.log else float(one) for one in (value, self.low, self.high)
            )
        except (TypeError, ValueError):
            return MISSING
        return min(1.0, max(0.0, (number - low) / (high - low))) if high > low else 0.5

    def value(self, unit: float) -> Any:
        """The value at a quantile from 0 to 1."""
        if self.choices:
            return self.choices[min(len(self.choices) - 1, int(unit * len(self.choices)))]
        if self.log:
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        return round(value) if self.integer else value


@dataclass(frozen=True)
class RungResults:
    """The results of all trials at all rungs: one value for each trial and epoch.

    Attributes:
        configs: The parameters of each result's trial, by name.
        trials: The number of each result's trial.
        epochs: The epoch of each result.
        values: The values of the metric, finite.
    """

    configs: Sequence[Mapping[str, Any]]
    trials: NDArray[np.int64]
    epochs: NDArray[np.int64]
    values: Floats


@dataclass(frozen=True)
class ParameterImportance:
    """The total Sobol index of a parameter at the last epoch, and the share of the space in which it exists.

    Where it exists in a part alone, the index is over that part.
    """

    name: str
    index: float
    active_share: float


@dataclass(frozen=True)
class Importance:
    """How much each parameter matters, most first.

    Attributes:
        parameters: Empty where the model cannot tell.
        r2: How much of the variance the model explains in trials that it has not seen; NaN with too few trials.
        trials: The number of trials that it has learnt from.
        reason: Why the model cannot tell; empty where it can.
    """

    parameters: tuple[ParameterImportance, ...]
    r2: float
    trials: int
    reason: str = ""


class JointModel:
    """Extra trees on the parameters and the logarithm of the epoch; of few results, their mean with a Gaussian process.

    Trees see steps, and few results show few; a process sees slopes. At 40 trials the ranks of the mean of both were
    nearer to the truth on both halves of the development tasks.
    """

    def __init__(self, parameters: Sequence[Parameter], results: RungResults, seed: int = 0) -> None:
        self.parameters = tuple(parameters)
        self._features = features_of(self.parameters, results.configs, results.epochs)
        self._results, self._seed = results, seed
        self._models = self._fitted(np.arange(len(results.values)), TREES)

    def predict_units(self, features: Floats) -> Floats:
        """The predicted values of rows as `features_of` makes them, shape (rows,)."""
        return _mean_prediction(self._models, features)

    def r2(self) -> float:
        """The cross-validated R2 over trials: no trial is in both the part that is fitted and the one predicted.

        Of the differences among results of the same epoch: the epoch itself explains much, and says nothing of the
        parameters. Where the trees alone explain less than they do with the process, it is theirs.
        """
        results = self._results
        together, trees = np.zeros(len(results.values)), np.zeros(len(results.values))
        fold = np.random.default_rng(self._seed).permutation(len(np.unique(results.trials))) % FOLDS
        of_row = fold[np.unique(results.trials, return_inverse=True)[1]]
        for number in range(FOLDS):
            held_out = of_row == number
            models = self._fitted(np.flatnonzero(~held_out), TREES // 2)
            trees[held_out] = _mean_prediction(models[:1], self._features[held_out])
            together[held_out] = _mean_prediction(models, self._features[held_out])
        return min(_r2_within(results.epochs, results.values, one) for one in (trees, together))

    def _fitted(self, rows: NDArray[np.int64], trees: int) -> list[Any]:
        from sklearn.ensemble import ExtraTreesRegressor

        features, values = self._features[rows], self._results.values[rows]
        forest = ExtraTreesRegressor(trees, max_features=FEATURE_SHARE, random_state=self._seed)
        models = [forest.fit(features, values)]
        if len(self._results.values) <= MOST_PROCESS_ROWS:
            models.append(_gaussian_process(features, values))
        return models


def _gaussian_process(features: Floats, values: Floats) -> Any:
    """A process with a length for each parameter (Rasmussen & Williams 2006, section 5.1), fitted to the values."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    lengths = Matern(np.ones(features.shape[1]), (0.05, 30.0), nu=2.5)
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * lengths + WhiteKernel(0.1, (1e-4, 1.0))
    process = make_pipeline(
        MinMaxScaler(), GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # a length at its bound says that a parameter is idle
        return process.fit(features, values)


def _mean_prediction(models: Sequence[Any], features: Floats) -> Floats:
    predicted = [np.asarray(model.predict(features), dtype=float) for model in models]
    return np.asarray(np.mean(predicted, axis=0))


def features_of(parameters: Sequence[Parameter], configs: Sequence[Mapping[str, Any]], epochs: Any) -> Floats:
    """Rows for the trees, shape (configs, parameters + 1): units, MISSING for none, and the logarithm of the epoch."""
    units = [
        [one.unit(config[one.name]) if one.name in config else MISSING for one in parameters]
        for config in configs
    ]
    table = np.array(units, dtype=float).reshape(len(configs), len(parameters))
    return np.column_stack([table, np.log(np.maximum(1, np.asarray(epochs, dtype=float)))])


def importance(
    parameters: Sequence[Parameter], results: RungResults, max_epochs: int, seed: int = 0
) -> tuple[Importance, JointModel | None]:
    """How much each parameter matters at the last epoch, and the model that says so; None where it cannot tell."""
    trials = len(np.unique(results.trials))
    if not parameters:
        return Importance((), math.nan, trials, "the space leaves no choice"), None
    if trials < FEWEST_TRIALS:
        reason = f"{trials} trials have results, and fewer than {FEWEST_TRIALS} say nothing"
        return Importance((), math.nan, trials, reason), None
    if np.ptp(results.values) == 0.0:
        return Importance((), 0.0, trials, "all values are equal"), None
    model = JointModel(parameters, results, seed)
    r2 = model.r2()
    if r2 < LEAST_R2:
        reason = f"the model explains {max(0.0, r2):.0%} of the differences between trials it has not seen"
        return Importance((), r2, trials, reason), None
    found = sobol_indices(model, max_epochs, seed)
    return Importance(tuple(sorted(found, key=lambda one: -one.index)), r2, trials), model


def sobol_indices(model: JointModel, epoch: int, seed: int = 0) -> list[ParameterImportance]:
    """The total Sobol index of each parameter at an epoch, in the model's order."""
    from scipy.stats.qmc import Sobol

    parameters, count = model.parameters, len(model.parameters)
    draws = Sobol(2 * count, seed=seed).random(SAMPLES)
    first, second = draws[:, :count], draws[:, count:]
    active = _active(parameters, first)
    base = _predicted(model, first, active, epoch)
    found = []
    conditional_on = {term.name for one in parameters for term in one.condition.terms}
    for i, parameter in enumerate(parameters):
        exists = active[:, i]
        changed = first[exists].copy()
        changed[:, i] = second[exists, i]
        still = _active(parameters, changed) if parameter.name in conditional_on else active[exists]
        differs = base[exists] - _predicted(model, changed, still, epoch)
        variance = float(base[exists].var()) if exists.any() else 0.0
        index = float((differs**2).mean() / (2.0 * variance)) if variance > 0.0 else 0.0
        found.append(ParameterImportance(parameter.name, index, float(exists.mean())))
    return found


def _predicted(model: JointModel, units: Floats, active: NDArray[np.bool_], epoch: int) -> Floats:
    snapped = np.column_stack([_snapped(one, units[:, i]) for i, one in enumerate(model.parameters)])
    rows = np.where(active, snapped, MISSING)
    return model.predict_units(np.column_stack([rows, np.full(len(rows), math.log(max(1, epoch)))]))


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


def _r2_within(epochs: NDArray[np.int64], values: Floats, predicted: Floats) -> float:
    """The share of the variance within epochs that a prediction explains; at most 1, below 0 where it is worse."""
    residual = spread = 0.0
    for epoch in np.unique(epochs):
        here = epochs == epoch
        if here.sum() < 2:
            continue
        centre = values[here].mean()
        residual += float(((values[here] - predicted[here]) ** 2).sum())
        spread += float(((values[here] - centre) ** 2).sum())
    return 1.0 - residual / spread if spread > 0.0 else 0.0
