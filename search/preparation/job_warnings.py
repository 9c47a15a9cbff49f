"""Warnings about a job that is valid but probably not what its author meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from toprung.trainables.data.dataset import MANIFEST
from toprung.trainables.optimization.recipe import RECIPE_KEYS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from toprung.trainables.data.dataset import Dataset

NAMED = 10  # unreadable images, and classes
UNEVEN = 2.0  # classes that differ in size by this factor are pointed out
NEAR = 0.85  # how alike names are that may be meant for one another; bn_momentum and momentum are not


def data_warnings(data: Dataset) -> Iterator[str]:
    """Images that were left out, by name, and images that stand in two splits; a search tells them too."""
    if data.skipped:
        more = len(data.skipped) - NAMED
        rest = f", and {more:,} more in {data.folder / MANIFEST}" if more > 0 else ""
        yield f"{image_count(len(data.skipped))} unreadable and left out: {', '.join(data.skipped[:NAMED])}{rest}"
    found = data.duplicates_across_splits
    if found.count:
        yield f"{image_count(found.count)} in an earlier split too, such as {found.examples[0]}"


def misspelt_parameters(names: Collection[str]) -> Iterator[str]:
    """Parameters of a space that are nearly called as one of the recipe that it lacks; a search tells them too."""
    for name in sorted({*names} - RECIPE_KEYS):
        for meant in difflib.get_close_matches(name, sorted(RECIPE_KEYS - {*names}), n=1, cutoff=NEAR):
            yield f"{name} is none of the training recipe and is taken to change the network; did you mean {meant}?"


def image_count(count: int) -> str:
    return "1 image is" if count == 1 else f"{count:,} images are"
