"""What `toprung rerun` prints: each epoch beside the recorded one, and whether the trial came out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.search.rerun.environment import Environment
from toprung.search.rerun.rerun_trial import rerun_trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.search.rerun.recorded_trial import RecordedTrial
    from toprung.search.rerun.rerun_trial import Rerun
    from toprung.search.runs.run_folder import RunFolder
    from toprung.trainables.trial.report import EpochReport


class NotRepeatedError(RuntimeError):
    """A trial that was trained again came out otherwise."""


def rerun_and_show(
    folder: RunFolder, trial_id: str, overrides: Sequence[str], address: str | None = None
) -> None:
    """Train a trial again and print how it compares.

    Raises:
        InputError, ClusterUnreachableError, SearchFailedError: See `rerun_trial`.
        NotRepeatedError: It did not come out the same.
    """
    metric = folder.job().search.metric

    def show(recorded: RecordedTrial, report: EpochReport) -> None:
        before = {each.epoch: each.metrics.get(metric) for each in recorded.reports}.get(report.epoch)
        value = report.metrics.get(metric)
        beside = (
            ""
            if before is None
            else ", as in the search"
            if before == value
            else f" (in the search {before:.6g})"
        )
        told = "" if value is None else f": {metric} {value:.6g}{beside}"
        print(f"epoch {report.epoch}/{recorded.epochs}{told}", flush=True)

    again = rerun_trial(folder, trial_id, overrides, address, show)
    for line in rerun_lines(again, metric):
        print(line)
    if not again.comparison.is_same:
        raise NotRepeatedError(f"{trial_id} did not come out as in the search")


def rerun_lines(again: Rerun, metric: str) -> Iterator[str]:
    """What to tell of a trial that was trained again."""
    found, name = again.comparison, again.recorded.trial_id
    if found.is_same:
        yield f"same       {name}: {_epochs(found.epochs)} the same to the last digit"
        if found.metrics:
            yield f"           in {', '.join(found.metrics)}"
        if again.failure:
            yield f"           it ended as in the search: {again.recorded.outcome} ({again.failure})"
    if found.outcome:
        reason = f": {again.failure}" if again.failure else ""
        yield f"different  {name} {found.outcome}{reason}"
    if found.differences:
        yield f"different  {name} from epoch {found.first[0].epoch} on: {', '.join(map(str, found.first))}"
        if largest := found.largest(metric):
            yield f"           {metric} differs by {largest.size:.6g} at most, at epoch {largest.epoch}"
    if again.code:
        yield f"note       trained with {again.code}: the file has changed since"
    yield from _surroundings(again)


def _surroundings(again: Rerun) -> Iterator[str]:
    before = Environment.recorded(again.recorded.row)
    if again.surroundings:
        yield f"otherwise  {', '.join(again.surroundings)}"
    elif not again.comparison.is_same and not before.unknown:
        yield "otherwise  nothing that the row records: versions, device, precision, code and images are the same"
    if before.unknown and not again.comparison.is_same:
        yield f"not known  {', '.join(before.unknown)}: the row does not say"
    device = again.environment.facts.get("device")
    if not again.comparison.is_same and device not in (None, "cpu"):
        yield f"note       on {device} a training repeats bit for bit with resources.deterministic: true only"


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count != 1)}"
