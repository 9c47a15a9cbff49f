"""Decoding of one image, from a file, bytes or an array, to uint8 pixels of the size and channels of the spec."""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.data.sources.formats import COMMON, readable_formats
from toprung.trainables.data.sources.paths import RemotePath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL import Image as PILImage

    from toprung.trainables.data.sources.base import Item
    from toprung.trainables.data.sources.spec import DataSpec


class UnreadableImageError(ValueError):
    """One image cannot be decoded: skip it and name it, or replace the file."""


def pixels(item: Item, spec: DataSpec) -> NDArray[np.uint8]:
    """Decode one image to uint8 (H, W, C).

    Applies the EXIF orientation, takes the first frame of an animation, lays transparency over white, scales 16-bit
    grey to 8 bits, and turns every colour mode into RGB (grey with `channels=1`). With `image_size` the image is
    resized with an antialiased bicubic filter.

    Raises:
        UnreadableImageError: The image is damaged, empty or of another format.
    """
    if isinstance(item, np.ndarray):
        return _from_array(item, spec)
    if isinstance(item, RemotePath):
        item = item.read_bytes()  # outside `try`: a store that does not answer is no damaged image
    try:
        return _array(_sized(_converted(_opened(item, spec), spec.channels or 3), spec))
    except (MemoryError, UnreadableImageError):
        raise
    except Exception as error:  # Pillow's plugins raise a dozen types, down to struct.error, on broken files
        raise UnreadableImageError(_reason(error)) from error


@contextmanager
def own_pixel_limit(spec: DataSpec) -> Iterator[None]:
    """Let `data.max_image_pixels` decide what is too large in place of Pillow's own limit, and print no warnings."""
    from PIL import Image

    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, spec.max_image_pixels
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", module=r"PIL\."
            )  # such as of metadata that does not matter here
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
    return f"not an image: {COMMON}" if "cannot identify" in text else text


def _from_array(image: NDArray[np.uint8], spec: DataSpec) -> NDArray[np.uint8]:
    height, width, channels = image.shape
    new_channels = spec.channels or channels
    if new_channels == channels and spec.size in (None, (height, width)):
        return image
    from PIL import Image

    picture = Image.fromarray(image[:, :, 0] if channels == 1 else image)
    return _array(_sized(_converted(picture, new_channels), spec))


def _opened(item: bytes | Path, spec: DataSpec) -> PILImage.Image:
    from PIL import Image, ImageOps

    content = item.read_bytes() if isinstance(item, Path) else item
    if not content:
        raise UnreadableImageError("empty")
    image = Image.open(io.BytesIO(content), formats=tuple(readable_formats()))
    width, height = image.size
    if width * height > spec.max_image_pixels:
        given = f"{width}x{height} is {width * height:,} pixels"
        raise UnreadableImageError(f"{given}, more than data.max_image_pixels {spec.max_image_pixels:,}")
    if spec.size:
        # A JPEG decoder can halve as it decodes; twice the final size leaves the filter enough to work on.
        image.draft(image.mode, (2 * spec.size[1], 2 * spec.size[0]))
    image.load()  # damaged pixels raise here
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # with damaged EXIF data only the orientation is lost
        return image


def _converted(image: PILImage.Image, channels: int) -> PILImage.Image:
    mode = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I"):
        image = _eight_bit(image)
    if image.mode == "LAB":
        image = image.convert("RGB")  # Pillow has no shorter way to grey
    if image.has_transparency_data:
        image = _over_white(image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)


def _eight_bit(image: PILImage.Image) -> PILImage.Image:
    from PIL import Image

    values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _over_white(image: PILImage.Image) -> PILImage.Image:
    from PIL import Image

    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _sized(image: PILImage.Image, spec: DataSpec) -> PILImage.Image:
    if spec.size is None or image.size == spec.size[::-1]:
        return image
    from PIL import Image, ImageOps

    bicubic, size = Image.Resampling.BICUBIC, spec.size[::-1]
    if spec.fit == "pad":
        return ImageOps.pad(image, size, bicubic, color=0)
    if spec.fit == "crop":
        return ImageOps.fit(image, size, bicubic)
    return image.resize(size, bicubic)


def _array(image: PILImage.Image) -> NDArray[np.uint8]:
    array = np.asarray(image, dtype=np.uint8)
    return array[:, :, None] if array.ndim == 2 else array
