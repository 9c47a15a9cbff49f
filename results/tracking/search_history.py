"""What the rows of a search say about the whole of it: when it began, how far it is, its best value. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS
from toprung.trainables.trial.bounds import VIOLATION
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.trial_id import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.results.tables.rows import Row
    from toprung.trainables.trial.objectives import Objective


class BestValue(NamedTuple):
    """The best value of a search, and where it was measured."""

    value: float
    epoch: int
    trial_id: str


@dataclass(frozen=True)
class SearchFacts:
    """A search at one moment, from its tables alone; times are UTC, None before the first row.

    `epochs` counts those of all trials, `outcomes` the ended trials.
    """

    started_at: datetime | None
    last_at: datetime | None
    proposed: int
    epochs: int
    outcomes: Mapping[Outcome, int]
    best: BestValue | None

    @property
    def ended(self) -> int:
        """How many trials have ended."""
        return sum(self.outcomes.values())


class SearchHistory:
    """Takes in rows of the tables, in any order, each once."""

    def __init__(self, objective: Objective | None) -> None:
        self._objective = objective
        self._best_of_trial: dict[str, BestValue] = {}
        self._outcome_of_trial: dict[str, Outcome] = {}
        self._proposed: set[str] = set()
        self._epochs = 0
        self._started_at: datetime | None = None
        self._last_at: datetime | None = None

    def add(self, table: str, row: Row) -> None:
        """Take in one row of a table."""
        trial_id = str(row["trial_id"])
        if table == PROPOSALS:
            self._proposed.add(trial_id)
            self._at(row.get("proposed_at"))
        elif table == EPOCHS:
            self._epochs += 1
            self._at(row.get("reported_at"))
            self._measured(trial_id, row)
        elif table == TRIALS:
            self._outcome_of_trial[trial_id] = Outcome(row["outcome"])
            self._at(row.get("ended_at"))

    def facts(self) -> SearchFacts:
        """What the rows so far say."""
        return SearchFacts(
            started_at=self._started_at,
            last_at=self._last_at,
            proposed=len(self._proposed),
            epochs=self._epochs,
            outcomes=Counter(self._outcome_of_trial.values()),
            best=self._best(),
        )

    def _measured(self, trial_id: str, row: Row) -> None:
        value = row.get(self._objective.metric) if self._objective else None
        if value is None or not math.isfinite(value) or (row.get(VIOLATION) or 0.0) > 0.0:
            return
        measured = BestValue(float(value), int(row["epoch"]), trial_id)
        earlier = self._best_of_trial.get(trial_id)
        if earlier is None or (self._score(measured), -measured.epoch) > (
            self._score(earlier),
            -earlier.epoch,
        ):
            self._best_of_trial[trial_id] = measured

    def _best(self) -> BestValue | None:
        """That of the trials that may win, or still run; of equal ones the leaderboard's first."""
        values = self._best_of_trial.values()
        return max(
            (best for best in values if self._may_win(best.trial_id)), key=self._rank_of_trial, default=None
        )

    def _may_win(self, trial_id: str) -> bool:
        outcome = self._outcome_of_trial.get(trial_id)
        return outcome is None or outcome.may_win

    def _rank_of_trial(self, best: BestValue) -> tuple[float, bool, int]:
        completed = self._outcome_of_trial.get(best.trial_id) is Outcome.COMPLETED
        return self._score(best), completed, -number_of(best.trial_id)

    def _score(self, best: BestValue) -> float:
        assert self._objective is not None
        return self._objective.score(best.value)

    def _at(self, moment: datetime | None) -> None:
        if moment is not None:
            self._started_at = min(moment, self._started_at or moment)
            self._last_at = max(moment, self._last_at or moment)
