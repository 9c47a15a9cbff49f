"""What every head does, whatever its type of task: a new head is one more entry of `HEADS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from toprung.trainables.task.task_type import BINARY, MULTILABEL, SOFTMAX, outputs_of

pytestmark = pytest.mark.slow

IMAGES = 12


class Case(NamedTuple):
    """A type of task, its number of classes, and labels of `IMAGES` images."""

    task_type: Any
    classes: int
    labels: np.ndarray


HEADS = [
    Case(SOFTMAX, 4, np.arange(IMAGES, dtype=np.int32) % 4),
    Case(BINARY, 2, np.arange(IMAGES, dtype=np.int32) % 2),
    Case(MULTILABEL, 3, np.random.default_rng(0).integers(0, 2, (IMAGES, 3), dtype=np.int32)),
]


@pytest.fixture(params=HEADS, ids=[case.task_type for case in HEADS])
def case(request: pytest.FixtureRequest, one_thread: None) -> Case:
    return request.param


@pytest.fixture
def head(case: Case) -> Any:
    from toprung.trainables.task.task import Task
    from toprung.trainables.training.heads import head_for

    names = tuple(map(str, range(case.classes)))
    return head_for(Task((8, 8, 3), names, 1, None, None, case.task_type))


@pytest.fixture
def hyperparameters(case: Case) -> Callable[..., Any]:
    """Hyperparameters without label smoothing, with the given class weights or none."""
    from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters
    from toprung.trainables.optimization.recipe import Recipe

    def make(class_weights: Any = None) -> Any:
        weights = np.ones(case.classes) if class_weights is None else class_weights
        return RuntimeHyperparameters.from_recipe(Recipe(), 10, weights)

    return make


def some_outputs(case: Case) -> np.ndarray:
    shape = (IMAGES, outputs_of(case.task_type, case.classes))
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def array(tensor: Any) -> np.ndarray:
    from keras import ops

    return ops.convert_to_numpy(tensor)


def certain_logits(head: Any, case: Case) -> np.ndarray:
    """Logits of a model that is certain of every label."""
    return (40.0 * array(head.targets(case.labels)) - 20.0).astype(np.float32)


def test_it_states_its_classes_and_the_shape_of_a_label(head: Any, case: Case) -> None:
    assert head.classes == case.classes
    assert head.label_shape == case.labels.shape[1:]


def test_logits_and_targets_have_one_number_for_each_class(head: Any, case: Case) -> None:
    logits, targets = array(head.logits(some_outputs(case), False)), array(head.targets(case.labels))
    assert logits.shape == targets.shape == (IMAGES, case.classes)
    assert logits.dtype == targets.dtype == np.float32
    assert targets.min() >= 0.0 and targets.max() <= 1.0


def test_probabilities_give_the_scores_of_the_outputs_they_were_made_of(head: Any, case: Case) -> None:
    import keras

    outputs = some_outputs(case)
    probabilities = array(keras.activations.get(head.final_activation)(outputs))
    from_outputs, from_probabilities = (
        head.evaluate(array(head.logits(given, is_probability)), case.labels)
        for given, is_probability in ((outputs, False), (probabilities, True))
    )
    assert from_probabilities.probabilities == pytest.approx(from_outputs.probabilities, abs=1e-5)
    assert from_probabilities.loss == pytest.approx(from_outputs.loss, abs=1e-5)


def test_the_loss_of_training_is_that_of_validation(head: Any, case: Case, hyperparameters: Callable) -> None:
    logits = head.logits(some_outputs(case), False)
    losses = array(head.losses(logits, head.targets(case.labels), hyperparameters()))
    assert losses.shape == (IMAGES,)
    assert losses.dtype == np.float32
    assert losses.mean() == pytest.approx(head.evaluate(array(logits), case.labels).loss, rel=1e-5)


def test_the_accuracy_of_training_is_that_of_validation(head: Any, case: Case) -> None:
    logits = head.logits(some_outputs(case), False)
    correct = array(head.correct(logits, case.labels))
    assert correct.shape == (IMAGES,)
    assert set(correct.tolist()) <= {0.0, 1.0}
    assert correct.mean() == pytest.approx(head.evaluate(array(logits), case.labels).accuracy)


def test_certain_logits_are_correct_and_cost_next_to_nothing(
    head: Any, case: Case, hyperparameters: Callable
) -> None:
    logits = certain_logits(head, case)
    assert array(head.correct(logits, case.labels)).all()
    assert array(head.losses(logits, head.targets(case.labels), hyperparameters())).max() < 1e-6
    assert head.evaluate(logits, case.labels).accuracy == 1.0


def test_class_weights_are_ones_at_power_0_and_scale_the_losses_of_their_class(
    head: Any, case: Case, hyperparameters: Callable
) -> None:
    assert head.class_weights(case.labels, 0.0).tolist() == [1.0] * case.classes
    assert head.class_weights(case.labels, 1.0).shape == (case.classes,)
    logits, targets = head.logits(some_outputs(case), False), head.targets(case.labels)
    plain = array(head.losses(logits, targets, hyperparameters()))
    doubled = array(head.losses(logits, targets, hyperparameters([2.0] * case.classes)))
    has_class = case.labels.reshape(IMAGES, -1).any(axis=1) if case.labels.ndim > 1 else slice(None)
    assert (doubled[has_class] > plain[has_class]).all()


def test_a_logit_that_is_not_a_number_makes_the_loss_nan(head: Any, case: Case) -> None:
    logits = array(head.logits(some_outputs(case), False)).copy()
    logits[0, 0] = np.nan
    assert np.isnan(head.evaluate(logits, case.labels).loss)
