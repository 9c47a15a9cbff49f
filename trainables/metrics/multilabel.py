"""The scores of a trained model on a split of a task in which an image may have any number of classes."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from toprung.trainables.metrics.classification import Evaluation, area_under_curve, calibration_gap


class MultilabelEvaluation(Evaluation):
    """Scores for any number of classes in an image; a class is predicted when its probability is above one half.

    `accuracy` is exact match. `loss` is the binary cross-entropy over images and labels. `predictions` and `labels` are
    0/1 int32 (N, K).
    """

    @classmethod
    def from_logits(cls, logits: np.ndarray, labels: np.ndarray) -> MultilabelEvaluation:
        """Score logits (N, K) against labels, 0/1 int (N, K)."""
        labels = np.asarray(labels, np.int32)
        wide = np.where(np.isfinite(logits), logits, np.nan).astype(np.float64)
        with np.errstate(invalid="ignore"):
            losses = np.logaddexp(0.0, wide) - labels * wide
            probabilities = np.exp(-np.logaddexp(0.0, -wide)).astype(np.float32)
        predictions = (logits > 0.0).astype(np.int32)
        is_correct = predictions == labels
        return cls(
            accuracy=float(is_correct.all(axis=1).mean()),
            loss=float(losses.mean()),
            class_accuracy=is_correct.mean(axis=0),
            predictions=predictions,
            probabilities=probabilities,
            labels=labels,
            logits=logits,
        )

    @cached_property
    def scores(self) -> dict[str, float]:
        """Every score by name.

        `label_accuracy` is the mean of `class_accuracy`. `balanced_accuracy`, `macro_f1` and `auc` are means over the
        labels: of the accuracy among images with the label and among those without it; of F1, without labels that
        neither occur nor are predicted; of the area under the ROC curve, without labels that all images or none have.
        """
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "balanced_accuracy": self._balanced_accuracy(),
            "macro_f1": self._macro_f1(),
            "auc": self._auc(),
            "calibration_error": self._calibration_error(),
            "label_accuracy": float(self.class_accuracy.mean()),
        }

    @property
    def confusion(self) -> np.ndarray:
        """Counts of images for each label, int64 (K, 2, 2): [label, has it, is predicted to have it]."""
        pairs = 2 * self.labels + self.predictions
        counts = [np.bincount(column, minlength=4) for column in pairs.T]
        return np.stack(counts).reshape(-1, 2, 2)

    @property
    def ranks(self) -> np.ndarray:
        """The logits."""
        return self.logits

    def _balanced_accuracy(self) -> float:
        counts = self.confusion
        images = counts.sum(axis=2)
        correct = np.stack([counts[:, 0, 0], counts[:, 1, 1]], axis=1)
        # A label that all images have, or none has, gives one share instead of two, and counts like any other.
        shares = np.where(images > 0, correct / np.maximum(images, 1), np.nan)
        return float(np.nanmean(shares, axis=1).mean())

    def _macro_f1(self) -> float:
        counts = self.confusion
        both = 2 * counts[:, 1, 1] + counts[:, 0, 1] + counts[:, 1, 0]
        return float((2.0 * counts[both > 0, 1, 1] / both[both > 0]).mean()) if both.any() else 1.0

    def _auc(self) -> float:
        areas = [
            area_under_curve(ranks, is_own)
            for ranks, is_own in zip(self.ranks.T, self.labels.T > 0, strict=True)
        ]
        known = [area for area in areas if area is not None]
        return float(np.mean(known)) if known else 0.5

    def _calibration_error(self) -> float:
        return calibration_gap(self.probabilities.ravel(), self.labels.ravel())
