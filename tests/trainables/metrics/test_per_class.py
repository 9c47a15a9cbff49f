"""Precision, recall and F1 of each class, confusions and the constant guess, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score, top_k_accuracy_score

from toprung.trainables.metrics.classification import ClassificationEvaluation
from toprung.trainables.metrics.from_probabilities import evaluation_of
from toprung.trainables.metrics.multilabel import MultilabelEvaluation
from toprung.trainables.metrics.per_class import (
    class_scores,
    constant_accuracy,
    image_scores,
    macro,
    top_k_accuracy,
    weighted,
    worst_confusions,
)

seeds = st.integers(0, 10_000)


def classified(seed: int, images: int = 60, classes: int = 5) -> ClassificationEvaluation:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images).astype(np.int32)
    logits = rng.normal(size=(images, classes)) + 1.5 * np.eye(classes)[labels]
    return ClassificationEvaluation.from_logits(logits.astype(np.float32), labels)


def labelled(seed: int, images: int = 60, classes: int = 4) -> MultilabelEvaluation:
    rng = np.random.default_rng(seed)
    labels = (rng.random((images, classes)) < 0.4).astype(np.int32)
    logits = rng.normal(size=labels.shape) + 2.0 * labels - 1.0
    return MultilabelEvaluation.from_logits(logits.astype(np.float32), labels)


@given(seed=seeds)
@settings(max_examples=20)
def test_the_scores_of_classes_and_their_means_are_scikit_learns(seed: int) -> None:
    found = classified(seed)
    scores = class_scores(found, "abcde")
    expected = precision_recall_fscore_support(
        found.labels, found.predictions, labels=range(5), zero_division=0
    )
    for name, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [getattr(each, name) or 0 for each in scores] == pytest.approx(column)
    for mean, average in ((macro(scores), "macro"), (weighted(scores), "weighted")):
        wanted = precision_recall_fscore_support(
            found.labels, found.predictions, average=average, zero_division=0
        )
        assert [mean.precision, mean.recall, mean.f1] == pytest.approx(wanted[:3])
    for number, each in enumerate(scores):
        if each.auc is not None:
            assert each.auc == pytest.approx(
                roc_auc_score(found.labels == number, found.probabilities[:, number])
            )


@given(seed=seeds)
@settings(max_examples=20)
def test_several_labels_an_image_are_scored_label_by_label(seed: int) -> None:
    found = labelled(seed)
    scores = class_scores(found, "abcd")
    expected = precision_recall_fscore_support(found.labels, found.predictions, average=None, zero_division=0)
    for name, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [getattr(each, name) or 0 for each in scores] == pytest.approx(column)
    wrong = int((found.labels != found.predictions).sum())
    assert sum(each.count for each in worst_confusions(found, "abcd", 100)) == wrong


@given(seed=seeds, count=st.integers(1, 4))
@settings(max_examples=20)
def test_the_top_classes_are_scikit_learns(seed: int, count: int) -> None:
    found = classified(seed)
    expected = top_k_accuracy_score(found.labels, found.probabilities, k=count, labels=range(5))
    assert top_k_accuracy(found, count) == pytest.approx(expected)


def test_ranks_are_of_logits_where_probabilities_are_rounded_to_one_value() -> None:
    labels = np.array([0, 1, 1, 1], np.int32)
    certain = np.array([[-40, 40], [-50, 50], [-60, 60], [-70, 70]], np.float32)
    probabilities = ClassificationEvaluation.from_logits(certain, labels).probabilities
    assert (probabilities[:, 1] == 1.0).all()
    for task, truth in (("softmax", labels), ("multilabel", np.eye(2, dtype=np.int32)[labels])):
        found = evaluation_of(probabilities, truth, task, certain)
        assert [each.auc for each in class_scores(found, "ab")] == [1.0, 1.0]
        assert found.scores["auc"] == 1.0
    unlikely = np.array([[0, -300, -200]], np.float32)
    assert top_k_accuracy(ClassificationEvaluation.from_logits(unlikely, np.array([2], np.int32)), 2) == 1.0


def test_a_class_without_images_or_predictions_has_no_scores_instead_of_nan() -> None:
    logits = np.array([[5, 0, 0], [0, 5, 0]], np.float32)
    found = ClassificationEvaluation.from_logits(logits, np.array([0, 0], np.int32))
    first, second, third = class_scores(found, ("a", "b", "c"))
    assert (first.precision, first.recall) == (1.0, 0.5)
    assert (second.precision, second.recall, second.f1) == (0.0, None, 0.0)
    assert (third.precision, third.recall, third.f1, third.auc) == (None, None, None, None)


def test_the_worst_confusions_come_first_with_their_share_of_the_class() -> None:
    labels = np.array([0] * 4 + [1] * 6, np.int32)
    said = np.array([1, 1, 0, 0, 2, 1, 1, 1, 1, 1])
    found = ClassificationEvaluation.from_logits(5 * np.eye(3, dtype=np.float32)[said], labels)
    worst = worst_confusions(found, ("cat", "dog", "cow"), 5)
    assert [(each.label, each.predicted, each.count) for each in worst] == [
        ("cat", "dog", 2),
        ("dog", "cow", 1),
    ]
    assert worst[0].share == 0.5


def test_the_constant_guess_is_the_most_frequent_label_of_the_training() -> None:
    assert constant_accuracy(np.array([0, 1, 1, 2]), np.array([0, 0, 0, 1])) == 0.25
    matrix = np.array([[1, 0], [1, 1], [1, 0]])
    assert constant_accuracy(matrix, np.array([[1, 0], [1, 0], [0, 1]])) == pytest.approx(2 / 3)


def test_an_images_score_is_the_share_of_its_labels_that_is_right() -> None:
    assert image_scores(np.array([1, 2]), np.array([1, 0])).tolist() == [1.0, 0.0]
    assert image_scores(np.array([[1, 0], [1, 1]]), np.array([[1, 1], [1, 1]])).tolist() == [0.5, 1.0]
