"""Whether a search failed, though it ended, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.results.tables.schema import TRIALS
from toprung.search.driver.failed_trials import commonest_reasons
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    import pandas as pd

    from toprung.search.driver.open_run import OpenRun
    from toprung.search.loop.search_loop import SearchLoop


class SearchFailedError(RuntimeError):
    """The search cannot succeed as the job stands: read the reason, mend the job or the model, run it again."""


def failure_of(loop: SearchLoop, run: OpenRun) -> str | None:
    """Why the search failed, where it was given up or every trial of it failed."""
    table = run.folder.path(TRIALS)
    if loop.abort_reason:
        return f"{loop.abort_reason}; see the column `error` of {table}"
    if failed := all_failed_reason(run.trials(), run.job.search.metric):
        return f"{failed}; see the columns `reason` and `error` of {table}"
    return None


def all_failed_reason(trials: pd.DataFrame, metric: str) -> str | None:
    """The commonest reasons if every ended trial failed, else None.

    Args:
        trials: The table `trials` of a run.
        metric: The name of the metric searched for.
    """
    has_failed = [
        _has_failed(Outcome(outcome), has_value)
        for outcome, has_value in zip(trials["outcome"], trials[f"best_{metric}"].notna(), strict=True)
    ]
    if not has_failed or not all(has_failed):
        return None
    again = "once that is mended, the same command with --retry-failed tries them again"
    return f"all {len(trials)} trials failed: {commonest_reasons(trials)}; {again}"


def _has_failed(outcome: Outcome, has_value: bool) -> bool:
    if outcome in (Outcome.PREEMPTED, Outcome.TIMEOUT):
        return not has_value  # with one it may still win
    return not outcome.may_win
