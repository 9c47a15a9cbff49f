"""The model that leaves the search: stock Keras layers, raw uint8 images in, class probabilities out.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from trainables.fused import unfused
from trainables.outputs import ends_in


def stock_model(model: keras.Model, final: str = "softmax") -> keras.Model:
    """A copy of `model` that loads where toprung is not installed.

    Takes uint8 images (batch, H, W, C), gives float32 probabilities (batch, outputs) by the activation `final`. Layers
    with dials become their stock counterparts at the current setting; a user's own layers stay what they are.
    """
    with unfused(model):
        copied = keras.models.clone_model(model, clone_function=_stock_layer)
    for layer in copied._flatten_layers():
        # Half precision is for training: what leaves computes alike wherever it is loaded.
        if layer.dtype_policy.name.startswith("mixed_"):
            layer.dtype_policy = "float32"
    for old, new in zip(model.layers, copied.layers, strict=True):
        _copy_weights(old, new)
    inputs = keras.Input(model.input_shape[1:], dtype="uint8", name="images")
    # Layers cast floating point alone, and the copied model may begin with any of them.
    outputs = copied(keras.layers.Rescaling(1.0, name="as_float")(inputs))
    if not ends_in(model, final):
        outputs = keras.layers.Activation(final, name="probabilities", dtype="float32")(outputs)
    return keras.Model(inputs, outputs, name="classifier")


def _copy_weights(old: keras.Layer, new: keras.Layer) -> None:
    """Everything but dials, which a stock layer has no variables for."""
    dials = {id(dial) for layer in old._flatten_layers() for dial in getattr(layer, "dials", {}).values()}
    new.set_weights([ops.convert_to_numpy(variable) for variable in old.weights if id(variable) not in dials])
    for layer in new._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            # It computes with copies of its variables.
            layer.finalize_state()


def _stock_layer(layer: keras.Layer) -> Any:
    as_stock = getattr(layer, "as_stock", None)
    return as_stock() if as_stock else layer.__class__.from_config(layer.get_config())
