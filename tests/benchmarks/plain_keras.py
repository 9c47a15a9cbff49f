"""The same trial as stock Keras runs it: `fit` on tf.data with Keras preprocessing layers.

Loaded by the workers of the rivals in `throughput.py`; TensorFlow is imported inside the functions.
"""

from __future__ import annotations

import os
import time
from typing import Any


def load_task(data: dict[str, Any], max_epochs: int) -> Any:
    """The images as toprung's workers get them: decoded once, memory-mapped."""
    from toprung.trainables.data.dataset import DataSpec, load
    from toprung.trainables.task.task import Task

    found = load(DataSpec(**data))
    return Task(found.image_shape, found.classes, max_epochs, found.train(), found.val())


def one_thread() -> None:
    """Compute as a worker with one CPU does, and take of a GPU's memory what is needed."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from toprung.trainables.backend.engine import limit_threads

    limit_threads(1)
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def compiled_model(config: dict[str, Any], task: Any) -> Any:
    """The structure that toprung's CNN family builds, compiled with Keras' optimizer and cosine schedule."""
    import keras

    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training.batches import steps_per_pass

    steps = steps_per_pass(len(task.train.labels), config["batch_size"]) * task.max_epochs
    warmup = int(config["warmup_share"] * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, warmup_target=config["learning_rate"], warmup_steps=max(1, warmup)
    )
    if config["optimizer"] == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=config["momentum"], nesterov=True)
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=config["weight_decay"])
    model = CnnFamily().build(config, task)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config["label_smoothing"])
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def datasets(config: dict[str, Any], task: Any) -> tuple[Any, Any]:
    """Shuffled, batched, augmented, prefetched; and the validation images."""
    import numpy as np
    import tensorflow as tf

    classes = len(task.classes)

    def one_hot(split: Any) -> tuple[Any, Any]:
        return np.asarray(split.images), tf.one_hot(np.asarray(split.labels), classes)

    augment = augmentation(config)
    train = tf.data.Dataset.from_tensor_slices(one_hot(task.train)).shuffle(len(task.train.labels))
    train = train.batch(config["batch_size"])
    train = train.map(lambda images, labels: (augment(tf.cast(images, tf.float32), training=True), labels))
    val = tf.data.Dataset.from_tensor_slices(one_hot(task.val)).batch(256)
    return train.prefetch(tf.data.AUTOTUNE), val.prefetch(tf.data.AUTOTUNE)


def augmentation(config: dict[str, Any]) -> Any:
    """Keras' layers for what `trainables.augment` does in one, with the same bounds."""
    import math

    import keras

    from toprung.trainables.augment import color as colour
    from toprung.trainables.augment import geometry

    strength = config["augment"]
    layer, range_255 = keras.layers, (0, 255)
    shift, rotation = strength * geometry.SHIFT_SHARE, strength * geometry.ROTATION_RADIANS / (2 * math.pi)
    parts = [
        layer.RandomTranslation(shift, shift),
        layer.RandomRotation(rotation),
        layer.RandomZoom(strength * geometry.ZOOM_LOG),
        layer.RandomContrast(strength * colour.CONTRAST, value_range=range_255),
        layer.RandomBrightness(strength * colour.BRIGHTNESS / 255, value_range=range_255),
        layer.RandomErasing(scale=(0.0, (strength * geometry.CUTOUT_SHARE) ** 2), value_range=range_255),
    ]
    return keras.Sequential([*([layer.RandomFlip("horizontal")] if config["flip"] else []), *parts])


def steady_clock() -> Any:
    """A callback that adds up in `steady_secs` all of `fit` but the first training and the first validation batch.

    Those trace; what a warm step would have taken there is given back as the mean of the other batches.
    """
    import keras

    class Steady(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.steady_secs, self.epochs, self.seen = 0.0, 0, set[str]()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch_began, self.traced_secs = time.perf_counter(), 0.0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.batch_began = time.perf_counter()

        on_test_batch_begin = on_train_batch_begin

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self._leave_out_first("train")

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self._leave_out_first("test")

        def _leave_out_first(self, kind: str) -> None:
            if kind not in self.seen:
                self.seen.add(kind)
                self.traced_secs += time.perf_counter() - self.batch_began

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs += 1
            self.steady_secs += time.perf_counter() - self.epoch_began - self.traced_secs

    return Steady()
