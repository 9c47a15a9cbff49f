"""Networks of `keras.applications` without their tops, with the preprocessing each was trained behind.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from filelock import FileLock
from keras import ops

from toprung.spaces.errors import InputError
from toprung.trainables.trial.failures import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Mapping


# Which way of Keras' `preprocess_input` a network was trained behind, by the first name that fits.
_WAYS = {
    "MobileNetV3": "inside",
    "EfficientNet": "inside",
    "ConvNeXt": "inside",
    "ResNet50V2": "signed",
    "ResNet101V2": "signed",
    "ResNet152V2": "signed",
    "ResNet": "caffe",
    "VGG": "caffe",
    "DenseNet": "standardised",
}
_CAFFE_MEANS = (103.939, 116.779, 123.68)
_MEANS, _DEVIATIONS = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_downloaded: set[tuple[str, float]] = set()


def preprocessed(name: str, images: Any) -> Any:
    """RGB images with values 0 to 255 as the network `name` takes them, through stock layers alone."""
    way = next((way for start, way in _WAYS.items() if name.startswith(start)), "signed")
    if way == "inside":
        return images
    if way == "caffe":
        offsets = [-mean for mean in _CAFFE_MEANS]
        return keras.layers.Rescaling(1.0, offset=offsets, name="centred")(ops.flip(images, axis=-1))
    if way == "standardised":
        scale, offset = 1.0 / (255.0 * _DEVIATIONS), -_MEANS / _DEVIATIONS
        return keras.layers.Rescaling(scale.tolist(), offset=offset.tolist(), name="standardised")(images)
    return keras.layers.Rescaling(1.0 / 127.5, offset=-1.0, name="signed")(images)


def backbone(config: Mapping[str, Any], input_shape: tuple[int, int, int]) -> keras.Model:
    """The network from preprocessed images to its last feature maps.

    Raises InputError when the images are too small for it, or the weights do not fit or cannot be downloaded.
    """
    name, weights = config["backbone"], config["weights"]
    construct = getattr(keras.applications, name)
    named: dict[str, Any] = {"include_top": False, "input_shape": input_shape}
    if "alpha" in inspect.signature(construct).parameters:
        named["alpha"] = config["alpha"]
    if weights == "none":
        return _quick_to_learn(_constructed(name, named, weights=None))
    model = (
        _with_imagenet(name, named) if weights == "imagenet" else _constructed(name, named, weights=weights)
    )
    if Path(weights).name.startswith("efficientnetb"):
        _finish_rescaling(model)
    return model


def _constructed(name: str, named: Mapping[str, Any], weights: str | None) -> keras.Model:
    try:
        return getattr(keras.applications, name)(weights=weights, **named)
    except Exception as error:  # whatever Keras raises for shapes, files and downloads
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())
        given = f"{name} with weights {weights or 'none'!r} on images {named['input_shape']} fails: {reason}"
        rule = "give input_size, other weights, or another backbone"
        raise InputError.single("config.backbone", given, rule) from error


def _with_imagenet(name: str, named: Mapping[str, Any]) -> keras.Model:
    """Download as Keras does, but once a node: its cache knows no lock."""
    key = (name, float(named.get("alpha", 1.0)))
    if key in _downloaded:
        return _constructed(name, named, "imagenet")
    with FileLock(Path(tempfile.gettempdir(), f"toprung-downloads-{os.getuid()}.lock")):
        model = _constructed(name, named, "imagenet")
    _downloaded.add(key)
    return model


def _finish_rescaling(model: keras.Model) -> None:
    """Divide by the root of ImageNet's deviations, as Keras does behind EfficientNet's own downloads alone."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance, *count = layer.get_weights()
            layer.set_weights([mean, variance * _DEVIATIONS, *count])
            layer.finalize_state()


def _quick_to_learn(model: keras.Model) -> keras.Model:
    """Batch norms that follow the batches of a short training; Keras' are laid out for a million images."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    return model
