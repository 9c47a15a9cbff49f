"""Scores from logits."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.evaluate import Evaluation


def test_scores_of_a_small_case_by_hand() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]], np.float32))
    scores = Evaluation.from_logits(logits, np.array([0, 1, 1]))
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.loss == pytest.approx(-np.log([0.5, 0.8, 0.2]).mean())
    assert scores.predictions.tolist() == [0, 1, 0]
    assert scores.class_accuracy[:2].tolist() == [1.0, 0.5]
    assert np.isnan(scores.class_accuracy[2])
    assert scores.probabilities.sum(axis=1) == pytest.approx(np.ones(3))


def test_logits_that_are_not_finite_make_the_loss_nan() -> None:
    assert np.isnan(Evaluation.from_logits(np.array([[np.nan, 0.0], [1.0, 0.0]]), np.array([0, 0])).loss)
    assert np.isnan(Evaluation.from_logits(np.array([[np.inf, 0.0]]), np.array([0])).loss)


def test_huge_logits_do_not_overflow() -> None:
    assert Evaluation.from_logits(np.array([[1e4, -1e4]]), np.array([0])).loss == 0.0
