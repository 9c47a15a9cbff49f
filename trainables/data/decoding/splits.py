"""Which image goes to training, validation and test: stratified, by seed, and the same on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.task.task_type import class_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.trainables.data.sources.spec import DataSpec

SPLITS = ("train", "val", "test")
LEFT_OUT = -1
NAMED = 5
Labels = NDArray[np.int64]
Places = NDArray[np.int8]


def assign_splits(labels: Mapping[str, Labels], classes: Sequence[str], spec: DataSpec) -> dict[str, Places]:
    """For each part, int8 (N,): the index into SPLITS each image goes to, or LEFT_OUT.

    `labels` are class numbers (N,), or 0 and 1 for each class (N, classes). Parts named val and test stay as they
    are; what is missing of them is drawn from train, class by class.
    Raises InputError when a class has too few images to stand in every split it must stand in.
    """
    carved = [name for name in ("test", "val") if name not in labels]
    problems = [
        *_too_few(labels["train"], classes, ["train", *reversed(carved)]),
        *(
            Problem("data.path", f"no {name} images", "at least one, or no such split")
            for name in _empty(labels)
        ),
    ]
    if problems:
        raise InputError(problems)
    places = {name: np.full(len(own), SPLITS.index(name), np.int8) for name, own in labels.items()}
    fractions = {"val": spec.val_fraction, "test": spec.test_fraction}
    places["train"] = stratified_split(labels["train"], {name: fractions[name] for name in carved}, spec.seed)
    _cap(places["train"], labels["train"], spec)
    return places


def balanced(matrix: Labels, counts: Mapping[str, float], rng: np.random.Generator) -> list[str]:
    """For each row of a 0/1 matrix the name it is dealt to, each name getting about its `counts` of all the rows.

    Every column is shared out in the same proportion, the rarest first, and each but the first name gets one row of it
    at least (iterative stratification, Sechidis et al. 2011). Equal needs are settled in favour of the first name.
    """
    names = list(counts)
    still = np.array([counts[name] for name in names], np.float64)
    wanted = np.outer(still / still.sum(), matrix.sum(axis=0))
    wanted[1:] = np.maximum(wanted[1:], 1.0)
    wanted[0] = matrix.sum(axis=0) - wanted[1:].sum(axis=0)
    dealt = np.full(len(matrix), -1)
    order = rng.permutation(len(matrix))
    while True:
        left = matrix[dealt < 0].sum(axis=0)
        if not left.any():
            break
        column = int(np.argmin(np.where(left > 0, left, len(matrix) + 1)))
        for row in order[(matrix[order, column] > 0) & (dealt[order] < 0)].tolist():
            _deal(row, np.lexsort((-still, -wanted[:, column]))[0], dealt, matrix, wanted, still)
    for row in order[dealt[order] < 0].tolist():
        _deal(row, np.argmax(still), dealt, matrix, wanted, still)
    return [names[number] for number in dealt]


def _deal(row: int, number: Any, dealt: Any, matrix: Labels, wanted: Any, still: Any) -> None:
    dealt[row] = number
    wanted[number] -= matrix[row]
    still[number] -= 1.0


def _empty(labels: Mapping[str, Labels]) -> list[str]:
    return [name for name, own in labels.items() if name != "train" and not len(own)]


def stratified_split(labels: Labels, fractions: Mapping[str, float], seed: int) -> Places:
    """Draw each named split's share of every class, at least one image, and leave the rest to train.

    Each class has its own stream, keyed by (seed, class number), and the splits are cut from its order one
    after another: changing the share of a later split moves no image of an earlier one. With several labels an
    image the splits are drawn together, so that each label stands in each of them (see `balanced`).
    """
    if labels.ndim == 2:
        shares = {"train": 1.0 - sum(fractions.values()), **fractions}
        counts = {name: share * len(labels) for name, share in shares.items()}
        dealt = balanced(labels, counts, np.random.default_rng([seed, 2]))
        return np.array([SPLITS.index(name) for name in dealt], np.int8)
    places = np.zeros(len(labels), np.int8)
    for number in np.unique(labels):
        rows = np.flatnonzero(labels == number)
        order = rows[np.random.default_rng([seed, int(number)]).permutation(len(rows))]
        start = 0
        for stop, name in zip(_stops(len(rows), list(fractions.values())), fractions, strict=True):
            places[order[start:stop]] = SPLITS.index(name)
            start = stop
    return places


def _stops(count: int, fractions: Sequence[float]) -> list[int]:
    """Where each split ends in a class of `count`: rounded shares, at least one image for each split."""
    stops, used = [], 0
    for index, fraction in enumerate(fractions):
        for_the_others = len(fractions) - index  # one each for the splits to come, and one for train
        used += min(max(1, round(count * fraction)), count - used - for_the_others)
        stops.append(used)
    return stops


def _cap(places: Places, labels: Labels, spec: DataSpec) -> None:
    """Leave out training images past `max_train_images`: just as many stay, and one at least of every class.

    Every class keeps its share. Raises InputError when there are more classes than images may stay.
    """
    train = np.flatnonzero(places == SPLITS.index("train"))
    cap = spec.max_train_images
    if cap is None or len(train) <= cap:
        return
    classes = labels.shape[1] if labels.ndim == 2 else len(np.unique(labels[train]))
    if cap < classes:
        allowed = f"{classes} or more: one image for each class"
        raise InputError.single("data.max_train_images", str(cap), allowed)
    sample = _sample_labels if labels.ndim == 2 else _sample
    places[np.setdiff1d(train, train[sample(labels[train], cap, spec.seed)])] = LEFT_OUT


def _sample(labels: Labels, cap: int, seed: int) -> Labels:
    """The rows of `cap` images of all classes; each class has a stream of its own, as in `carve`."""
    numbers, sizes = np.unique(labels, return_counts=True)
    drawn = []
    for number, count in zip(numbers.tolist(), _shared_out(sizes, cap).tolist(), strict=True):
        rows = np.flatnonzero(labels == number)
        drawn.append(rows[np.random.default_rng([seed, number, 1]).permutation(len(rows))[:count]])
    return np.concatenate(drawn)


def _shared_out(sizes: Labels, cap: int) -> Labels:
    """How many of each class stay, `cap` in all: its share, the largest remainders rounded up, but never none.

    What the classes too small for a share take is missing where most of a class would stay. Equal claims are
    settled in favour of the lower class number.
    """
    counts: Labels = np.maximum(1, sizes * cap // sizes.sum())
    while counts.sum() < cap:
        counts[np.argmax(sizes * cap - counts * sizes.sum())] += 1
    while counts.sum() > cap:
        counts[np.argmax(np.where(counts > 1, counts / sizes, 0.0))] -= 1
    return counts


def _sample_labels(labels: Labels, cap: int, seed: int) -> Labels:
    """The rows of `cap` images with several labels each; `balanced` deals about as many, this makes it so many."""
    rng = np.random.default_rng([seed, 3])
    dealt = balanced(labels, {"left out": float(len(labels) - cap), "kept": float(cap)}, rng)
    order = np.array(sorted(rng.permutation(len(labels)).tolist(), key=lambda row: dealt[row] != "kept"))
    one_of_each = order[labels[order].argmax(axis=0)]
    return np.array(list(dict.fromkeys([*one_of_each.tolist(), *order.tolist()]))[:cap])


def _too_few(labels: Labels, classes: Sequence[str], splits: Sequence[str]) -> list[Problem]:
    if not len(labels):
        return [Problem("data.path", "no training images", f"at least {len(splits)} for each class")]
    if len(classes) < 2:
        return [Problem("data.path", f"1 class ({classes[0]})", "at least 2 classes to tell apart")]
    if len(labels) < len(classes):
        given = f"{len(labels)} images for {len(classes)} classes"
        return [Problem("data.path", given, f"at least {len(splits)} images for each class")]
    counts = class_counts(labels, len(classes))
    allowed = f"at least {len(splits)}, one each for {', '.join(splits)}"
    small = [k for k, count in enumerate(counts) if count < len(splits)]
    named = [f"class {classes[k]!r} has {counts[k]} image{'s' * (counts[k] != 1)}" for k in small[:NAMED]]
    rest = [f"{len(small) - NAMED} more classes have too few images"] if len(small) > NAMED else []
    return [Problem("data.path", text, allowed) for text in (*named, *rest)]
