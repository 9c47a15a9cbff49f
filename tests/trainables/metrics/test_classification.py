"""Scores from logits."""

from __future__ import annotations

import numpy as np
import pytest

from toprung.trainables.metrics.classification import (
    SCORES,
    ClassificationEvaluation,
    calibration_error,
    log_odds,
    one_vs_rest_auc,
)


def test_scores_of_a_small_case_by_hand() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]], np.float32))
    scores = ClassificationEvaluation.from_logits(logits, np.array([0, 1, 1]))
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.loss == pytest.approx(-np.log([0.5, 0.8, 0.2]).mean())
    assert scores.predictions.tolist() == [0, 1, 0]
    assert scores.class_accuracy[:2].tolist() == [1.0, 0.5]
    assert np.isnan(scores.class_accuracy[2])
    assert scores.probabilities.sum(axis=1) == pytest.approx(np.ones(3))


def test_logits_that_are_not_finite_make_the_loss_nan() -> None:
    assert np.isnan(
        ClassificationEvaluation.from_logits(np.array([[np.nan, 0.0], [1.0, 0.0]]), np.array([0, 0])).loss
    )
    assert np.isnan(ClassificationEvaluation.from_logits(np.array([[np.inf, 0.0]]), np.array([0])).loss)


def test_huge_logits_do_not_overflow() -> None:
    assert ClassificationEvaluation.from_logits(np.array([[1e4, -1e4]]), np.array([0])).loss == 0.0


def some_case(classes: int, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]
    return logits.round(1).astype(np.float32), labels  # rounded, so that some probabilities tie


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_scores_are_those_of_scikit_learn(classes: int) -> None:
    from sklearn import metrics

    logits, labels = some_case(classes)
    found = ClassificationEvaluation.from_logits(logits, labels)
    scores, guesses = found.scores, found.predictions
    chances = found.probabilities / found.probabilities.sum(axis=1, keepdims=True)
    given = (labels, chances[:, 1]) if classes == 2 else (labels, chances)
    assert scores["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, guesses))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(labels, guesses, average="macro"))
    assert scores["auc"] == pytest.approx(metrics.roc_auc_score(*given, multi_class="ovr"), abs=1e-3)
    assert ("top5_accuracy" in scores) == (classes > 5)
    if classes > 5:
        assert scores["top5_accuracy"] == pytest.approx(
            metrics.top_k_accuracy_score(labels, chances, k=5), abs=0.01
        )
    assert set(SCORES) <= set(scores)


def test_the_calibration_error_of_a_case_by_hand() -> None:
    sure, unsure = [0.95, 0.05], [0.61, 0.39]
    probabilities = np.array([sure, sure, unsure, unsure])
    # Of two at 0.95 one is right: a gap of 0.45; of two at 0.61 both are: 0.39; each counts half.
    assert calibration_error(probabilities, np.array([0, 1, 0, 0])) == pytest.approx(0.5 * 0.45 + 0.5 * 0.39)
    assert calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0.0


def test_a_class_without_images_leaves_every_score_finite() -> None:
    logits, _ = some_case(4, 6)
    scores = ClassificationEvaluation.from_logits(logits, np.array([0, 0, 1, 1, 1, 0])).scores
    assert np.isfinite(list(scores.values())).all()
    assert np.isfinite(
        list(ClassificationEvaluation.from_logits(logits, np.zeros(6, int)).scores.values())
    ).all()
    assert one_vs_rest_auc(np.full((3, 2), 0.5), np.zeros(3, int)) == 0.5


def test_ranks_survive_where_probabilities_are_rounded_to_one() -> None:
    """Two images of class 0 are surer of it than the third, of class 1; in float32 all three probabilities are 1."""
    logits = np.array([[80.0, 0.0, 0.0], [70.0, 0.0, 0.0], [60.0, 0.0, 0.0], [0.0, 5.0, 0.0]], np.float32)
    found = ClassificationEvaluation.from_logits(logits, np.array([0, 0, 1, 1]))
    assert len(set(found.probabilities[:3, 0].tolist())) == 1
    assert found.scores["auc"] == 1.0


def test_log_odds_are_those_of_the_probabilities() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (50, 7))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert log_odds(logits) == pytest.approx(np.log(chances / (1 - chances)))
    assert np.isfinite(log_odds(np.array([[300.0, -300.0]], np.float32))).all()


def test_the_five_most_probable_classes_are_told_apart_by_their_logits() -> None:
    logits = np.zeros((1, 8), np.float32)
    logits[0] = [90, -90, -91, -92, -93, -94, -95, -96]
    for label, is_among in ((4, True), (5, False)):
        found = ClassificationEvaluation.from_logits(logits, np.array([label]))
        assert found.scores["top5_accuracy"] == is_among
