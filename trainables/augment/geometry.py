"""Augmentation of pixel positions: one affine transform for each image, and squares.

Images, strengths and draws are as in `color`. Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from toprung.trainables.backend.operations import ops

if TYPE_CHECKING:
    from toprung.trainables.backend.tensors import Scalar, Tensor

# The largest change at strength 1, drawn uniformly between both signs.
SHIFT_SHARE = 0.15
ROTATION_RADIANS = 0.35
ZOOM_LOG = 0.25
CROP_SHARE = 0.5
CUTOUT_SHARE = 0.4
GREY = 127.5


Strengths = Mapping[str, "Tensor"]
"""The strength of each technique: a scalar, or float32 (batch,) with one for each image."""


def transform(
    images: Tensor, strengths: Strengths, flip: Tensor, draws: Tensor, crop_draws: Tensor | None = None
) -> Tensor:
    """Rotate, zoom, shift, mirror and crop in one bilinear transform, borders reflected.

    Args:
        images: Float32 (batch, H, W, C).
        strengths: Of `rotation`, `zoom` and `translation`, and of `crop` where `crop_draws` are given.
        flip: A scalar; above 0 half the images are mirrored left to right.
        draws: (batch, 5): angle, zoom, mirror, x, y.
        crop_draws: (batch, 3): the size of the crop, and its place in x and y.
    """
    height, width = images.shape[1:3]
    angle = strengths["rotation"] * ROTATION_RADIANS * draws[:, 0]
    scale = ops.exp(strengths["zoom"] * ZOOM_LOG * draws[:, 1])
    dx = strengths["translation"] * SHIFT_SHARE * width * draws[:, 3]
    dy = strengths["translation"] * SHIFT_SHARE * height * draws[:, 4]
    if crop_draws is not None:
        # A crop keeps a share of each side, anywhere in the image, and is scaled to the full size.
        kept = 1.0 - strengths["crop"] * CROP_SHARE * ops.abs(crop_draws[:, 0])
        scale = scale * kept
        dx = dx + 0.5 * (1.0 - kept) * width * crop_draws[:, 1]
        dy = dy + 0.5 * (1.0 - kept) * height * crop_draws[:, 2]
    mirror = ops.where(draws[:, 2] * flip > 0.0, -1.0, 1.0)
    cosine, sine = ops.cos(angle) * scale, ops.sin(angle) * scale
    # Output pixel -> input pixel, turning around the centre, which the shift alone moves.
    x, y = (width - 1) / 2.0, (height - 1) / 2.0
    a, b, c, d = cosine * mirror, -sine, sine * mirror, cosine
    zero = ops.zeros_like(a)
    matrix = ops.stack([a, b, x - a * x - b * y + dx, c, d, y - c * x - d * y + dy, zero, zero], axis=1)
    return ops.image.affine_transform(images, matrix, interpolation="bilinear", fill_mode="reflect")


def cut_out(images: Tensor, strength: Tensor, draws: Tensor) -> Tensor:
    """Replace a square of up to 0.4 of the shorter side by mid grey (DeVries & Taylor 2017); `draws` are (batch, 2)."""
    height, width = images.shape[1:3]
    half = 0.5 * strength * CUTOUT_SHARE * min(height, width)
    hole = rectangle(height, width, (draws + 1.0) * 0.5, half, half)
    return ops.where(hole, GREY, images)


def rectangle(height: int, width: int, centre: Tensor, half_height: Scalar, half_width: Scalar) -> Tensor:
    """The pixels of a rectangle in each image.

    Args:
        height, width: Of the images, in pixels.
        centre: (batch, 2), y and x as shares of the sides.
        half_height, half_width: Half lengths of the sides in pixels, scalars or (batch,).

    Returns:
        Bool (batch, H, W, 1).
    """
    half_height, half_width = ops.expand_dims(half_height, -1), ops.expand_dims(half_width, -1)
    # Pixel 0 reaches from 0 to 1: measured from the middles of pixels, a square meets opposite borders alike.
    down, across = (ops.arange(side, dtype="float32")[None] + 0.5 for side in (height, width))
    rows = ops.abs(down - centre[:, 0:1] * height) < half_height
    columns = ops.abs(across - centre[:, 1:2] * width) < half_width
    return ops.logical_and(rows[:, :, None, None], columns[:, None, :, None])
