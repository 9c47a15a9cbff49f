"""The model that leaves the search: stock Keras layers, raw uint8 images in, class probabilities out.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from keras.src.models.functional import Functional

from toprung.spaces.errors import InputError
from toprung.trainables.models.fused_batch_norm import unfused
from toprung.trainables.trial.failures import is_out_of_memory

_KNOWN = ("keras", "trainables")  # whose layers are copied without being tried


def stock_model(model: keras.Model, final: str = "softmax") -> keras.Model:
    """A copy of `model` that loads where toprung is not installed.

    Takes uint8 images (batch, H, W, C), gives float32 probabilities (batch, outputs) by the activation `final`. Layers
    with dials become their stock counterparts at the current setting; a user's own layers stay what they are.
    """
    pairs: list[tuple[Any, Any]] = []

    def copied_layer(layer: Any) -> Any:
        if _is_graph(layer):
            return keras.models.clone_model(layer, clone_function=copied_layer)
        pairs.append((layer, _stock_layer(layer)))
        return pairs[-1][1]

    with unfused(model):
        copied = keras.models.clone_model(model, clone_function=copied_layer)
    for layer in copied._flatten_layers():
        # Half precision is for training: what leaves computes alike wherever it is loaded.
        if layer.dtype_policy.name.startswith("mixed_"):
            layer.dtype_policy = "float32"
    for old, new in pairs:
        if isinstance(old, keras.layers.Layer):
            _copy_weights(old, new)
    inputs = keras.Input(model.input_shape[1:], dtype="uint8", name="images")
    # Layers cast floating point alone, and the copied model may begin with any of them.
    outputs = copied(keras.layers.Rescaling(1.0, name="as_float")(inputs))
    if not ends_in(model, final):
        outputs = keras.layers.Activation(final, name="probabilities", dtype="float32")(outputs)
    return keras.Model(inputs, outputs, name="classifier")


def check_copies(model: keras.Model) -> None:
    """Raise InputError when a user's own layer cannot be copied: better at the first trial than after the search."""
    for layer in _own_layers(model):
        try:
            _stock_layer(layer)
        except Exception as error:  # whatever Keras and the layer's own code raise
            if is_out_of_memory(error):
                raise
            kind, reason = type(layer).__name__, " ".join(str(error).split())
            given = f"the layer {layer.name!r} ({kind}) cannot be copied for the exported model: {reason}"
            rule = "must come back from its get_config; a function must be a layer"
            raise InputError.single("space.name", given, rule) from error


def _own_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers that are neither Keras' nor ours, and functions as layers; not what such a layer holds inside."""
    found: list[keras.Layer] = []
    for layer in model.layers:
        if _is_graph(layer):
            found += _own_layers(layer)
        elif isinstance(layer, keras.layers.Lambda) or type(layer).__module__.split(".")[0] not in _KNOWN:
            found.append(layer)
    return found


def _is_graph(layer: Any) -> bool:
    """Whether a model within the model is its layers and nothing else: one with a `call` of its own is more."""
    return isinstance(layer, keras.Model) and type(layer).call in (Functional.call, keras.Sequential.call)


def _kept(layer: keras.Layer) -> list[keras.Variable]:
    """The weights that a copy of the layer has: all but the dials where it leaves as a stock layer."""
    if not hasattr(layer, "as_stock"):
        return list(layer.weights)
    runtime_hyperparameters = {
        id(dial)
        for inner in layer._flatten_layers()
        for dial in getattr(inner, "runtime_hyperparameters", {}).values()
    }
    return [weight for weight in layer.weights if id(weight) not in runtime_hyperparameters]


def _copy_weights(old: keras.Layer, new: keras.Layer) -> None:
    new.set_weights([ops.convert_to_numpy(variable) for variable in _kept(old)])
    for layer in new._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            # It computes with copies of its variables.
            layer.finalize_state()


def _stock_layer(layer: Any) -> Any:
    as_stock = getattr(layer, "as_stock", None)
    return as_stock() if as_stock else layer.__class__.from_config(layer.get_config())


def ends_in(model: keras.Model, final: str) -> bool:
    """Whether the model's last layer already turns logits into probabilities by the activation `final`."""
    last = model.layers[-1]
    if isinstance(last, keras.Model):
        return ends_in(last, final)
    if final == "softmax" and isinstance(last, keras.layers.Softmax):
        return True
    return getattr(last, "activation", None) is keras.activations.get(final)
