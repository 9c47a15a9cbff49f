"""What is used of Keras beyond its public interface, in one place; a test names what a new version no longer has.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras.src.backend.common import global_state
from keras.src.models.functional import Functional
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED

if TYPE_CHECKING:
    from collections.abc import Sequence


def all_layers(layer: keras.Layer) -> list[keras.Layer]:
    """The layer or model itself and every layer inside it, however deeply nested.

    Keras' public `Model.layers` lists those directly inside, and other layers list none.
    """
    layers: list[keras.Layer] = layer._flatten_layers()
    return layers


def sublayers(layer: keras.Layer) -> Sequence[keras.Layer]:
    """The layers that a layer holds directly."""
    layers: Sequence[keras.Layer] = layer._layers
    return layers


def is_plain_graph(layer: object) -> bool:
    """Whether a layer is a functional or sequential model without a `call` of its own."""
    return isinstance(layer, keras.Model) and type(layer).call in (Functional.call, keras.Sequential.call)


def seed_keras(seed: int) -> None:
    """Forget the random numbers that Keras' layers and initializers have drawn in this process.

    Keras takes the seeds of the next ones from Python's `random`, so that has to be seeded too. This is the part of
    `keras.utils.set_random_seed` that concerns Keras alone: the whole of it also discards what TensorFlow has compiled.
    """
    global_state.set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
