"""Brings a tracker up to date with the tables of a search that is over, here and now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from toprung.results.tables.run_lock import RunBusyError, RunLock
from toprung.results.tracking.mirror import DRIVER_GONE, Mirror, TableCursor
from toprung.results.tracking.search_end import SearchEnd
from toprung.results.tracking.tracker_kinds import connected, load

if TYPE_CHECKING:
    from toprung.results.tracking.search_history import SearchFacts
    from toprung.results.tracking.tracking_settings import Tracking
    from toprung.trainables.system.storage import Root


@dataclass(frozen=True)
class SyncReport:
    """What a tracker lacked of a search.

    Attributes:
        runs: Runs of the search, its own included, a retraining's not.
        written: Those of which the tracker lacked something.
        refused: Why the tracker does not take a trial, by trial.
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
    """Write what a tracker lacks of a search that is over; a second call finds nothing to write.

    Raises whatever the tracker and the storage raise; what was written until then stays, and is not repeated.

    Raises:
        RunBusyError: A search writes the run, and a process of its own writes the tracker.
    """
    with RunLock(root):
        load(tracking)
        mirror = Mirror(TableCursor(root), lambda facts: connected(tracking, facts), tracking.objective)
        mirror.sync(everything=True)
        facts = mirror.facts
        end = SearchEnd.read(root)
        if end is None:
            end = _end_by_tables(facts, tracking.search.trials if tracking.search else 0)
            end.write(root)  # a run without rows has no other time of its end that stays
        mirror.end(end)
    return SyncReport(1 + facts.proposed, mirror.written, mirror.refused, end)


def _end_by_tables(facts: SearchFacts, planned_trials: int) -> SearchEnd:
    """The end of a search that recorded none: its driver was killed, unless all of its trials have ended."""
    is_finished = facts.ended == facts.proposed and facts.ended >= planned_trials
    at = facts.last_at or datetime.now(UTC)
    return SearchEnd("FINISHED", at) if is_finished else SearchEnd("KILLED", at, DRIVER_GONE)
