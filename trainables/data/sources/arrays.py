"""Images that are arrays already: scikit-learn's digits, and the arrays that other sources hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.source_rules.base import (
    Images,
    Item,
    Listing,
    Source,
    SourceSplit,
    checked_labels,
    listing_of,
    numbered,
)
from toprung.trainables.data.source_rules.text_labels import (
    is_text,
    is_unlabelled,
    left_out,
    names_of,
    numbered_texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from toprung.trainables.data.source_rules.spec import DataSpec

Pairs = Mapping[str, tuple[Any, Any]]
"""Split -> images, in the form that a source has them, and array-like labels."""
ALLOWED = "uint8 images of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
# What turns an array of another type or shape into one that is allowed.
TO_BYTES = {
    "f": "(x * 255).round().astype('uint8') where values run from 0 to 1",
    "u": "(x // 257).astype('uint8') where values run to 65535",
    "i": "x.astype('uint8') where values run from 0 to 255",
    "b": "x.astype('uint8') * 255",
}


@dataclass(frozen=True)
class ArrayImages:
    """Images in memory.

    pixels: uint8 (N, H, W, C).
    display_name: the file and split in messages.
    """

    pixels: NDArray[np.uint8]
    display_name: str

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, row: int) -> str:
        return f"{self.display_name} row {row}"

    def chunks(self, length: int) -> Iterator[Sequence[Item]]:
        for start in range(0, len(self.pixels), length):
            yield list(self.pixels[start : start + length])


def array_images(images: ArrayLike, where: str, display_name: str) -> Images:
    """Images in memory, checked; raises InputError at `where`, also where they are of different shapes."""
    try:
        array = np.asarray(images)
    except ValueError as error:
        given = f"{display_name}: images of different shapes ({error})"
        raise InputError.single(where, given, ALLOWED) from error
    shape = checked_shape(array.shape, array.dtype, where, display_name)
    return ArrayImages(array.reshape(shape), display_name)


def checked_shape(
    shape: tuple[int, ...], dtype: np.dtype[Any], where: str, display_name: str
) -> tuple[int, ...]:
    """The shape (N, H, W, C), with C 1 or 3, of an array of images; (N, H, W) has one channel.

    Raises:
        InputError: Another rank, dtype or number of channels: nothing is rescaled by guess.
    """
    if dtype != np.uint8:
        given = f"{display_name}: images of type {dtype}"
        way_out = f"; save {TO_BYTES[dtype.kind]}" if dtype.kind in TO_BYTES else ""
        raise InputError.single(where, given, f"{ALLOWED}; values 0 to 255{way_out}")
    full = (*shape, 1) if len(shape) == 3 else shape
    if len(full) != 4 or full[3] not in (1, 3) or 0 in full[1:]:
        raise InputError.single(where, f"{display_name}: images of shape {shape}", ALLOWED + _way_out(full))
    return full


def _way_out(shape: tuple[int, ...]) -> str:
    """What turns an array of another shape into one that is allowed; the empty string where nothing is known."""
    if len(shape) != 4 or 0 in shape:
        return ""
    if shape[1] in (1, 3):
        return "; channels come first here: save x.transpose(0, 2, 3, 1)"
    return {
        2: "; grey with transparency: save x[..., :1]",
        4: "; RGB with transparency: save x[..., :3]",
    }.get(shape[3], "")


def array_listing(
    pairs: Pairs,
    names: Sequence[str] | None,
    where: str,
    source_name: str,
    images_of: Callable[[Any, str, str], Images] = array_images,
    notes: Sequence[str] = (),
) -> Listing:
    """The listing of arrays.

    Args:
        pairs: As `Pairs`.
        names: The class names, None where there are only numbers.
        where: The key of the job that an error points at.
        source_name: The file or function in messages.
        images_of: `images_of(images, where, display_name)` checks the images of a split and returns what is decoded.
        notes: As in `Listing`.

    Raises:
        InputError: The problems of all splits.
    """
    unlabelled = [split for split, (_, labels) in pairs.items() if split != "train" and is_unlabelled(labels)]
    used = {split: pair for split, pair in pairs.items() if split not in unlabelled}
    if is_text(used["train"][1]):
        names = names_of(np.asarray(used["train"][1]).ravel().tolist(), names)
    splits: dict[str, SourceSplit] = {}
    problems: list[Problem] = []
    for split, (unchecked, labels) in used.items():
        display_name = f"{source_name} {split}"
        try:
            images = images_of(unchecked, where, display_name)
            if names is not None and is_text(labels):
                labels = numbered_texts(np.asarray(labels).ravel().tolist(), names, where, display_name)
            splits[split] = SourceSplit(images, checked_labels(labels, where, display_name, len(images)))
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    return listing_of(splits, names, where, [*notes, *map(left_out, unlabelled)])


class DigitsSource(Source):
    """scikit-learn's bundled handwritten digits: 1,797 images 8x8, grey; needs no file and no network."""

    names: ClassVar[tuple[str, ...]] = ("digits",)
    default_image_size: ClassVar[int | None] = 16  # 8 pixels leave a network nothing to pool

    def __init__(self, spec: DataSpec) -> None:
        if spec.path is not None:
            raise InputError.single("data.path", repr(spec.path), "no path: source 'digits' is bundled")

    @classmethod
    def recognises(cls, path: str | None) -> bool:
        return path is None

    def stamps(self) -> tuple[str, ...]:
        return (f"scikit-learn {version('scikit-learn')}",)

    def listing(self) -> Listing:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # the values run from 0 to 16
        labels = digits.target.astype(np.int64)
        return Listing(numbered(10), {"train": SourceSplit(ArrayImages(pixels[..., None], "digits"), labels)})
