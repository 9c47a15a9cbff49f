"""Layers with runtime hyperparameters: numbers held in variables, so that a new trial sets them without a new trace.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from toprung.trainables.backend.operations import ops
from toprung.trainables.models.folded_batch_norm import FoldedNetwork

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from toprung.trainables.backend.tensors import Shape, Tensor


class RuntimeLayer(keras.layers.Layer):
    """A layer whose `runtime_hyperparameters` map a configuration key to the variable that holds its value.

    A trial's reset sets each of them from the trial's configuration, to 0 where the configuration has no such key.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.runtime_hyperparameters: dict[str, keras.Variable] = {}

    def add_runtime_hyperparameter(self, key: str, value: float = 0.0) -> keras.Variable:
        """Create the runtime hyperparameter that `config[key]` sets; returns its variable, a float32 scalar."""
        # Not cast under mixed precision: a rate rounded to bfloat16 would be another rate.
        variable = keras.Variable(
            float(value), dtype="float32", trainable=False, autocast=False, name=f"runtime_{key}"
        )
        self.runtime_hyperparameters[key] = variable
        return variable

    def runtime_value(self, key: str, config: Mapping[str, Any]) -> float:
        """The value of the runtime hyperparameter `key` in a trial of this configuration."""
        return float(config.get(key) or 0.0)


def runtime_variables(layers: Iterable[keras.Layer]) -> set[int]:
    """The `id` of each variable that holds a runtime hyperparameter of these layers."""
    named = (getattr(layer, "runtime_hyperparameters", {}) for layer in layers)
    return {id(variable) for variables in named for variable in variables.values()}


class RuntimeDropout(RuntimeLayer):
    """Inverted dropout (Srivastava et al. 2014) whose rate in [0, 1) is the runtime hyperparameter `key`.

    At rate 0 the output is the input, bit for bit. With `whole_channels` a feature map (height, width) is dropped as
    one. `steps` times `config[key + "_step"]` is added to the rate, up to 0.9.
    """

    def __init__(self, key: str, whole_channels: bool = False, steps: int = 0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.rate = self.add_runtime_hyperparameter(key)
        self.whole_channels = whole_channels
        self.steps = steps
        self.seed_generator = keras.random.SeedGenerator(0)

    def runtime_value(self, key: str, config: Mapping[str, Any]) -> float:
        rate, step = super().runtime_value(key, config), float(config.get(f"{key}_step") or 0.0)
        return min(rate + self.steps * step, max(rate, 0.9))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training:
            return inputs
        shape = list(ops.shape(inputs))
        if self.whole_channels:
            shape[1:-1] = [1] * (len(shape) - 2)
        kept = keras.random.uniform(shape, seed=self.seed_generator) >= self.rate
        scale = ops.cast(kept, "float32") / (1.0 - self.rate)
        return inputs * ops.cast(scale, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def as_stock(self) -> keras.layers.Layer:
        """The Keras layer that stands for it in an exported model, with the current rate."""
        rate = float(ops.convert_to_numpy(self.rate))
        stock = keras.layers.SpatialDropout2D if self.whole_channels else keras.layers.Dropout
        return stock(rate, name=self.name)


class RuntimeDense(RuntimeLayer, keras.layers.Dense):  # type: ignore[misc]
    """A dense layer with an L2 penalty: the runtime hyperparameter `key` times the sum of the squared kernel."""

    def __init__(self, units: int, key: str, **kwargs: object) -> None:
        super().__init__(units=units, **kwargs)
        self.kernel_regularizer = RuntimeL2(self.add_runtime_hyperparameter(key))

    def as_stock(self) -> keras.layers.Layer:
        """The Keras layer that stands for it in an exported model, which needs no penalty."""
        config = {**self.get_config(), "kernel_regularizer": None}
        return keras.layers.Dense.from_config(config)


class RuntimeL2(keras.regularizers.Regularizer):  # type: ignore[misc]
    """`strength` times the sum of squares."""

    def __init__(self, strength: keras.Variable) -> None:
        self.strength = strength

    def __call__(self, weights: Tensor) -> Tensor:
        penalty: Tensor = self.strength * ops.sum(ops.square(ops.cast(weights, "float32")))
        return penalty

    def get_config(self) -> dict[str, Any]:
        """Nothing: the layer that owns the runtime hyperparameter creates it anew."""
        return {}


class InferenceOnly(keras.layers.Layer):  # type: ignore[misc]
    """A model in inference mode, also while the model around it trains; its weights can be trained.

    A functional model passes its own `training` on to every layer and overrides what the layer was called with.
    Batch norms are folded into the convolutions before them.
    """

    def __init__(self, body: keras.Model, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.body = body
        self._folded = FoldedNetwork(body)

    def call(self, inputs: Tensor) -> Tensor:
        return self._folded(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        output_shape: Shape = self.body.compute_output_shape(input_shape)
        return output_shape

    def as_stock(self) -> keras.layers.Layer:
        """The Keras model that stands for it in an exported model, without its weights."""
        return self.body.__class__.from_config(self.body.get_config())
