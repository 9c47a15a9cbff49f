"""One model of configuration and epoch, fitted to the results of all trials at all rungs.

It is the mean of extra trees (Geurts et al. 2006, "Extremely randomized trees") and a Gaussian process, both with the
logarithm of the epoch as one more feature.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.results.analysis.importance.parameter import MISSING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from toprung.results.analysis.importance.parameter import Parameter

    Floats = NDArray[np.float64]

FOLDS, TREES = 5, 100
# A process is fitted to so many rows at most, chosen at random: the time it takes grows with rows * rows * features.
MOST_PROCESS_ROWS, MOST_PROCESS_PRODUCTS = 300, 1_600_000


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


class JointModel:
    """The mean of extra trees and a Gaussian process on the parameters and the logarithm of the epoch.

    Trees see steps, and few results show few; a process sees slopes. At 40 and at 120 trials the ranks of the mean were
    nearer to the truth than those of the trees, on both halves of the development tasks.
    """

    def __init__(self, parameters: Sequence[Parameter], results: RungResults, seed: int = 0) -> None:
        self.parameters = tuple(parameters)
        self._features = features_of(self.parameters, results.configs, results.epochs)
        self._results, self._seed = results, seed
        rows = np.arange(len(results.values))
        self._process = self._fitted_process(rows)
        self._models = [self._fitted_trees(rows, TREES), self._process]

    def predict_units(self, features: Floats) -> Floats:
        """The predicted values of rows as `features_of` makes them, shape (rows,)."""
        return _mean_prediction(self._models, features)

    def r2(self) -> float:
        """The cross-validated R2 over trials: no trial is in both the part that is fitted and the one predicted.

        Of the differences among results of the same epoch: the epoch itself explains much, and says nothing of the
        parameters. Where the trees alone explain less than they do with the process, it is theirs. The process keeps
        the lengths that it has learnt from all trials.
        """
        results = self._results
        together, trees = np.zeros(len(results.values)), np.zeros(len(results.values))
        fold = np.random.default_rng(self._seed).permutation(len(np.unique(results.trials))) % FOLDS
        of_row = fold[np.unique(results.trials, return_inverse=True)[1]]
        for number in range(FOLDS):
            held_out = of_row == number
            rows = np.flatnonzero(~held_out)
            models = [
                self._fitted_trees(rows, TREES // 2),
                self._fitted_process(rows, self._process[-1].kernel_),
            ]
            trees[held_out] = _mean_prediction(models[:1], self._features[held_out])
            together[held_out] = _mean_prediction(models, self._features[held_out])
        return min(_r2_within(results.epochs, results.values, one) for one in (trees, together))

    def _fitted_trees(self, rows: NDArray[np.int64], trees: int) -> Any:
        from sklearn.ensemble import ExtraTreesRegressor

        forest = ExtraTreesRegressor(trees, random_state=self._seed)
        return forest.fit(self._features[rows], self._results.values[rows])

    def _fitted_process(self, rows: NDArray[np.int64], kernel: Any = None) -> Any:
        most = min(MOST_PROCESS_ROWS, math.isqrt(MOST_PROCESS_PRODUCTS // self._features.shape[1]))
        if len(rows) > most:
            rows = np.random.default_rng(self._seed).choice(rows, most, replace=False)
        return _gaussian_process(self._features[rows], self._results.values[rows], kernel)


def _gaussian_process(features: Floats, values: Floats, kernel: Any = None) -> Any:
    """A process with a length for each parameter (Rasmussen & Williams 2006, section 5.1).

    The lengths are fitted to the values, or those of a fitted `kernel`.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    lengths = Matern(np.ones(features.shape[1]), (0.05, 30.0), nu=1.5)
    unfitted = ConstantKernel(1.0, (1e-2, 1e2)) * lengths + WhiteKernel(0.1, (1e-4, 1.0))
    process = GaussianProcessRegressor(
        kernel or unfitted,
        optimizer=None if kernel else "fmin_l_bfgs_b",
        normalize_y=True,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # a length at its bound says that a parameter is idle
        return make_pipeline(MinMaxScaler(), process).fit(features, values)


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
