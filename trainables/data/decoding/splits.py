"""Which image goes to training, validation and test: by its content and a seed, and the same on every machine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.decoding.folds import check_folds, fold_numbers
from toprung.trainables.task.task_type import class_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from toprung.trainables.data.decoding.content_keys import Keys
    from toprung.trainables.data.source_rules.spec import DataSpec

SPLITS = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)
MAX_NAMED = 5  # classes in a message

Labels = NDArray[np.int64]
"""Class numbers (N,), or 0 and 1 for each class (N, classes)."""
Assignment = NDArray[np.int8]
"""For each image (N,) the index into SPLITS of the split it goes to; -1 - index for one that its split leaves out."""


def assign_splits(
    labels: Mapping[str, Labels], classes: Sequence[str], spec: DataSpec, keys_of: Callable[[str], Keys]
) -> dict[str, Assignment]:
    """The split of each image of each split of the source.

    The splits val and test of the source stay as they are. Those that it lacks are drawn from its train (see
    `drawn_splits`). `max_train_images` and `max_val_images` then leave images out. With a `fold` the images of
    train and val that are left are divided anew (see `fold_numbers`).

    Args:
        labels: Split of the source -> the labels of its images.
        classes: The class names.
        spec: Gives the shares to draw, the limits and the fold.
        keys_of: Split of the source -> the keys of its images; asked where a split is drawn, bounded or divided.

    Raises:
        InputError: A class has too few images to be in every split that is drawn, or a split is empty.
    """
    problems = split_problems(labels, classes, spec)
    if problems:
        raise InputError(problems)
    drawn = _drawn_shares(labels, spec)
    assignments = {
        name: np.full(len(split_labels), SPLITS.index(name), np.int8) for name, split_labels in labels.items()
    }
    if drawn:
        assignments["train"] = drawn_splits(labels["train"], keys_of("train")[:, 0], drawn)
    _bound(assignments, labels, spec, keys_of)
    if spec.fold is not None:
        _validate_fold(assignments, labels, classes, spec, keys_of)
    return assignments


def split_problems(labels: Mapping[str, Labels], classes: Sequence[str], spec: DataSpec) -> list[Problem]:
    """What keeps images with these labels from being divided, as far as labels tell."""
    empty = [
        Problem("data.path", f"no {name} images", "at least one, or no such split")
        for name, split_labels in labels.items()
        if name != "train" and not len(split_labels)
    ]
    return [*_train_problems(labels["train"], classes, ["train", *_drawn_shares(labels, spec)]), *empty]


def _drawn_shares(labels: Mapping[str, Labels], spec: DataSpec) -> dict[str, float]:
    """Split that is drawn -> its share of the images."""
    shares = {"val": spec.val_fraction, "test": spec.test_fraction}
    return {name: share for name, share in shares.items() if name not in labels and share > 0}


def drawn_splits(labels: Labels, positions: NDArray[np.float64], shares: Mapping[str, float]) -> Assignment:
    """Draw splits: the lowest positions are the test set, the highest the validation set, those between train.

    The split of an image depends on its own position alone, so that another image that is added moves none, and another
    share of one split moves none of the other. Each class has its share of every split but for chance. There is one
    exception: a class without an image in a split gets the one that is nearest to it.

    Args:
        labels: The labels of the images to split.
        positions: Uniform in [0, 1), (N,).
        shares: Split, without train -> its share of the images, in (0, 1).
    """
    low, high = shares.get("test", 0.0), 1.0 - shares.get("val", 0.0)
    assignment = np.full(len(labels), TRAIN, np.int8)
    assignment[positions < low] = TEST
    assignment[positions >= high] = VAL
    distances = {"train": np.maximum(low - positions, positions - high), "test": positions, "val": -positions}
    _fill_empty(assignment, labels, {name: distances[name] for name in ("train", *shares)})
    return assignment


def left_out_counts(assignments: Iterable[Assignment]) -> dict[str, int]:
    """Split -> the number of images that it leaves out, for the splits that leave out any."""
    counts = dict.fromkeys(SPLITS, 0)
    for assignment in assignments:
        for index, name in enumerate(SPLITS):
            counts[name] += int((assignment == -1 - index).sum())
    return {name: count for name, count in counts.items() if count}


def _fill_empty(assignment: Assignment, labels: Labels, distances: Mapping[str, NDArray[np.float64]]) -> None:
    """Move the nearest image to each split that has none of a class, if that leaves no class of it without any."""
    rows_of = _rows_of_classes(labels)
    counts = np.array([np.bincount(assignment[rows], minlength=len(SPLITS)) for rows in rows_of])
    for name, distance in distances.items():
        split = SPLITS.index(name)
        for number in np.flatnonzero(counts[:, split] == 0).tolist():
            rows = rows_of[number]
            for row in rows[np.argsort(distance[rows], kind="stable")].tolist():
                own = [labels[row]] if labels.ndim == 1 else np.flatnonzero(labels[row])
                if (counts[own, assignment[row]] > 1).all():
                    counts[own, assignment[row]] -= 1
                    counts[own, split] += 1
                    assignment[row] = split
                    break


def _rows_of_classes(labels: Labels) -> list[NDArray[np.int64]]:
    """The rows of the images of each class."""
    if labels.ndim == 2:
        return [np.flatnonzero(column) for column in labels.T]
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels))[:-1])


def _filled(labels: Labels) -> list[NDArray[np.int64]]:
    """The rows of the images of each class that has any."""
    return [rows for rows in _rows_of_classes(labels) if len(rows)]


def _bound(
    assignments: Mapping[str, Assignment],
    labels: Mapping[str, Labels],
    spec: DataSpec,
    keys_of: Callable[[str], Keys],
) -> None:
    """Leave out images of train and val beyond their limits; without a limit val keeps the share that train does."""
    val_home = "val" if "val" in labels else "train"
    train = np.flatnonzero(assignments["train"] == TRAIN)
    val = np.flatnonzero(assignments[val_home] == VAL)
    limits = {"train": spec.max_train_images, "val": spec.max_val_images}
    if limits["train"] and limits["val"] is None:
        share = min(1.0, limits["train"] / len(train))
        limits["val"] = max(math.ceil(len(val) * share), len(_filled(labels[val_home][val])))
    for name, home, rows in (("train", "train", train), ("val", val_home, val)):
        limit = limits[name]
        if limit is None or len(rows) <= limit:
            continue
        kept = _sample(labels[home][rows], keys_of(home)[rows, 1], limit, f"data.max_{name}_images")
        assignments[home][np.setdiff1d(rows, rows[kept])] = -1 - SPLITS.index(name)


def _validate_fold(
    assignments: Mapping[str, Assignment],
    labels: Mapping[str, Labels],
    classes: Sequence[str],
    spec: DataSpec,
    keys_of: Callable[[str], Keys],
) -> None:
    """Make one fold of train and val the validation set, and train on the others.

    Raises:
        InputError: There are too few images.
    """
    kept = {home: np.flatnonzero(np.isin(chosen, (TRAIN, VAL))) for home, chosen in assignments.items()}
    homes = [home for home, rows in kept.items() if len(rows)]
    pooled = np.concatenate([labels[home][kept[home]] for home in homes])
    counts = dict(zip(classes, class_counts(pooled, len(classes)), strict=True))
    check_folds(len(pooled), counts, spec.folds)
    ranks = np.concatenate([keys_of(home)[kept[home], 1] for home in homes])
    target = np.where(fold_numbers(pooled, ranks, spec.folds) == spec.fold, VAL, TRAIN)
    ends = np.cumsum([len(kept[home]) for home in homes])[:-1]
    for home, divided in zip(homes, np.split(target, ends), strict=True):
        assignments[home][kept[home]] = divided


def _sample(labels: Labels, ranks: NDArray[np.float64], size: int, key: str) -> NDArray[np.int64]:
    """The rows of a sample of `size`: every class keeps its share, and one image at least; the lowest ranks are taken.

    Raises:
        InputError: At `key`: there are more classes than images may remain.
    """
    rows_of = _filled(labels)
    if size < len(rows_of):
        raise InputError.single(key, str(size), f"{len(rows_of)} or more: one image for each class")
    ranked = [rows[np.argsort(ranks[rows], kind="stable")] for rows in rows_of]
    if labels.ndim == 1:
        counts = _apportioned(np.array([len(rows) for rows in ranked]), size)
        return np.concatenate([rows[:count] for rows, count in zip(ranked, counts.tolist(), strict=True)])
    one_of_each = [int(rows[0]) for rows in ranked]
    return np.array(list(dict.fromkeys([*one_of_each, *np.argsort(ranks, kind="stable").tolist()]))[:size])


def _apportioned(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """How many images of each class a sample of `size` takes: its share, at least one.

    Largest remainders are rounded up. What this minimum adds too much goes from the classes that keep most of their
    images. Ties go to the lower class number.
    """
    taken: NDArray[np.int64] = np.maximum(1, counts * size // counts.sum())
    while taken.sum() < size:
        taken[np.argmax(counts * size - taken * counts.sum())] += 1
    while taken.sum() > size:
        taken[np.argmax(np.where(taken > 1, taken / counts, 0.0))] -= 1
    return taken


def _train_problems(labels: Labels, classes: Sequence[str], splits: Sequence[str]) -> list[Problem]:
    """What keeps these training images from being divided into `splits`."""
    if not len(labels):
        return [Problem("data.path", "no training images", f"at least {len(splits)} for each class")]
    if len(classes) < 2:
        return [Problem("data.path", f"1 class ({classes[0]})", "at least 2 classes to tell apart")]
    if len(labels) < len(classes):
        given = f"{len(labels)} images for {len(classes)} classes"
        return [Problem("data.path", given, f"at least {len(splits)} images for each class")]
    counts = class_counts(labels, len(classes))
    allowed = f"at least {len(splits)}, one each for {', '.join(splits)}: add images, or take the class out"
    if "test" in splits and min(counts) >= len(splits) - 1:
        allowed += ", or draw no test images (data.splits: {test: 0})"
    small = [number for number, count in enumerate(counts) if count < len(splits)]
    given_each = [
        f"class {classes[number]!r} has {counts[number]} image{'s' * (counts[number] != 1)}"
        for number in small[:MAX_NAMED]
    ]
    if len(small) > MAX_NAMED:
        given_each.append(f"{len(small) - MAX_NAMED} more classes have too few images")
    return [Problem("data.path", given, allowed) for given in given_each]
