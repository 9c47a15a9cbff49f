"""Whether a model is as often right as it is sure: the bins of a reliability diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.metrics.classification import CALIBRATION_BINS
from toprung.trainables.task.task_type import MULTILABEL

if TYPE_CHECKING:
    from toprung.trainables.metrics.classification import Evaluation


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions whose confidence is above `low` and at most `high`.

    Attributes:
        low: Confidence.
        high: Confidence.
        count: Number of predictions.
        confidence: Their mean confidence; None without predictions.
        accuracy: The share of them that is right; None without predictions.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def reliability(evaluation: Evaluation, task_type: str) -> list[ReliabilityBin]:
    """Bins of equal width, those of `calibration_error`.

    In a multilabel task each label of an image counts, its confidence the probability that the image has the label.
    """
    if task_type == MULTILABEL:
        confidence, is_right = evaluation.probabilities.ravel(), evaluation.labels.ravel() > 0
    else:
        confidence = evaluation.probabilities.max(axis=1)
        is_right = evaluation.predictions == evaluation.labels
    with np.errstate(invalid="ignore"):
        numbers = np.clip(np.ceil(confidence * CALIBRATION_BINS) - 1, 0, CALIBRATION_BINS - 1)
    numbers = np.nan_to_num(numbers).astype(np.int64)
    return [
        _bin(number, confidence[numbers == number], is_right[numbers == number])
        for number in range(CALIBRATION_BINS)
    ]


def _bin(number: int, confidence: np.ndarray, is_right: np.ndarray) -> ReliabilityBin:
    low, high = number / CALIBRATION_BINS, (number + 1) / CALIBRATION_BINS
    if not len(confidence):
        return ReliabilityBin(low, high, 0, None, None)
    return ReliabilityBin(low, high, len(confidence), float(confidence.mean()), float(is_right.mean()))
