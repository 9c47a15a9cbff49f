"""The trials of a search: what was proposed, where that came from, and how far each has come."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from toprung.search.strategy.bounded_metrics import BoundedMetrics
from toprung.search.strategy.early_stopping.asha import RungDecision
from toprung.search.strategy.sampling.points import Point, config_key
from toprung.trainables.trial.bounds import Bounds
from toprung.trainables.trial.report import EpochReport, Outcome


class ProposalKind(StrEnum):
    """Where a configuration came from.

    FIRST: given by the job or its space; PRIOR: near one of those; RANDOM: a random draw, or one of a sampler that
    ignores results; MODEL: a model of this run's results; WARM_START: a model of earlier runs' results alone; UNKNOWN:
    read from the tables. A promotion is no proposal: it resumes a trial, see `Decision.PROMOTE`.
    """

    FIRST = "first"
    PRIOR = "prior"
    RANDOM = "random"
    MODEL = "model"
    WARM_START = "warm start"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ProposalOrigin:
    """Where a proposal came from.

    Attributes:
        kind: Which source made it.
        reason: The same in one line.
        rung_epoch: The epoch at which the model predicts; None without a model.
        mean: The score that the model predicts there, higher is better; None where no single score is predicted.
        deviation: The standard deviation of that prediction.
    """

    kind: ProposalKind
    reason: str
    rung_epoch: int | None = None
    mean: float | None = None
    deviation: float | None = None


FROM_TABLES = ProposalOrigin(ProposalKind.UNKNOWN, "read from the tables of the run")
"""The origin of a proposal of an earlier driver: the table `proposals` holds the true one."""

FROM_OUTSIDE = ProposalOrigin(ProposalKind.FIRST, "given from outside")
"""The origin of a configuration that the caller chose."""


@dataclass(frozen=True)
class TrialRecord:
    """A trial as the tables of a run hold it.

    Attributes:
        trial_id: Such as t00042.
        config: Its configuration.
        outcome: How it ended; None while it was still running.
        suggested: The parameters that its configuration does not hold under their name.
        reports_before_end: How many reports of all trials had arrived when it ended; None where that is not known.
        ends_before: How many trials had ended when it ended.
        measures: What was measured of its model.
    """

    trial_id: str
    config: Mapping[str, object]
    outcome: Outcome | None
    suggested: Mapping[str, object] = field(default_factory=dict)
    reports_before_end: int | None = None
    ends_before: int = 0
    measures: Mapping[str, float] = field(default_factory=dict)


class Proposal(NamedTuple):
    """A trial to start, or in the promotion variant a paused one to resume under its own id."""

    trial_id: str
    config: dict[str, Any]


class TrialEnd(NamedTuple):
    """How a trial ended, and what was measured of its model."""

    trial_id: str
    outcome: Outcome
    measures: Mapping[str, float] = {}


def in_order(
    reports: Iterable[EpochReport], records: Sequence[TrialRecord]
) -> Iterator[EpochReport | TrialEnd]:
    """The reports, with the end of each trial at its place among them; where that is not known, at the end.

    The place matters: a failure takes the trial out of the rungs, which changes the decisions that follow.
    """
    ends: defaultdict[float, list[TrialEnd]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.ends_before):
        if record.outcome is not None:
            before = math.inf if record.reports_before_end is None else record.reports_before_end
            ends[before].append(TrialEnd(record.trial_id, record.outcome, record.measures))
    for count, report in enumerate(reports):
        yield from ends.pop(count, ())
        yield report
    for before in sorted(ends):
        yield from ends[before]


@dataclass
class TrialState:
    """How far one trial has come; its scores are at the rungs."""

    config: dict[str, Any]
    origin: ProposalOrigin
    epoch: int = -1
    outcome: Outcome | None = None
    last_decision: RungDecision | None = None


class Trials:
    """All trials of a search by number.

    Attributes:
        bounded: What was measured of the bounded metrics.
        points: The points of trials, those of earlier runs under negative numbers; it only grows.
        config_keys: See `config_key`, of every configuration.
        open: The trials that have not ended.
        failed: The trials whose end counts against their configuration, and the epoch at which they ended; so does
            that of one that was stopped before its first epoch.
        epoch_secs: Seconds of an epoch of a trial, the average so far.
        next_number: Of the next proposal.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounded = BoundedMetrics(bounds)
        self.points: dict[int, Point] = {}
        self.config_keys: set[str] = set()
        self.open: set[int] = set()
        self.failed: dict[int, int] = {}
        self.epoch_secs: dict[int, float] = {}
        self.next_number = 0
        self._states: dict[int, TrialState] = {}

    def __getitem__(self, number: int) -> TrialState:
        return self._states[number]

    def add(self, number: int, config: dict[str, Any], point: Point | None, origin: ProposalOrigin) -> None:
        """Take in a proposal; the point is None where the space does not allow the configuration."""
        self._states[number] = TrialState(config, origin)
        if point is not None:
            self.points[number] = point
        self.config_keys.add(config_key(config))
        self.open.add(number)
        self.next_number = max(self.next_number, number + 1)

    def record(self, number: int, report: EpochReport) -> None:
        """Take in the epoch that a trial has reached, and the time it took."""
        self._states[number].epoch = report.epoch
        if report.epoch > 0 and report.elapsed_secs > 0.0:
            self.epoch_secs[number] = report.elapsed_secs / report.epoch

    def end(self, number: int, outcome: Outcome) -> None:
        """Take in how a trial ended."""
        state = self._states[number]
        state.outcome = outcome
        self.open.discard(number)
        # It was too slow for the budget. What breaks a bound is learned apart, see `bounded`.
        is_untrained = (
            outcome is Outcome.STOPPED and state.epoch < 0 and not self.bounded.is_model_beyond(number)
        )
        if outcome.counts_against_config or is_untrained:
            self.failed[number] = state.epoch
