"""What a model draws by itself while it is built does not depend on what this process did before.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 0


@contextmanager
def deterministic_build(by_keras_alone: bool = False) -> Iterator[None]:
    """In the block all random numbers start from one seed; Python's and NumPy's go on afterwards as if nothing was.

    A model that is built `by_keras_alone` draws nothing from TensorFlow itself, and leaves alone what other models of
    this process run on.
    """
    before, before_numpy = random.getstate(), np.random.get_state()
    random.seed(SEED)
    np.random.seed(SEED)
    # The rest of `keras.utils.set_random_seed`, which takes too much of TensorFlow along.
    global_state.set_global_attribute(GLOBAL_RANDOM_SEED, SEED)
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
    if keras.backend.backend() == "tensorflow":
        _seed_tensorflow(by_keras_alone)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)


def _seed_tensorflow(by_keras_alone: bool) -> None:
    """`tf.random.set_seed` throws away what TensorFlow prepared to run the functions of this process.

    The next call of every compiled model then takes 0.1 s longer. Keras draws without it, from seeds of its own.
    """
    import tensorflow as tf
    from tensorflow.python.eager.context import global_seed

    if not by_keras_alone or global_seed() != SEED:
        tf.random.set_seed(SEED)
