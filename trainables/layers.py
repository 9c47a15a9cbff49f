"""Layers with dials: numbers held in variables, so that a new trial turns them without a new trace.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class Dialled(keras.layers.Layer):
    """A layer whose `dials` map a configuration key to the variable that holds its value.

    A trial's reset sets every dial from the trial's configuration, 0 where the configuration has no such key.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dials: dict[str, keras.Variable] = {}

    def add_dial(self, key: str, value: float = 0.0) -> keras.Variable:
        """Make the dial that `config[key]` sets; returns its float32 variable."""
        # Not cast under mixed precision: a rate rounded to bfloat16 would be another rate.
        variable = keras.Variable(
            float(value), dtype="float32", trainable=False, autocast=False, name=f"dial_{key}"
        )
        self.dials[key] = variable
        return variable


class DialledDropout(Dialled):
    """Inverted dropout whose rate in [0, 1) is the dial `key`; at 0 the output is the input, bit for bit.

    With `whole_channels` a feature map (height, width) is dropped as one. `as_stock` gives the Keras layer
    that stands for it in an exported model.
    """

    def __init__(self, key: str, whole_channels: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = self.add_dial(key)
        self.whole_channels = whole_channels
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        shape = list(ops.shape(inputs))
        if self.whole_channels:
            shape[1:-1] = [1] * (len(shape) - 2)
        kept = keras.random.uniform(shape, seed=self.seed_generator) >= self.rate
        scale = ops.cast(kept, "float32") / (1.0 - self.rate)
        return inputs * ops.cast(scale, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def as_stock(self) -> keras.layers.Layer:
        """A plain Keras layer with the current rate."""
        rate = float(ops.convert_to_numpy(self.rate))
        kind = keras.layers.SpatialDropout2D if self.whole_channels else keras.layers.Dropout
        return kind(rate, name=self.name)
