"""Other ways to spend the same minutes, for accuracy.py: KerasTuner's Hyperband, and a logistic regression."""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import keras
import keras_tuner
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from toprung.trainables.data.dataset import Dataset

BATCH = 32
REGULARIZATIONS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


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
) -> tuple[float, int, int]:
    """Search by Hyperband for a share of the seconds, then train the best on train and validation for the rest.

    Args:
        data: The images.
        secs: Of the clock, for all of it.
        share: Of them for the search.
        max_epochs: Of a trial.
        clock: Seconds.
        seed: Of the search.

    Returns:
        Test accuracy, the epochs of the last training, and the parameters of its model.
    """
    began = clock()
    train, val, test = _arrays(data.train()), _arrays(data.val()), _arrays(data.test())
    kept = max(1, len(val[0]) // max(1, len(train[0]) // 4))
    fewer = (val[0][::kept], val[1][::kept])
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
    images, labels = (np.concatenate(both) for both in zip(train, val, strict=True))
    epochs, slowest = 0, 0.0
    while not epochs or clock() + slowest < began + secs:
        started = clock()
        model.fit(images, labels, batch_size=BATCH, verbose=0)
        epochs, slowest = epochs + 1, max(slowest, clock() - started)
    accuracy = model.evaluate(*test, verbose=0, return_dict=True)["accuracy"]
    return float(accuracy), epochs, model.count_params()


def logistic_regression(data: Dataset, config: dict[str, Any]) -> tuple[float, float]:
    """A logistic regression on the features of the frozen network of a `transfer` configuration, images as they are.

    Its penalty is chosen on the validation images; then it is fitted on train and validation.

    Returns:
        Test accuracy, and the seconds of all of it.
    """
    from sklearn.linear_model import LogisticRegression

    from toprung.trainables.models.pretrained import backbone, preprocess

    began = time.perf_counter()
    inputs = keras.Input(data.image_shape)
    body = backbone({"alpha": 1.0, **config}, data.image_shape)
    pooled = keras.layers.GlobalAveragePooling2D()(body(preprocess(config["backbone"], inputs)))
    network = keras.Model(inputs, pooled)
    train, val, test = (
        (network.predict(images, verbose=0), labels)
        for images, labels in (_arrays(data.train()), _arrays(data.val()), _arrays(data.test()))
    )

    def fitted(regularization: float, features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=regularization, max_iter=2000).fit(features, labels)

    best = max(REGULARIZATIONS, key=lambda one: fitted(one, *train).score(*val))
    both = [np.concatenate(pair) for pair in zip(train, val, strict=True)]
    return float(fitted(best, *both).score(*test)), time.perf_counter() - began


def _arrays(split: Any) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(split.images[:], np.float32), np.asarray(split.labels[:]).reshape(-1)
