"""Trials of earlier runs as evidence for a new one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from toprung.search.strategy.early_stopping.asha import SuccessiveHalving
from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Point, Space
from toprung.search.strategy.sampling.samplers import locate_in_space
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport, Outcome


@dataclass(frozen=True)
class TrialRecord:
    """A trial as the tables know it; the outcome is None while it was still running.

    `suggested` are the parameters that its configuration does not hold under their name.
    """

    trial_id: str
    config: Mapping[str, object]
    outcome: Outcome | None
    suggested: Mapping[str, object] = field(default_factory=dict)


class WarmStart:
    """What earlier runs, of the same or a changed space, found at the rungs of this one.

    Their trials have negative numbers: -1, -2, ... in the order they were added.
    """

    def __init__(self, space: Space, ladder: SuccessiveHalving, objectives: Objectives) -> None:
        self._space = space
        self._ladder = ladder
        self._objectives = objectives
        self.points: dict[int, Point] = {}

    @property
    def rungs(self) -> list[Rung]:
        """The rungs that have results, lowest first."""
        return [rung for rung in self._ladder.rungs if len(rung)]

    def add(self, reports: Iterable[EpochReport], trials: Iterable[TrialRecord]) -> int:
        """Take in one run; returns how many of its trials this space allows. Non-finite reports are passed over."""
        numbers: dict[str, int] = {}
        for record in trials:
            point = locate_in_space(self._space, record.config, record.suggested)
            if point is not None:
                numbers[record.trial_id] = -1 - len(self.points)
                self.points[numbers[record.trial_id]] = point
        for report in reports:
            known = report.trial_id in numbers and report.metrics.keys() >= set(self._objectives.metrics)
            if known and report.is_finite:
                score = self._objectives.score(report.metrics)
                self._ladder.report(numbers[report.trial_id], report.epoch, score)
        return len(numbers)
