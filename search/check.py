"""`toprung check`: what a job will do, before anything is spent on it."""

from __future__ import annotations

import difflib
import math
from textwrap import shorten
from typing import TYPE_CHECKING

from search.expected import expected_epochs
from search.prepare import Prepared, prepare, unfit_runs
from search.preview import write_preview
from search.runfolder import RunFolder
from search.target import picture_target
from trainables.data import MANIFEST
from trainables.quiet import quiet_native
from trainables.recipe import RECIPE_KEYS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from search.job import JobSpec
    from trainables.data import Dataset

UNEVEN = 2.0  # classes that differ in size by this factor are pointed out
NEAR = 0.85  # how alike names are that may be meant for one another; bn_momentum and momentum are not
NAMED = 10  # unreadable images, and classes
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
    yield f"images     {counts}; {height}x{width}x{channels}, {len(data.classes)} classes, {data.kind}"
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
        with quiet_native():
            written = write_preview(prepared, preview)
        yield f"preview    {written}"
    yield "next       toprung search JOB, where JOB is this file"


def _unasked(folder: RunFolder, prepared: Prepared) -> list[str]:
    """A line where the store of the run does not answer from here: a cluster may well reach it."""
    try:
        folder.check_same(prepared.job, prepared.dataset.fingerprint)
    except OSError as error:
        reason = shorten(" ".join(str(error).split()), REASON_CHARS)
        return [
            f"{folder.root} does not answer ({reason}): a run that is there was not compared with this job"
        ]
    return []


def expected_bytes(prepared: Prepared) -> int:
    """Bytes of checkpoints that stay, for a model of a million float32 parameters: only completed trials keep one."""
    search = prepared.job.search
    cuts = len(prepared.strategy.rung_epochs) - 1
    kept: int = max(1, math.ceil(search.trials / search.reduction_factor**cuts))
    return kept * 1_000_000 * 4 * STATE_COPIES


def pitfalls(prepared: Prepared) -> Iterator[str]:
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
    yield from flaws(data)
    yield from misspelt(prepared.kinds)
    yield from unfit_runs(job, prepared.space)
    if len(prepared.strategy.rung_epochs) == 1:
        yield f"the only rung is that of epoch {job.search.max_epochs}, the last: nothing is stopped early"
    if job.search.trials < job.search.reduction_factor**2:
        yield f"{job.search.trials} trials are few for a reduction factor of {job.search.reduction_factor}"


def flaws(data: Dataset) -> Iterator[str]:
    """Images that were left out, by name, and images that stand in two splits; a search tells them too."""
    if data.skipped:
        more = len(data.skipped) - NAMED
        rest = f", and {more:,} more in {data.folder / MANIFEST}" if more > 0 else ""
        yield f"{_images(len(data.skipped))} unreadable and left out: {', '.join(data.skipped[:NAMED])}{rest}"
    found = data.duplicates_across_splits
    if found.count:
        yield f"{_images(found.count)} in an earlier split too, such as {found.examples[0]}"


def misspelt(names: Collection[str]) -> Iterator[str]:
    """Parameters of a space that are nearly called as one of the recipe that it lacks; a search tells them too."""
    for name in sorted({*names} - RECIPE_KEYS):
        for meant in difflib.get_close_matches(name, sorted(RECIPE_KEYS - {*names}), n=1, cutoff=NEAR):
            yield f"{name} is none of the training recipe and is taken to change the network; did you mean {meant}?"


def _first_of(classes: Sequence[str]) -> str:
    more = len(classes) - NAMED
    return ", ".join(classes[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _images(count: int) -> str:
    return "1 image is" if count == 1 else f"{count:,} images are"


def _budgets(job: JobSpec) -> str:
    given = {name: value for name, value in job.search.budgets.model_dump().items() if value is not None}
    return (
        ", ".join(f"{name} {value:g}" for name, value in given.items()) or "none beside the number of trials"
    )
