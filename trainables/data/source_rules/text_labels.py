"""Labels that are texts, or are missing: class names become class numbers, a split without labels is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.spaces.errors import InputError
from toprung.trainables.data.source_rules.first_names import first_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def class_number(names: Sequence[str]) -> Mapping[str, int]:
    """Class name -> its number."""
    return {name: number for number, name in enumerate(names)}


def names_of(texts: Iterable[str | None], names: Sequence[str] | None) -> list[str]:
    """The class names of labels that are texts: those that are given, else the texts of the training images, sorted.

    A text that is empty or blank is no name unless it is given as one: such a label is missing.
    """
    return list(names) if names is not None else sorted({text for text in texts if text and text.strip()})


def numbered_texts(texts: Sequence[str], names: Sequence[str], where: str, display_name: str) -> list[int]:
    """The class number of each text.

    Raises:
        InputError: The first text that is no class name.
    """
    numbers = class_number(names)
    for row, text in enumerate(texts):
        if text not in numbers:
            given = f"{display_name} row {row}: label {text!r}"
            raise InputError.single(where, given, f"one of {first_names(names, 10)}")
    return [numbers[text] for text in texts]


def is_text(labels: Any) -> bool:
    """Whether an array-like holds texts."""
    array = np.asarray(labels)
    return array.dtype.kind == "U" or (
        array.dtype.kind == "O" and array.size > 0 and all(isinstance(x, str) for x in array.flat)
    )


def is_unlabelled(labels: Any) -> bool:
    """Whether every label of an array-like says that there is none: -1, None or NaN."""
    array = np.asarray(labels)
    if not array.size or array.dtype.kind not in "iuf":
        return bool(array.size and array.dtype.kind == "O" and all(label is None for label in array.flat))
    return bool(((array < 0) | np.isnan(array)).all())


def left_out(split: str) -> str:
    """The note about a split without labels."""
    return f"no image of {split} has a label (all are -1 or empty): {split} is left out"
