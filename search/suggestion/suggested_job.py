"""A job file, with comments, that suits a set of images: size, space, metric and budgets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from toprung.search.preparation.retrain_hours import retrain_hours
from toprung.search.suggestion.usual_space import MANY, TRANSFER, usual_space
from toprung.trainables.task.task_type import MULTILABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.suggestion.image_survey import ImageSurvey

SIDES = (32, 48, 64, 96, 128)  # pixels; more detail seldom pays for its time in a first search
MIN_SIDE = 16  # a network has nothing to pool in less
MAX_OWN_SIDE = 128  # images that are all of one size keep it up to here
FEW = 400  # images, of which validation on a seventh tells configurations apart by points at best
UNEVEN = 2.0  # classes that differ in size by this factor
COMMENT_COLUMN = 44
SPLIT_WORDS = {"val": "validation", "test": "test"}


def suggested_job(survey: ImageSurvey, name: str, file: str) -> str:
    """The text of a job file.

    Args:
        survey: The images.
        name: The job's name.
        file: How the user names the file.
    """
    sections = {
        f"name: {name}": (),
        "data:": _data(survey),
        "space:": _space(survey),
        "search:": _search(survey),
        "retrain:": _retrain(survey),
    }
    lines = [f"# {line}" for line in _head(survey, name, file)]
    for head, body in sections.items():
        lines += [head, *(f"  {line}" for line in body)]
    return "\n".join(lines) + "\n"


def job_name(path: str) -> str:
    """A job's name made of the name of a folder, file or URI."""
    last = re.split(r"[/\\]", path.partition("?")[0].rstrip("/\\"))[-1]
    stem = re.sub(r"\.(parquet|parq|pq|npz)$", "", last, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:100] or "images"


def space_name(survey: ImageSurvey) -> str:
    """The space that suits the images."""
    return usual_space(survey.images, min(survey.median_size))


def image_size(survey: ImageSurvey) -> int | tuple[int, int]:
    """The side in pixels, or height and width, that images are to be resized to."""
    height, width = survey.median_size
    if survey.is_uniform and min(height, width) >= MIN_SIDE and max(height, width) <= MAX_OWN_SIDE:
        return height if height == width else (height, width)
    side = max((side for side in SIDES if side <= min(height, width)), default=MIN_SIDE)
    return side if space_name(survey) == TRANSFER else min(side, 64)


def _head(survey: ImageSurvey, name: str, file: str) -> Iterator[str]:
    height, width = survey.median_size
    size = (
        f"{height}x{width} pixels" if survey.is_uniform else f"of many sizes, {height}x{width} in the middle"
    )
    colour = "grey" if survey.is_grey else "colour"
    yield f"{survey.images:,} images in {len(survey.classes)} classes, {size} (height x width), {colour}."
    yield f"Next: toprung check {file}, then toprung search {file} and toprung retrain runs/{name}"


def _data(survey: ImageSurvey) -> Iterator[str]:
    yield f"path: {_scalar(survey.path)}"
    size = image_size(survey)
    text = str(size) if isinstance(size, int) else f"[{size[0]}, {size[1]}]"
    is_own = survey.is_uniform and size in (survey.median_size, survey.median_size[0])
    more = (
        "the size that all images have"
        if is_own
        else "pixels that images are resized to; more show more detail, slower"
    )
    yield _line(f"image_size: {text}", more)
    if not survey.is_uniform:
        yield _line("fit: crop", "the middle of each image; pad keeps all of it, stretch distorts it")
    if survey.is_grey:
        yield _line("channels: 1", "grey")
    drawn = [split for split in ("val", "test") if split not in survey.splits]
    if drawn:
        shares = ", ".join(f"{split}: 0.15" for split in drawn)
        words = " and ".join(SPLIT_WORDS[split] for split in drawn)
        yield _line(
            f"splits: {{{shares}}}", f"shares drawn for {words}; test images are read by retrain alone"
        )
    if survey.images < FEW:
        yield _line("# folds: 5", "for so few images: `retrain` cross-validates the best trials first")


def _space(survey: ImageSurvey) -> Iterator[str]:
    name = space_name(survey)
    if name == TRANSFER:
        yield _line(f"name: {name}", "pretrained networks, fine-tuned: the usual choice for photographs")
        yield "ranges:"
        yield _line("  backbone: [MobileNetV2, EfficientNetV2B0]", "small ones first; ResNet50 is another")
    else:
        yield _line(f"name: {name}", "networks trained from scratch: the usual choice for small images")
    yield "fixed:"
    yield _line("  flip: true", "false where left and right differ, as in text and digits")
    if _is_uneven(survey):
        yield _line("  class_balance: 1", "rare classes weigh as much as common ones")
    if name == TRANSFER:
        yield _line("  weights: imagenet", "Keras downloads them once. Without a network give a file, as in")
        yield "  # weights: mobilenet_v2.weights.h5, and the network that it is of, in place of the range above,"
        yield "  # as in backbone: MobileNetV2 (and alpha: 0.35 where it is a narrow one)"


def _search(survey: ImageSurvey) -> Iterator[str]:
    if space_name(survey) == TRANSFER:
        yield _line("max_epochs: 9", "of a whole training; weak ones are stopped at rungs before")
    yield _metric(survey)
    minutes = search_minutes(survey)
    yield _line(
        f"budgets: {{wall_clock_hours: {minutes / 60:g}}}",
        f"{minutes} minutes; `trials: 32` beside it would end the search earlier",
    )


def _retrain(survey: ImageSurvey) -> Iterator[str]:
    if hours := retrain_hours(search_minutes(survey) / 60, space_name(survey)):
        told = f"{60 * hours:.0f} minutes, in which the winner trains for as many epochs as fit"
        yield _line(f"hours: {hours:.2f}", told)
    yield _line(
        "confirm: 0", "3 trains the best three with three new seeds each; their means pick the winner"
    )


def search_minutes(survey: ImageSurvey) -> int:
    """The minutes of a first search."""
    return 120 if survey.images >= MANY else 30


def _metric(survey: ImageSurvey) -> str:
    if survey.task_type == MULTILABEL:
        return _line("metric: val_macro_f1", "the mean F1 of the classes: an image may have several")
    if _is_uneven(survey):
        largest, smallest = max(survey.class_counts), min(survey.class_counts)
        reason = f"every class counts alike: they have {smallest:,} to {largest:,} images"
        return _line("metric: val_balanced_accuracy", reason)
    return _line("metric: val_accuracy", "the classes are of similar size")


def _is_uneven(survey: ImageSurvey) -> bool:
    return max(survey.class_counts) >= UNEVEN * min(survey.class_counts)


def _scalar(text: str) -> str:
    """A text as YAML, quoted where it has to be."""
    dumped: str = yaml.safe_dump(text, width=10_000, allow_unicode=True)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _line(setting: str, comment: str) -> str:
    return f"{setting.ljust(COMMENT_COLUMN)} # {comment}"
