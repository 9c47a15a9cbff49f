"""Rows of the table `rungs` from the decisions of a strategy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from toprung.trainables.trial.trial_id import trial_id

if TYPE_CHECKING:
    from toprung.results.tables.rows import Row
    from toprung.search.strategy.strategy import RungEvent
    from toprung.trainables.trial.objectives import Objectives


def rung_row(event: RungEvent, index: int, objectives: Objectives, decided_at: datetime | None = None) -> Row:
    """The row of a decision, the `index`-th of the run; values in the units of the metric (see `rungs_schema`)."""
    decided = event.decided
    return {
        "trial_id": trial_id(event.number),
        "rung_epoch": decided.rung,
        "epoch": event.epoch,
        "event_index": index,
        "decision": str(decided.decision),
        "value": in_units(decided.score, objectives),
        "threshold": in_units(decided.cutoff, objectives),
        "results": decided.peers,
        "passed": event.passed,
        "next_rank_correlation": event.next_correlation,
        "last_rank_correlation": event.last_correlation,
        "in_use": decided.rung >= event.first_rung,
        "first_rung_epoch": event.first_rung,
        "decided_at": decided_at or datetime.now(UTC),
    }


def in_units(score: float, objectives: Objectives) -> float:
    """A score as a value of the metric; of several objectives, as the number of trials that dominate."""
    return -score if objectives.secondary else objectives.main.value(score)
