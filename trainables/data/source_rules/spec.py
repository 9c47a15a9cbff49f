"""The settings of a job's data: their types, limits, defaults and descriptions, checked when a spec is made.

The section `data` of a job file is made of the same types.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Interval, MinLen

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.task.task_type import AUTO, RequestedTask

Text = Annotated[str, MinLen(1)]
Side = Annotated[int, Interval(ge=4, le=2048)]
ImageSize = Side | tuple[Side, Side]
Seed = Annotated[int, Interval(ge=0)]
ImageCount = Annotated[int, Interval(ge=1)]
Fraction = Annotated[float, Interval(gt=0, lt=1)]
FoldCount = Annotated[int, Interval(ge=0, le=20)]
FoldNumber = Annotated[int, Interval(ge=0)]
FractionOrNone = Annotated[float, Interval(ge=0, lt=1)]
CorruptFraction = Annotated[float, Interval(ge=0, lt=1)]
Channels = Literal[1, 3]
Fit = Literal["stretch", "pad", "crop"]
ClassLevel = Literal["auto", "outer", "inner"]


DESCRIPTIONS: dict[str, str] = {
    "source": "Name of a source, or file.py:function; found from `path` if empty.",
    "path": "File or folder of the images, or a URI (s3://, gs://).",
    "image_size": "Pixels that images are resized to: one number for height and width, or [height, width]; if none, "
    "their own, the same for all.",
    "channels": "1 for grey, 3 for RGB; the source's own if none.",
    "fit": "How an image gets the shape of image_size: stretch it, pad it with black, or crop its middle.",
    "val_fraction": "Share of the images that selects the winner.",
    "test_fraction": "Share of the images sealed until the retrain; 0 for no test.",
    "seed": "Seed of the splits.",
    "folds": "Parts of train + validation by which a retraining cross-validates the best trials first; 0 for none.",
    "fold": "The part of them, from 0, that is the validation set instead; null for the split as it is.",
    "max_corrupt_fraction": "Share of unreadable images that is skipped, by name, before the job is refused; unless it "
    "is 0, a few of a small folder are skipped in any case.",
    "max_image_pixels": "Pixels of the largest image that is decoded; a larger one counts as unreadable.",
    "max_train_images": "Training images kept, a stratified sample with every class in it; all if none is given.",
    "max_val_images": "Validation images kept, sampled likewise; if none is given, the share that max_train_images "
    "leaves of the training images.",
    "class_folders": "Which folders are the classes where folders hold folders: outer, inner, or auto, by their names.",
    "image_column": "Parquet column of the encoded images.",
    "label_column": "Parquet column of class numbers, or lists.",
    "task": "softmax: one class of several; binary: one sigmoid for two; multilabel: any; auto: by the labels.",
}
"""Setting -> one sentence about it, for the user."""


@dataclass(frozen=True)
class DataSpec:
    """Where the images come from and how they become arrays; `DESCRIPTIONS` says what each setting means.

    A relative path starts at the working directory. On a cluster a path must lead to the same content on every node.
    The shares for validation and test are drawn from every class; a split that comes with the source is kept as it is.

    Raises:
        InputError: Every value that is out of range or of the wrong type.
    """

    source: Text = "digits"
    path: Text | None = None
    image_size: ImageSize | None = None
    channels: Channels | None = None
    fit: Fit = "stretch"
    val_fraction: Fraction = 0.15
    test_fraction: FractionOrNone = 0.15
    seed: Seed = 0
    max_corrupt_fraction: CorruptFraction = 0.01
    max_image_pixels: ImageCount = 100_000_000
    max_train_images: ImageCount | None = None
    max_val_images: ImageCount | None = None
    class_folders: ClassLevel = "auto"
    image_column: Text = "image"
    label_column: Text = "label"
    task: RequestedTask = AUTO
    folds: FoldCount = 0
    fold: FoldNumber | None = None

    def __post_init__(self) -> None:
        if isinstance(self.image_size, list):
            object.__setattr__(self, "image_size", tuple(self.image_size))
        rules = {name: _broken_rule(getattr(self, name), hint) for name, hint in _TYPES.items()}
        problems = [
            Problem(f"data.{name}", repr(getattr(self, name)), rule) for name, rule in rules.items() if rule
        ]
        fractions = self.val_fraction, self.test_fraction
        if not (rules["val_fraction"] or rules["test_fraction"] or leave_train_images(*fractions)):
            given = f"{self.val_fraction} + test_fraction {self.test_fraction}"
            allowed = "together below 1, so that images to train on remain"
            problems.append(Problem("data.val_fraction", given, allowed))
        if not (rules["folds"] or rules["fold"]) and self.fold is not None and self.fold >= self.folds:
            allowed = f"below data.folds, which is {self.folds}"
            problems.append(Problem("data.fold", repr(self.fold), allowed))
        if problems:
            raise InputError(problems)

    @property
    def size(self) -> tuple[int, int] | None:
        """The height and width in pixels that images are resized to; None keeps theirs."""
        if isinstance(self.image_size, int):
            return self.image_size, self.image_size
        return self.image_size


_TYPES = get_type_hints(DataSpec, include_extras=True)


def leave_train_images(val_fraction: float, test_fraction: float) -> bool:
    """Whether the two shares leave images to train on."""
    return val_fraction + test_fraction < 1


def _broken_rule(value: object, hint: Any) -> str:
    """What is allowed in the place of `value`; the empty string where it is of the type `hint`."""
    if get_origin(hint) in (Union, UnionType):
        rules = [_broken_rule(value, option) for option in get_args(hint) if option is not type(None)]
        is_valid = "" in rules or (value is None and type(None) in get_args(hint))
        return "" if is_valid else " or ".join(rules)
    if get_origin(hint) is tuple:
        sides = get_args(hint)
        is_valid = (
            isinstance(value, tuple) and len(value) == len(sides) and not any(map(_broken_rule, value, sides))
        )
        return "" if is_valid else "[height, width]"
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        is_choice = any(value == choice and type(value) is type(choice) for choice in choices)
        return "" if is_choice else f"one of {', '.join(map(str, choices))}"
    plain_type, limits = get_args(hint)
    if plain_type is str:
        return "" if isinstance(value, str) and len(value) >= limits.min_length else "a text"
    is_valid = _is_number(value, plain_type) and _within(value, limits)
    return "" if is_valid else f"{'a whole number' if plain_type is int else 'a number'} {_words(limits)}"


def _is_number(value: object, plain_type: type) -> bool:
    if isinstance(value, float):
        return plain_type is float and math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _within(value: Any, limits: Interval) -> bool:
    return bool(
        (limits.ge is None or limits.ge <= value)
        and (limits.gt is None or limits.gt < value)
        and (limits.le is None or value <= limits.le)
        and (limits.lt is None or value < limits.lt)
    )


def _words(limits: Interval) -> str:
    low = f"from {limits.ge}" if limits.gt is None else f"above {limits.gt}"
    if limits.le is not None:
        return f"{low} to {limits.le}"
    if limits.lt is not None:
        return f"{low} {'to' if limits.gt is None else 'and'} below {limits.lt}"
    return low
