"""`toprung sync`: what MLflow lacks of a run, written now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from toprung.results.tracking.catch_up import bring_up_to_date
from toprung.search.preparation.prepare import prepared_space
from toprung.search.runs.tracked_search import search_description
from toprung.spaces.errors import InputError
from toprung.trainables.system.uris import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.results.tracking.catch_up import SyncReport
    from toprung.results.tracking.mlflow_runs import SearchDescription, Tracking
    from toprung.search.jobs.schema import Job
    from toprung.search.runs.run_folder import RunFolder


class SyncError(RuntimeError):
    """MLflow did not take all of a run: when it answers, run the same command again, which repeats nothing."""


def sync(folder: RunFolder, overrides: Sequence[str] = ()) -> None:
    """Bring MLflow up to date with a run's tables and print how many runs were written.

    Args:
        folder: The run, of which no search may be running.
        overrides: `a.b=value` texts laid over the run's job, such as another `tracking.uri`.

    Raises:
        InputError: There is no run, or a search writes it.
        SyncError: MLflow does not answer, or does not take something.
    """
    job = folder.job().overridden(overrides)
    if not job.tracking.enabled:
        allowed = "add `--set tracking.enabled=true` to write the run to MLflow all the same"
        raise InputError.single("tracking.enabled", "false in the run's job", allowed)
    tracking = replace(folder.tracking(job), search=_description(job))
    server = mask_secrets(tracking.uri)
    report = _written(tracking, folder, server)
    print(f"{folder.name}: {_in_words(report)}")
    print(f"mlflow     {server}, experiment {tracking.experiment}")
    for trial_id, reason in report.refused.items():
        print(f"refused    {trial_id}: {reason}")
    if report.refused:
        raise SyncError(
            f"MLflow does not take {len(report.refused)} of the trials; the tables have all of them"
        )


def _written(tracking: Tracking, folder: RunFolder, server: str) -> SyncReport:
    try:
        return bring_up_to_date(tracking, folder.root)
    except InputError:
        raise
    except Exception as error:  # whatever MLflow raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SyncError(
            f"MLflow at {server} does not answer ({mask_secrets(reason)[:300]}); the same command goes on"
        ) from error


def _description(job: Job) -> SearchDescription:
    try:
        return search_description(job, prepared_space(job))
    except InputError:  # the model's file is not on this machine
        return search_description(job)


def _in_words(report: SyncReport) -> str:
    runs = f"{report.written} run{'' if report.written == 1 else 's'}"
    rest = report.runs - report.written - len(report.refused)
    because = f", {report.end.reason}" if report.end.reason else ""
    return f"wrote {runs} to MLflow, which had the other {rest} already; the search is {report.end.status}{because}"
