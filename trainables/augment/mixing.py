"""Two images in one, and their labels in the same proportion: MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019).

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.trainables.augment.geometry import rectangle
from toprung.trainables.backend.operations import ops

if TYPE_CHECKING:
    from toprung.trainables.backend.tensors import Tensor

LARGEST_SHARE = 0.5


def mix(
    images: Tensor, targets: Tensor, mixup: Tensor, cutmix: Tensor, draws: Tensor
) -> tuple[Tensor, Tensor]:
    """Mix each image with the one before it in the batch, and their targets by the same share.

    The share is uniform between 0 and half the strength: at strength 1 that is lambda ~ Beta(1, 1) of both papers with
    the larger part called the first, so that an image is mostly itself. At strength 0 nothing changes, bit for bit.

    Args:
        images: Float32 (batch, H, W, C), 0 to 255.
        targets: Float32 (batch, classes).
        mixup, cutmix: Strengths, scalars in [0, 1]. Where both are above 0, a coin decides for each image.
        draws: Float32 (batch, 4), uniform in [-1, 1): share, coin, place of the box in y and x.
    """
    share, coin = 0.5 + 0.5 * draws[:, 0], draws[:, 1]
    is_box = ops.where(coin * (mixup + cutmix) + (mixup - cutmix) < 0.0, 1.0, 0.0)
    share = LARGEST_SHARE * share * ops.where(is_box > 0.0, cutmix, mixup)
    height, width = images.shape[1:3]
    half = 0.5 * ops.sqrt(share)
    box = rectangle(height, width, (draws[:, 2:4] + 1.0) * 0.5, half * height, half * width)
    weight = ops.where(
        is_box[:, None, None, None] > 0.0, ops.cast(box, "float32"), share[:, None, None, None]
    )
    # A box that reaches over the edge brings less than was drawn: the label follows the pixels.
    brought = ops.mean(weight, axis=(1, 2, 3))[:, None]
    mixed_images = images + weight * (ops.roll(images, 1, axis=0) - images)
    return ops.clip(mixed_images, 0.0, 255.0), targets + brought * (ops.roll(targets, 1, axis=0) - targets)
