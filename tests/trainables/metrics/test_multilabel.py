"""Scores of images that show any number of classes."""

from __future__ import annotations

import numpy as np
import pytest

from toprung.trainables.metrics.classification import validation_metrics
from toprung.trainables.metrics.multilabel import MultilabelEvaluation


def some() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = (rng.uniform(size=(200, 3)) < [0.5, 0.2, 0.05]).astype(np.int32)
    return (rng.normal(size=(200, 3)) + 1.5 * labels - 0.5).astype(np.float32), labels


def test_scores_are_those_of_scikit_learn() -> None:
    from sklearn import metrics

    logits, labels = some()
    found = MultilabelEvaluation.from_logits(logits, labels)
    scores, guesses = found.scores, found.predictions
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(labels, guesses))
    assert scores["label_accuracy"] == pytest.approx(1.0 - metrics.hamming_loss(labels, guesses))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(labels, guesses, average="macro"))
    assert scores["auc"] == pytest.approx(metrics.roc_auc_score(labels, found.probabilities))
    per_label = [metrics.log_loss(labels[:, k], found.probabilities[:, k]) for k in range(3)]
    assert scores["loss"] == pytest.approx(np.mean(per_label), rel=1e-5)
    balanced = [metrics.balanced_accuracy_score(labels[:, k], guesses[:, k]) for k in range(3)]
    assert scores["balanced_accuracy"] == pytest.approx(np.mean(balanced))
    assert np.array_equal(found.confusion, metrics.multilabel_confusion_matrix(labels, guesses))
    assert {f"val_{name}" for name in scores} == set(validation_metrics(3, "multilabel"))


def test_a_label_that_all_images_share_counts_like_any_other() -> None:
    labels = np.array([[1, 1], [1, 0], [1, 0], [1, 0]])
    guesses = np.array([[1, 1], [0, 0], [0, 0], [0, 1]])
    scores = MultilabelEvaluation.from_logits(guesses - 0.5, labels).scores
    assert scores["balanced_accuracy"] == pytest.approx((1 / 4 + (1 + 2 / 3) / 2) / 2)


def test_probabilities_that_come_true_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 2))
    labels = (rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int32)
    assert MultilabelEvaluation.from_logits(logits, labels).scores["calibration_error"] < 0.01
    assert MultilabelEvaluation.from_logits(3 * logits, labels).scores["calibration_error"] > 0.05


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_make_the_loss_nan(value: float) -> None:
    logits, labels = some()
    logits[3, 1] = value
    assert np.isnan(MultilabelEvaluation.from_logits(logits, labels).loss)


def test_labels_that_no_image_or_every_image_has_leave_the_scores_finite() -> None:
    logits = np.zeros((4, 2), np.float32)
    for labels in (np.zeros((4, 2), int), np.ones((4, 2), int)):
        assert np.isfinite(list(MultilabelEvaluation.from_logits(logits, labels).scores.values())).all()
