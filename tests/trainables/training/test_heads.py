"""Every type of task learns, is scored, continues from a saved state, and is exported as a model."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.metrics.classification import validation_metrics
from toprung.trainables.task.task import Task

pytestmark = pytest.mark.slow


def new_trainer(config: dict, task: Task):
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training.trainer import Trainer

    return Trainer(CnnFamily(), config, task)


def one_of_two(task: Task, task_type: str) -> Task:
    """The same images with the question whether there is a block."""
    train, val = (SimpleNamespace(images=s.images, labels=s.labels[:, 1]) for s in (task.train, task.val))
    return replace(task, classes=("without", "with"), train=train, val=val, task_type=task_type)


@pytest.mark.parametrize("task_type", ["binary", "multilabel"])
def test_it_learns_and_its_model_gives_the_probabilities_it_was_scored_with(
    task_type: str, shapes: Task, config: dict
) -> None:
    task = shapes if task_type == "multilabel" else one_of_two(shapes, task_type)
    trainer = new_trainer(config, task)
    for epoch in range(1, 7):
        metrics = trainer.train_epoch(epoch)
    assert set(validation_metrics(len(task.classes), task_type)) < set(metrics)
    assert metrics["val_accuracy"] > 0.9
    assert metrics["train_accuracy"] > 0.5
    assert metrics["val_auc"] > 0.95
    scored = trainer.evaluate(task.val)
    model = trainer.export()
    assert model.layers[-1].activation.__name__ == "sigmoid"
    exported = np.asarray(model(task.val.images))
    assert exported.shape == (120, task.outputs)
    assert exported[:, -1] == pytest.approx(scored.probabilities[:, -1], abs=1e-5)
    assert np.array_equal(exported > 0.5, scored.predictions.reshape(exported.shape) > 0)


@pytest.mark.parametrize("task_type", ["binary", "multilabel"])
def test_mixed_images_smoothing_and_weights_train_and_a_saved_state_continues(
    task_type: str, shapes: Task, config: dict
) -> None:
    task = shapes if task_type == "multilabel" else one_of_two(shapes, task_type)
    mixed = {**config, "augment_set": "mixed", "augment": 0.5, "class_balance": 1.0, "label_smoothing": 0.1}
    trainer = new_trainer(mixed, task)
    curve = []
    for epoch in (1, 2, 3):
        metrics = trainer.train_epoch(epoch)
        curve.append({key: value for key, value in metrics.items() if key != "images_per_sec"})
        if epoch == 2:
            state = trainer.state()
    trainer.reset(mixed, 0)
    trainer.load_state(state)
    again = trainer.train_epoch(3)
    assert {key: again[key] for key in curve[2]} == curve[2]
    assert curve[2]["train_loss"] < curve[0]["train_loss"]


def test_one_sigmoid_is_trained_as_the_softmax_of_two(one_thread: None) -> None:
    from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters
    from toprung.trainables.optimization.recipe import Recipe
    from toprung.trainables.training.heads import BinaryHead, SoftmaxHead

    rng = np.random.default_rng(0)
    outputs, labels = rng.normal(size=(8, 1)).astype(np.float32), rng.integers(0, 2, 8)
    hyperparameters = RuntimeHyperparameters.from_recipe(Recipe(label_smoothing=0.1), 10, [0.5, 2.0])
    one, two = BinaryHead(2), SoftmaxHead(2)
    targets = one.targets(labels.astype(np.int32))
    pair = np.concatenate([np.zeros_like(outputs), outputs], axis=1)
    lone = one.losses(one.logits(outputs, False), targets, hyperparameters)
    assert np.asarray(lone) == pytest.approx(np.asarray(two.losses(pair, targets, hyperparameters)))
    probabilities = 1.0 / (1.0 + np.exp(-outputs))
    assert np.asarray(one.logits(probabilities, True)) == pytest.approx(pair, abs=1e-5)


def test_a_model_that_ends_in_a_sigmoid_needs_no_other(shapes: Task, config: dict) -> None:
    import keras

    from toprung.trainables.training.trainer import Trainer

    class EndsInSigmoid:
        def space(self, trial):
            return {}

        def build(self, config, task):
            images = keras.Input(task.image_shape)
            x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
            return keras.Model(images, keras.layers.Dense(task.outputs, activation="sigmoid")(x))

    trainer = Trainer(EndsInSigmoid(), config, shapes)
    trainer.train_epoch(1)
    scored, model = trainer.evaluate(shapes.val), trainer.export()
    assert np.asarray(model(shapes.val.images)) == pytest.approx(scored.probabilities, abs=1e-5)
    # Two outputs for a task of one output are refused before anything is trained.
    with pytest.raises(InputError, match=r"must be \(None, 1\): one output"):
        Trainer(_TwoOutputs(), config, one_of_two(shapes, "binary"))


class _TwoOutputs:
    def space(self, trial):
        return {}

    def build(self, config, task):
        import keras

        images = keras.Input(task.image_shape)
        return keras.Model(images, keras.layers.Dense(2)(keras.layers.Flatten()(images)))


def test_rare_labels_weigh_more_with_a_higher_class_balance(shapes: Task) -> None:
    from toprung.trainables.training.heads import head_for

    head = head_for(shapes)
    labels = np.asarray(shapes.train.labels)
    with_label = labels.sum(axis=0)
    assert head.class_weights(labels, 0.0).tolist() == [1.0, 1.0, 1.0]
    assert head.class_weights(labels, 1.0) == pytest.approx((len(labels) - with_label) / with_label)
