"""A model's outputs for images as classes and probabilities, whatever the type of task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toprung.trainables.task.task_type import BINARY, MULTILABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.trainables.task.task_type import TaskType


@dataclass(frozen=True)
class Predictions:
    """What a model says about N images.

    Attributes:
        labels: Class numbers, int32 (N,); in a multilabel task 0 and 1 for each class, int32 (N, classes).
        probabilities: float32 (N, classes).
    """

    labels: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def of(cls, outputs: np.ndarray, task: TaskType) -> Predictions:
        """From outputs (N, outputs): a class is predicted where its probability is highest, or above one half.

        In a binary task the one output is the probability of the second class.
        """
        probabilities = np.asarray(outputs, np.float32)
        if task == MULTILABEL:
            return cls((probabilities > 0.5).astype(np.int32), probabilities)
        if task == BINARY:
            probabilities = np.concatenate([1.0 - probabilities, probabilities], axis=1)
        return cls(probabilities.argmax(axis=1).astype(np.int32), probabilities)

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the predicted label, (N,): in a multilabel task the product of those of its classes."""
        if self.labels.ndim == 1:
            return np.asarray(self.probabilities[np.arange(len(self.labels)), self.labels])
        return np.asarray(
            np.where(self.labels > 0, self.probabilities, 1.0 - self.probabilities).prod(axis=1)
        )


def label_texts(labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The names of labels: that of the class; in a multilabel task those of all classes, joined by " + "."""
    if np.ndim(labels) == 1:
        return [classes[number] for number in labels.tolist()]
    return [
        " + ".join(name for name, has in zip(classes, row, strict=True) if has) for row in labels.tolist()
    ]
