"""Searches of other libraries in the same minutes, for accuracy.py: KerasTuner's Hyperband, Ray Tune with Optuna."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import keras
import keras_tuner
import numpy as np
from accuracy_regression import arrays
from accuracy_training import ResultLine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import optuna

    from toprung.trainables.data.dataset import Dataset

BATCH = 32


def documented_model(hp: Any, image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """The convolutional network of KerasTuner's documentation for CIFAR-10: three to five blocks, then a small head."""
    layers = keras.layers
    inputs = keras.Input(image_shape)
    x = layers.Rescaling(1.0 / 255.0)(inputs)
    for index in range(hp.Int("conv_blocks", 3, 5, default=3)):
        filters = hp.Int(f"filters_{index}", 32, 256, step=32)
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same")(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        pooled = hp.Choice(f"pooling_{index}", ["avg", "max"])
        if min(x.shape[1:3]) > 1:
            x = (layers.MaxPooling2D if pooled == "max" else layers.AveragePooling2D)(2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(hp.Int("hidden_size", 30, 100, step=10, default=50), activation="relu")(x)
    x = layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.5))(x)
    model = keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))
    rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Hyperband(keras_tuner.Hyperband):
    """Without TensorBoard, which it would import for any callback."""

    def _configure_tensorboard_dir(self, *_: Any) -> None:
        pass


class OutOfTime(keras_tuner.errors.FatalError):
    """The minutes of the search are over."""


class StopAt(keras.callbacks.Callback):
    """Ends a training, and with it the search, at a time of the clock; asked after every batch."""

    def __init__(self, until: float, clock: Callable[[], float]) -> None:
        super().__init__()
        self._until, self._clock = until, clock

    def __deepcopy__(self, memo: dict[int, Any]) -> StopAt:
        return self  # KerasTuner copies the callbacks for every trial, and a clock cannot be copied

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._clock() > self._until:
            raise OutOfTime


def keras_tuner_hyperband(
    data: Dataset, secs: float, share: float, max_epochs: int, clock: Callable[[], float], seed: int
) -> ResultLine:
    """Search by Hyperband for a share of the seconds, then train the best on train and validation for the rest.

    Args:
        data: The images.
        secs: Of the clock, for all of it.
        share: Of them for the search.
        max_epochs: Of a trial.
        clock: Seconds.
        seed: Of the search.

    Returns:
        Of the last training, and the minutes of all before its test.
    """
    began = clock()
    train, fewer = _searched_arrays(data)
    build = lambda hp: documented_model(hp, data.image_shape, len(data.classes))  # noqa: E731
    with tempfile.TemporaryDirectory() as folder:
        tuner = Hyperband(
            build, "val_accuracy", max_epochs, seed=seed, hyperband_iterations=100, directory=folder
        )
        stop = StopAt(began + secs * share, clock)
        with suppress(OutOfTime):
            tuner.search(*train, validation_data=fewer, batch_size=BATCH, verbose=0, callbacks=[stop])
        found = [trial for trial in tuner.oracle.trials.values() if trial.score is not None]
        best = (
            max(found, key=lambda trial: trial.score) if found else next(iter(tuner.oracle.trials.values()))
        )
        model = build(best.hyperparameters)
    return retrained("keras_tuner", model, data, (began, secs), clock)


class ChosenParameters:
    """What a network asks for its hyperparameters, by their names; the ranges are those of `documented_space`."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def _chosen(self, name: str, *_: Any, **__: Any) -> Any:
        return self._config[name]

    Int = Choice = Float = _chosen


def documented_space(trial: optuna.Trial) -> dict[str, Any]:
    """The space of `documented_model`, define-by-run, as OptunaSearch takes it."""
    blocks = trial.suggest_int("conv_blocks", 3, 5)
    for index in range(blocks):
        trial.suggest_int(f"filters_{index}", 32, 256, step=32)
        trial.suggest_categorical(f"pooling_{index}", ["avg", "max"])
    trial.suggest_int("hidden_size", 30, 100, step=10)
    trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    return dict(trial.params)


def ray_tune_asha(
    data: Dataset, secs: float, share: float, max_epochs: int, clock: Callable[[], float], seed: int
) -> ResultLine:
    """Search by Ray Tune's OptunaSearch and ASHA, with their defaults, then train the best on train and validation.

    Its classes are called in the order of its controller in this process, one trial at a time: what Ray's processes
    cost is not counted. Arguments and result are those of `keras_tuner_hyperband`.
    """
    from peers_ray import stock

    from toprung.search.strategy.strategy import Decision
    from toprung.trainables.trial.report import EpochReport, Outcome

    began = clock()
    train, fewer = _searched_arrays(data)
    policy = stock(SimpleNamespace(space=documented_space, max_epochs=max_epochs), seed)
    best, best_config = -1.0, dict[str, Any]()
    stop = StopAt(began + secs * share, clock)
    with suppress(OutOfTime):
        while proposal := policy.ask():
            best_config = best_config or proposal.config
            model = documented_model(ChosenParameters(proposal.config), data.image_shape, len(data.classes))
            outcome = Outcome.COMPLETED
            for epoch in range(1, max_epochs + 1):
                model.fit(*train, batch_size=BATCH, verbose=0, callbacks=[stop])
                accuracy = float(model.evaluate(*fewer, verbose=0, return_dict=True)["accuracy"])
                if accuracy > best:
                    best, best_config = accuracy, proposal.config
                report = EpochReport(proposal.trial_id, epoch, {"val_accuracy": accuracy})
                if policy.report(report) is Decision.STOP:
                    outcome = Outcome.STOPPED
                    break
            policy.finish(proposal.trial_id, outcome)
    model = documented_model(ChosenParameters(best_config), data.image_shape, len(data.classes))
    return retrained("ray_tune", model, data, (began, secs), clock)


def retrained(
    name: str, model: keras.Model, data: Dataset, budget: tuple[float, float], clock: Callable[[], float]
) -> ResultLine:
    """Train a new model on train and validation for what is left of a budget, which is its begin and its seconds."""
    began, secs = budget
    train, val, test = arrays(data.train()), arrays(data.val()), arrays(data.test())
    images, labels = (np.concatenate(both) for both in zip(train, val, strict=True))
    epochs, slowest = 0, 0.0
    while not epochs or clock() + slowest < began + secs:
        started = clock()
        model.fit(images, labels, batch_size=BATCH, verbose=0)
        epochs, slowest = epochs + 1, max(slowest, clock() - started)
    minutes = (clock() - began) / 60
    accuracy = model.evaluate(*test, verbose=0, return_dict=True)["accuracy"]
    return ResultLine(name, float(accuracy), epochs, model.count_params(), minutes)


def _searched_arrays(data: Dataset) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The training images, and of the validation images at most about a quarter as many."""
    train, val = arrays(data.train()), arrays(data.val())
    step = max(1, len(val[0]) // max(1, len(train[0]) // 4))
    return train, (val[0][::step], val[1][::step])
