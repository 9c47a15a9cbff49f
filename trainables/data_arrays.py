"""Images that are arrays already: scikit-learn's digits, and NPZ files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from spaces.problem import InputError, Problem
from trainables.data_place import Place, RemotePath, located
from trainables.data_source import (
    Item,
    Listing,
    Part,
    checked_labels,
    file_stamp,
    listing_of,
    numbered,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from trainables.data_spec import DataSpec

Pairs = Mapping[str, tuple[Any, Any]]  # split -> images, labels

DIGITS_SIDE_PIXELS = 16
PAIRS = {"train": ("x_train", "y_train"), "val": ("x_val", "y_val"), "test": ("x_test", "y_test")}


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


def checked_images(images: Any, where: str, title: str) -> NDArray[np.uint8]:
    """Images as uint8 (N, H, W, C), C being 1 or 3; (N, H, W) becomes (N, H, W, 1).

    Raises InputError on any other rank, dtype or number of channels: nothing is rescaled by guess.
    """
    allowed = "uint8 images of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise InputError.single(where, f"{title}: images of different shapes ({error})", allowed) from error
    if array.dtype != np.uint8:
        raise InputError.single(
            where, f"{title}: images of type {array.dtype}", f"{allowed}; values 0 to 255"
        )
    if array.ndim == 3:
        array = array[:, :, :, None]
    if array.ndim != 4 or array.shape[3] not in (1, 3) or 0 in array.shape[1:]:
        hint = " (channels first?)" if array.ndim == 4 and array.shape[1] in (1, 3) else ""
        raise InputError.single(where, f"{title}: images of shape {np.shape(images)}{hint}", allowed)
    return array


def array_listing(pairs: Pairs, names: Sequence[str] | None, where: str, title: str) -> Listing:
    """The listing of in-memory (images, labels) by split. Raises InputError, every split's problem in it."""
    parts: dict[str, Part] = {}
    problems: list[Problem] = []
    for split, (images, labels) in pairs.items():
        try:
            parts[split] = _part(images, labels, where, f"{title} {split}")
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    return listing_of(parts, names, where)


def _part(images: Any, labels: Any, where: str, title: str) -> Part:
    pixels = checked_images(images, where, title)
    return Part(ArrayImages(pixels, title), checked_labels(labels, where, title, len(pixels)))


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
        return Listing(numbered(10), {"train": Part(ArrayImages(pixels[..., None], "digits"), labels)})


class NpzSource:
    """One NPZ file: x_train, y_train (x_val, y_val, x_test, y_test if there), or images, labels; and classes.

    Read whole into memory: NPZ allows no other way.
    """

    def __init__(self, spec: DataSpec) -> None:
        self.path = located(spec.path, "npz", "an .npz file")

    def stamps(self) -> tuple[str, ...]:
        return (file_stamp(self.path),)

    def listing(self) -> Listing:
        arrays = _npz_arrays(self.path)
        pairs = {split: keys for split, keys in PAIRS.items() if all(key in arrays for key in keys)}
        if "train" not in pairs and {"images", "labels"} <= arrays.keys():
            pairs = {"train": ("images", "labels")}
        if "train" not in pairs:
            allowed = "x_train and y_train (and x_test, y_test), or images and labels"
            raise InputError.single(
                "data.path", f"{self.path} holds {', '.join(arrays) or 'nothing'}", allowed
            )
        names = arrays["classes"].tolist() if "classes" in arrays else None
        found = {split: (arrays[images], arrays[labels]) for split, (images, labels) in pairs.items()}
        return array_listing(found, names, "data.path", self.path.name)


def _npz_arrays(path: Place) -> dict[str, NDArray[Any]]:
    try:
        stream = path.open() if isinstance(path, RemotePath) else path
        with np.load(stream, allow_pickle=False) as loaded:
            return {name: loaded[name] for name in loaded.files}
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib, pickle and numpy each have their own for a broken file
        given = (
            f"{path} cannot be read ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        )
        raise InputError.single("data.path", given, "an .npz file without pickled objects") from error
