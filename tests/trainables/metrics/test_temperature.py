"""Temperature scaling and the bins of a reliability diagram."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toprung.trainables.metrics.classification import ClassificationEvaluation
from toprung.trainables.metrics.from_probabilities import cooled, evaluation_of
from toprung.trainables.metrics.multilabel import MultilabelEvaluation
from toprung.trainables.metrics.reliability import reliability
from toprung.trainables.metrics.temperature import fit_temperature, mean_loss

IMAGES, CLASSES = 4000, 6
TASKS = ("softmax", "binary", "multilabel")


def calibrated(task: str, images: int = IMAGES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels drawn from their probabilities."""
    rng = np.random.default_rng(seed)
    logits = 2.0 * rng.normal(size=(images, 2 if task == "binary" else CLASSES))
    probabilities = cooled(logits, 1.0, task)
    if task == "multilabel":
        return logits, (rng.random(logits.shape) < probabilities).astype(np.int32)
    return logits, (rng.random((images, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).astype(np.int32)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_logits_that_are_too_sure_by_a_factor_are_divided_by_it(task: str, factor: float) -> None:
    logits, labels = calibrated(task)
    assert fit_temperature(factor * logits, labels, task) == pytest.approx(factor, rel=0.1)


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_is_that_of_the_evaluations(task: str) -> None:
    logits, labels = calibrated(task, 50)
    kind = MultilabelEvaluation if task == "multilabel" else ClassificationEvaluation
    assert mean_loss(logits, labels, task) == pytest.approx(kind.from_logits(logits, labels).loss, rel=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_few_images_that_are_all_right_do_not_make_a_model_certain(task: str) -> None:
    logits, _ = calibrated(task, 20)
    labels = (logits > 0).astype(np.int32) if task == "multilabel" else logits.argmax(axis=1)
    assert 0.3 < fit_temperature(logits, labels, task) < 1.0


@given(seed=st.integers(0, 999), task=st.sampled_from(TASKS), temperature=st.floats(0.2, 5.0))
@settings(max_examples=20)
def test_a_temperature_changes_no_prediction(seed: int, task: str, temperature: float) -> None:
    logits, labels = calibrated(task, 60, seed)
    before, after = (evaluation_of(cooled(logits, each, task), labels, task) for each in (1.0, temperature))
    np.testing.assert_array_equal(before.predictions, after.predictions)
    assert before.accuracy == after.accuracy


def test_logits_that_are_not_finite_leave_a_model_as_it_is() -> None:
    assert fit_temperature(np.array([[np.nan, 1.0]]), np.array([1]), "softmax") == 1.0
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, int), "softmax") == 1.0


@pytest.mark.parametrize("task", TASKS)
def test_the_bins_add_up_to_the_calibration_error(task: str) -> None:
    logits, labels = calibrated(task, 500)
    found = evaluation_of(cooled(3.0 * logits, 1.0, task), labels, task)
    bins = [each for each in reliability(found, task) if each.count]
    total = sum(each.count for each in bins)
    assert total == (labels.size if task == "multilabel" else len(labels))
    gap = sum(abs((each.accuracy or 0) - (each.confidence or 0)) * each.count for each in bins) / total
    assert gap == pytest.approx(found.scores["calibration_error"], abs=1e-6)
    assert all(each.low < (each.confidence or 0) <= each.high + 1e-6 for each in bins)
