"""Two images in one, and their labels in the same proportion: MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019).

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from toprung.trainables.augment.geometry import rectangle

LARGEST_SHARE = 0.5


def mixed(images: Any, targets: Any, mixup: Any, cutmix: Any, draws: Any) -> tuple[Any, Any]:
    """Each image with a share of the one before it in the batch; labels mixed by the share that entered.

    `images` (batch, H, W, C) and `targets` (batch, classes) are float32; `mixup` and `cutmix` are strengths, scalars in
    [0, 1]. With both on, a coin decides for each image. The share is uniform between 0 and half the strength: at
    strength 1 that is lambda ~ Beta(1, 1) of both papers with the larger part called the first, so that an image is
    mostly itself. `draws`, uniform in [-1, 1), is (batch, 4). At strength 0 nothing changes, bit for bit.
    """
    share, coin = 0.5 + 0.5 * draws[:, 0], draws[:, 1]
    is_cut = ops.where(coin * (mixup + cutmix) + (mixup - cutmix) < 0.0, 1.0, 0.0)
    share = LARGEST_SHARE * share * ops.where(is_cut > 0.0, cutmix, mixup)
    height, width = images.shape[1:3]
    half = 0.5 * ops.sqrt(share)
    box = rectangle(height, width, (draws[:, 2:4] + 1.0) * 0.5, half * height, half * width)
    weight = ops.where(
        is_cut[:, None, None, None] > 0.0, ops.cast(box, "float32"), share[:, None, None, None]
    )
    # A box that reaches over the edge brings less than was drawn: the label follows the pixels.
    brought = ops.mean(weight, axis=(1, 2, 3))[:, None]
    mixed_images = images + weight * (ops.roll(images, 1, axis=0) - images)
    return ops.clip(mixed_images, 0.0, 255.0), targets + brought * (ops.roll(targets, 1, axis=0) - targets)
