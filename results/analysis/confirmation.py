"""How good configurations are by trainings with new seeds: their means, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from toprung.results.analysis.learning_curve import steady_epoch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from toprung.trainables.trial.objectives import Objective

LEVEL = 0.95


@dataclass(frozen=True)
class ConfirmedMean:
    """What a trial's configuration is worth: `score` is the mean of the objective on validation over new seeds.

    The interval from `low` to `high` holds the mean over all seeds, on these validation images, with 95%
    confidence: `half_width` on both sides, as far as there are such values. `standard_error` is that of the mean. All
    four are NaN where no configuration was trained twice. All are measured at `epoch`.
    `repeats` says what its `seeds` trainings differ in: "seeds", or "folds" where each had other validation images too:
    what makes a fold hard is common to all configurations, and `lead_half_width` is the half width without it, which
    counts for the difference of two means.
    """

    trial_id: str
    score: float
    low: float
    high: float
    half_width: float
    epoch: int
    seeds: int
    standard_error: float = math.nan
    repeats: str = "seeds"
    lead_half_width: float | None = None


@dataclass(frozen=True)
class MeanDifference:
    """How much better one mean is than another, with the 95% interval; NaN bounds as in `ConfirmedMean`."""

    difference: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether chance is an unlikely reason for it."""
        return self.low > 0.0


def confirmed(
    curves: Mapping[str, Sequence[Sequence[float]]],
    objective: Objective,
    epoch: int | None = None,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> list[ConfirmedMean]:
    """The trials with the means of their trainings, best first; equal means stay in the order given.

    A configuration is measured at one epoch: the given one, or the last before it, else where the mean of its
    trainings is best. That is looked for on the mean smoothed over a third of its epochs: the best of many noisy
    values is too good by its noise, and 95% intervals around it held the truth in 44 to 95% of simulations (27 and 81
    epochs, 2 to 8 seeds, noise of neighbouring epochs correlated by 0 to 0.95); on the smoothed curve in 93 to 97%.
    The variance s^2 is pooled within the configurations, so that a few trainings of each tell it, and mean +- t s /
    sqrt(n) is Student's interval with as many degrees of freedom. It is that of a configuration named beforehand and
    spread as the others: the first of k equal ones is too good by its choice (k = 3, n = 3: by 0.5 s, held in 93%; k =
    10: 0.9 s, 79%).

    Args:
        curves: By trial id, the finite values of each training, one an epoch; a trial without any is left out.
        objective: Which direction is better.
        epoch: Where to measure, from 1.
        limits: No value of the objective lies outside of them.
    """
    trained = {name: rows for name, rows in curves.items() if len(rows)}
    epochs = {name: _measured_epoch(_aligned(rows), objective, epoch) for name, rows in trained.items()}
    values = {
        name: np.array([row[epochs[name] - 1] for row in rows], dtype=float) for name, rows in trained.items()
    }
    errors, reach = _standard_errors(values)
    means = []
    for name, value in values.items():
        mean, half_width = float(value.mean()), reach * errors[name]
        low, high = map(float, np.clip([mean - half_width, mean + half_width], *limits))
        means.append(ConfirmedMean(name, mean, low, high, half_width, epochs[name], len(value), errors[name]))
    return sorted(means, key=lambda one: -objective.score(one.score))


def mean_difference(first: ConfirmedMean, second: ConfirmedMean, objective: Objective) -> MeanDifference:
    """How far the first is ahead of the second."""
    difference = objective.score(first.score) - objective.score(second.score)
    # Both half widths are t s / sqrt(n) of the same t and s: squares add up.
    half_width = math.hypot(_half_width_of_lead(first), _half_width_of_lead(second))
    return MeanDifference(difference, difference - half_width, difference + half_width)


def across_folds(
    means: Sequence[ConfirmedMean], values: Mapping[str, Sequence[float]]
) -> list[ConfirmedMean]:
    """The means of trainings that were validated by one fold each, the same for all configurations.

    The variance of a difference is that of the residuals of a two-way layout, configurations by folds (Fisher 1925).
    Folds share most of their training images, so that the intervals are somewhat too narrow (Bengio & Grandvalet 2004).

    Args:
        means: As of `confirmed`.
        values: By trial id, the values of the mean, one a fold in one order. Where some lack a fold, no difference is
            paired.
    """
    named = [replace(mean, repeats="folds") for mean in means]
    rows = [values[mean.trial_id] for mean in named]
    if len(rows) < 2 or len({len(row) for row in rows}) > 1 or len(rows[0]) < 2:
        return named
    from scipy.stats import t

    table = np.asarray(rows, dtype=float)
    configurations, folds = table.shape
    residuals = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    degrees = (configurations - 1) * (folds - 1)
    deviation = math.sqrt(float((residuals**2).sum()) / degrees)
    reach = float(t.ppf((1 + LEVEL) / 2, degrees)) * deviation / math.sqrt(folds)
    return [replace(mean, lead_half_width=reach) for mean in named]


def _half_width_of_lead(mean: ConfirmedMean) -> float:
    return mean.half_width if mean.lead_half_width is None else mean.lead_half_width


def _aligned(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """The curves up to the epoch that all of them reached: (trainings, epochs)."""
    shared = min(map(len, rows))
    return np.array([row[:shared] for row in rows], dtype=float)


def _measured_epoch(curves: NDArray[np.float64], objective: Objective, epoch: int | None) -> int:
    """The given epoch, at most the last; else the first, from 1, at which the smoothed mean of the curves is best."""
    if epoch is not None:
        return min(epoch, len(curves[0]))
    return steady_epoch(curves.mean(axis=0), objective)


def _standard_errors(values: Mapping[str, NDArray[np.float64]]) -> tuple[dict[str, float], float]:
    """By name, the standard error of the mean of its values, and how many of them reach to the ends of an interval.

    All are NaN where no name has two values.
    """
    degrees = sum(len(value) - 1 for value in values.values())
    if degrees < 1:
        return dict.fromkeys(values, math.nan), math.nan
    from scipy.stats import t

    squares = sum(float(((value - value.mean()) ** 2).sum()) for value in values.values())
    deviation = math.sqrt(squares / degrees)
    errors = {name: deviation / math.sqrt(len(value)) for name, value in values.items()}
    return errors, float(t.ppf((1 + LEVEL) / 2, degrees))
