"""What a trained model scores on a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Evaluation:
    """Scores over N examples and K classes.

    `accuracy` in [0, 1]; `loss` the mean cross-entropy without smoothing, in nats; `class_accuracy` float64
    (K,), NaN for a class without examples; `predictions` int32 (N,); `probabilities` float32 (N, K). Logits
    that are not finite make `loss` NaN.
    """

    accuracy: float
    loss: float
    class_accuracy: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def from_logits(cls, logits: np.ndarray, labels: np.ndarray) -> Evaluation:
        """Score logits (N, K) against labels, int (N,)."""
        with np.errstate(invalid="ignore", over="ignore"):
            shifted = logits - logits.max(axis=1, keepdims=True)
            log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        log_probabilities = shifted - log_sum
        predictions = logits.argmax(axis=1).astype(np.int32)
        right = predictions == labels
        counts = np.bincount(labels, minlength=logits.shape[1])
        with np.errstate(invalid="ignore"):
            by_class = np.bincount(labels, weights=right, minlength=logits.shape[1]) / counts
        return cls(
            accuracy=float(right.mean()),
            loss=float(-log_probabilities[np.arange(len(labels)), labels].mean()),
            class_accuracy=by_class,
            predictions=predictions,
            probabilities=np.exp(log_probabilities),
        )
