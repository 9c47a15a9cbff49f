"""Image files of any size and format as the images that a saved model takes, by the rules of its training data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toprung.spaces.errors import InputError, Problem
from toprung.trainables.data.decoding.decode import UnreadableImageError, pixels
from toprung.trainables.data.source_rules.formats import is_image_file, is_visible
from toprung.trainables.data.source_rules.paths import files_below

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.trainables.saved_model.description import ModelDescription


@dataclass(frozen=True)
class Unreadable:
    """A file that is no image the model can take, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class ImageBatch:
    """Some files and their images, uint8 (N, H, W, C)."""

    files: tuple[str, ...]
    images: np.ndarray


@dataclass(frozen=True)
class FoundFiles:
    """The files that were given, and those in folders.

    images: named files, and the images of the folders.
    others: the files in the folders that are no image that can be read, by the rule of the training data.
    """

    images: tuple[Path, ...]
    others: tuple[Path, ...]


def image_files(given: Sequence[str], where: str = "FILES") -> FoundFiles:
    """The files, and those in the folders and the folders inside them, sorted; hidden ones are passed over.

    A file that was named is taken whatever its suffix.

    Raises:
        InputError: With a problem for each path that does not exist or cannot be read, and each folder without images.
    """
    if not given:
        raise InputError.single(where, "none given", "must be images, or folders of images")
    images: list[Path] = []
    others: list[Path] = []
    problems = []
    for text in given:
        path = Path(text).expanduser()
        try:
            inside = _visible_files(path) if path.is_dir() else [path]
        except OSError as error:
            problems.append(
                Problem(where, f"{error.filename} cannot be read ({error.strerror})", "must be readable")
            )
            continue
        found = [file for file in inside if file == path or is_image_file(file)]
        if not path.exists():
            problems.append(Problem(where, f"{text} does not exist", "must be a file or a folder"))
        elif not found:
            rule = "must hold files of a format that Pillow reads"
            problems.append(Problem(where, f"{text} holds no images", rule))
        images += found
        others += sorted({*inside} - {*found})
    if problems:
        raise InputError(problems)
    return FoundFiles(tuple(dict.fromkeys(images)), tuple(dict.fromkeys(others)))


def image_batches(
    files: Sequence[Path], description: ModelDescription, size: int = 64
) -> Iterator[ImageBatch | Unreadable]:
    """Decode the files: batches of at most `size`, in order, and each file that cannot be read."""
    names: list[str] = []
    images: list[np.ndarray] = []
    for file in files:
        try:
            image = decoded(file, description)
        except (UnreadableImageError, OSError) as error:
            yield Unreadable(str(file), _reason(error))
            continue
        names.append(str(file))
        images.append(image)
        if len(images) == size:
            yield ImageBatch(tuple(names), np.stack(images))
            names, images = [], []
    if images:
        yield ImageBatch(tuple(names), np.stack(images))


def decoded(image: Path | bytes, description: ModelDescription) -> np.ndarray:
    """One encoded image as the model takes it, uint8 (H, W, C).

    Raises:
        UnreadableImageError: It is no image, or of another size where the training data had one size only.
        OSError: The file cannot be read.
    """
    return _of_shape(pixels(image, description.data_spec()), description)


def fitted(image: np.ndarray, description: ModelDescription) -> np.ndarray:
    """An image as an array of uint8, (H, W) or (H, W, C) of any size, as the model takes it.

    Raises:
        UnreadableImageError: It has another type, another number of axes, or a size that cannot be fitted.
    """
    if image.dtype != np.uint8:
        raise UnreadableImageError(f"values of type {image.dtype}, must be uint8 from 0 to 255")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise UnreadableImageError(f"shape {image.shape}, must be (height, width, 1 or 3 channels)")
    return _of_shape(pixels(image, description.data_spec()), description)


def _of_shape(image: np.ndarray, description: ModelDescription) -> np.ndarray:
    if image.shape != description.image_shape:
        height, width, _ = description.image_shape
        given = f"{image.shape[1]}x{image.shape[0]} pixels"
        raise UnreadableImageError(f"{given}, must be {width}x{height} as all images of the training")
    return image


def _visible_files(folder: Path) -> list[Path]:
    return [folder / file for file in files_below(folder) if is_visible(file.rpartition("/")[2])]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
