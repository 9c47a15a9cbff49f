"""Image files of every format and colour mode become the same uint8 pixels."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from toprung.trainables.data.dataset import DataSpec
from toprung.trainables.data.decoding.decode import UnreadableImageError, decoded, own_pixel_limit, pixels

if TYPE_CHECKING:
    from pathlib import Path

SPEC = DataSpec("folder", "unused")
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def quarters(size: int = 16) -> Image.Image:
    """Red and green above, blue and white below: every rotation and mirror image of it is different."""
    image = Image.new("RGB", (size, size), WHITE)
    half = size // 2
    image.paste(RED, (0, 0, half, half))
    image.paste(GREEN, (half, 0, size, half))
    image.paste(BLUE, (0, half, half, size))
    return image


def corners(array: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(array[row, column].tolist()) for row, column in ((1, 1), (1, -2), (-2, 1), (-2, -2))]


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "GIF", "WEBP", "JPEG"])
def test_each_format_gives_rgb_bytes(file_format: str) -> None:
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(file_format, {})
    decoded = pixels(encoded(quarters(), file_format, **options), SPEC)
    assert decoded.shape == (16, 16, 3)
    assert decoded.dtype == np.uint8
    # JPEG at quality 100 rounds its transform and the colour conversion: a few levels, nowhere near a colour.
    assert np.abs(np.array(corners(decoded)) - np.array([RED, GREEN, BLUE, WHITE])).max() <= 4


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_each_colour_mode_becomes_rgb(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    else:
        image = Image.new("RGB", (8, 8), (155, 155, 155)).convert(mode)
    file_format = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    decoded = pixels(encoded(image, file_format), SPEC)
    assert decoded.shape == (8, 8, 3)
    if mode == "1":
        assert set(decoded.ravel().tolist()) <= {0, 255}  # dithered
    else:
        # 40000 / 257 = 155.6 rounds to 156; a palette may sit a few levels off.
        assert np.abs(decoded.astype(int) - 155).max() <= 3


@pytest.mark.parametrize("value", [0, 1, 128, 129, 255, 256, 32_768, 65_535])
def test_sixteen_bit_grey_is_scaled_not_clipped(value: int) -> None:
    decoded = pixels(encoded(Image.fromarray(np.full((4, 4), value, np.uint16)), "PNG"), SPEC)
    assert decoded[0, 0, 0] == round(value / 257)


def test_transparency_shows_white() -> None:
    clear = Image.new("RGBA", (4, 4), (10, 200, 30, 0))
    assert (pixels(encoded(clear, "PNG"), SPEC) == 255).all()
    solid = Image.new("RGBA", (4, 4), (10, 200, 30, 255))
    assert pixels(encoded(solid, "PNG"), SPEC)[0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    how_to_store = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quarters().transpose(how_to_store[orientation]) if orientation > 1 else quarters()
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = pixels(encoded(stored, "PNG", exif=exif), SPEC)
    assert corners(decoded) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_costs_only_the_orientation() -> None:
    content = encoded(quarters(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert pixels(content, SPEC).shape == (16, 16, 3)


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(content, SPEC)[0, 0].tolist() == list(RED)


@pytest.mark.parametrize(("fit", "left_edge"), [("stretch", RED), ("crop", RED), ("pad", (0, 0, 0))])
def test_an_oblong_image_is_made_square_as_asked(fit: str, left_edge: tuple[int, int, int]) -> None:
    """A tall red image with a blue bar across its top: padding adds black sides, cropping loses the bar."""
    tall = Image.new("RGB", (20, 60), RED)
    tall.paste(BLUE, (0, 0, 20, 10))
    decoded = pixels(encoded(tall, "PNG"), replace(SPEC, image_size=30, fit=fit))
    assert decoded.shape == (30, 30, 3)
    assert decoded[20, 0].tolist() == list(left_edge)
    assert (decoded[0, 15].tolist() == list(RED)) == (fit == "crop")


def test_shrinking_averages_rather_than_picks() -> None:
    """A checkerboard of single pixels has no detail left at a quarter of its size: only grey."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    decoded = pixels(encoded(Image.fromarray(board), "PNG"), replace(SPEC, image_size=16))
    assert np.abs(decoded.astype(int) - 127).max() < 30


def test_a_large_jpeg_shrinks_the_same_with_and_without_its_decoders_help() -> None:
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    image = Image.fromarray(np.stack([np.tile(ramp, (512, 1))] * 3, axis=-1))
    helped = pixels(encoded(image, "JPEG", quality=95), replace(SPEC, image_size=32))
    plain = pixels(encoded(image, "PNG"), replace(SPEC, image_size=32))
    assert np.abs(helped.astype(int) - plain.astype(int)).mean() < 2


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_noise_is_unreadable_and_never_another_error(content: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        pixels(content, SPEC)


@given(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP"]), st.integers(0, 400), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_one_damaged_byte_gives_an_image_or_unreadable(file_format: str, position: int, value: int) -> None:
    content = bytearray(encoded(quarters(), file_format))
    content[position % len(content)] = value
    try:
        decoded = pixels(bytes(content), replace(SPEC, image_size=8))
    except UnreadableImageError:
        return
    assert decoded.shape == (8, 8, 3)


def test_a_file_that_has_gone_is_unreadable_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="No such file"):
        pixels(tmp_path / "gone.jpg", SPEC)


def test_arrays_of_the_right_shape_pass_through_unchanged() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert pixels(image, SPEC) is image
    grey = pixels(image[..., :1], replace(SPEC, channels=3))
    assert (grey == image[..., :1]).all()
    assert grey.shape == (4, 4, 3)


def test_an_image_may_become_taller_or_wider() -> None:
    for fit in ("stretch", "pad", "crop"):
        array = pixels(encoded(quarters(20), "PNG"), replace(SPEC, image_size=(8, 12), fit=fit))
        assert array.shape == (8, 12, 3)
    assert pixels(np.zeros((8, 12, 1), np.uint8), replace(SPEC, image_size=(8, 12))).shape == (8, 12, 1)
    assert pixels(np.zeros((12, 8, 1), np.uint8), replace(SPEC, image_size=(8, 12))).shape == (8, 12, 1)


def test_an_image_beyond_the_limit_of_pixels_is_refused_before_it_is_decoded() -> None:
    spec = replace(SPEC, max_image_pixels=255)
    with pytest.raises(
        UnreadableImageError, match=r"16x16 is 256 pixels, more than data\.max_image_pixels 255"
    ):
        pixels(encoded(quarters(), "PNG"), spec)
    assert pixels(encoded(quarters(), "PNG"), replace(spec, max_image_pixels=256)).shape == (16, 16, 3)


def test_pillows_own_limit_is_replaced_and_given_back(recwarn: pytest.WarningsRecorder) -> None:
    before = Image.MAX_IMAGE_PIXELS
    spec = replace(SPEC, max_image_pixels=100)
    with own_pixel_limit(spec), pytest.raises(UnreadableImageError, match="256 pixels"):
        pixels(encoded(quarters(), "PNG"), spec)
    assert before == Image.MAX_IMAGE_PIXELS
    assert not recwarn.list


LOSSLESS = ["PNG", "TIFF", "PPM", "TGA", "JPEG2000", "QOI", "DIB", "SGI"]


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_whatever_pillow_reads_gives_its_colours(file_format: str) -> None:
    assert corners(pixels(encoded(quarters(), file_format), SPEC)) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("mode", ["LAB", "CMYK", "YCbCr"])
@pytest.mark.parametrize("channels", [1, 3])
def test_colour_spaces_of_print_are_converted(mode: str, channels: int) -> None:
    array = pixels(
        encoded(quarters().convert("RGB").convert(mode) if mode != "LAB" else lab(), "TIFF"),
        replace(SPEC, channels=channels),
    )
    assert array.shape == (16, 16, channels)
    assert array[-2, -2].min() > 250, "white"


def lab() -> Image.Image:
    return Image.new("LAB", (16, 16), (255, 128, 128))


DAMAGED = [
    "PNG",
    "JPEG",
    "GIF",
    "BMP",
    "WEBP",
    "TIFF",
    "AVIF",
    "JPEG2000",
    "PPM",
    "TGA",
    "ICO",
    "PCX",
    "DDS",
    "QOI",
]


@pytest.mark.parametrize("file_format", DAMAGED)
def test_damaged_bytes_are_pixels_or_one_line(file_format: str) -> None:
    """Flipped bits, bytes put in between and cut ends: an array of the right shape, or the error with its reason."""
    rng = random.Random(file_format)
    content, spec = (
        encoded(quarters(24), file_format),
        replace(SPEC, image_size=16, max_image_pixels=1_000_000),
    )
    with own_pixel_limit(spec):
        for _ in range(40):
            try:
                array = pixels(mutated(content, rng), spec)
            except UnreadableImageError as error:
                assert len(str(error).splitlines()) == 1
            else:
                assert (array.shape, array.dtype) == ((16, 16, 3), np.uint8)


def mutated(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        place = rng.randrange(len(changed))
        kind = rng.random()
        if kind < 0.6:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind < 0.8:
            del changed[max(1, place) :]
        else:
            changed[place:place] = rng.randbytes(4)
    return bytes(changed)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.array([[0.0, 300.0]], np.float32), "values from 0 to 300, and F holds 0 to 255"),
        (np.array([[-1.0, 3.0]], np.float32), "values from -1 to 3, and F holds"),
        (np.array([[0.0, np.nan]], np.float32), "values from nan to nan"),
        (np.array([[0, 70_000]], np.int32), "values from 0 to 70000, and I holds 0 to 65535"),
        (np.array([[-5, 7]], np.int32), "values from -5 to 7"),
    ],
)
def test_values_beyond_the_range_are_refused_and_not_cut(values: np.ndarray, told: str) -> None:
    with pytest.raises(UnreadableImageError, match=told):
        pixels(encoded(Image.fromarray(values), "TIFF"), SPEC)


def test_floating_point_values_are_rounded() -> None:
    image = Image.fromarray(np.array([[0.0, 99.6], [12.4, 255.0]], np.float32))
    assert pixels(encoded(image, "TIFF"), SPEC)[..., 0].tolist() == [[0, 100], [12, 255]]


@pytest.mark.parametrize("side", [120, 200])  # Pillow warns of the first and refuses the second
def test_an_image_of_too_many_pixels_names_the_setting(side: int) -> None:
    spec = replace(SPEC, max_image_pixels=10_000)
    content = encoded(Image.new("L", (side, side)), "PNG")
    with own_pixel_limit(spec), pytest.raises(UnreadableImageError, match=r"data\.max_image_pixels 10,000"):
        pixels(content, spec)


@pytest.mark.parametrize("file_format", ["GIF", "TIFF", "WEBP", "PNG"])
def test_more_frames_than_the_first_are_noticed(file_format: str) -> None:
    first, second = quarters(), quarters().rotate(90)
    several = decoded(encoded(first, file_format, save_all=True, append_images=[second]), SPEC)
    one = decoded(encoded(first, file_format), SPEC)
    assert several.has_more_frames
    assert not one.has_more_frames
    assert several.pixels.shape == one.pixels.shape


def test_the_preview_that_a_camera_adds_is_no_frame() -> None:
    content = encoded(quarters(), "MPO", save_all=True, append_images=[quarters(8)])
    assert not decoded(content, SPEC).has_more_frames
