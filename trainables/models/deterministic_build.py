"""Building a model from one seed: what `build` draws does not depend on what this process did before.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keras
import numpy as np

from toprung.trainables.backend.keras_internals import seed_keras

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 0


@contextmanager
def deterministic_build(by_keras_alone: bool = False) -> Iterator[None]:
    """Start all random numbers of the block from one seed; afterwards Python's and NumPy's continue as before.

    Args:
        by_keras_alone: The model draws nothing from TensorFlow itself, whose seed then needs no change: that would
            slow down the other models of this process.
    """
    before, before_numpy = random.getstate(), np.random.get_state()
    random.seed(SEED)
    np.random.seed(SEED)
    seed_keras(SEED)
    if keras.backend.backend() == "tensorflow":
        _seed_tensorflow(by_keras_alone)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)


def _seed_tensorflow(by_keras_alone: bool) -> None:
    """Set TensorFlow's seed where a build needs it.

    `tf.random.set_seed` discards what TensorFlow prepared to run the functions of this process: the next call of every
    compiled model takes 0.1 s longer. Keras draws without it, from seeds of its own.
    """
    import tensorflow as tf

    from toprung.trainables.backend.tensorflow_internals import global_seed

    if not by_keras_alone or global_seed() != SEED:
        tf.random.set_seed(SEED)
