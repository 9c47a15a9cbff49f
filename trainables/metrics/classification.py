"""What a trained model scores on a split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from toprung.trainables.task.task_type import MULTILABEL, SOFTMAX

CALIBRATION_BINS = 15
TOP = 5


SCORES = ("accuracy", "loss", "balanced_accuracy", "macro_f1", "auc", "calibration_error")
"""The names in `ClassificationEvaluation.scores`; with more than 5 classes `top5_accuracy` comes on top."""


def validation_metrics(classes: int, task_type: str = SOFTMAX) -> tuple[str, ...]:
    """The metrics of an epoch that come from the validation images, by name, for a task of that many classes."""
    names = (*SCORES, f"top{TOP}_accuracy") if classes > TOP else SCORES
    if task_type == MULTILABEL:
        names = (*SCORES, "label_accuracy")
    return tuple(f"val_{name}" for name in names)


@dataclass(frozen=True)
class Evaluation(ABC):
    """An evaluation over N examples and K classes, of a task of any task_type.

    accuracy: in [0, 1], share of the images answered right in every part.
    loss: mean loss without smoothing or class weights, in nats; NaN when a logit is not finite.
    class_accuracy: float64 (K,); NaN for a class without examples.
    predictions, labels: what was answered and what is right, integers of one shape.
    probabilities: float32 (N, K).
    """

    accuracy: float
    loss: float
    class_accuracy: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray

    @property
    @abstractmethod
    def scores(self) -> dict[str, float]:
        """Every score by name; all finite when `loss` is."""

    @property
    @abstractmethod
    def confusion(self) -> np.ndarray:
        """How often what was taken for what, int64."""


class ClassificationEvaluation(Evaluation):
    """Scores where an image is of one class: `loss` is the cross-entropy, `predictions` and `labels` are (N,)."""

    @classmethod
    def from_logits(cls, logits: np.ndarray, labels: np.ndarray) -> ClassificationEvaluation:
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
            labels=labels,
        )

    @cached_property
    def scores(self) -> dict[str, float]:
        """Every score by the name in `SCORES`."""
        found = {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "balanced_accuracy": float(np.nanmean(self.class_accuracy)),
            "macro_f1": macro_f1(self.predictions, self.labels, self.probabilities.shape[1]),
            "auc": one_vs_rest_auc(self.probabilities, self.labels),
            "calibration_error": calibration_error(self.probabilities, self.labels),
        }
        if self.probabilities.shape[1] > TOP:
            found[f"top{TOP}_accuracy"] = top_accuracy(self.probabilities, self.labels)
        return found

    @property
    def confusion(self) -> np.ndarray:
        """Counts of images, int64 (K, K): [class, predicted class]."""
        classes = self.probabilities.shape[1]
        pairs = self.labels.astype(np.int64) * classes + self.predictions
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def macro_f1(predictions: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """The harmonic mean of precision and recall of each class, averaged over those that occur in either."""
    right = np.bincount(labels[predictions == labels], minlength=classes)
    both = np.bincount(labels, minlength=classes) + np.bincount(predictions, minlength=classes)
    occurs = both > 0
    return float((2.0 * right[occurs] / both[occurs]).mean())


def one_vs_rest_auc(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """How often an image of a class gets a higher probability of it than one of another, ties half.

    Averaged over the classes that have images and are not alone (Hand & Till 2001 compare one against the rest); 0.5,
    as by chance, when there is no such class. O(N log N) a class.
    """
    areas = []
    for number in np.unique(labels).tolist():
        area = area_under_curve(probabilities[:, number], labels == number)
        if area is not None:
            areas.append(area)
    return float(np.mean(areas)) if areas else 0.5


def area_under_curve(probabilities: np.ndarray, is_own: np.ndarray) -> float | None:
    """How often one of its own gets a higher probability than one of the rest, ties half; None if either is empty."""
    own, rest = probabilities[is_own], np.sort(probabilities[~is_own])
    if not len(own) or not len(rest):
        return None
    below = np.searchsorted(rest, own, "left") + np.searchsorted(rest, own, "right")
    return float(below.mean() / (2.0 * len(rest)))


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error (Guo et al. 2017): |accuracy - confidence| over 15 equal bins of the confidence."""
    return calibration_gap(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def calibration_gap(confidence: np.ndarray, right: np.ndarray) -> float:
    """|share that came true - share expected| over 15 equal bins of the expectation, weighed by their sizes."""
    with np.errstate(invalid="ignore"):
        bins = np.clip(np.ceil(confidence * CALIBRATION_BINS) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(np.nan_to_num(bins).astype(np.int64), weights=right - confidence)
    return float(np.abs(gaps).sum() / len(right))


def top_accuracy(probabilities: np.ndarray, labels: np.ndarray, count: int = TOP) -> float:
    """How often fewer than `count` other classes are at least as probable as the label."""
    own = probabilities[np.arange(len(labels)), labels][:, None]
    return float(((probabilities >= own).sum(axis=1) <= count).mean())
