"""`toprung check`: what a job will do and cost, before it runs."""

from __future__ import annotations

import math
from textwrap import shorten
from typing import TYPE_CHECKING

from toprung.search.commands.jobs.augmentation_preview import write_preview
from toprung.search.commands.output_path import picture_target
from toprung.search.preparation.job_warnings import NAMED, UNEVEN, job_warnings
from toprung.search.preparation.prepare import PreparedJob, prepare
from toprung.search.preparation.probe_models import probe_models
from toprung.search.preparation.this_machine import shortages_here
from toprung.search.preparation.tracking_address import tracking_notes
from toprung.search.preparation.workload import expected_epochs
from toprung.search.runs.run_folder import RunFolder
from toprung.search.suggestion.usual_space import about_space, about_weights
from toprung.spaces.errors import printable
from toprung.trainables.system.imports import import_keras, silence_native_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from toprung.search.jobs.schema import Job
    from toprung.search.jobs.search_section import SearchSection
    from toprung.trainables.data.dataset import Dataset

REASON_CHARS = 200
EVEN_METRICS = ("val_balanced_accuracy", "val_macro_f1", "val_auc")  # of which every class is an equal part
STATE_COPIES = 3  # weights and the two moments of Adam


def describe_job(job: Job, preview: str | None = None) -> Iterator[str]:
    """The lines that `toprung check` prints.

    Args:
        job: The job.
        preview: The image file for a preview of the augmentation; None for none.

    Raises:
        InputError: Every problem that keeps the job from running.
    """
    if preview is not None:
        picture_target(preview, "--preview")
    folder = RunFolder(job.run_root)
    prepared = prepare(job)
    unreachable = _unreachable_storage(folder, prepared)
    tried = probe_models(prepared, folder)
    yield f"job        {job.name}: the job is valid"
    yield f"run        {folder.root}"
    yield from _about_images(prepared.dataset)
    yield from _about_search(prepared)
    if tried:
        yield f"models     {tried} built, trained on a batch, saved and read back"
    for warning in (*unreachable, *all_warnings(prepared)):
        yield f"note       {warning}"
    if preview is not None:
        with silence_native_stderr():
            import_keras()
            written = write_preview(prepared, preview)
        yield f"preview    {written}"


def _about_images(data: Dataset) -> Iterator[str]:
    height, width, channels = data.image_shape
    shape = f"{height}x{width}x{channels}, {len(data.classes)} classes, {data.task_type}"
    yield f"images     {_counts(data.counts)}; {shape}"
    if data.left_out:
        yield f"left out   {_counts(data.left_out)}, beyond data.max_train_images and data.max_val_images"
    yield f"classes    {_first_names(data.classes)}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in counts.items())


def _about_search(prepared: PreparedJob) -> Iterator[str]:
    job, search, retrain = prepared.job, prepared.job.search, prepared.job.retrain
    yield f"space      {job.space.name}: {len(prepared.kinds)} parameters, {len(job.space.fixed)} fixed"
    for line in about_weights(prepared):
        yield f"weights    {line}"
    rungs = prepared.strategy.rung_epochs
    if search.leaves_epochs_open:
        yield f"rungs      up to the epochs that the budgets pay for; 1 in {search.reduction_factor} survives each"
    else:
        yield f"rungs      epochs {', '.join(map(str, rungs))}; 1 in {search.reduction_factor} survives each"
    if search.is_ended_by_hours:
        yield "epochs     of as many trials as fit into the budgets (search.trials limits them)"
    else:
        epochs = expected_epochs(search.trials, rungs, search.reduction_factor)
        full = search.trials * search.max_epochs
        yield f"epochs     about {epochs:,} for search.trials {search.trials:,} ({full:,} without early stopping)"
    yield f"budgets    {_budgets(job)}"
    if best := min(job.finalists, search.trials):
        folds = job.data.folds
        times = best * (folds or retrain.seeds)
        each = f"by each of {folds} folds" if folds else f"with {retrain.seeds} new seeds each"
        trainings = f"the best {best:,} {each} before one is retrained"
        yield f"confirm    {trainings}: {_epochs_of(times, search)}"
    if retrain.hours:
        yield f"retrain    {retrain.hours:g} hours, for as many epochs as fit"
    if not search.is_ended_by_hours:
        yield f"disk       about {expected_bytes(prepared) / 2**20:,.0f} MiB of checkpoints for each million parameters"


def _unreachable_storage(folder: RunFolder, prepared: PreparedJob) -> list[str]:
    """A warning where the storage of the run does not answer here, since the cluster may still reach it.

    Raises:
        InputError: The run that is there is of another job, or its tables are damaged.
    """
    try:
        folder.check_same(prepared.job, prepared.dataset.fingerprint)
        folder.check_tables()
    except OSError as error:
        reason = shorten(" ".join(str(error).split()), REASON_CHARS)
        return [
            f"{folder.root} does not answer ({reason}): this job was not compared with a run that may be there"
        ]
    holder = folder.holder()
    return [f"{folder.root} is written by {holder}: another search of it is refused"] if holder else []


def _epochs_of(trainings: int, search: SearchSection) -> str:
    if search.leaves_epochs_open:
        return f"{trainings:,} full trainings"
    return f"{trainings * search.max_epochs:,} epochs"


def expected_bytes(prepared: PreparedJob) -> int:
    """Bytes of the checkpoints of the completed trials, for a model of a million float32 parameters."""
    search = prepared.job.search
    cuts = len(prepared.strategy.rung_epochs) - 1
    kept: int = max(1, math.ceil(search.trials / search.reduction_factor**cuts))
    return kept * 1_000_000 * 4 * STATE_COPIES


def _balancing(job: Job) -> Iterator[str]:
    """What gives all classes the same weight, as far as the job leaves it out."""
    if "class_balance" not in {*job.space.fixed, *job.space.ranges}:
        yield "in training by space.fixed.class_balance 1"
    if job.search.metric not in EVEN_METRICS:
        yield "in validation by search.metric val_balanced_accuracy"


def all_warnings(prepared: PreparedJob) -> Iterator[str]:
    """Warnings about settings that are allowed but may surprise."""
    job, data = prepared.job, prepared.dataset
    validation = data.counts["val"]
    error = math.sqrt(0.9 * 0.1 / validation)
    if error > 0.005:
        yield (
            f"{validation} validation images: two trials at 90% differ by chance by up to "
            f"{2 * math.sqrt(2) * error:.1%}"
        )
    sizes = data.class_counts["train"]
    if max(sizes) >= UNEVEN * min(sizes) and (advice := " and ".join(_balancing(job))):
        yield (
            f"the largest class has {max(sizes):,} training images and the smallest {min(sizes):,}: all classes have "
            f"the same weight {advice}"
        )
    yield from about_space(prepared)
    yield from job_warnings(prepared)
    yield from tracking_notes(job)
    yield from shortages_here(job)
    if len(prepared.strategy.rung_epochs) == 1:
        yield f"the only rung is that of epoch {job.search.max_epochs}, the last: nothing is stopped early"
    if job.search.trials < job.search.reduction_factor**2:
        yield f"search.trials {job.search.trials} is small for a reduction factor of {job.search.reduction_factor}"


def _first_names(classes: Sequence[str]) -> str:
    more = len(classes) - NAMED
    return ", ".join(map(printable, classes[:NAMED])) + (f" and {more:,} more" if more > 0 else "")


def _budgets(job: Job) -> str:
    given = {name: value for name, value in job.search.budgets.model_dump().items() if value is not None}
    limits = ", ".join(f"{name} {value:g}" for name, value in given.items())
    return limits or "none beside the number of trials"
