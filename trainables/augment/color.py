"""Augmentation of pixel values: contrast, brightness, saturation, hue, blur, noise.

In every function `images` are float32 (batch, H, W, C) with values 0 to 255, and so is the result. A strength is in
[0, 1], a scalar or float32 (batch,); at strength 0 nothing changes, bit for bit. `draws` are random numbers, uniform in
[-1, 1). Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.backend.operations import ops

if TYPE_CHECKING:
    from toprung.trainables.backend.tensors import Scalar, Tensor

# The largest change at strength 1, drawn uniformly between both signs.
CONTRAST = 0.4
BRIGHTNESS = 0.25 * 255.0
SATURATION = 0.9
HUE_RADIANS = 0.25 * math.pi
NOISE = 0.1 * 255.0
BLUR_SIDE_SHARE = 1.0 / 32.0  # standard deviation of the blur


# x' = x + (s cos(h) - 1) A x + s sin(h) B x scales the saturation by s and turns the hue by h at equal luminance: the
# matrices of `saturate` and `hueRotate` in Filter Effects (W3C), taken apart so that s = 1, h = 0 is exactly x.
_LUMINANCE = np.array([0.213, 0.715, 0.072], np.float32)
_CHROMA = np.eye(3, dtype=np.float32) - _LUMINANCE
_TURN = np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]], np.float32)


def change_contrast_and_brightness(
    images: Tensor, contrast: Scalar, brightness: Scalar, draws: Tensor
) -> Tensor:
    """Scale the contrast around mid grey, then add to the brightness; `draws` are (batch, 2)."""
    factor = 1.0 + contrast * CONTRAST * draws[:, 0]
    # offset = 127.5 (1 - factor), exactly 0 at strength 0.
    offset = 127.5 * (1.0 - factor) + brightness * BRIGHTNESS * draws[:, 1]
    return ops.clip(images * factor[:, None, None, None] + offset[:, None, None, None], 0.0, 255.0)


def change_saturation_and_hue(images: Tensor, saturation: Scalar, hue: Scalar, draws: Tensor) -> Tensor:
    """Scale the saturation and turn the hue of RGB images at equal luminance; `draws` are (batch, 2)."""
    factor = 1.0 + saturation * SATURATION * draws[:, 0]
    angle = hue * HUE_RADIANS * draws[:, 1]
    chroma, turn = factor * ops.cos(angle) - 1.0, factor * ops.sin(angle)
    matrix = np.eye(3, dtype=np.float32) + chroma[:, None, None] * _CHROMA.T + turn[:, None, None] * _TURN.T
    flat = ops.reshape(images, (-1, images.shape[1] * images.shape[2], 3))
    return ops.clip(ops.reshape(ops.matmul(flat, matrix), ops.shape(images)), 0.0, 255.0)


def blur(images: Tensor, strength: Scalar, draws: Tensor) -> Tensor:
    """Blend with a Gaussian blur of a 32nd of each side, borders reflected; `draws` are (batch,)."""
    height, width, channels = images.shape[1:]
    # A matrix product for each direction costs the same whatever the radius, and is the fastest operation there is.
    down = blur_matrix(height)
    across = np.kron(blur_matrix(width), np.eye(channels, dtype=np.float32)).T
    rows = ops.matmul(down, ops.reshape(images, (-1, height, width * channels)))
    soft = ops.reshape(ops.matmul(rows, across), ops.shape(images))
    share = ops.minimum(strength * ops.abs(draws), 1.0)
    return ops.clip(images + share[:, None, None, None] * (soft - images), 0.0, 255.0)


def blur_matrix(length: int) -> np.ndarray:
    """A Gaussian blur along one axis, float32 (length, length), rows summing to 1."""
    sigma = max(0.7, length * BLUR_SIDE_SHARE)
    reach = min(length, math.ceil(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(np.eye(length), ((reach, reach), (0, 0)), mode="symmetric")
    rows = [taps / taps.sum() @ padded[start : start + 2 * reach + 1] for start in range(length)]
    return np.stack(rows).astype(np.float32)


def add_noise(images: Tensor, strength: Tensor, draws: Tensor, fields: Tensor) -> Tensor:
    """Add Gaussian noise of up to a tenth of the range.

    Each image gets its own combination of the fields: a normal number for every pixel of a batch would cost ten times
    as much.

    Args:
        images: Float32 (batch, H, W, C).
        strength: Float32 (batch,).
        draws: (batch, F), the weights of the fields in each image.
        fields: Normal numbers (F, H, W, C).
    """
    unit = draws / ops.sqrt(ops.sum(ops.square(draws), axis=1, keepdims=True) + 1e-6)
    size = ops.expand_dims(strength * NOISE * ops.abs(draws[:, 0]), -1)
    flat = ops.matmul(size * unit, ops.reshape(fields, (fields.shape[0], -1)))
    return ops.clip(images + ops.reshape(flat, ops.shape(images)), 0.0, 255.0)
