"""The scores of a model that is known by its probabilities alone, as a saved file is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.metrics.classification import ClassificationEvaluation
from toprung.trainables.metrics.multilabel import MultilabelEvaluation
from toprung.trainables.task.task_type import MULTILABEL

if TYPE_CHECKING:
    from toprung.trainables.metrics.classification import Evaluation

TINY = 1e-30  # float32 holds it; a probability of 0 costs 69 nats instead of infinitely many


def evaluation_of(
    probabilities: np.ndarray, labels: np.ndarray, task_type: str, logits: np.ndarray | None = None
) -> Evaluation:
    """Score probabilities (N, classes) against labels.

    Args:
        probabilities: In a binary task of both classes.
        labels: As the task has them.
        task_type: See `trainables.task.task_type`.
        logits: What the probabilities were made of, where it is known: ranks are of these, as the probabilities that
            are nearly 1 are rounded to one value.
    """
    wide = np.asarray(probabilities, np.float64)
    found: Evaluation
    if task_type == MULTILABEL:
        found = MultilabelEvaluation.from_logits(_log(wide) - _log(1.0 - wide), labels)
    else:
        found = ClassificationEvaluation.from_logits(_log(wide).astype(np.float32), labels)
    return found if logits is None else replace(found, logits=logits)


def cooled(logits: np.ndarray, temperature: float, task_type: str) -> np.ndarray:
    """The probabilities, float64 (N, classes), of logits divided by a temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    if task_type == MULTILABEL:
        return np.exp(-np.logaddexp(0.0, -scaled))
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(probabilities, TINY)))
