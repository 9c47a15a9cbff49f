"""Trainers kept per structure, and models of the user's own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spaces.problem import InputError
from trainables.task import Task

pytestmark = pytest.mark.slow


class Softmax:
    """A user's whole file: stock layers, a softmax at the end, an L2 penalty, a max-norm constraint."""

    def space(self, trial):
        return {"units": trial.suggest_int("units", 2, 8), "learning_rate": 0.01}

    def build(self, config, task):
        import keras

        return keras.Sequential(
            [
                keras.Input(task.image_shape),
                keras.layers.Flatten(),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Dense(
                    config["units"],
                    activation="relu",
                    kernel_regularizer=keras.regularizers.L2(config.get("penalty", 0.0)),
                    kernel_constraint=keras.constraints.MaxNorm(config.get("max_norm", 1e9)),
                ),
                keras.layers.Dropout(0.1),
                keras.layers.Dense(len(task.classes), activation="softmax"),
            ]
        )


class Pretrained(Softmax):
    """Starts its first dense layer from given weights."""

    def build(self, config, task):
        model = super().build(config, task)
        model.layers[2].kernel.assign(np.full(model.layers[2].kernel.shape, 0.125))
        return model

    def pretrained(self, model):
        return [model.layers[2]]


class Unbuilt(Softmax):
    def build(self, config, task):
        import keras

        return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])


class OneOutput(Softmax):
    def build(self, config, task):
        import keras

        return keras.Sequential(
            [keras.Input(task.image_shape), keras.layers.Flatten(), keras.layers.Dense(1)]
        )


def new_trainer(family, config: dict, task: Task):
    from trainables.trainer import Trainer

    return Trainer(family, config, task)


def test_equal_structures_share_a_trainer_and_the_least_recently_used_goes_first(
    noise: Task, config: dict
) -> None:
    from trainables.cnn import CnnFamily
    from trainables.warm import WarmTrainers

    warm, family = WarmTrainers(capacity=2), CnnFamily()
    one = warm.trainer(family, config, noise)
    assert warm.trainer(family, {**config, "dropout": 0.4, "optimizer": "sgd", "batch_size": 8}, noise) is one
    two = warm.trainer(family, {**config, "filters": 4}, noise)
    assert two is not one
    assert warm.trainer(family, config, noise) is one
    warm.trainer(family, {**config, "filters": 5}, noise)
    assert len(warm) == 2
    assert warm.trainer(family, config, noise) is one
    assert warm.trainer(family, {**config, "filters": 4}, noise) is not two


def test_a_users_softmax_model_trains_exports_and_repeats(noise: Task) -> None:
    config = {"units": 6, "learning_rate": 0.01}
    trainer = new_trainer(Softmax(), config, noise)
    trainer.reset(config, 1)
    first = trainer.train_epoch(1)
    assert all(math.isfinite(value) for value in first.values())
    trainer.reset(config, 1)
    assert trainer.train_epoch(1)["val_loss"] == first["val_loss"]
    probabilities = np.asarray(trainer.export()(noise.val.images))
    assert probabilities == pytest.approx(trainer.evaluate(noise.val).probabilities, abs=1e-5)


def test_a_layers_own_penalty_is_part_of_what_is_minimised(noise: Task) -> None:
    config = {"units": 6, "learning_rate": 0.05, "optimizer": "sgd"}
    kept, shrunk = (
        kernel_after_an_epoch({**config, "penalty": penalty}, noise, seed=1) for penalty in (0.0, 1.0)
    )
    assert np.linalg.norm(shrunk) < 0.9 * np.linalg.norm(kept)


def test_a_variables_constraint_holds_after_each_step(noise: Task) -> None:
    kernel = kernel_after_an_epoch({"units": 6, "learning_rate": 0.5, "max_norm": 0.25}, noise, seed=1)
    assert np.linalg.norm(kernel, axis=0).max() <= 0.25 * (1 + 1e-5)


def kernel_after_an_epoch(config: dict, task: Task, seed: int) -> np.ndarray:
    trainer = new_trainer(Softmax(), config, task)
    trainer.reset(config, seed)
    trainer.train_epoch(1)
    return np.asarray(first_kernel(trainer, config))


def first_kernel(trainer, config: dict) -> np.ndarray:
    size = 8 * 8 * 3 * config["units"]
    return trainer.state()["moments/weights"][:size].reshape(-1, config["units"])


def test_weights_start_as_their_initializers_say(digits: Task) -> None:
    config = {"units": 8}
    trainer = new_trainer(Softmax(), config, digits)
    trainer.reset(config, 5)
    weights = trainer.state()["moments/weights"]
    kernel, bias = weights[: 256 * 8], weights[256 * 8 : 256 * 8 + 8]
    limit = math.sqrt(6 / (256 + 8))  # Glorot's uniform
    assert np.abs(kernel).max() <= limit
    # The mean of 2048 uniform draws has a standard error of limit / sqrt(3 * 2048); five of them.
    assert abs(kernel.mean()) < 5 * limit / math.sqrt(3 * 2048)
    assert np.abs(kernel).max() > 0.95 * limit
    assert (bias == 0).all()
    trainer.reset(config, 6)
    assert not np.array_equal(trainer.state()["moments/weights"], weights)


def test_pretrained_layers_start_again_from_what_they_were_given(noise: Task) -> None:
    config = {"units": 4, "learning_rate": 0.1}
    trainer = new_trainer(Pretrained(), config, noise)
    trainer.train_epoch(1)
    assert not (first_kernel(trainer, config) == 0.125).all()
    trainer.reset(config, 1)
    assert (first_kernel(trainer, config) == 0.125).all()


@pytest.mark.parametrize("family,told", [(Unbuilt, "unbuilt"), (OneOutput, "one output for each class")])
def test_a_model_that_cannot_be_trained_here_is_told(noise: Task, family, told: str) -> None:
    with pytest.raises(InputError, match=told):
        new_trainer(family(), {}, noise)
