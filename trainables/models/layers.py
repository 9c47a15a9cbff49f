"""Layers with dials: numbers held in variables, so that a new trial turns them without a new trace.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

if TYPE_CHECKING:
    from collections.abc import Mapping


class RuntimeLayer(keras.layers.Layer):
    """A layer whose `runtime_hyperparameters` map a configuration key to the variable that holds its value.

    A trial's reset sets every dial from the trial's configuration, 0 where the configuration has no such key.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.runtime_hyperparameters: dict[str, keras.Variable] = {}

    def add_runtime_hyperparameter(self, key: str, value: float = 0.0) -> keras.Variable:
        """Make the dial that `config[key]` sets; returns its float32 variable."""
        # Not cast under mixed precision: a rate rounded to bfloat16 would be another rate.
        variable = keras.Variable(
            float(value), dtype="float32", trainable=False, autocast=False, name=f"dial_{key}"
        )
        self.runtime_hyperparameters[key] = variable
        return variable

    def runtime_value(self, key: str, config: Mapping[str, Any]) -> float:
        """What a trial of this configuration sets the dial `key` to."""
        return float(config.get(key) or 0.0)


class RuntimeDropout(RuntimeLayer):
    """Inverted dropout whose rate in [0, 1) is the dial `key`; at 0 the output is the input, bit for bit.

    With `whole_channels` a feature map (height, width) is dropped as one. `steps` times `config[key + "_step"]`
    is added to the rate, up to 0.9. `as_stock` gives the Keras layer that stands for it in an exported model.
    """

    def __init__(self, key: str, whole_channels: bool = False, steps: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = self.add_runtime_hyperparameter(key)
        self.whole_channels = whole_channels
        self.steps = steps
        self.seed_generator = keras.random.SeedGenerator(0)

    def runtime_value(self, key: str, config: Mapping[str, Any]) -> float:
        rate, step = super().runtime_value(key, config), float(config.get(f"{key}_step") or 0.0)
        return min(rate + self.steps * step, max(rate, 0.9))

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


class RuntimeDense(RuntimeLayer, keras.layers.Dense):  # type: ignore[misc]
    """A dense layer whose L2 penalty, times the sum of its squared kernel, is the dial `key`."""

    def __init__(self, units: int, key: str, **kwargs: Any) -> None:
        super().__init__(units=units, **kwargs)
        self.kernel_regularizer = RuntimeL2(self.add_runtime_hyperparameter(key))

    def as_stock(self) -> keras.layers.Layer:
        """A plain dense layer; its penalty means nothing outside training."""
        config = {**self.get_config(), "kernel_regularizer": None}
        return keras.layers.Dense.from_config(config)


class RuntimeL2(keras.regularizers.Regularizer):  # type: ignore[misc]
    """`strength` times the sum of squares."""

    def __init__(self, strength: keras.Variable) -> None:
        self.strength = strength

    def __call__(self, weights: Any) -> Any:
        return self.strength * ops.sum(ops.square(ops.cast(weights, "float32")))

    def get_config(self) -> dict[str, Any]:
        """Nothing: the layer that owns the dial makes it anew."""
        return {}


class InferenceOnly(keras.layers.Layer):  # type: ignore[misc]
    """A model that computes as outside training, whatever the model around it does; its weights can be trained.

    A functional model hands its own `training` down to every layer, over what the layer was called with.
    """

    def __init__(self, body: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.body = body

    def call(self, inputs: Any) -> Any:
        return self.body(inputs, training=False)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.body.compute_output_shape(input_shape)

    def as_stock(self) -> keras.layers.Layer:
        """The model itself, without its weights."""
        return self.body.__class__.from_config(self.body.get_config())
