"""Losses and class weights, as pure functions of arrays in Keras operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

if TYPE_CHECKING:
    from collections.abc import Sequence


def class_weights(counts: Sequence[int], power: float) -> np.ndarray:
    """A weight a class, float32 (classes,): (1 / its share of the images) to `power`; the mean over the images is 1.

    A class without images weighs 1, and the others as if it were not there.
    """
    counted = np.asarray(counts, np.float64)
    present = counted[counted > 0]
    shares = (present.mean() / present) ** power
    weights = np.ones_like(counted)
    weights[counted > 0] = shares * (present.sum() / (present * shares).sum())
    return weights.astype(np.float32)


def positive_weights(counts: Sequence[int], images: int, power: float) -> np.ndarray:
    """A weight a label, float32 (labels,), where it is 1: (images without it / images with it) to `power`."""
    having = np.clip(np.asarray(counts, np.float64), 1.0, max(images - 1, 1))
    return np.asarray((np.maximum(images - having, 1.0) / having) ** power, np.float32)


def cross_entropy(logits: Any, targets: Any, label_smoothing: Any) -> Any:
    """Loss of each example, float32 (batch,), against `targets`, float32 (batch, classes), each row summing to 1.

    Smoothing as in Szegedy et al. 2016 with epsilon in [0, 1).
    """
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    hit = ops.sum(targets * log_probabilities, axis=-1)
    return -(1.0 - label_smoothing) * hit - label_smoothing * ops.mean(log_probabilities, axis=-1)


def label_entropy(logits: Any, targets: Any, label_smoothing: Any, positive_weights: Any) -> Any:
    """Binary cross-entropy of each example, float32 (batch,), the mean over its labels; `targets` lie in [0, 1].

    Smoothing pulls targets towards one half, as Keras does; what a label that is 1 costs is multiplied by its weight.
    """
    logits = ops.cast(logits, "float32")
    half = 0.5 * label_smoothing
    missed, raised = ops.softplus(-logits), ops.softplus(logits)
    # The weight is that of a label that is 1, and not of the share of 1 which smoothing gives to one that is 0.
    present = positive_weights * ((1.0 - half) * missed + half * raised)
    absent = half * missed + (1.0 - half) * raised
    return ops.mean(targets * present + (1.0 - targets) * absent, axis=-1)
