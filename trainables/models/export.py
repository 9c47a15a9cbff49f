"""The model that leaves the search: stock Keras layers, raw uint8 images in, class probabilities out.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from toprung.spaces.errors import InputError, first_line
from toprung.trainables.backend.keras_internals import all_layers, is_plain_graph
from toprung.trainables.backend.operations import ops
from toprung.trainables.models.fused_batch_norm import unfused
from toprung.trainables.models.layers import runtime_variables
from toprung.trainables.trial.failures import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.trainables.backend.tensors import Tensor

# Packages whose layers are copied without a try.
_KNOWN = ("keras", __name__.partition(".")[0])


TINY = 1e-7
FUNCTION_IN_FILE = "its function is code, and no code is read from the file of a model"


def stock_model(
    model: keras.Model, final: str = "softmax", temperature: float = 1.0, flip_average: bool = False
) -> keras.Model:
    """A copy of a model that loads where toprung is not installed.

    Layers with runtime hyperparameters become their stock counterparts with the current values; a user's own layers
    stay what they are.

    Args:
        model: From images (batch, H, W, C) with values 0 to 255 to logits or probabilities.
        final: The activation that makes probabilities.
        temperature: What logits are divided by before it (see `trainables.metrics.temperature`).
        flip_average: Whether the logits of an image and of its mirror image are averaged.

    Returns:
        A model from uint8 images to float32 probabilities (batch, outputs).
    """
    pairs: list[tuple[keras.Layer, keras.Layer]] = []

    def copied_layer(layer: keras.Layer) -> keras.Layer:
        if is_plain_graph(layer):
            return keras.models.clone_model(layer, clone_function=copied_layer)
        pairs.append((layer, _stock_layer(layer)))
        return pairs[-1][1]

    with unfused(model):
        copied = keras.models.clone_model(model, clone_function=copied_layer)
    for layer in all_layers(copied):
        # Half precision is for training: an exported model computes alike wherever it is loaded.
        if layer.dtype_policy.name.startswith("mixed_"):
            layer.dtype_policy = "float32"
    for old, new in pairs:
        if isinstance(old, keras.layers.Layer):
            _copy_weights(old, new)
    inputs = keras.Input(model.input_shape[1:], dtype="uint8", name="images")
    # Layers cast floating point alone, and the copied model may begin with any of them.
    # Without `training`, layers that default to training (keras.layers.Resizing is one) would hand it on to those after
    # them, and `model(images)` would normalize by its batch and change the model.
    images = keras.layers.Rescaling(1.0, name="as_float")(inputs)
    views = [images, ops.flip(images, axis=2)] if flip_average else [images]
    answers, is_probability = [copied(view, training=False) for view in views], ends_in(model, final)
    outputs = answers[0]
    if flip_average or temperature != 1.0:
        logits = [_logits(answer, final) if is_probability else answer for answer in answers]
        outputs, is_probability = _scaled(_mean(logits), temperature), False
    if not is_probability:
        outputs = keras.layers.Activation(final, name="probabilities", dtype="float32")(outputs)
    return keras.Model(inputs, outputs, name="classifier")


def _mean(logits: Sequence[Tensor]) -> Tensor:
    if len(logits) == 1:
        return logits[0]
    mean: Tensor = keras.layers.Average(name="flip_average", dtype="float32")(logits)
    return mean


def _scaled(logits: Tensor, temperature: float) -> Tensor:
    if temperature == 1.0:
        return logits
    scaled: Tensor = keras.layers.Rescaling(1.0 / temperature, name="temperature", dtype="float32")(logits)
    return scaled


def _logits(probabilities: Tensor, final: str) -> Tensor:
    """Logits of a model that ends in probabilities, as the heads take them."""
    if final == "softmax":
        return ops.log(ops.clip(probabilities, TINY, 1.0))
    inside = ops.clip(probabilities, TINY, 1.0 - TINY)
    return ops.subtract(ops.log(inside), ops.log(ops.subtract(1.0, inside)))


def check_copies(model: keras.Model) -> None:
    """Copy each of a user's own layers once, so that one that cannot be exported fails at the first trial.

    Raises:
        InputError: A layer cannot be copied.
    """
    for layer in _user_layers(model):
        try:
            _stock_layer(layer)
        except Exception as error:  # whatever Keras and the layer's own code raise
            if is_out_of_memory(error):
                raise
            is_function = isinstance(layer, keras.layers.Lambda)  # Keras' own words offer an unsafe way out
            reason = FUNCTION_IN_FILE if is_function else first_line(error)
            given = (
                f"the layer {layer.name!r} ({type(layer).__name__}) cannot be copied for the exported model: "
                f"{reason}"
            )
            rule = "must come back from its get_config; a function must be a layer"
            raise InputError.single("space.name", given, rule) from error


def _user_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers that are neither Keras' nor ours, and functions as layers; without the layers inside them."""
    found: list[keras.Layer] = []
    for layer in model.layers:
        if is_plain_graph(layer):
            found += _user_layers(layer)
        elif isinstance(layer, keras.layers.Lambda) or type(layer).__module__.split(".")[0] not in _KNOWN:
            found.append(layer)
    return found


def _copied_variables(layer: keras.Layer) -> list[keras.Variable]:
    """The variables that a copy of the layer has: without runtime hyperparameters where it becomes a stock layer."""
    if not hasattr(layer, "as_stock"):
        return list(layer.weights)
    runtime = runtime_variables(all_layers(layer))
    return [variable for variable in layer.weights if id(variable) not in runtime]


def _copy_weights(old: keras.Layer, new: keras.Layer) -> None:
    new.set_weights([ops.convert_to_numpy(variable) for variable in _copied_variables(old)])
    for layer in all_layers(new):
        if isinstance(layer, keras.layers.Normalization):
            # It computes with copies of its variables.
            layer.finalize_state()


def _stock_layer(layer: keras.Layer) -> keras.Layer:
    as_stock = getattr(layer, "as_stock", None)
    return as_stock() if as_stock else layer.__class__.from_config(layer.get_config())


def ends_in(model: keras.Model, final: str) -> bool:
    """Whether the model's last layer already makes probabilities of logits by the activation `final`."""
    last = model.layers[-1]
    if isinstance(last, keras.Model):
        return ends_in(last, final)
    if final == "softmax" and isinstance(last, keras.layers.Softmax):
        return True
    return getattr(last, "activation", None) is keras.activations.get(final)
