"""The metrics that a search optimises: which direction of each is better, and the score of a trial in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from toprung.trainables.trial.bounds import MEASURED_ON_MODEL, Bounds

Mode = Literal["max", "min"]
Score = float | tuple[float, ...]

BETTER: Mapping[str, Mode] = {
    "val_accuracy": "max",
    "val_loss": "min",
    "val_balanced_accuracy": "max",
    "val_macro_f1": "max",
    "val_auc": "max",
    "val_calibration_error": "min",
    "parameter_count": "min",
    "latency_ms": "min",
}
"""Everything that a search can optimise, and the direction of it that is better."""
VALIDATED = tuple(name for name in BETTER if name.startswith("val_"))
"""The metrics of BETTER that are measured on validation images."""


@dataclass(frozen=True)
class Objective:
    """One metric and the direction that is better."""

    metric: str
    mode: Mode

    @classmethod
    def named(cls, metric: str) -> Objective:
        """The objective of a metric in `BETTER`."""
        return cls(metric, BETTER[metric])

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is."""
        return 1.0 if self.mode == "max" else -1.0

    def score(self, value: float) -> float:
        """The value as a score: higher is better."""
        return self.sign * value

    def value(self, score: float) -> float:
        """The value that has this score."""
        return self.sign * score

    def is_better(self, value: float, than: float) -> bool:
        """Whether a value is strictly better than another; False when one is NaN."""
        return self.score(value) > self.score(than)


@dataclass(frozen=True)
class Objectives:
    """The objectives of a search; the first alone picks the winner, of the trials that keep the bounds."""

    all: tuple[Objective, ...]
    bounds: Bounds = field(default_factory=Bounds)

    @classmethod
    def named(cls, metrics: Iterable[str], bounds: Bounds | None = None) -> Objectives:
        """The objectives of metrics by their names, see `Objective.named`."""
        return cls(tuple(map(Objective.named, metrics)), bounds or Bounds())

    @property
    def main(self) -> Objective:
        """The objective that picks the winner."""
        return self.all[0]

    @property
    def secondary(self) -> tuple[Objective, ...]:
        """The objectives beside the main one."""
        return self.all[1:]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The name of each metric."""
        return tuple(objective.metric for objective in self.all)

    @property
    def measured(self) -> tuple[str, ...]:
        """The name of each metric that is an objective or bounded, once."""
        return tuple(dict.fromkeys((*self.metrics, *self.bounds.metrics)))

    @property
    def of_model(self) -> tuple[str, ...]:
        """Those of `measured` that are known before a model is trained."""
        return tuple(name for name in self.measured if name in MEASURED_ON_MODEL)

    @property
    def signs(self) -> tuple[float, ...]:
        """1 for each objective of which more is better, -1 for the others."""
        return tuple(objective.sign for objective in self.all)

    def score(self, metrics: Mapping[str, float]) -> Score:
        """A float for one objective, a tuple for several; higher is better.

        Raises:
            KeyError: A metric is missing.
        """
        scores = tuple(objective.score(metrics[objective.metric]) for objective in self.all)
        return scores[0] if len(scores) == 1 else scores
