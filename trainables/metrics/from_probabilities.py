"""The scores of a model that is known by its probabilities alone, as a saved file is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.metrics.classification import ClassificationEvaluation
from toprung.trainables.metrics.multilabel import MultilabelEvaluation
from toprung.trainables.task.task_type import MULTILABEL

if TYPE_CHECKING:
    from toprung.trainables.metrics.classification import Evaluation

TINY = 1e-30  # float32 holds it; a probability of 0 costs 69 nats instead of infinitely many


def evaluation_of(probabilities: np.ndarray, labels: np.ndarray, task_type: str) -> Evaluation:
    """Score probabilities (N, classes) against labels; in a binary task they are those of both classes."""
    wide = np.asarray(probabilities, np.float64)
    if task_type == MULTILABEL:
        return MultilabelEvaluation.from_logits(_log(wide) - _log(1.0 - wide), labels)
    return ClassificationEvaluation.from_logits(_log(wide).astype(np.float32), labels)


def cooled(logits: np.ndarray, temperature: float, task_type: str) -> np.ndarray:
    """The probabilities, float64 (N, classes), of logits divided by a temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    if task_type == MULTILABEL:
        return np.exp(-np.logaddexp(0.0, -scaled))
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(probabilities, TINY)))
