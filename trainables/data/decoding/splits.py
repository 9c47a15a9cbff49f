"""Which image goes to training, validation and test: stratified, drawn by a seed, and the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.task.task_type import class_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.trainables.data.sources.spec import DataSpec

SPLITS = ("train", "val", "test")
LEFT_OUT = -1
MAX_NAMED = 5  # classes in a message

Labels = NDArray[np.int64]
"""Class numbers (N,), or 0 and 1 for each class (N, classes)."""
Assignment = NDArray[np.int8]
"""For each image (N,) the index into SPLITS of the split it goes to, or LEFT_OUT."""


def assign_splits(
    labels: Mapping[str, Labels], classes: Sequence[str], spec: DataSpec
) -> dict[str, Assignment]:
    """The split of each image of each split of the source.

    The splits val and test of the source stay as they are. Those that it lacks are drawn from its train, class by
    class. `max_train_images` then leaves training images out.

    Args:
        labels: Split of the source -> the labels of its images.
        classes: The class names.
        spec: Gives the shares to draw, the seed and `max_train_images`.

    Raises:
        InputError: A class has too few images to be in every split that is drawn, or a split is empty.
    """
    drawn = [name for name in ("test", "val") if name not in labels]
    problems = [
        *_train_problems(labels["train"], classes, ["train", *reversed(drawn)]),
        *(
            Problem("data.path", f"no {name} images", "at least one, or no such split")
            for name, split_labels in labels.items()
            if name != "train" and not len(split_labels)
        ),
    ]
    if problems:
        raise InputError(problems)
    assignments = {
        name: np.full(len(split_labels), SPLITS.index(name), np.int8) for name, split_labels in labels.items()
    }
    fractions = {"val": spec.val_fraction, "test": spec.test_fraction}
    drawn_fractions = {name: fractions[name] for name in drawn}
    assignments["train"] = stratified_split(labels["train"], drawn_fractions, spec.seed)
    _leave_out(assignments["train"], labels["train"], spec)
    return assignments


def stratified_split(labels: Labels, fractions: Mapping[str, float], seed: int) -> Assignment:
    """Draw the share of each split from every class, at least one image of it, and leave the rest to train.

    Each class has its own random stream, keyed by (seed, class number), and the splits are cut from its order one after
    another: another share of a later split moves no image of an earlier one. Where an image may have several labels,
    the splits are drawn together (see `iterative_stratification`).

    Args:
        labels: The labels of the images to split.
        fractions: Split, without train -> its share of the images, in (0, 1).
        seed: Seed of the draw.
    """
    if labels.ndim == 2:
        shares = {"train": 1.0 - sum(fractions.values()), **fractions}
        sizes = {name: share * len(labels) for name, share in shares.items()}
        names = iterative_stratification(labels, sizes, np.random.default_rng([seed, 2]))
        return np.array([SPLITS.index(name) for name in names], np.int8)
    assignment = np.zeros(len(labels), np.int8)
    for number in np.unique(labels):
        rows = np.flatnonzero(labels == number)
        order = rows[np.random.default_rng([seed, int(number)]).permutation(len(rows))]
        start = 0
        for stop, name in zip(_stops(len(rows), list(fractions.values())), fractions, strict=True):
            assignment[order[start:stop]] = SPLITS.index(name)
            start = stop
    return assignment


def iterative_stratification(
    matrix: Labels, sizes: Mapping[str, float], rng: np.random.Generator
) -> list[str]:
    """The subset of each row of a 0/1 matrix, such that every column is shared out in the same proportion.

    Algorithm 1 of Sechidis, Tsoumakas and Vlahavas (2011): the rarest column goes first, and each of its rows to the
    subset that needs most of it; rows without a 1 are dealt out last. Beyond the paper each subset but the first gets
    at least one row of every column. Ties go to the first subset.

    Args:
        matrix: 0 and 1, (N, columns).
        sizes: Subset -> about how many rows it gets; together N.
        rng: Draws the order of the rows.

    Returns:
        The names of the subsets, one for each row.
    """
    names, order = list(sizes), rng.permutation(len(matrix))
    needs = _Needs.of(matrix, np.array(list(sizes.values()), np.float64))
    subset = np.full(len(matrix), -1)

    def deal(row: int, number: int) -> None:
        subset[row] = number
        needs.subtract(number, matrix[row])

    while True:
        remaining = matrix[subset < 0].sum(axis=0)
        if not remaining.any():
            break
        column = int(np.argmin(np.where(remaining > 0, remaining, len(matrix) + 1)))
        for row in order[(matrix[order, column] > 0) & (subset[order] < 0)].tolist():
            deal(row, int(np.lexsort((-needs.rows, -needs.ones[:, column]))[0]))
    for row in order[subset[order] < 0].tolist():
        deal(row, int(np.argmax(needs.rows)))
    return [names[number] for number in subset]


@dataclass
class _Needs:
    """What the subsets still lack: c_j and c_j^i of the paper; below 0 where a subset has more than its share.

    rows: rows of each subset, (subsets,).
    ones: rows with a 1 in each column, (subsets, columns).
    """

    rows: NDArray[np.float64]
    ones: NDArray[np.float64]

    @classmethod
    def of(cls, matrix: Labels, sizes: NDArray[np.float64]) -> _Needs:
        ones = np.outer(sizes / sizes.sum(), matrix.sum(axis=0))
        ones[1:] = np.maximum(ones[1:], 1.0)
        ones[0] = matrix.sum(axis=0) - ones[1:].sum(axis=0)
        return cls(sizes.copy(), ones)

    def subtract(self, number: int, row: Labels) -> None:
        self.rows[number] -= 1.0
        self.ones[number] -= row


def _stops(count: int, fractions: Sequence[float]) -> list[int]:
    """Where each split ends in a class of `count` images: rounded shares, at least one image for each split."""
    stops, used = [], 0
    for index, fraction in enumerate(fractions):
        reserved = len(fractions) - index  # one each for the splits to come, and one for train
        used += min(max(1, round(count * fraction)), count - used - reserved)
        stops.append(used)
    return stops


def _leave_out(assignment: Assignment, labels: Labels, spec: DataSpec) -> None:
    """Leave out training images until `max_train_images` remain: every class keeps its share, and one image at least.

    Raises InputError when there are more classes than images may remain.
    """
    train = np.flatnonzero(assignment == SPLITS.index("train"))
    limit = spec.max_train_images
    if limit is None or len(train) <= limit:
        return
    classes = labels.shape[1] if labels.ndim == 2 else len(np.unique(labels[train]))
    if limit < classes:
        allowed = f"{classes} or more: one image for each class"
        raise InputError.single("data.max_train_images", str(limit), allowed)
    sample = _sample_multilabel if labels.ndim == 2 else _sample
    assignment[np.setdiff1d(train, train[sample(labels[train], limit, spec.seed)])] = LEFT_OUT


def _sample(labels: Labels, size: int, seed: int) -> NDArray[np.int64]:
    """The rows of a stratified sample; each class has a random stream of its own, as in `stratified_split`."""
    numbers, counts = np.unique(labels, return_counts=True)
    drawn = []
    for number, count in zip(numbers.tolist(), _apportioned(counts, size).tolist(), strict=True):
        rows = np.flatnonzero(labels == number)
        drawn.append(rows[np.random.default_rng([seed, number, 1]).permutation(len(rows))[:count]])
    return np.concatenate(drawn)


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


def _sample_multilabel(labels: Labels, size: int, seed: int) -> NDArray[np.int64]:
    """The rows of a sample that has every label; `iterative_stratification` draws about `size`, this makes it exact."""
    rng = np.random.default_rng([seed, 3])
    subsets = iterative_stratification(
        labels, {"left out": float(len(labels) - size), "kept": float(size)}, rng
    )
    order = np.array(sorted(rng.permutation(len(labels)).tolist(), key=lambda row: subsets[row] != "kept"))
    one_of_each = order[labels[order].argmax(axis=0)]
    return np.array(list(dict.fromkeys([*one_of_each.tolist(), *order.tolist()]))[:size])


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
    allowed = f"at least {len(splits)}, one each for {', '.join(splits)}"
    small = [number for number, count in enumerate(counts) if count < len(splits)]
    given_each = [
        f"class {classes[number]!r} has {counts[number]} image{'s' * (counts[number] != 1)}"
        for number in small[:MAX_NAMED]
    ]
    if len(small) > MAX_NAMED:
        given_each.append(f"{len(small) - MAX_NAMED} more classes have too few images")
    return [Problem("data.path", given, allowed) for given in given_each]
