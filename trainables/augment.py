"""Image augmentation on the device, in batches, from one strength in [0, 1].

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from trainables.layers import Dialled

# What strength 1 may do to an image, drawn uniformly between both signs.
SHIFT_SHARE = 0.15
ROTATION_RADIANS = 0.35
ZOOM_LOG = 0.25
CONTRAST = 0.4
BRIGHTNESS = 0.25 * 255.0
CUTOUT_SHARE = 0.4


class Augment(Dialled):
    """Shift, rotate, zoom, change contrast and brightness, cut a square out; mirror when `flip` is on.

    Takes and returns images (batch, H, W, C) with values 0 to 255, of the same dtype. The geometry is one
    bilinear affine transform a batch (about 25 us for a 32x32x3 image on one CPU core), with reflected
    borders. Cutout (DeVries & Taylor 2017) blanks a square of up to 0.4 strength of the shorter side with mid
    grey. Dials: `augment`, the strength (at 0 the output is the input, bit for bit), and `flip`, which
    mirrors each image with probability one half. Outside training it does nothing.
    """

    def __init__(self, **kwargs: Any) -> None:
        # Pixels need more than bfloat16's 8 bits, so mixed precision starts behind the augmentation.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.strength = self.add_dial("augment")
        self.flip = self.add_dial("flip")
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        draws = keras.random.uniform((ops.shape(images)[0], 9), -1.0, 1.0, seed=self.seed_generator)
        varied = self._recolour(self._move(ops.cast(images, "float32"), draws), draws)
        varied = self._cut_out(varied, draws)
        if keras.backend.is_int_dtype(images.dtype):
            varied = ops.round(varied)
        return ops.cast(varied, images.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def _move(self, images: Any, draws: Any) -> Any:
        height, width = images.shape[1:3]
        angle = self.strength * ROTATION_RADIANS * draws[:, 0]
        scale = ops.exp(self.strength * ZOOM_LOG * draws[:, 1])
        mirror = ops.where(draws[:, 2] * self.flip > 0.0, -1.0, 1.0)
        cosine, sine = ops.cos(angle) * scale, ops.sin(angle) * scale
        # Output pixel -> input pixel, turning around the centre, which the shift alone moves.
        x, y = (width - 1) / 2.0, (height - 1) / 2.0
        a, b, c, d = cosine * mirror, -sine, sine * mirror, cosine
        dx = self.strength * SHIFT_SHARE * width * draws[:, 3]
        dy = self.strength * SHIFT_SHARE * height * draws[:, 4]
        zero = ops.zeros_like(a)
        transform = ops.stack(
            [a, b, x - a * x - b * y + dx, c, d, y - c * x - d * y + dy, zero, zero], axis=1
        )
        return ops.image.affine_transform(images, transform, interpolation="bilinear", fill_mode="reflect")

    def _recolour(self, images: Any, draws: Any) -> Any:
        contrast = 1.0 + self.strength * CONTRAST * draws[:, 5]
        brightness = self.strength * BRIGHTNESS * draws[:, 6]
        # Contrast turns around mid grey: offset = 127.5 (1 - contrast), exactly 0 at strength 0.
        offset = 127.5 * (1.0 - contrast) + brightness
        return ops.clip(images * contrast[:, None, None, None] + offset[:, None, None, None], 0.0, 255.0)

    def _cut_out(self, images: Any, draws: Any) -> Any:
        height, width = images.shape[1:3]
        half = 0.5 * self.strength * CUTOUT_SHARE * min(height, width)
        rows = (
            ops.abs(ops.arange(height, dtype="float32")[None] - (draws[:, 7:8] + 1.0) * 0.5 * height) < half
        )
        columns = (
            ops.abs(ops.arange(width, dtype="float32")[None] - (draws[:, 8:9] + 1.0) * 0.5 * width) < half
        )
        hole = ops.logical_and(rows[:, :, None, None], columns[:, None, :, None])
        return ops.where(hole, 127.5, images)
