"""Warnings about a job that is valid but probably not what its author meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from toprung.search.preparation.prepare import incompatible_runs
from toprung.search.preparation.space_walks import sampled_configs
from toprung.spaces.definition.enumeration import count_configurations
from toprung.spaces.errors import InputError
from toprung.trainables.data.cache.integrity import MANIFEST
from toprung.trainables.data.decoding.folds import check_folds
from toprung.trainables.optimization.recipe import RECIPE_KEYS
from toprung.trainables.trial.trial_id import AS_MANY_AS_FIT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from toprung.search.preparation.prepare import PreparedJob
    from toprung.trainables.data.dataset import Dataset

NAMED = 10  # unreadable images, and classes
UNEVEN = 2.0  # classes that differ in size by this factor are pointed out
MOST_COUNTED = 10_000  # configurations of a space
MISSPELT_RATIO = 0.85  # similarity of names that are taken for one another; bn_momentum and momentum are not


def job_warnings(prepared: PreparedJob) -> Iterator[str]:
    """What a search logs before it starts: of its images, its parameters and its earlier runs."""
    yield from data_warnings(prepared.dataset)
    yield from fold_warnings(prepared.dataset, prepared.job.data.folds)
    yield from misspelt_parameters(prepared.kinds)
    yield from batch_warnings(prepared)
    yield from small_space_warnings(prepared)
    yield from incompatible_runs(prepared.job, prepared.space)


def data_warnings(data: Dataset) -> Iterator[str]:
    """What is not used or is suspicious in the images, one line a kind."""
    yield from data.notes
    if data.skipped:
        more = len(data.skipped) - NAMED
        rest = f", and {more:,} more in {data.folder / MANIFEST}" if more > 0 else ""
        yield f"{image_count(len(data.skipped))} unreadable and left out: {', '.join(data.skipped[:NAMED])}{rest}"
    duplicates = data.duplicates_across_splits
    if duplicates.count:
        yield f"{image_count(duplicates.count)} in an earlier split too, such as {duplicates.examples[0]}"
    yield from _missing_classes(data)
    if not data.counts["test"]:
        yield "there are no test images: a retraining will report no test accuracy"


def fold_warnings(data: Dataset, folds: int) -> Iterator[str]:
    """What keeps a retraining from cutting train and validation into folds."""
    if folds:
        counts = map(sum, zip(data.class_counts["train"], data.class_counts["val"], strict=True))
        images = data.counts["train"] + data.counts["val"]
        try:
            check_folds(images, dict(zip(data.classes, counts, strict=True)), folds)
        except InputError as error:
            yield f"a retraining will be refused: {error}"


def _missing_classes(data: Dataset) -> Iterator[str]:
    """The classes that have no image in a split."""
    meaning = {
        "val": "val_balanced_accuracy, val_macro_f1 and val_auc leave them out",
        "test": "their test accuracy will be null",
    }
    for split, effect in meaning.items():
        counts = zip(data.classes, data.class_counts[split], strict=True)
        names = [name for name, count in counts if not count]
        if names and data.counts[split]:
            more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
            verb = "classes have" if len(names) > 1 else "class has"
            yield f"{len(names):,} {verb} no {split} image ({', '.join(names[:NAMED])}{more}): {effect}"


def misspelt_parameters(names: Collection[str]) -> Iterator[str]:
    """Parameters of a space whose names are close to one of the training recipe that the space lacks."""
    for name in sorted({*names} - RECIPE_KEYS):
        missing = sorted(RECIPE_KEYS - {*names})
        for close in difflib.get_close_matches(name, missing, n=1, cutoff=MISSPELT_RATIO):
            yield f"{name} is none of the training recipe and is taken to change the network; did you mean {close}?"


def batch_warnings(prepared: PreparedJob) -> Iterator[str]:
    """A line where a batch may be larger than the training images."""
    images = prepared.dataset.counts["train"]
    drawn = (config.get("batch_size") for config in sampled_configs(prepared.space))
    largest = max((size for size in drawn if isinstance(size, int)), default=0)
    if largest > images:
        yield (
            f"batch_size goes up to {largest:,}, and there are {images:,} training images: a larger batch holds all of "
            "them, and an epoch is then one step"
        )


def small_space_warnings(prepared: PreparedJob) -> Iterator[str]:
    """A line where the space holds fewer configurations than the search has trials."""
    trials = prepared.job.search.trials
    count = count_configurations(prepared.space, min(trials, MOST_COUNTED))
    if count is not None:
        held = "1 configuration" if count == 1 else f"{count:,} configurations"
        wanted = "" if trials >= AS_MANY_AS_FIT else f", and search.trials is {trials:,}"
        yield f"the space holds {held}{wanted}: the search ends when all of them were tried"


def image_count(count: int) -> str:
    """The count with its verb: 1 image is, 12 images are."""
    return "1 image is" if count == 1 else f"{count:,} images are"
