"""`toprung check`: what a job will do, before anything is spent on it."""

from __future__ import annotations

import math
from textwrap import shorten
from typing import TYPE_CHECKING

from toprung.search.commands.augmentation_preview import write_preview
from toprung.search.commands.output_path import picture_target
from toprung.search.preparation.job_warnings import NAMED, UNEVEN, data_warnings, misspelt_parameters
from toprung.search.preparation.prepare import PreparedJob, incompatible_runs, prepare
from toprung.search.preparation.workload import expected_epochs
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.system.imports import silence_native_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.search.jobs.schema import JobSpec

REASON_CHARS = 200
STATE_COPIES = 3  # weights and the two moments of Adam


def describe_job(job: JobSpec, preview: str | None = None) -> Iterator[str]:
    """The lines that `toprung check` prints; raises `InputError` with every problem when the job cannot run.

    `preview` names the image file that augmentation is to be shown in.
    """
    if preview is not None:
        picture_target(preview, "--preview")
    folder = RunFolder(job.run_root)
    folder.check_writable()
    prepared = prepare(job)
    unasked = _unasked(folder, prepared)
    data, search = prepared.dataset, job.search
    counts = ", ".join(f"{count:,} {split}" for split, count in data.counts.items())
    height, width, channels = data.image_shape
    yield f"job        {job.name}: the job is valid"
    yield f"run        {folder.root}"
    yield f"images     {counts}; {height}x{width}x{channels}, {len(data.classes)} classes, {data.task_type}"
    yield f"classes    {_first_of(data.classes)}"
    yield f"space      {job.space.name}: {len(prepared.kinds)} parameters, {len(job.space.fixed)} fixed"
    rungs = prepared.strategy.rung_epochs
    yield f"rungs      epochs {', '.join(map(str, rungs))}; 1 in {search.reduction_factor} survives each"
    epochs = expected_epochs(search.trials, rungs, search.reduction_factor)
    full = search.trials * search.max_epochs
    yield f"epochs     about {epochs:,} for {search.trials:,} trials ({full:,} without early stopping)"
    yield f"budgets    {_budgets(job)}"
    if best := min(job.retrain.confirm, search.trials):
        more = best * job.retrain.seeds * search.max_epochs
        yield (
            f"confirm    the best {best:,} with {job.retrain.seeds} new seeds each before one is retrained: "
            f"{more:,} epochs"
        )
    yield f"disk       about {expected_bytes(prepared) / 2**20:,.0f} MiB of checkpoints for each million parameters"
    for pitfall in (*unasked, *pitfalls(prepared)):
        yield f"note       {pitfall}"
    if preview is not None:
        with silence_native_stderr():
            written = write_preview(prepared, preview)
        yield f"preview    {written}"
    yield "next       toprung search JOB, where JOB is this file"


def _unasked(folder: RunFolder, prepared: PreparedJob) -> list[str]:
    """A line where the store of the run does not answer from here: a cluster may well reach it."""
    try:
        folder.check_same(prepared.job, prepared.dataset.fingerprint)
    except OSError as error:
        reason = shorten(" ".join(str(error).split()), REASON_CHARS)
        return [
            f"{folder.root} does not answer ({reason}): a run that is there was not compared with this job"
        ]
    return []


def expected_bytes(prepared: PreparedJob) -> int:
    """Bytes of checkpoints that stay, for a model of a million float32 parameters: only completed trials keep one."""
    search = prepared.job.search
    cuts = len(prepared.strategy.rung_epochs) - 1
    kept: int = max(1, math.ceil(search.trials / search.reduction_factor**cuts))
    return kept * 1_000_000 * 4 * STATE_COPIES


def pitfalls(prepared: PreparedJob) -> Iterator[str]:
    """What is allowed and may still surprise."""
    job, data = prepared.job, prepared.dataset
    validation = data.counts["val"]
    error = math.sqrt(0.9 * 0.1 / validation)
    if error > 0.005:
        yield (
            f"{validation} validation images: two trials at 90% differ by chance by up to "
            f"{2 * math.sqrt(2) * error:.1%}"
        )
    sizes = data.class_counts["train"]
    if max(sizes) >= UNEVEN * min(sizes):
        yield (
            f"the largest class has {max(sizes):,} training images and the smallest {min(sizes):,}: "
            f"space.fixed.class_balance 1 weighs all classes alike, search.metric val_balanced_accuracy judges so"
        )
    yield from data_warnings(data)
    yield from misspelt_parameters(prepared.kinds)
    yield from incompatible_runs(job, prepared.space)
    if len(prepared.strategy.rung_epochs) == 1:
        yield f"the only rung is that of epoch {job.search.max_epochs}, the last: nothing is stopped early"
    if job.search.trials < job.search.reduction_factor**2:
        yield f"{job.search.trials} trials are few for a reduction factor of {job.search.reduction_factor}"


def _first_of(classes: Sequence[str]) -> str:
    more = len(classes) - NAMED
    return ", ".join(classes[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _budgets(job: JobSpec) -> str:
    given = {name: value for name, value in job.search.budgets.model_dump().items() if value is not None}
    return (
        ", ".join(f"{name} {value:g}" for name, value in given.items()) or "none beside the number of trials"
    )
