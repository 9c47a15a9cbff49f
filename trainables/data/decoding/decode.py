"""Decoding of one image, from a file, bytes or an array, to uint8 pixels of the size and channels of the spec."""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toprung.trainables.data.source_rules.formats import COMMON, readable_formats
from toprung.trainables.data.source_rules.paths import RemotePath, open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL import Image as PILImage

    from toprung.trainables.data.source_rules.base import Item
    from toprung.trainables.data.source_rules.spec import DataSpec


class UnreadableImageError(ValueError):
    """One image cannot be decoded: skip it and name it, or replace the file."""


class Picture(NamedTuple):
    """One decoded image: uint8 (H, W, C), and whether the file holds more frames than the first."""

    pixels: NDArray[np.uint8]
    has_more_frames: bool = False


def pixels(item: Item, spec: DataSpec) -> NDArray[np.uint8]:
    """The pixels of `decoded`."""
    return decoded(item, spec).pixels


def decoded(item: Item, spec: DataSpec) -> Picture:
    """Decode one image.

    Applies the EXIF orientation, takes the first frame of an animation, lays transparency over white, scales 16-bit
    grey to 8 bits, and turns every colour mode into RGB (grey with `channels=1`). With `image_size` the image is
    resized with an antialiased bicubic filter.

    Raises:
        UnreadableImageError: The image is damaged, empty or of another format.
    """
    if isinstance(item, np.ndarray):
        return Picture(_from_array(item, spec))
    if isinstance(item, RemotePath):
        item = item.read_bytes()  # outside `try`: a store that does not answer is no damaged image
    try:
        image = _identified(item, spec)
        has_more_frames = _has_more_frames(image)
        return Picture(
            _array(_sized(_converted(_loaded(image, spec), spec.channels or 3), spec)), has_more_frames
        )
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
    from PIL import Image

    if isinstance(error, Image.DecompressionBombError):
        size = str(error).partition(" exceeds")[0].removeprefix("Image size ").strip("()")
        return f"{size}, more than data.max_image_pixels {Image.MAX_IMAGE_PIXELS:,}"
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


def _content(file: Path) -> bytes:
    with open_regular(file) as stream:
        content: bytes = stream.read()
    return content


def _identified(item: bytes | Path, spec: DataSpec) -> PILImage.Image:
    """The image of which only the header is read."""
    from PIL import Image

    content = _content(item) if isinstance(item, Path) else item
    if not content:
        raise UnreadableImageError("empty")
    image = Image.open(io.BytesIO(content), formats=tuple(readable_formats()))
    width, height = image.size
    if width * height > spec.max_image_pixels:
        given = f"{width}x{height} is {width * height:,} pixels"
        raise UnreadableImageError(f"{given}, more than data.max_image_pixels {spec.max_image_pixels:,}")
    return image


def _has_more_frames(image: PILImage.Image) -> bool:
    """Whether an animation or a file of several pages was opened; what cameras add to a photograph does not count."""
    if image.format == "MPO":
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # only the second frame is damaged
        return True


def _loaded(image: PILImage.Image, spec: DataSpec) -> PILImage.Image:
    """The first frame, upright."""
    from PIL import ImageOps

    if spec.size:
        # A JPEG decoder can halve as it decodes; twice the final size leaves the filter enough to work on.
        image.draft(image.mode, (2 * spec.size[1], 2 * spec.size[0]))
    image.load()  # damaged pixels raise here
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # with damaged EXIF data only the orientation is lost
        return image


def _converted(image: PILImage.Image, channels: int) -> PILImage.Image:
    from PIL import Image

    mode = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I"):
        image = _eight_bit(image)
    elif image.mode == "F":
        image = Image.fromarray(np.rint(_within(image, 255)).astype(np.uint8))
    if image.mode == "LAB":
        image = image.convert("RGB")  # Pillow has no shorter way to grey
    if image.has_transparency_data:
        image = _over_white(image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)


def _eight_bit(image: PILImage.Image) -> PILImage.Image:
    from PIL import Image

    return Image.fromarray(((_within(image, 65535).astype(np.int64) + 128) // 257).astype(np.uint8))


def _within(image: PILImage.Image, highest: int) -> NDArray[Any]:
    """The pixels of a grey image; raises UnreadableImageError where one is NaN, below 0 or above `highest`."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= highest):
        raise UnreadableImageError(f"values from {low:g} to {high:g}, and {image.mode} holds 0 to {highest}")
    return values


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
