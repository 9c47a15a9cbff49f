"""`toprung rerun`: train a row of a run's table again, from the row alone, and compare what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.search.rerun.comparison import compare
from toprung.search.rerun.environment import Environment
from toprung.search.rerun.recorded_trial import UNFINISHED, RecordedTrial
from toprung.search.rerun.repetition import Repetition
from toprung.search.rerun.row_plan import code_of, execution_of, images_of, kept_version, row_plan
from toprung.search.runs.allowed_changes import check_rerun_overrides
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.trial_id import number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from toprung.search.rerun.comparison import Comparison
    from toprung.search.runs.run_folder import RunFolder
    from toprung.trainables.trial.messages import EpochResult
    from toprung.trainables.trial.report import EpochReport


@dataclass(frozen=True)
class Rerun:
    """A trial that was trained again.

    Attributes:
        recorded: The trial as the tables have it.
        comparison: What came out otherwise.
        environment: Where and how it was computed now.
        failure: Why the second training failed; "" where it did not.
        code: Which version of the user's code was trained, where it is not the one that is there now; else "".
    """

    recorded: RecordedTrial
    comparison: Comparison
    environment: Environment
    failure: str = ""
    code: str = ""

    @property
    def surroundings(self) -> tuple[str, ...]:
        """What of the environment is otherwise than in the search."""
        return tuple(Environment.recorded(self.recorded.row).differences(self.environment))


def rerun_trial(
    folder: RunFolder,
    trial_id: str,
    overrides: Sequence[str] = (),
    address: str | None = None,
    on_epoch: Callable[[RecordedTrial, EpochReport], None] | None = None,
) -> Rerun:
    """Train a trial of a run again; nothing in the run is changed.

    Configuration, seed, number of epochs, precision and version of the user's code are those of the row; splits and
    length of the schedules those of the run's job, which no continuation may change.

    Args:
        folder: The run.
        trial_id: A trial that has ended.
        overrides: `data.path=...`, where the images have moved.
        address: The Ray cluster that trains, see `Repetition.carried_out`; None trains in this process.
        on_epoch: Called after each epoch.

    Raises:
        InputError: There is no such trial, or its images or its code are not there any more.
        ClusterUnreachableError, SearchFailedError: See `Repetition.carried_out`.
    """
    check_rerun_overrides(overrides)
    job = folder.job().overridden(overrides)
    recorded = RecordedTrial.read(folder, trial_id)
    code = code_of(folder, job, recorded)
    dataset = images_of(job, recorded)
    start = TrialStart(trial_id, number_of(trial_id), recorded.seed, dict(recorded.config))
    plan = row_plan(job, recorded, code, dataset)
    work = Repetition(plan, start, execution_of(recorded, dataset.counts["train"]), recorded.epochs)
    results: list[EpochResult] = []
    for message in work.carried_out(address, 60 * job.resources.wait_minutes):
        if isinstance(message, Environment):
            now = message
            continue
        results.append(message)
        if on_epoch and message.report and not message.failure:
            on_epoch(recorded, message.report)
    last = results[-1]
    reports = [report for each in results for report in (*each.history, each.report) if report is not None]
    outcome = _ended_otherwise(recorded, last, reports)
    failure = last.reason or last.error.strip().rpartition("\n")[2]
    compared = compare(recorded.reports, reports, outcome)
    return Rerun(recorded, compared, now, failure if last.failure else "", kept_version(folder, job, code))


def _ended_otherwise(recorded: RecordedTrial, last: EpochResult, reports: Sequence[EpochReport]) -> str:
    """How the second training ended otherwise than the first, in words; "" where it did not."""
    epoch = reports[-1].epoch if reports else 0
    now = last.failure or (Outcome.DIVERGED if reports and not reports[-1].is_finite else None)
    before = recorded.outcome if recorded.outcome in (*UNFINISHED, Outcome.DIVERGED) else None
    last_recorded = recorded.reports[-1].epoch if recorded.reports else 0
    if (now, epoch) == (before, last_recorded):
        return ""
    return f"{now or 'trained on'} after epoch {epoch} (in the search {recorded.outcome} after epoch {last_recorded})"
