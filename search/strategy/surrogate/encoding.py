"""Configurations as rows of numbers, for models that need distances: one column a parameter, in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from toprung.search.strategy.sampling.points import Point

Key = tuple[str, tuple[Any, ...] | None]


def column_key(name: str, distribution: BaseDistribution) -> Key:
    """The name, and of a categorical parameter the choices, which may depend on another parameter."""
    return name, getattr(distribution, "choices", None)


@dataclass(frozen=True)
class Column:
    """One parameter: its values as quantiles of its distribution in [0, 1], NaN where a trial does not have it."""

    name: str
    distribution: BaseDistribution

    @property
    def key(self) -> Key:
        """What the parameters of this column have in common."""
        return column_key(self.name, self.distribution)

    @property
    def choices(self) -> int:
        """How many values a categorical parameter has; 0 for a number."""
        return len(self.distribution.choices) if isinstance(self.distribution, CategoricalDistribution) else 0

    def unit(self, value: Any) -> float:
        """The quantile of a value; the middle of its cell where the parameter is stepped or categorical."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return (distribution.to_internal_repr(value) + 0.5) / len(distribution.choices)
        low, high, width = self._edges
        number = np.log(float(value)) if width == 0.0 else float(value)
        return float(np.clip((number - low) / (high - low), 0.0, 1.0)) if high > low else 0.5

    def value(self, unit: float) -> Any:
        """The value at a quantile, as Optuna would suggest it."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return distribution.choices[
                min(int(unit * len(distribution.choices)), len(distribution.choices) - 1)
            ]
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        low, high, width = self._edges
        number = low + unit * (high - low)
        number = float(np.exp(number)) if width == 0.0 else number
        if distribution.step and not distribution.log:
            number = distribution.low + distribution.step * int((number - low) / distribution.step)
        elif isinstance(distribution, IntDistribution):
            number = round(number)
        return distribution.to_external_repr(float(np.clip(number, distribution.low, distribution.high)))

    def rounded_to_grid(self, units: np.ndarray) -> np.ndarray:
        """Quantiles moved to the middle of their cell, where the parameter is stepped, whole or categorical."""
        distribution = self.distribution
        units = np.clip(units, 0.0, 1.0 - 1e-9)
        if isinstance(distribution, CategoricalDistribution):
            return np.asarray((np.floor(units * self.choices) + 0.5) / self.choices)
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        low, high, _ = self._edges
        if distribution.log:
            if isinstance(distribution, FloatDistribution):
                return units
            whole = np.clip(np.round(np.exp(low + units * (high - low))), distribution.low, distribution.high)
            return np.asarray((np.log(whole) - low) / (high - low))
        if not distribution.step:
            return units
        cells = round((high - low) / distribution.step)
        return np.asarray((np.floor(units * cells) + 0.5) / cells)

    @cached_property
    def _edges(self) -> tuple[float, float, float]:
        """Lower edge, upper edge and cell width on the scale in which the values are uniform; width 0 marks a log."""
        distribution = self.distribution
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        if distribution.log:
            half = 0.5 if isinstance(distribution, IntDistribution) else 0.0
            return float(np.log(distribution.low - half)), float(np.log(distribution.high + half)), 0.0
        half = (distribution.step or 0.0) / 2
        return distribution.low - half, distribution.high + half, 1.0


@dataclass(frozen=True)
class Encoding:
    """The columns of a history; a number that changed its distribution keeps the one seen first.

    A categorical parameter has a column for each set of choices it was asked for with, empty where it was another.
    """

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, points: Iterable[Point]) -> Encoding:
        """Columns for every parameter of the points that leaves a choice, in the order of their names."""
        found: dict[Key, Column] = {}
        for point in points:
            for name, kind in point.distributions.items():
                if not kind.single():
                    found.setdefault(column_key(name, kind), Column(name, kind))
        return cls(tuple(sorted(found.values(), key=lambda column: column.name)))

    @cached_property
    def categorical(self) -> np.ndarray:
        """Which columns are categorical, shape (columns,), bool."""
        return np.array([bool(column.choices) for column in self.columns], dtype=bool)

    @cached_property
    def width(self) -> int:
        """How many features a row becomes."""
        return sum(max(1, column.choices) for column in self.columns)

    @cached_property
    def _keys(self) -> frozenset[Key]:
        return frozenset(column.key for column in self.columns)

    @cached_property
    def _inputs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of every feature: the column it comes from, the choice it stands for, how many choices (0: a number)."""
        of_column = [max(1, column.choices) for column in self.columns]
        source = np.repeat(np.arange(len(self.columns)), of_column)
        choice = np.concatenate([np.arange(count) for count in of_column] or [np.zeros(0, dtype=int)])
        return source, choice, np.array([column.choices for column in self.columns], dtype=int)[source]

    def lacks(self, point: Point) -> bool:
        """Whether the point has a parameter with a choice that has no column."""
        return any(
            column_key(name, kind) not in self._keys and not kind.single()
            for name, kind in point.distributions.items()
        )

    def row(self, point: Point) -> np.ndarray:
        """Quantiles, shape (columns,), NaN where the parameter is missing."""
        held = {column_key(name, kind): point.params[name] for name, kind in point.distributions.items()}
        return np.array(
            [column.unit(held[column.key]) if column.key in held else np.nan for column in self.columns]
        )

    def params(self, row: np.ndarray) -> dict[str, Any]:
        """The parameters behind a row; missing ones are left out."""
        return {
            column.name: column.value(unit)
            for column, unit in zip(self.columns, row.tolist(), strict=True)
            if unit == unit
        }

    def gating_columns(self, rows: np.ndarray) -> np.ndarray:
        """Which categorical columns decide whether another parameter exists, shape (columns,), bool.

        Judged by the rows: such a column leaves no doubt, value by value, about a parameter that some rows lack.
        """
        missing = np.isnan(rows)
        doubtful = np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0))
        return np.array(
            [
                bool(column.choices) and any(_decides(rows[:, i], missing[:, other]) for other in doubtful)
                for i, column in enumerate(self.columns)
            ],
            dtype=bool,
        )

    def rounded_to_grid(self, rows: np.ndarray) -> np.ndarray:
        """Rows moved to values that can be suggested: a model must judge whole numbers and steps where they are."""
        return np.column_stack([column.rounded_to_grid(rows[:, i]) for i, column in enumerate(self.columns)])

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Rows of shape (n, columns) as model inputs, shape (n, features): a categorical becomes one feature a choice.

        A missing number stands in the middle, so that it adds no distance to the average trial.
        """
        source, choice, choices = self._inputs
        units = rows[:, source]
        missing = np.isnan(units)
        chosen = np.floor(np.where(missing, -1.0, units) * choices) == choice
        # Two different choices are as far apart as the two ends of a number: sqrt(1/2 + 1/2) = 1.
        one_hot = np.where(chosen, np.sqrt(0.5), 0.0)
        return np.where(choices > 0, one_hot, np.where(missing, 0.5, units))


def _decides(values: np.ndarray, missing: np.ndarray) -> bool:
    return all(
        len(set(missing[values == value].tolist())) == 1 for value in np.unique(values[~np.isnan(values)])
    )
