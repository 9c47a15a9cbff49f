"""Where an augmented pixel comes from: one affine transform an image, and squares.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

# What strength 1 may do to an image, drawn uniformly between both signs.
SHIFT_SHARE = 0.15
ROTATION_RADIANS = 0.35
ZOOM_LOG = 0.25
CROP_SHARE = 0.5
CUTOUT_SHARE = 0.4
GREY = 127.5


Amounts = Mapping[str, Any]
"""The strength of each technique that is built in, in [0, 1]: a scalar, or one an image, float32 (batch,)."""


def moved(images: Any, amounts: Amounts, flip: Any, draws: Any, place: Any = None) -> Any:
    """Rotate, zoom, shift and mirror, and crop where `place` is given: bilinear, borders reflected.

    `images` is float32 (batch, H, W, C); `draws`, uniform in [-1, 1), is (batch, 5): angle, zoom, mirror, x, y.
    `place` (batch, 3) says how small the crop is and where it lies. With `flip` 1, half the images are mirrored.
    """
    height, width = images.shape[1:3]
    angle = amounts["rotation"] * ROTATION_RADIANS * draws[:, 0]
    scale = ops.exp(amounts["zoom"] * ZOOM_LOG * draws[:, 1])
    dx = amounts["translation"] * SHIFT_SHARE * width * draws[:, 3]
    dy = amounts["translation"] * SHIFT_SHARE * height * draws[:, 4]
    if place is not None:
        # A crop keeps a share of each side, anywhere in the image, and is blown up to the full size.
        kept = 1.0 - amounts["crop"] * CROP_SHARE * ops.abs(place[:, 0])
        scale = scale * kept
        dx = dx + 0.5 * (1.0 - kept) * width * place[:, 1]
        dy = dy + 0.5 * (1.0 - kept) * height * place[:, 2]
    mirror = ops.where(draws[:, 2] * flip > 0.0, -1.0, 1.0)
    cosine, sine = ops.cos(angle) * scale, ops.sin(angle) * scale
    # Output pixel -> input pixel, turning around the centre, which the shift alone moves.
    x, y = (width - 1) / 2.0, (height - 1) / 2.0
    a, b, c, d = cosine * mirror, -sine, sine * mirror, cosine
    zero = ops.zeros_like(a)
    transform = ops.stack([a, b, x - a * x - b * y + dx, c, d, y - c * x - d * y + dy, zero, zero], axis=1)
    return ops.image.affine_transform(images, transform, interpolation="bilinear", fill_mode="reflect")


def cut_out(images: Any, amount: Any, draws: Any) -> Any:
    """Blank a square of up to 0.4 of the shorter side with mid grey (DeVries & Taylor 2017); `draws` is (batch, 2)."""
    height, width = images.shape[1:3]
    half = 0.5 * amount * CUTOUT_SHARE * min(height, width)
    hole = rectangle(height, width, (draws + 1.0) * 0.5, half, half)
    return ops.where(hole, GREY, images)


def rectangle(height: int, width: int, centre: Any, half_height: Any, half_width: Any) -> Any:
    """Bool (batch, H, W, 1): nearer to `centre`, (batch, 2) as shares of the sides, than the half lengths in pixels."""
    half_height, half_width = ops.expand_dims(half_height, -1), ops.expand_dims(half_width, -1)
    # Pixel 0 reaches from 0 to 1: measured from middles, a square meets opposite borders alike.
    down, across = (ops.arange(side, dtype="float32")[None] + 0.5 for side in (height, width))
    rows = ops.abs(down - centre[:, 0:1] * height) < half_height
    columns = ops.abs(across - centre[:, 1:2] * width) < half_width
    return ops.logical_and(rows[:, :, None, None], columns[:, None, :, None])
