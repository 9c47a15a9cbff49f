"""Losses and class weights, as pure functions of tensors.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.backend.operations import ops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.trainables.backend.tensors import Scalar, Tensor


def class_weights(counts: Sequence[int], power: float) -> np.ndarray:
    """A weight for each class: (1 / its share of the images) to `power`, scaled to a mean of 1 over the images.

    Args:
        counts: Images of each class. A class without images weighs 1 and does not change the other weights.
        power: 0 weighs all images alike, 1 all classes.

    Returns:
        Float32 (classes,).
    """
    counted = np.asarray(counts, np.float64)
    present = counted[counted > 0]
    shares = (present.mean() / present) ** power
    weights = np.ones_like(counted)
    weights[counted > 0] = shares * (present.sum() / (present * shares).sum())
    return weights.astype(np.float32)


def positive_weights(counts: Sequence[int], images: int, power: float) -> np.ndarray:
    """The weight of each label where it is 1: (images without it / images with it) to `power`.

    Args:
        counts: Of `images` images, how many have each label.
        images: Number of images.
        power: 0 weighs all labels alike.

    Returns:
        Float32 (labels,).
    """
    with_label = np.clip(np.asarray(counts, np.float64), 1.0, max(images - 1, 1))
    return np.asarray((np.maximum(images - with_label, 1.0) / with_label) ** power, np.float32)


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: Scalar) -> Tensor:
    """The cross-entropy of each example with label smoothing (Szegedy et al. 2016).

    Args:
        logits: (batch, classes).
        targets: Float32 (batch, classes), each row sums to 1.
        label_smoothing: Epsilon of the paper, in [0, 1).

    Returns:
        Float32 (batch,), in nats.
    """
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    hit = ops.sum(targets * log_probabilities, axis=-1)
    return -(1.0 - label_smoothing) * hit - label_smoothing * ops.mean(log_probabilities, axis=-1)


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, label_smoothing: Scalar, positive_weights: Tensor
) -> Tensor:
    """The binary cross-entropy of each example, averaged over its labels.

    Args:
        logits: (batch, labels).
        targets: Float32 (batch, labels) in [0, 1].
        label_smoothing: Pulls targets towards one half, as Keras does; in [0, 1).
        positive_weights: Float32 (labels,), factors of the loss of labels that are 1.

    Returns:
        Float32 (batch,), in nats.
    """
    logits = ops.cast(logits, "float32")
    half = 0.5 * label_smoothing
    missed, raised = ops.softplus(-logits), ops.softplus(logits)
    # The weight belongs to a label that is 1, and not to the share of 1 that smoothing gives to one that is 0.
    present = positive_weights * ((1.0 - half) * missed + half * raised)
    absent = half * missed + (1.0 - half) * raised
    return ops.mean(targets * present + (1.0 - targets) * absent, axis=-1)
