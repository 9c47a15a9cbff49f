"""`toprung sync`: what the trackers lack of a run, written now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.results.tracking.catch_up import bring_up_to_date
from toprung.results.tracking.mirror import one_line
from toprung.results.tracking.tracker_kinds import title_of
from toprung.results.tracking.tracking_settings import MLFLOW
from toprung.search.preparation.job_placement import check_trackers
from toprung.search.preparation.prepare import prepared_space
from toprung.search.runs.tracked_search import search_description
from toprung.spaces.errors import InputError
from toprung.trainables.system.uris import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.results.tracking.catch_up import SyncReport
    from toprung.results.tracking.tracking_settings import SearchDescription, Tracking
    from toprung.search.jobs.schema import Job
    from toprung.search.runs.run_folder import RunFolder


class SyncError(RuntimeError):
    """A tracker did not take all of a run: when it answers, run the same command again, which repeats nothing."""


def sync(folder: RunFolder, overrides: Sequence[str] = ()) -> None:
    """Bring the run's trackers up to date with its tables and print how many runs were written.

    Args:
        folder: The run, of which no search may be running.
        overrides: `a.b=value` texts laid over the run's job, such as another `tracking.uri`.

    Raises:
        InputError: There is no run, a search writes it, it has no tracker, or a tracker's package is not installed.
        SyncError: A tracker does not answer, or does not take something; the others have been written.
    """
    job = folder.job().overridden(overrides)
    if not (job.tracking.enabled or job.tracking.also):
        allowed = "add `--set tracking.enabled=true` to write the run to MLflow all the same"
        raise InputError.single("tracking.enabled", "false in the run's job", allowed)
    check_trackers(job)
    problems = [
        problem
        for tracking in folder.trackings(job, _description(job))
        for problem in _brought_up_to_date(tracking, folder)
    ]
    if problems:
        raise SyncError("; ".join(problems))


def _brought_up_to_date(tracking: Tracking, folder: RunFolder) -> Iterator[str]:
    """Write what one tracker lacks; gives what it did not take."""
    title, place = title_of(tracking), mask_secrets(tracking.uri)
    try:
        report = bring_up_to_date(tracking, folder.root)
    except InputError:
        raise
    except Exception as error:  # whatever the tracker raises
        yield f"{title} at {place} does not answer ({one_line(error)}); the same command writes the rest"
        return
    print(f"{folder.name}: {_in_words(report, title)}")
    project = f", experiment {tracking.experiment}" if tracking.tracker == MLFLOW else ""
    print(f"{tracking.tracker:10} {place}{project}")
    for trial_id, reason in report.refused.items():
        print(f"refused    {trial_id}: {reason}")
    if report.refused:
        yield f"{title} does not take {len(report.refused)} of the trials; the tables have all of them"


def _description(job: Job) -> SearchDescription:
    try:
        return search_description(job, prepared_space(job))
    except InputError:  # the model's file is not on this machine
        return search_description(job)


def _in_words(report: SyncReport, title: str) -> str:
    runs = f"{report.written} run{'' if report.written == 1 else 's'}"
    rest = report.runs - report.written - len(report.refused)
    because = f", {report.end.reason}" if report.end.reason else ""
    return f"wrote {runs} to {title}, which had the other {rest} already; the search is {report.end.status}{because}"
