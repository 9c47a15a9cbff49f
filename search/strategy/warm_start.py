"""Trials of earlier runs as evidence for a new one."""

from __future__ import annotations

from collections.abc import Iterable

from toprung.search.strategy.early_stopping.asha import SuccessiveHalving
from toprung.search.strategy.early_stopping.rung import Rung
from toprung.search.strategy.sampling.points import Point, Space
from toprung.search.strategy.sampling.samplers import locate_in_space
from toprung.search.strategy.trials import TrialRecord
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport


class WarmStart:
    """The results of earlier runs, of the same or a changed space, at the rungs of this run.

    Args:
        space: The space of this run.
        halving: Holds the results of the earlier runs, at rungs of its own.
        objectives: Of this run.

    Attributes:
        points: The point of each earlier trial that this space allows, by number: -1, -2, ... as they were added.
    """

    def __init__(self, space: Space, halving: SuccessiveHalving, objectives: Objectives) -> None:
        self._space = space
        self._halving = halving
        self._objectives = objectives
        self.points: dict[int, Point] = {}

    @property
    def rungs(self) -> list[Rung]:
        """The rungs that have results, lowest first."""
        return [rung for rung in self._halving.rungs if len(rung)]

    def add(self, reports: Iterable[EpochReport], trials: Iterable[TrialRecord]) -> int:
        """Take in one run.

        Args:
            reports: In order of arrival; those with a non-finite metric, or without an objective, are ignored.
            trials: Those of a configuration that the space does not allow, and those that failed, are ignored.

        Returns:
            How many of the trials the space allows.
        """
        numbers: dict[str, int] = {}
        for record in trials:
            has_failed = record.outcome is not None and not record.outcome.may_win
            point = None if has_failed else locate_in_space(self._space, record.config, record.suggested)
            if point is not None:
                numbers[record.trial_id] = -1 - len(self.points)
                self.points[numbers[record.trial_id]] = point
        metrics = set(self._objectives.metrics)
        for report in reports:
            is_known = report.trial_id in numbers and report.metrics.keys() >= metrics
            if is_known and report.is_finite:
                score = self._objectives.score(report.metrics)
                self._halving.report(numbers[report.trial_id], report.epoch, score)
        return len(numbers)
