"""Learning curves without training: what the simulator runs trials on, and one made from a finished run's tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from toprung.results.tables.rows import configs_of
from toprung.spaces.families.registry import Space

if TYPE_CHECKING:
    import pandas as pd

    from toprung.search.strategy.sampling.points import Space

Curve = tuple[np.ndarray, np.ndarray]


class Blackbox(Protocol):
    """A task whose learning curves are known beforehand."""

    @property
    def max_epochs(self) -> int:
        """Length of every curve."""
        ...

    def space(self, trial: Any) -> Mapping[str, Any]:
        """Draw a configuration, as an Optuna define-by-run function."""
        ...

    def curve(self, config: Mapping[str, Any]) -> Curve:
        """(values, elapsed_secs): float arrays of shape (max_epochs,), the seconds cumulative; NaN is a divergence."""
        ...


@dataclass(frozen=True)
class TableBlackbox:
    """The tables of a finished run as a blackbox: a configuration behaves as its nearest neighbour did.

    Distance is the sum over hyperparameters of the difference in rank among the run's values (numbers) or of 0 or 1
    (anything else, and where only one of the two has the parameter). A neighbour that was stopped early goes on by the
    average gain and the average seconds of the trials that went further, within the values the run has seen. A
    neighbour that diverged stays NaN.
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
        """Read the `epochs` frame (trial_id, epoch, metric, epoch_secs) and the `trials` frame (trial_id, config/...,
        extra).

        Curves are cut or continued to `max_epochs`, by default to the longest. Raises ValueError when no trial has an
        epoch, or none a finite value of the metric.
        """
        known = trials[trials["trial_id"].isin(set(epochs["trial_id"]))]
        if known.empty:
            raise ValueError("the tables hold no epoch of any trial: there is nothing to simulate from")
        if (
            metric not in epochs
            or not np.isfinite(epochs[metric].to_numpy(dtype=float, na_value=np.nan)).any()
        ):
            raise ValueError(f"the tables hold no value of {metric}")
        max_epochs = max_epochs or int(epochs["epoch"].max())
        values = _wide(epochs, metric, known["trial_id"], max_epochs)
        secs = _wide(epochs, "epoch_secs", known["trial_id"], max_epochs)
        lengths = epochs.groupby("trial_id")["epoch"].max().reindex(known["trial_id"]).to_numpy()
        lengths = np.minimum(lengths, max_epochs)
        by_trial = configs_of(known)
        configs = tuple(by_trial[str(trial_id)] for trial_id in known["trial_id"])
        return cls(
            space, max_epochs, configs, _continued(values, lengths), np.cumsum(_continued_secs(secs), axis=1)
        )

    def curve(self, config: Mapping[str, Any]) -> Curve:
        """The curve of the nearest configuration of the run."""
        nearest = int(np.argmin(self._distances(config)))
        return self.values[nearest], self.elapsed_secs[nearest]

    def _distances(self, config: Mapping[str, Any]) -> np.ndarray:
        distances = np.zeros(len(self.configs))
        for name in sorted({*config, *(name for known in self.configs for name in known)}):
            distances += _differences(config.get(name), [known.get(name) for known in self.configs])
        return distances


def _differences(value: Any, known: list[Any]) -> np.ndarray:
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
    wide = epochs.pivot_table(index="trial_id", columns="epoch", values=column, aggfunc="last", dropna=False)
    return wide.reindex(index=trial_ids, columns=range(1, max_epochs + 1)).to_numpy(dtype=float)


def _continued(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    gains = np.diff(values, axis=1, prepend=0.0)
    mean_gain = np.array([np.nanmean(column) if np.isfinite(column).any() else 0.0 for column in gains.T])
    result = values.copy()
    worst, best = np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)
    for row, length in enumerate(lengths.astype(int)):
        if np.isfinite(result[row, length - 1]):
            going_on = result[row, length - 1] + np.cumsum(mean_gain[length:])
            result[row, length:] = np.clip(going_on, worst, best)
    return result


def _continued_secs(secs: np.ndarray) -> np.ndarray:
    own = np.array([np.nanmean(row) if np.isfinite(row).any() else 0.0 for row in secs])
    return np.where(np.isfinite(secs), secs, own[:, None])


@dataclass(frozen=True)
class TypicalCurves:
    """Made-up curves where no run is known: each rises to its own height, most of the way in a third of its epochs.

    Heights are uniform in [0, 1] and fixed by the configuration. They say how much of a search halving leaves to
    train, not what will be found.
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
