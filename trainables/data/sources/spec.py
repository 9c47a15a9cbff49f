"""What a job says about its data, checked when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.task.task_type import AUTO, KINDS

SMALLEST_SIDE_PIXELS, LARGEST_SIDE_PIXELS = 4, 2048
TASKS = (AUTO, *KINDS)
FITS = ("stretch", "pad", "crop")


@dataclass(frozen=True)
class DataSpec:
    """Where the images come from and how they become arrays.

    source: `digits`, `folder`, `parquet`, `npz`, `cifar10`, `cifar100`, `mnist`, `fashion_mnist`,
        or a function as `module:function` or `file.py:function`.
    path: file or folder of the sources that read one; `~` is expanded, a relative one starts at the working
        directory; or a URI that `pyarrow.fs` reads. On a cluster it must lead to the same content on every node.
    image_size: side in pixels of the square images a model sees; None keeps the source's own size, which
        must then be the same for all (`digits`: 16).
    fit: how an image that is not square becomes so: `stretch` it, `pad` it with black, or `crop` its middle.
    channels: 1 or 3; None keeps what arrays have and turns image files into 3 (RGB).
    val_fraction, test_fraction: share of every class drawn, by `seed`, from the images that come without a
        validation (test) split of their own; a split that comes with the source is kept as it is.
    max_corrupt_fraction: share of the images that may be unreadable; they are skipped and named.
    max_train_images: keeps a stratified sample of so many training images, one of each class at least; with
        more classes than that the data set is refused. None keeps all.
    image_column, label_column: names of the Parquet columns.
    task: `softmax`, `binary`, `multilabel`, or `auto`: as the labels are (see `trainables.task.task_type`).

    Raises InputError, with every problem at once, on a value out of range or of the wrong type.
    """

    source: str = "digits"
    path: str | None = None
    image_size: int | None = None
    channels: int | None = None
    fit: str = "stretch"
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 0
    max_corrupt_fraction: float = 0.01
    max_train_images: int | None = None
    image_column: str = "image"
    label_column: str = "label"
    task: str = AUTO

    def __post_init__(self) -> None:
        problems = [problem for problem in (*self._kinds(), *self._shapes(), *self._shares()) if problem]
        if problems:
            raise InputError(problems)

    def _kinds(self) -> list[Problem | None]:
        named = [self._text(name) for name in ("source", "image_column", "label_column")]
        is_path = self.path is None or (isinstance(self.path, str) and self.path)
        return [*named, None if is_path else _problem("path", self.path, "a file or folder, or a URI")]

    def _text(self, name: str) -> Problem | None:
        value = getattr(self, name)
        return None if isinstance(value, str) and value else _problem(name, value, "a name")

    def _shapes(self) -> list[Problem | None]:
        sides = f"a whole number of pixels from {SMALLEST_SIDE_PIXELS} to {LARGEST_SIDE_PIXELS}"
        sized = self.image_size is None or _is_whole(
            self.image_size, SMALLEST_SIDE_PIXELS, LARGEST_SIDE_PIXELS
        )
        capped = self.max_train_images is None or _is_whole(self.max_train_images, 1)
        shaped = self.channels is None or (_is_whole(self.channels, 1, 3) and self.channels != 2)
        return [
            None if sized else _problem("image_size", self.image_size, sides),
            None if shaped else _problem("channels", self.channels, "1 or 3"),
            None if self.task in TASKS else _problem("task", self.task, f"one of {', '.join(TASKS)}"),
            None if self.fit in FITS else _problem("fit", self.fit, f"one of {', '.join(FITS)}"),
            None if capped else _problem("max_train_images", self.max_train_images, "a whole number from 1"),
            None if _is_whole(self.seed, 0) else _problem("seed", self.seed, "a whole number from 0"),
        ]

    def _shares(self) -> list[Problem | None]:
        carved = [_share(name, getattr(self, name)) for name in ("val_fraction", "test_fraction")]
        corrupt = self.max_corrupt_fraction
        allowed = None if _is_number(corrupt) and 0 <= corrupt < 1 else "a number from 0 to below 1"
        if not any(carved) and self.val_fraction + self.test_fraction >= 1:
            both = f"{self.val_fraction} + test_fraction {self.test_fraction}"
            carved.append(
                Problem("data.val_fraction", both, "together below 1, so that images to train on remain")
            )
        return [*carved, _problem("max_corrupt_fraction", corrupt, allowed) if allowed else None]


def _problem(name: str, given: object, allowed: str) -> Problem:
    return Problem(f"data.{name}", repr(given), allowed)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object, low: int, high: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _share(name: str, value: float) -> Problem | None:
    if _is_number(value) and 0 < value < 1:
        return None
    return _problem(name, value, "a number between 0 and 1, both excluded")
