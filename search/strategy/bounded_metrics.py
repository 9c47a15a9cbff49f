"""What was measured of the bounded metrics, by trial: the evidence of who keeps the bounds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.surrogate.feasibility import ENOUGH_VALUES, BoundedValues, on_model_scale
from toprung.trainables.trial.bounds import MEASURED_ON_MODEL, Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

BUILT = 0  # the epoch at which a model is measured


class BoundedMetrics:
    """Values of the bounded metrics, in the order in which they became known.

    Of the model itself there is one value a trial. A validation metric has one at each rung: those of different epochs
    are not compared, and the highest rung that has enough of them tells who will keep the bound.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds, self._of_model = bounds, bounds.of_model.all
        self._values: dict[str, dict[int, Rung]] = {name: {} for name in bounds.metrics}
        self._models_beyond: set[int] = set()

    def add(self, number: int, metrics: Mapping[str, float], rung_epoch: int = BUILT) -> None:
        """Take in what was measured of a trial; of a model, or at a rung, the first measure counts.

        Args:
            number: The trial.
            metrics: Of its model, or of an epoch.
            rung_epoch: The highest rung that it has reached, BUILT before the first.
        """
        if any(one.excess(metrics[one.metric]) for one in self._of_model if one.metric in metrics):
            self._models_beyond.add(number)
        for name in self._values:
            epoch = BUILT if name in MEASURED_ON_MODEL else rung_epoch
            if math.isfinite(metrics.get(name, math.nan)) and (epoch != BUILT or name in MEASURED_ON_MODEL):
                self._add(name, number, epoch, metrics[name])

    def is_model_beyond(self, number: int) -> bool:
        """Whether the trial's model breaks a bound, for which it is not trained."""
        return number in self._models_beyond

    def known(self) -> tuple[BoundedValues, ...]:
        """The values of each metric that the model may learn from."""
        found = ((bound, self._rung(bound.metric)) for bound in self._bounds.all)
        return tuple(BoundedValues(bound, rung) for bound, rung in found if rung is not None)

    def _rung(self, metric: str) -> Rung | None:
        rungs = self._values[metric]
        return next(
            (rungs[epoch] for epoch in sorted(rungs, reverse=True) if len(rungs[epoch]) >= ENOUGH_VALUES),
            None,
        )

    def _add(self, metric: str, number: int, epoch: int, value: float) -> None:
        rung = self._values[metric].setdefault(epoch, Rung(epoch))
        if number not in rung.scores:
            rung.add(number, on_model_scale(metric, value))
