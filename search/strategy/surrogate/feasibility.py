"""How likely a configuration is to keep the bounds of a search, learned from what was measured of the trials.

One Gaussian process for each bounded metric; the chances that its value lies within, multiplied, weigh the expected
improvement (Gardner et al. 2014, "Bayesian Optimization with Inequality Constraints"; Gelbart et al. 2014). Sizes and
times are modelled by their logarithms, as what makes them grow multiplies. A trial of which nothing was measured, as it
failed or has not begun, says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
from scipy.special import ndtr

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.surrogate.encoding import Encoding
from toprung.search.strategy.surrogate.gaussian_process import Gaussian
from toprung.search.strategy.surrogate.length_scale_fit import typical_length
from toprung.search.strategy.surrogate.length_scales import LengthScales
from toprung.trainables.trial.bounds import Bound, is_share

ENOUGH_VALUES = 3  # measured values that a model of them needs
NEAR, RECENT = 64, 64  # values that are modelled at most: the nearest to the bound, and the latest
LEAST = 1e-9  # the chance of a configuration that is sure to be out of bounds, so that such ones still have an order


class BoundedValues(NamedTuple):
    """The values of one bounded metric, see `on_model_scale`, with their trials as in a rung."""

    bound: Bound
    values: Rung

    def beyond(self) -> list[int]:
        """The trials whose values break the bound, in order of arrival."""
        least, greatest = limits(self.bound)
        return [number for number, value in self.values.scores.items() if not least <= value <= greatest]


class Chances(Protocol):
    """Whatever can make a proposal useless, and is learned from the trials."""

    def chances(self, features: np.ndarray) -> np.ndarray:
        """The chance that it does not, shape (m,), of features of shape (m, d)."""
        ...


@dataclass(frozen=True)
class AllOf:
    """Several independent chances: all of them have to come true."""

    each: Sequence[Chances]

    def chances(self, features: np.ndarray) -> np.ndarray:
        """Their product, shape (m,)."""
        product = np.ones(len(features))
        for one in self.each:
            product *= one.chances(features)
        return product


@dataclass(frozen=True)
class KeepsBound:
    """A process on the values of one bounded metric.

    Attributes:
        least: The bound on the scale of the values; minus infinity without one.
        greatest: The same of the other end.
        centre: The mean of the values, which is expected where nothing is known.
        process: What is known beyond it.
    """

    least: float
    greatest: float
    centre: float
    process: Gaussian

    def chances(self, features: np.ndarray) -> np.ndarray:
        """The chance that the value lies within the bound, shape (m,), of features of shape (m, d)."""
        mean, variance = self.process.predict(features)
        mean, deviation = mean + self.centre, np.sqrt(variance)
        within = ndtr((self.greatest - mean) / deviation) - ndtr((self.least - mean) / deviation)
        return np.asarray(np.clip(within, LEAST, 1.0))


class BoundModels:
    """Fits a process for each bounded metric; it keeps the length scales, which follow from the values."""

    def __init__(self) -> None:
        self._lengths: dict[str, LengthScales] = {}

    def is_due(self, bounded: Sequence[BoundedValues], encoding: Encoding) -> bool:
        """Whether `fitted` would fit length scales, which takes longest."""
        return any(self._scales_of(bound).is_due(values, encoding) for bound, values in bounded)

    def fitted(
        self,
        bounded: Sequence[BoundedValues],
        points: Container[int],
        row: Callable[[int], np.ndarray],
        encoding: Encoding,
    ) -> list[KeepsBound]:
        """The processes of the metrics that have enough values.

        Args:
            bounded: The values of each bounded metric.
            points: The trials that have a row.
            row: The encoded row of a trial, shape (columns,).
            encoding: Turns rows into features.
        """
        models = []
        for bound, values in bounded:
            chosen = [number for number in _informative(bound, values) if number in points]
            if len(chosen) < ENOUGH_VALUES:
                continue
            lengths = self._scales_of(bound).of(values, points, row, encoding)
            lengths = np.full(encoding.width, typical_length(encoding.width)) if lengths is None else lengths
            known = np.array([values.scores[number] for number in chosen])
            features = encoding.features(np.array([row(number) for number in chosen]))
            process = Gaussian.condition(features, known - known.mean(), lengths)
            models.append(KeepsBound(*limits(bound), float(known.mean()), process))
        return models

    def forget_lengths(self) -> None:
        """Fit them again: the features have changed."""
        self._lengths.clear()

    def _scales_of(self, bound: Bound) -> LengthScales:
        return self._lengths.setdefault(bound.metric, LengthScales())


def on_model_scale(metric: str, value: float) -> float:
    """A value as the model takes it: a share as it is, of anything else the logarithm."""
    return value if is_share(metric) else math.log(max(value, 1e-12))


def limits(bound: Bound) -> tuple[float, float]:
    """The two ends of a bound on the scale of the model; infinite where there is none."""
    least = -math.inf if bound.least is None else on_model_scale(bound.metric, bound.least)
    greatest = math.inf if bound.greatest is None else on_model_scale(bound.metric, bound.greatest)
    return least, greatest


def _informative(bound: Bound, values: Rung) -> list[int]:
    """The trials whose values say most of where the bound runs, in the order of their numbers."""
    ranked, near = values.best_first(), set[int]()
    for limit in filter(math.isfinite, limits(bound)):
        rank = values.rank(-1, limit)
        near.update(ranked[max(0, rank - NEAR // 2) : rank + NEAR // 2])
    return sorted(near | set(islice(reversed(values.scores), RECENT)))
