"""Initial values of a model's variables from a seed, the same on a new and on a used model.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from toprung.trainables.backend.keras_internals import sublayers
from toprung.trainables.backend.operations import ops

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from toprung.trainables.models.layers import RuntimeLayer


class Reinitializer:
    """The initial values of each variable of a freshly built model, for any number of trials.

    A variable for which its layer names a random initializer (`kernel` and `kernel_initializer`, as all stock layers
    do) is drawn from that initializer. Seeds come from the trial's seed, runtime hyperparameters from its
    configuration. Every other variable, and all of a `pretrained` layer, start again from their values at
    construction: an LSTM builds its biases otherwise than the initializer that it names, and a function has no seed.
    """

    def __init__(self, layers: Iterable[keras.Layer], pretrained: Iterable[keras.Layer] = ()) -> None:
        self._initializers: dict[int, keras.initializers.Initializer] = {}
        self._runtime: dict[int, tuple[RuntimeLayer, str]] = {}
        self._built: dict[int, np.ndarray] = {}
        kept = {id(variable) for layer in pretrained for variable in layer.variables}
        for layer in layers:
            for variable in own_variables(layer):
                initializer = named_initializer(layer, variable)
                if hasattr(initializer, "seed") and id(variable) not in kept:
                    self._initializers[id(variable)] = initializer
                elif not is_seed(variable):
                    self._built[id(variable)] = ops.convert_to_numpy(variable)
            for key, variable in getattr(layer, "runtime_hyperparameters", {}).items():
                self._runtime[id(variable)] = (layer, key)

    def initial_values(
        self, variables: Iterable[keras.Variable], config: Mapping[str, Any], seed: int, stream: int
    ) -> Iterator[np.ndarray]:
        """The initial values of variables, in order.

        Args:
            variables: Variables of the model.
            config: The trial's configuration, which sets the runtime hyperparameters.
            seed: The trial's seed. It decides what is random, with `stream` and the position of the variable.
            stream: Tells sequences of variables apart.
        """
        for index, variable in enumerate(variables):
            number = int(np.random.SeedSequence([seed, stream, index]).generate_state(1)[0]) >> 1
            yield self._value(variable, config, number)

    def _value(self, variable: keras.Variable, config: Mapping[str, Any], number: int) -> np.ndarray:
        if id(variable) in self._runtime:
            layer, key = self._runtime[id(variable)]
            return np.asarray(layer.runtime_value(key, config), np.float32)
        if is_seed(variable):
            return np.asarray([number, 0])
        initializer = self._initializers.get(id(variable))
        if initializer is None:
            return self._built[id(variable)]
        initializer = copy.copy(initializer)
        initializer.seed = number
        return np.asarray(ops.convert_to_numpy(initializer(tuple(variable.shape), dtype=variable.dtype)))


def named_initializer(layer: keras.Layer, variable: keras.Variable) -> keras.initializers.Initializer | None:
    """The initializer that a layer names for one of its own variables, None without one."""
    # Depthwise layers leave "kernel" out of the initializer's name or of the variable's.
    names = (
        variable.name,
        variable.name.removesuffix("_kernel"),
        "depthwise" if variable.name == "kernel" else "",
    )
    found = (getattr(layer, f"{name}_initializer", None) for name in names if name)
    named = next((initializer for initializer in found if initializer is not None), None)
    is_einsum = isinstance(layer, keras.layers.EinsumDense) and variable.name == "kernel"
    return _with_axes(named, layer.equation) if is_einsum else named


def _with_axes(initializer: keras.initializers.Initializer, equation: str) -> keras.initializers.Initializer:
    """The initializer with the input and output axes of an EinsumDense's kernel, which Keras sets when it builds."""
    if getattr(initializer, "input_axes", ()) is not None:
        return initializer
    kernel, outputs = equation.split(",")[1].split("->")
    prepared = copy.copy(initializer)
    prepared.input_axes = [axis for axis, name in enumerate(kernel) if name not in outputs]
    prepared.output_axes = [axis for axis, name in enumerate(kernel) if name in outputs]
    return prepared


def own_variables(layer: keras.Layer) -> list[keras.Variable]:
    """The variables of a layer without those of its sublayers."""
    nested = {id(variable) for inner in sublayers(layer) for variable in inner.variables}
    return [variable for variable in layer.variables if id(variable) not in nested]


def is_seed(variable: keras.Variable) -> bool:
    """Whether the variable is the state of a keras.random.SeedGenerator."""
    return bool(variable.name == "seed_generator_state")
