"""The state of a search's trials: those that are active, how one ended, and what an earlier driver left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from toprung.search.loop.budgets import BudgetUsage
from toprung.trainables.trial.bounds import MEASURED_ON_MODEL
from toprung.trainables.trial.execution import ExecutionRecord
from toprung.trainables.trial.messages import TrialStart, Worker
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from toprung.trainables.trial.messages import EpochResult


RungKey = tuple[str, int, int, str]
"""Trial id, epoch of the rung, epoch of the report and the decision."""


class Leader(NamedTuple):
    """The best value of a search, and where it was measured."""

    trial_id: str
    epoch: int
    value: float


@dataclass
class ActiveTrial:
    """What is known of a trial that has not ended.

    `measured_on_model` is what its worker has told of the model that it built. `preemptions` is how often its node died
    under it, `wait_secs` how long it waited for another worker.
    """

    start: TrialStart
    reports: list[EpochReport] = field(default_factory=list)
    resource_usage: ResourceUsage = field(default_factory=ResourceUsage)
    failed_allocation_bytes: int | None = None
    parameter_count: int | None = None
    execution: ExecutionRecord | None = None
    worker: Worker = field(default_factory=Worker)
    measured_on_model: Mapping[str, float] = field(default_factory=dict)
    preemptions: int = 0
    wait_secs: float = 0.0

    @property
    def trial_id(self) -> str:
        """The trial's name."""
        return self.start.trial_id

    @property
    def last_epoch(self) -> int:
        """The newest epoch reported, 0 before the first."""
        return self.reports[-1].epoch if self.reports else 0

    def add_measurements(self, result: EpochResult) -> None:
        """Take in all of a worker's result but its reports: resources add up, of each other fact the newest counts."""
        self.resource_usage += result.resource_usage
        self.failed_allocation_bytes = result.failed_allocation_bytes or self.failed_allocation_bytes
        self.execution = result.execution or self.execution
        self.parameter_count = result.parameter_count or self.parameter_count
        self.measured_on_model = result.model_measures or self.measured_on_model

    @property
    def model_measures(self) -> Mapping[str, float]:
        """What is optimised or bounded of the model itself, as far as it is known."""
        reported = self.reports[-1].metrics if self.reports else {}
        of_model = {name: reported[name] for name in MEASURED_ON_MODEL if name in reported}
        return {**of_model, **self.measured_on_model}


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended.

    `trained_fully` is whether it trained for as long as it was meant to: to the last epoch, or until its patience ran
    out. `error` is the traceback of a failure.
    """

    outcome: Outcome
    reason: str
    error: str = ""
    trained_fully: bool = False


@dataclass(frozen=True)
class ResumedState:
    """What an earlier driver of the run left; empty for a new run.

    `already_decided` names the unfinished trials whose reports had decided their end, and the outcome; `usage` counts
    them as ended. `gpus` is the share of the last trial to end, `workers` how many worker
    processes have ended trials, `preemptions` how often a node died under any trial, `recorded_rungs` are the decisions
    that the table `rungs` holds.
    """

    unfinished: Sequence[ActiveTrial] = ()
    already_decided: Mapping[str, Outcome] = field(default_factory=dict)
    started_at: Mapping[str, datetime] = field(default_factory=dict)
    usage: BudgetUsage = field(default_factory=BudgetUsage)
    next_arrival_index: int = 0
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    leader: Leader | None = None
    gpus: float = 0.0
    workers: int = 0
    preemptions: int = 0
    recorded_rungs: frozenset[RungKey] = frozenset()
