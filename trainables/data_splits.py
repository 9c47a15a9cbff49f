"""Which image goes to training, validation and test: stratified, by seed, and the same on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spaces.problem import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainables.data_spec import DataSpec

SPLITS = ("train", "val", "test")
LEFT_OUT = -1
NAMED = 5

Labels = NDArray[np.int64]
Places = NDArray[np.int8]


def assign(labels: Mapping[str, Labels], classes: Sequence[str], spec: DataSpec) -> dict[str, Places]:
    """For each part, int8 (N,): the index into SPLITS each image goes to, or LEFT_OUT.

    Parts named val and test stay as they are; what is missing of them is drawn from train, class by class.
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
    places["train"] = carve(labels["train"], {name: fractions[name] for name in carved}, spec.seed)
    _cap(places["train"], labels["train"], spec)
    return places


def _empty(labels: Mapping[str, Labels]) -> list[str]:
    return [name for name, own in labels.items() if name != "train" and not len(own)]


def carve(labels: Labels, fractions: Mapping[str, float], seed: int) -> Places:
    """Draw each named split's share of every class, at least one image, and leave the rest to train.

    Each class has its own stream, keyed by (seed, class number), and the splits are cut from its order one
    after another: changing the share of a later split moves no image of an earlier one.
    """
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
    """Leave out training images past `max_train_images`: every class keeps its share, and one at least."""
    train = np.flatnonzero(places == SPLITS.index("train"))
    if spec.max_train_images is None or len(train) <= spec.max_train_images:
        return
    numbers = np.unique(labels[train])
    if spec.max_train_images < len(numbers):
        allowed = f"{len(numbers)} or more: one image for each class"
        raise InputError.single("data.max_train_images", str(spec.max_train_images), allowed)
    keep = np.concatenate([_sample(train[labels[train] == k], int(k), len(train), spec) for k in numbers])
    places[np.setdiff1d(train, keep)] = LEFT_OUT


def _sample(rows: Labels, number: int, total: int, spec: DataSpec) -> Labels:
    assert spec.max_train_images is not None
    count = max(1, len(rows) * spec.max_train_images // total)
    return rows[np.random.default_rng([spec.seed, number, 1]).permutation(len(rows))[:count]]


def _too_few(labels: Labels, classes: Sequence[str], splits: Sequence[str]) -> list[Problem]:
    if not len(labels):
        return [Problem("data.path", "no training images", f"at least {len(splits)} for each class")]
    if len(classes) < 2:
        return [Problem("data.path", f"1 class ({classes[0]})", "at least 2 classes to tell apart")]
    if len(labels) < len(classes):
        given = f"{len(labels)} images for {len(classes)} classes"
        return [Problem("data.path", given, f"at least {len(splits)} images for each class")]
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    allowed = f"at least {len(splits)}, one each for {', '.join(splits)}"
    small = [k for k, count in enumerate(counts) if count < len(splits)]
    named = [f"class {classes[k]!r} has {counts[k]} image{'s' * (counts[k] != 1)}" for k in small[:NAMED]]
    rest = [f"{len(small) - NAMED} more classes have too few images"] if len(small) > NAMED else []
    return [Problem("data.path", text, allowed) for text in (*named, *rest)]
