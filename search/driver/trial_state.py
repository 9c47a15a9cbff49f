"""The state of trials that have not ended, and of a search that is resumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toprung.search.driver.budgets import BudgetUsage
from toprung.trainables.trial.execution import ExecutionRecord
from toprung.trainables.trial.messages import TrialStart, Worker
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass
class ActiveTrial:
    """What is known of a trial that has not ended."""

    start: TrialStart
    reports: list[EpochReport] = field(default_factory=list)
    costs: ResourceUsage = field(default_factory=ResourceUsage)
    failed_allocation_bytes: int | None = None
    parameter_count: int | None = None
    computed: ExecutionRecord | None = None
    worker: Worker = field(default_factory=Worker)

    @property
    def last_epoch(self) -> int:
        """The newest epoch reported, 0 before the first."""
        return self.reports[-1].epoch if self.reports else 0


@dataclass(frozen=True)
class ResumedState:
    """The state to go on from; empty for a new run."""

    unfinished: list[ActiveTrial] = field(default_factory=list)
    settled: dict[str, Outcome] = field(default_factory=dict)
    started_at: dict[str, datetime] = field(default_factory=dict)
    spent: BudgetUsage = field(default_factory=BudgetUsage)
    sequence: int = 0
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    leader: tuple[str, int, float] | None = None
    gpus: float = 0.0
    """What the last trial to end was given."""
