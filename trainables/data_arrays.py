"""Images that are arrays already: scikit-learn's digits, and NPZ files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from spaces.problem import InputError
from trainables.data_source import (
    Item,
    Listing,
    Part,
    checked_labels,
    class_names,
    file_stamp,
    in_range,
    local_path,
    numbered,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainables.data_spec import DataSpec

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


def checked_images(images: Any, where: str) -> NDArray[np.uint8]:
    """Images as uint8 (N, H, W, C), C being 1 or 3; (N, H, W) becomes (N, H, W, 1).

    Raises InputError on any other rank, dtype or number of channels: nothing is rescaled by guess.
    """
    allowed = "uint8 images of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise InputError.single(where, f"images of different shapes ({error})", allowed) from error
    if array.dtype != np.uint8:
        raise InputError.single(where, f"images of type {array.dtype}", f"{allowed}; values 0 to 255")
    if array.ndim == 3:
        array = array[:, :, :, None]
    if array.ndim != 4 or array.shape[3] not in (1, 3) or 0 in array.shape[1:]:
        hint = " (channels first?)" if array.ndim == 4 and array.shape[1] in (1, 3) else ""
        raise InputError.single(where, f"images of shape {np.shape(images)}{hint}", allowed)
    return array


def array_listing(pairs: Mapping[str, tuple[Any, Any]], names: Sequence[str] | None, where: str) -> Listing:
    """The listing of in-memory (images, labels) pairs by split. Raises InputError on an unusable one."""
    parts = {split: _part(images, labels, where, split) for split, (images, labels) in pairs.items()}
    classes = class_names(names, parts["train"].labels)
    problems = in_range({f"{where} {split}": part.labels for split, part in parts.items()}, classes)
    if problems:
        raise InputError(problems)
    return Listing(classes, parts)


def _part(images: Any, labels: Any, where: str, split: str) -> Part:
    pixels = checked_images(images, f"{where} {split}")
    return Part(ArrayImages(pixels, split), checked_labels(labels, f"{where} {split}", len(pixels)))


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
        self.path = local_path(spec.path, "npz", "an .npz file")

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
        return array_listing(found, names, f"data.path {self.path}")


def _npz_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as loaded:
            return {name: loaded[name] for name in loaded.files}
    except Exception as error:  # zipfile, zlib, pickle and numpy each have their own for a broken file
        given = (
            f"{path} cannot be read ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        )
        raise InputError.single("data.path", given, "an .npz file without pickled objects") from error
