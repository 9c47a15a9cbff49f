"""What augmentation does to the values of the pixels: contrast, brightness, saturation, hue, blur, noise.

Images are float32 (batch, H, W, C), 0 to 255; an amount is a scalar or float32 (batch,), and at 0 nothing changes,
bit for bit. Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

# What strength 1 may do to an image, drawn uniformly between both signs.
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


def recoloured(images: Any, contrast: Any, brightness: Any, draws: Any) -> Any:
    """Change contrast around mid grey, then brightness; `draws`, uniform in [-1, 1), is (batch, 2)."""
    factor = 1.0 + contrast * CONTRAST * draws[:, 0]
    # offset = 127.5 (1 - factor), exactly 0 at strength 0.
    offset = 127.5 * (1.0 - factor) + brightness * BRIGHTNESS * draws[:, 1]
    return ops.clip(images * factor[:, None, None, None] + offset[:, None, None, None], 0.0, 255.0)


def tinted(images: Any, saturation: Any, hue: Any, draws: Any) -> Any:
    """Change saturation and hue of RGB images; `draws`, uniform in [-1, 1), is (batch, 2)."""
    factor = 1.0 + saturation * SATURATION * draws[:, 0]
    angle = hue * HUE_RADIANS * draws[:, 1]
    chroma, turn = factor * ops.cos(angle) - 1.0, factor * ops.sin(angle)
    matrix = np.eye(3, dtype=np.float32) + chroma[:, None, None] * _CHROMA.T + turn[:, None, None] * _TURN.T
    flat = ops.reshape(images, (-1, images.shape[1] * images.shape[2], 3))
    return ops.clip(ops.reshape(ops.matmul(flat, matrix), ops.shape(images)), 0.0, 255.0)


def blurred(images: Any, amount: Any, draws: Any) -> Any:
    """Blend with a Gaussian blur of a 32nd of each side; `draws`, (batch,), says how far. Borders are reflected."""
    height, width, channels = images.shape[1:]
    # A matrix product a direction costs the same whatever the radius, and runs on the fastest code there is.
    down = blur_matrix(height)
    across = np.kron(blur_matrix(width), np.eye(channels, dtype=np.float32)).T
    rows = ops.matmul(down, ops.reshape(images, (-1, height, width * channels)))
    soft = ops.reshape(ops.matmul(rows, across), ops.shape(images))
    share = ops.minimum(amount * ops.abs(draws), 1.0)
    return ops.clip(images + share[:, None, None, None] * (soft - images), 0.0, 255.0)


def blur_matrix(length: int) -> np.ndarray:
    """Float32 (length, length), rows summing to 1: a Gaussian blur along one axis."""
    sigma = max(0.7, length * BLUR_SIDE_SHARE)
    reach = min(length, math.ceil(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(np.eye(length), ((reach, reach), (0, 0)), mode="symmetric")
    rows = [taps / taps.sum() @ padded[start : start + 2 * reach + 1] for start in range(length)]
    return np.stack(rows).astype(np.float32)


def noised(images: Any, amount: Any, draws: Any, fields: Any) -> Any:
    """Add Gaussian noise of up to a tenth of the range.

    Each image gets its own combination, `draws` (batch, F), of F `fields` of normal numbers (F, H, W, C): drawing one
    for every pixel of a batch would cost ten times as much.
    """
    unit = draws / ops.sqrt(ops.sum(ops.square(draws), axis=1, keepdims=True) + 1e-6)
    size = ops.expand_dims(amount * NOISE * ops.abs(draws[:, 0]), -1)
    flat = ops.matmul(size * unit, ops.reshape(fields, (fields.shape[0], -1)))
    return ops.clip(images + ops.reshape(flat, ops.shape(images)), 0.0, 255.0)
