"""The scores of a trained model on a split of a task in which each image has one class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from toprung.trainables.task.task_type import MULTILABEL, SOFTMAX
from toprung.trainables.trial.objectives import VALIDATED

CALIBRATION_BINS = 15
TOP = 5


SCORES = tuple(name.removeprefix("val_") for name in VALIDATED)
"""The names in `ClassificationEvaluation.scores`; with more than 5 classes there is `top5_accuracy` too."""


def validation_metrics(classes: int, task_type: str = SOFTMAX) -> tuple[str, ...]:
    """The names of an epoch's metrics that are measured on validation images, for a task of that many classes."""
    names = (*SCORES, f"top{TOP}_accuracy") if classes > TOP else SCORES
    if task_type == MULTILABEL:
        names = (*SCORES, "label_accuracy")
    return tuple(f"val_{name}" for name in names)


@dataclass(frozen=True)
class Evaluation(ABC):
    """An evaluation of N images and K classes, for any type of task.

    accuracy: in [0, 1], the share of images whose whole label is predicted.
    loss: the mean loss without smoothing or class weights, in nats; NaN when a logit is not finite.
    class_accuracy: float64 (K,), the share of correct predictions for each class; NaN for a class without images.
    predictions, labels: integers of one shape.
    probabilities: float32 (N, K).
    logits: as given, (N, K). Ranks are of these: as probabilities, those near 0 or 1 are rounded to one value.
    """

    accuracy: float
    loss: float
    class_accuracy: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray
    logits: np.ndarray

    @property
    @abstractmethod
    def scores(self) -> dict[str, float]:
        """Every score by name; all are finite when `loss` is."""

    @property
    @abstractmethod
    def confusion(self) -> np.ndarray:
        """Counts of labels by their predictions, int64."""

    @property
    @abstractmethod
    def ranks(self) -> np.ndarray:
        """(N, K), of which each column orders the images as the class's probability does before it is rounded."""


class ClassificationEvaluation(Evaluation):
    """Scores for one class in each image: `loss` is the cross-entropy, `predictions` and `labels` are (N,)."""

    @classmethod
    def from_logits(cls, logits: np.ndarray, labels: np.ndarray) -> ClassificationEvaluation:
        """Score logits (N, K) against labels, int (N,)."""
        with np.errstate(invalid="ignore", over="ignore"):
            shifted = logits - logits.max(axis=1, keepdims=True)
            log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        log_probabilities = shifted - log_sum
        predictions = logits.argmax(axis=1).astype(np.int32)
        is_correct = predictions == labels
        counts = np.bincount(labels, minlength=logits.shape[1])
        with np.errstate(invalid="ignore"):
            class_accuracy = np.bincount(labels, weights=is_correct, minlength=logits.shape[1]) / counts
        return cls(
            accuracy=float(is_correct.mean()),
            loss=float(-log_probabilities[np.arange(len(labels)), labels].mean()),
            class_accuracy=class_accuracy,
            predictions=predictions,
            probabilities=np.exp(log_probabilities),
            labels=labels,
            logits=logits,
        )

    @cached_property
    def scores(self) -> dict[str, float]:
        """Every score by the name in `SCORES`."""
        scores = {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "balanced_accuracy": float(np.nanmean(self.class_accuracy)),
            "macro_f1": macro_f1(self.predictions, self.labels, self.probabilities.shape[1]),
            "auc": one_vs_rest_auc(self.ranks, self.labels),
            "calibration_error": calibration_error(self.probabilities, self.labels),
        }
        if self.probabilities.shape[1] > TOP:
            scores[f"top{TOP}_accuracy"] = top_accuracy(self.logits, self.labels)
        return scores

    @property
    def confusion(self) -> np.ndarray:
        """Counts of images, int64 (K, K): [class, predicted class]."""
        classes = self.probabilities.shape[1]
        pairs = self.labels.astype(np.int64) * classes + self.predictions
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    @cached_property
    def ranks(self) -> np.ndarray:
        """The log-odds of each class."""
        return log_odds(self.logits)


def macro_f1(predictions: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """F1 averaged over the classes that occur among predictions (N,) or labels (N,).

    F1 is the harmonic mean of precision and recall.
    """
    correct = np.bincount(labels[predictions == labels], minlength=classes)
    both = np.bincount(labels, minlength=classes) + np.bincount(predictions, minlength=classes)
    occurs = both > 0
    return float((2.0 * correct[occurs] / both[occurs]).mean())


def log_odds(logits: np.ndarray) -> np.ndarray:
    """The logarithm of p / (1 - p) of each class's softmax probability p, float64 (N, K).

    It orders images as the probability does, and keeps apart what the probability rounds to 0 or 1.
    """
    wide = np.asarray(logits, np.float64)
    rows, largest = np.arange(len(wide)), wide.argmax(axis=1)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        shifted = wide - wide[rows, largest][:, None]
        powers = np.exp(shifted)
        # Without the largest itself the difference would cancel, so its rivals are summed apart, from their largest.
        found: np.ndarray = shifted - np.log(powers.sum(axis=1, keepdims=True) - powers)
        rivals = shifted.copy()
        rivals[rows, largest] = -np.inf
        highest = rivals.max(axis=1)
        found[rows, largest] = -(highest + np.log(np.exp(rivals - highest[:, None]).sum(axis=1)))
    return found


def one_vs_rest_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """The area under the ROC curve of each class against the rest (Hand & Till 2001), averaged over classes.

    Classes without images, and a class that all images have, are left out; 0.5, as by chance, when none is left.
    O(N log N) for each class.

    Args:
        scores: (N, K), of which each column orders the images as the class's probability does.
        labels: Int (N,).
    """
    areas = []
    for number in np.unique(labels).tolist():
        area = area_under_curve(scores[:, number], labels == number)
        if area is not None:
            areas.append(area)
    return float(np.mean(areas)) if areas else 0.5


def area_under_curve(scores: np.ndarray, is_own: np.ndarray) -> float | None:
    """The area under the ROC curve: how often an image of the class gets a higher score than another, ties half.

    Args:
        scores: Of the class, (N,).
        is_own: Bool (N,), whether an image has the class.

    Returns:
        A number in [0, 1]; None if all images have the class or none has.
    """
    own, rest = scores[is_own], np.sort(scores[~is_own])
    if not len(own) or not len(rest):
        return None
    below = np.searchsorted(rest, own, "left") + np.searchsorted(rest, own, "right")
    return float(below.mean() / (2.0 * len(rest)))


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error (Guo et al. 2017): |accuracy - confidence| over 15 equal bins of the confidence.

    Args:
        probabilities: (N, K).
        labels: Int (N,).
    """
    return calibration_gap(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def calibration_gap(confidence: np.ndarray, is_correct: np.ndarray) -> float:
    """|share of correct predictions - mean confidence| over 15 equal bins of the confidence, weighed by their sizes.

    Args:
        confidence: (N,), in [0, 1].
        is_correct: Bool or 0 and 1, (N,).
    """
    with np.errstate(invalid="ignore"):
        bins = np.clip(np.ceil(confidence * CALIBRATION_BINS) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(np.nan_to_num(bins).astype(np.int64), weights=is_correct - confidence)
    return float(np.abs(gaps).sum() / len(is_correct))


def top_accuracy(logits: np.ndarray, labels: np.ndarray, count: int = TOP) -> float:
    """The share of images for which fewer than `count` other classes have a logit at least as large as the label's."""
    own = logits[np.arange(len(labels)), labels][:, None]
    return float(((logits >= own).sum(axis=1) <= count).mean())
