"""Brings MLflow up to date with the tables of a search that is over, here and now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from toprung.results.tables.run_lock import RunBusyError, RunLock
from toprung.results.tracking.mirror import DRIVER_GONE, Mirror, TableCursor
from toprung.results.tracking.search_end import SearchEnd
from toprung.results.tracking.trial_runs import MlflowRuns

if TYPE_CHECKING:
    from toprung.results.tracking.mlflow_runs import Tracking
    from toprung.results.tracking.search_history import SearchFacts
    from toprung.trainables.system.storage import Root


@dataclass(frozen=True)
class SyncReport:
    """What MLflow lacked of a search.

    Attributes:
        runs: Runs of the search, its own included, a retraining's not.
        written: Those of which MLflow lacked something.
        refused: Why MLflow does not take a trial, by trial.
        end: How the search ended.
    """

    runs: int
    written: int
    refused: Mapping[str, str]
    end: SearchEnd


def catch_up(tracking: Tracking, root: Root) -> None:
    """As `bring_up_to_date`; a run that a search still writes is left to it."""
    with suppress(RunBusyError):
        bring_up_to_date(tracking, root)


def bring_up_to_date(tracking: Tracking, root: Root) -> SyncReport:
    """Write what MLflow lacks of a search that is over; a second call finds nothing to write.

    Raises whatever MLflow and the storage raise; what was written until then stays, and is not repeated.

    Raises:
        RunBusyError: A search writes the run, and its own process writes MLflow.
    """
    with RunLock(root):
        mirror = Mirror(TableCursor(root), lambda facts: MlflowRuns(tracking, facts), tracking.objective)
        mirror.sync(everything=True)
        facts = mirror.facts
        end = SearchEnd.read(root) or _end_by_tables(facts, tracking.search.trials if tracking.search else 0)
        mirror.end(end)
    return SyncReport(1 + facts.proposed, mirror.written, mirror.refused, end)


def _end_by_tables(facts: SearchFacts, planned_trials: int) -> SearchEnd:
    """The end of a search that recorded none: its driver was killed, unless all of its trials have ended."""
    is_finished = facts.ended == facts.proposed and facts.ended >= planned_trials
    at = facts.last_at or datetime.now(UTC)
    return SearchEnd("FINISHED", at) if is_finished else SearchEnd("KILLED", at, DRIVER_GONE)
