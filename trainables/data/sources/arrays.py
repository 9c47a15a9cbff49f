"""Images that are arrays already: scikit-learn's digits, and what other sources hold as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.sources.base import (
    Images,
    Item,
    Listing,
    SourceSplit,
    checked_labels,
    listing_of,
    numbered,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from toprung.trainables.data.sources.spec import DataSpec

Pairs = Mapping[str, tuple[Any, Any]]  # split -> images, labels
DIGITS_SIDE_PIXELS = 16
ALLOWED = "uint8 images of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3)"


@dataclass(frozen=True)
class ArrayImages:
    """uint8 images (N, H, W, C) in memory, of the part `title`."""

    pixels: NDArray[np.uint8]
    title: str

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, row: int) -> str:
        return f"{self.title} row {row}"

    def chunks(self, length: int) -> Iterator[Sequence[Item]]:
        for start in range(0, len(self.pixels), length):
            yield list(self.pixels[start : start + length])


def array_images(images: Any, where: str, title: str) -> Images:
    """Images in memory, checked. Raises InputError, also where they are of different shapes."""
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise InputError.single(where, f"{title}: images of different shapes ({error})", ALLOWED) from error
    return ArrayImages(array.reshape(checked_shape(array.shape, array.dtype, where, title)), title)


def checked_shape(shape: tuple[int, ...], dtype: np.dtype[Any], where: str, title: str) -> tuple[int, ...]:
    """The shape (N, H, W, C), C being 1 or 3, of such an array of images; (N, H, W) has one channel.

    Raises InputError on any other rank, dtype or number of channels: nothing is rescaled by guess.
    """
    if dtype != np.uint8:
        raise InputError.single(where, f"{title}: images of type {dtype}", f"{ALLOWED}; values 0 to 255")
    whole = (*shape, 1) if len(shape) == 3 else shape
    if len(whole) != 4 or whole[3] not in (1, 3) or 0 in whole[1:]:
        hint = " (channels first?)" if len(whole) == 4 and whole[1] in (1, 3) else ""
        raise InputError.single(where, f"{title}: images of shape {shape}{hint}", ALLOWED)
    return whole


def array_listing(
    pairs: Pairs,
    names: Sequence[str] | None,
    where: str,
    title: str,
    images_of: Callable[[Any, str, str], Images] = array_images,
) -> Listing:
    """The listing of (images, labels) by split, `images_of(images, where, title)` being what is decoded.

    Raises InputError, every split's problem in it.
    """
    parts: dict[str, SourceSplit] = {}
    problems: list[Problem] = []
    for split, (found, labels) in pairs.items():
        named = f"{title} {split}"
        try:
            images = images_of(found, where, named)
            parts[split] = SourceSplit(images, checked_labels(labels, where, named, len(images)))
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    return listing_of(parts, names, where)


class DigitsSource:
    """scikit-learn's bundled handwritten digits: 1,797 images 8x8, grey, no network needed."""

    def __init__(self, spec: DataSpec) -> None:
        if spec.path is not None:
            raise InputError.single("data.path", repr(spec.path), "no path: source 'digits' is bundled")

    def stamps(self) -> tuple[str, ...]:
        return (f"scikit-learn {version('scikit-learn')}",)

    def listing(self) -> Listing:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # the values run from 0 to 16
        labels = digits.target.astype(np.int64)
        return Listing(numbered(10), {"train": SourceSplit(ArrayImages(pixels[..., None], "digits"), labels)})
