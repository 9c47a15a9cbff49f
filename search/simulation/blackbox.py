"""Learning curves without training: those of a finished run's tables, and typical ones where no run is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from toprung.results.tables.rows import configs_of

if TYPE_CHECKING:
    import pandas as pd
    from optuna.trial import BaseTrial

    from toprung.search.strategy.sampling.points import Space

Curve = tuple[np.ndarray, np.ndarray]
"""(values, elapsed_secs): float arrays of shape (max_epochs,), the seconds cumulative; NaN values are a divergence."""


class Blackbox(Protocol):
    """A task whose learning curves are known.

    A method `measures(config)` is optional: what is known of a configuration's model before it is trained, such as
    its latency_ms, by metric.
    """

    @property
    def max_epochs(self) -> int:
        """Length of every curve."""
        ...

    def space(self, trial: BaseTrial) -> Mapping[str, Any]:
        """Draw a configuration, as an Optuna define-by-run function."""
        ...

    def curve(self, config: Mapping[str, Any]) -> Curve:
        """The learning curve of a configuration."""
        ...


@dataclass(frozen=True)
class TableBlackbox:
    """The tables of a finished run as a blackbox: a configuration has the curve of its nearest neighbour in the run.

    The distance is a sum over the hyperparameters: of numbers the difference of their ranks among the run's values,
    scaled to [0, 1]; of anything else, and where only one of the two has the parameter, 0 or 1.

    Attributes:
        space: The define-by-run space.
        max_epochs: Length of every curve.
        configs: The configurations of the n trials.
        values: Shape (n, max_epochs). A trial that was stopped early continues by the average gain of those that went
            further, within the values of the run; one that diverged stays NaN.
        elapsed_secs: Shape (n, max_epochs), cumulative; a missing epoch takes the trial's average.
    """

    space: Space
    max_epochs: int
    configs: tuple[Mapping[str, Any], ...]
    values: np.ndarray
    elapsed_secs: np.ndarray

    @classmethod
    def from_tables(
        cls,
        space: Space,
        epochs: pd.DataFrame,
        trials: pd.DataFrame,
        metric: str = "val_accuracy",
        max_epochs: int | None = None,
    ) -> TableBlackbox:
        """Build the curves from the tables of a run.

        Args:
            space: The define-by-run space.
            epochs: With the columns trial_id, epoch, epoch_secs and the metric.
            trials: With the columns trial_id and `config/...`.
            metric: Whose values the curves hold.
            max_epochs: The curves are cut or continued to this length; to the longest by default.

        Raises:
            ValueError: No trial has an epoch, or none a finite value of the metric.
        """
        known = trials[trials["trial_id"].isin(set(epochs["trial_id"]))]
        if known.empty:
            raise ValueError("the tables hold no epoch of any trial: there is nothing to simulate from")
        if metric not in epochs or not _is_any_finite(epochs[metric]):
            raise ValueError(f"the tables hold no value of {metric}")
        max_epochs = max_epochs or int(epochs["epoch"].max())
        values = _wide(epochs, metric, known["trial_id"], max_epochs)
        secs = _wide(epochs, "epoch_secs", known["trial_id"], max_epochs)
        lengths = epochs.groupby("trial_id")["epoch"].max().reindex(known["trial_id"]).to_numpy()
        lengths = np.minimum(lengths, max_epochs)
        by_trial = configs_of(known)
        configs = tuple(by_trial[str(trial_id)] for trial_id in known["trial_id"])
        elapsed_secs = np.cumsum(_fill_secs(secs), axis=1)
        return cls(space, max_epochs, configs, _continue_values(values, lengths), elapsed_secs)

    def curve(self, config: Mapping[str, Any]) -> Curve:
        """The curve of the nearest configuration of the run."""
        nearest = int(np.argmin(self._distances(config)))
        return self.values[nearest], self.elapsed_secs[nearest]

    def _distances(self, config: Mapping[str, Any]) -> np.ndarray:
        distances = np.zeros(len(self.configs))
        for name in sorted({*config, *(name for known in self.configs for name in known)}):
            distances += _differences(config.get(name), [known.get(name) for known in self.configs])
        return distances


def _is_any_finite(column: pd.Series) -> bool:
    return bool(np.isfinite(column.to_numpy(dtype=float, na_value=np.nan)).any())


def _differences(value: Any, known: list[Any]) -> np.ndarray:
    """How far a value of one hyperparameter is from each known one, in [0, 1], shape (known,)."""
    if not _is_number(value) or not any(map(_is_number, known)):
        return np.array([0.0 if value == other else 1.0 for other in known])
    ordered = np.sort([float(other) for other in known if _is_number(other)])
    ranks = np.linspace(0.0, 1.0, len(ordered))
    own = np.interp(float(value), ordered, ranks)
    theirs = [np.interp(float(other), ordered, ranks) if _is_number(other) else np.nan for other in known]
    return np.nan_to_num(np.abs(own - np.array(theirs)), nan=1.0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _wide(epochs: pd.DataFrame, column: str, trial_ids: pd.Series, max_epochs: int) -> np.ndarray:
    """A column of the epochs, shape (trials, max_epochs), NaN where there is no value."""
    wide = epochs.pivot_table(index="trial_id", columns="epoch", values=column, aggfunc="last", dropna=False)
    return wide.reindex(index=trial_ids, columns=range(1, max_epochs + 1)).to_numpy(dtype=float)


def _continue_values(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Curves of shape (trials, epochs) continued from their lengths by the average gain of the longer ones."""
    gains = np.diff(values, axis=1, prepend=0.0)
    mean_gain = np.array([np.nanmean(column) if np.isfinite(column).any() else 0.0 for column in gains.T])
    result = values.copy()
    worst, best = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
    for row, length in enumerate(lengths.astype(int)):
        if np.isfinite(result[row, length - 1]):
            continued = result[row, length - 1] + np.cumsum(mean_gain[length:])
            result[row, length:] = np.clip(continued, worst, best)
    return result


def _fill_secs(secs: np.ndarray) -> np.ndarray:
    average = np.array([np.nanmean(row) if np.isfinite(row).any() else 0.0 for row in secs])
    return np.where(np.isfinite(secs), secs, average[:, None])


@dataclass(frozen=True)
class TypicalCurves:
    """Invented curves where no run is known: each rises to its own height, most of the way in a third of its epochs.

    Heights are uniform in [0, 1] and follow from the configuration. The curves show how many epochs successive halving
    trains, not what a search will find.
    """

    space: Space
    max_epochs: int
    epoch_secs: float

    def curve(self, config: Mapping[str, Any]) -> Curve:
        """A saturating curve with a little noise, and equal seconds for every epoch."""
        digest = hashlib.sha256(json.dumps(dict(config), sort_keys=True, default=str).encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        epochs = np.arange(1, self.max_epochs + 1)
        pace = self.max_epochs / 6 * rng.uniform(0.5, 2.0)
        values = rng.uniform() * (1 - np.exp(-epochs / pace)) + rng.normal(0, 0.01, self.max_epochs)
        return values, epochs * self.epoch_secs
