"""Two trainings of one configuration compared epoch by epoch, to the last bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from toprung.trainables.trial.report import EpochReport

TIMED = frozenset(["images_per_sec", "latency_ms"])
"""Metrics that measure the machine and not the model."""


@dataclass(frozen=True)
class MetricDifference:
    """A metric of one epoch that is not the same; `again` is None where it was not measured a second time."""

    epoch: int
    metric: str
    recorded: float
    again: float | None

    @property
    def size(self) -> float:
        """The absolute difference; NaN where one of the two is not a number."""
        return math.nan if self.again is None else abs(self.again - self.recorded)

    def __str__(self) -> str:
        again = "not measured" if self.again is None else f"{self.again:.9g}"
        return f"{self.metric} {again} (in the search {self.recorded:.9g})"


@dataclass(frozen=True)
class Comparison:
    """What is not the same.

    Attributes:
        epochs: How many epochs both have.
        metrics: The metrics that were compared.
        differences: All metrics that differ, by epoch and name.
        outcome: How the second training ended otherwise than the first, in words; "" where it did not.
    """

    epochs: int
    metrics: tuple[str, ...]
    differences: tuple[MetricDifference, ...]
    outcome: str = ""

    @property
    def is_same(self) -> bool:
        """Whether the training came out the same."""
        return not (self.differences or self.outcome)

    @property
    def first(self) -> tuple[MetricDifference, ...]:
        """The differences in the first epoch that has any."""
        return tuple(each for each in self.differences if each.epoch == self.differences[0].epoch)

    def largest(self, metric: str) -> MetricDifference | None:
        """The largest difference of a metric over all epochs; None without any."""
        found = [each for each in self.differences if each.metric == metric and not math.isnan(each.size)]
        return max(found, key=lambda each: each.size, default=None)


def compare(recorded: Sequence[EpochReport], again: Sequence[EpochReport], outcome: str = "") -> Comparison:
    """Compare the epochs that both trainings have, in every metric that the first has.

    Args:
        recorded: The epochs of the first training.
        again: Those of the second; one that it lacks is told by `outcome`.
        outcome: As in `Comparison`.
    """
    second = {report.epoch: report.metrics for report in again}
    shared = [report for report in recorded if report.epoch in second]
    found = [each for report in shared for each in _differences(report, second[report.epoch])]
    metrics = sorted({name for report in shared for name in report.metrics} - TIMED)
    return Comparison(len(shared), tuple(metrics), tuple(found), outcome)


def _differences(report: EpochReport, again: Mapping[str, float]) -> Iterator[MetricDifference]:
    for name in sorted(report.metrics.keys() - TIMED):
        was, now = report.metrics[name], again.get(name)
        if now is None or not (now == was or (math.isnan(now) and math.isnan(was))):
            yield MetricDifference(report.epoch, name, was, now)
