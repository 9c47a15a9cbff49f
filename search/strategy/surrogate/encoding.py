"""Configurations as rows of numbers, for models that need distances: one column a parameter, in [0, 1]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution

from toprung.search.strategy.sampling.distributions import from_unit, rounded_to_grid, to_unit

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from toprung.search.strategy.sampling.points import Point

Key = tuple[str, tuple[Any, ...]]

MOST_RANGES = 8  # ranges of one number that have a column each; more are bounds that follow another number


def column_key(name: str, distribution: BaseDistribution) -> Key:
    """What makes two parameters share a column: the name, and the choices or the range."""
    choices = getattr(distribution, "choices", None)
    return name, (distribution.low, distribution.high) if choices is None else choices  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Column:
    """One parameter: its values as quantiles of its distribution in [0, 1], NaN where a trial does not have it."""

    name: str
    distribution: BaseDistribution

    @property
    def key(self) -> Key:
        """See `column_key`."""
        return column_key(self.name, self.distribution)

    @property
    def choices(self) -> int:
        """How many values a categorical parameter has; 0 for a number."""
        return len(self.distribution.choices) if isinstance(self.distribution, CategoricalDistribution) else 0

    @cached_property
    def order(self) -> np.ndarray | None:
        """Where each choice lies from the least, 0, to the greatest, 1, by its rank; None unless all are numbers."""
        given = self.distribution.choices if isinstance(self.distribution, CategoricalDistribution) else ()
        numbers = [one for one in given if isinstance(one, int | float) and not isinstance(one, bool)]
        if len(numbers) < 2 or len(set(numbers)) < len(given):
            return None
        return np.argsort(np.argsort(numbers)) / (len(numbers) - 1.0)

    @property
    def features(self) -> int:
        """How many features it becomes: one for each choice that has no order."""
        return self.choices if self.choices and self.order is None else 1


@dataclass(frozen=True)
class Encoding:
    """The columns of a history.

    A parameter has one column for each range or set of choices it was suggested with, NaN where it had another. The
    ranges of a number (a learning rate by optimizer) are one feature: the quantile in the range of the trial. A number
    of more than MOST_RANGES ranges keeps its first one.
    """

    columns: tuple[Column, ...]
    unsteady: frozenset[str] = frozenset()

    @classmethod
    def of(cls, points: Iterable[Point]) -> Encoding:
        """Columns for every parameter of the points that leaves a choice, in the order of their names."""
        found: dict[Key, Column] = {}
        for point in points:
            for name, distribution in point.distributions.items():
                if not distribution.single():
                    found.setdefault(column_key(name, distribution), Column(name, distribution))
        ranges = Counter(column.name for column in found.values() if not column.choices)
        unsteady = frozenset(name for name, count in ranges.items() if count > MOST_RANGES)
        kept, seen = list[Column](), set[str]()
        for column in found.values():
            if column.choices or column.name not in unsteady or column.name not in seen:
                kept.append(column)
                seen.add(column.name)
        return cls(tuple(sorted(kept, key=lambda column: column.name)), unsteady)

    @cached_property
    def categorical(self) -> np.ndarray:
        """Which columns are categorical, shape (columns,), bool."""
        return np.array([bool(column.choices) for column in self.columns], dtype=bool)

    @cached_property
    def width(self) -> int:
        """How many features a row becomes."""
        return len(self._features[0])

    @cached_property
    def _keys(self) -> frozenset[Key]:
        return frozenset(map(self._key_of, self.columns))

    @cached_property
    def _ranges(self) -> tuple[np.ndarray, ...]:
        """The columns of each number that has several, int, each with shape (ranges,)."""
        by_name: dict[str, list[int]] = {}
        for i, column in enumerate(self.columns):
            if not column.choices:
                by_name.setdefault(column.name, []).append(i)
        return tuple(np.array(group) for group in by_name.values() if len(group) > 1)

    @cached_property
    def _features(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of every feature, shape (features,), int: its column, the choice it represents, how many (0: a number)."""
        repeated = {int(i) for group in self._ranges for i in group[1:]}
        in_column = [0 if i in repeated else column.features for i, column in enumerate(self.columns)]
        source = np.repeat(np.arange(len(self.columns)), in_column)
        choice = np.concatenate([np.arange(count) for count in in_column] or [np.zeros(0, dtype=int)])
        choices = [0 if column.order is not None else column.choices for column in self.columns]
        return source, choice, np.array(choices, dtype=int)[source]

    def lacks(self, point: Point) -> bool:
        """Whether the point has a parameter that leaves a choice and has no column."""
        return any(
            self._key_of(Column(name, distribution)) not in self._keys and not distribution.single()
            for name, distribution in point.distributions.items()
        )

    def row(self, point: Point) -> np.ndarray:
        """Quantiles, shape (columns,), NaN where the parameter is missing."""
        values = {
            self._key_of(Column(name, distribution)): point.params[name]
            for name, distribution in point.distributions.items()
        }
        keys = map(self._key_of, self.columns)
        return np.array(
            [
                to_unit(values[key], column.distribution) if key in values else np.nan
                for key, column in zip(keys, self.columns, strict=True)
            ]
        )

    def params(self, row: np.ndarray) -> dict[str, Any]:
        """The parameters behind a row; missing ones are left out."""
        return {
            column.name: from_unit(unit, column.distribution)
            for column, unit in zip(self.columns, row.tolist(), strict=True)
            if unit == unit
        }

    def gating_columns(self, rows: np.ndarray) -> np.ndarray:
        """Which categorical columns decide whether another parameter exists, shape (columns,), bool.

        A column decides it when each of its values, over all rows, goes with a parameter that is always there or
        always missing, and some rows lack the parameter.

        Args:
            rows: Shape (n, columns).
        """
        missing = np.isnan(rows)
        in_some_rows = np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0))
        return np.array(
            [
                bool(column.choices)
                and any(_decides(rows[:, i], missing[:, other]) for other in in_some_rows)
                for i, column in enumerate(self.columns)
            ],
            dtype=bool,
        )

    def rounded_to_grid(self, rows: np.ndarray) -> np.ndarray:
        """Rows of shape (n, columns) moved to values that can be suggested, which is where a model must judge them."""
        return np.column_stack(
            [rounded_to_grid(rows[:, i], column.distribution) for i, column in enumerate(self.columns)]
        )

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Model inputs, shape (n, features), of rows of shape (n, columns): a categorical has one feature a choice.

        Choices that are numbers have an order, and are one feature: what is true of a rate of 0.01 is likely to be so
        of 0.03. A missing number becomes 0.5, which is no distance from the average trial; a missing category all
        zeros.
        """
        source, choice, choices = self._features
        placed = self._ordered(rows)
        for group in self._ranges:
            placed[:, group[0]] = np.fmax.reduce(placed[:, group], axis=1)
        units = placed[:, source]
        missing = np.isnan(units)
        is_chosen = np.floor(np.where(missing, -1.0, units) * choices) == choice
        # Two different choices are as far apart as the two ends of a number: sqrt(1/2 + 1/2) = 1.
        one_hot = np.where(is_chosen, np.sqrt(0.5), 0.0)
        return np.where(choices > 0, one_hot, np.where(missing, 0.5, units))

    def _key_of(self, column: Column) -> Key:
        is_unsteady = not column.choices and column.name in self.unsteady
        return (column.name, ()) if is_unsteady else column.key

    def _ordered(self, rows: np.ndarray) -> np.ndarray:
        """The rows with choices that are numbers placed by their order, not by their place in the list."""
        placed = rows.copy()
        for i, column in enumerate(self.columns):
            if column.order is not None:
                known = ~np.isnan(rows[:, i])
                index = np.floor(rows[known, i] * column.choices).astype(int)
                placed[known, i] = column.order[np.minimum(index, column.choices - 1)]
        return placed


def _decides(values: np.ndarray, missing: np.ndarray) -> bool:
    return all(
        len(set(missing[values == value].tolist())) == 1 for value in np.unique(values[~np.isnan(values)])
    )
