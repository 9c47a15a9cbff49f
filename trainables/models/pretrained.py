"""Networks of `keras.applications` without their tops, and the preprocessing that each was trained with.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from filelock import FileLock

from toprung.spaces.errors import InputError
from toprung.spaces.user_code.source_files import private_folder
from toprung.trainables.backend.operations import ops
from toprung.trainables.trial.failures import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.backend.tensors import Tensor


# The mode of Keras' `preprocess_input` that a network was trained with, by the first prefix of its name that fits.
_MODES = {
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


def preprocess(name: str, images: Tensor) -> Tensor:
    """Preprocess RGB images as the network `name` expects them, with stock layers alone.

    Args:
        name: A network of `keras.applications`.
        images: (batch, H, W, 3) with values 0 to 255, a KerasTensor.
    """
    mode = next((mode for prefix, mode in _MODES.items() if name.startswith(prefix)), "signed")
    if mode == "inside":
        return images
    scale: float | list[float] = 1.0 / 127.5
    offset: float | list[float] = -1.0
    layer_name = "signed"
    if mode == "caffe":
        images = ops.flip(images, axis=-1)
        scale, offset, layer_name = 1.0, [-mean for mean in _CAFFE_MEANS], "centred"
    if mode == "standardised":
        scale, offset = (1.0 / (255.0 * _DEVIATIONS)).tolist(), (-_MEANS / _DEVIATIONS).tolist()
        layer_name = "standardised"
    rescaled: Tensor = keras.layers.Rescaling(scale, offset=offset, name=layer_name)(images)
    return rescaled


def backbone(config: Mapping[str, Any], input_shape: tuple[int, int, int]) -> keras.Model:
    """The network from preprocessed images to its last feature maps.

    Args:
        config: States `backbone`, `weights` ("none", "imagenet" or a file) and `alpha`.
        input_shape: (height, width, channels).

    Raises:
        InputError: The images are too small for the network, or the weights do not fit or cannot be downloaded.
    """
    name, weights = config["backbone"], config["weights"]
    construct = getattr(keras.applications, name)
    options: dict[str, Any] = {"include_top": False, "input_shape": input_shape}
    if "alpha" in inspect.signature(construct).parameters:
        options["alpha"] = config["alpha"]
    if weights == "none":
        return _with_fast_batch_norms(_construct(name, options, weights=None))
    if weights == "imagenet":
        model = _construct_with_imagenet(name, options)
    else:
        model = _construct(name, options, weights=weights)
    if Path(weights).name.startswith("efficientnetb"):
        _finish_rescaling(model)
    return model


def _construct(name: str, options: Mapping[str, Any], weights: str | None) -> keras.Model:
    try:
        return getattr(keras.applications, name)(weights=weights, **options)
    except Exception as error:  # whatever Keras raises for shapes, files and downloads
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())
        given = (
            f"{name} with weights {weights or 'none'!r} on images {options['input_shape']} fails: {reason}"
        )
        rule = "give input_size, another backbone, or, where there is no network, a file of weights"
        raise InputError.single("config.backbone", given, rule) from error


def _construct_with_imagenet(name: str, options: Mapping[str, Any]) -> keras.Model:
    """Let Keras download the weights, one process of a node at a time: its cache has no lock."""
    key = (name, float(options.get("alpha", 1.0)))
    if key in _downloaded:
        return _construct(name, options, "imagenet")
    with FileLock(private_folder() / "downloads.lock"):
        model = _construct(name, options, "imagenet")
    _downloaded.add(key)
    return model


def _finish_rescaling(model: keras.Model) -> None:
    """Divide by the root of ImageNet's deviations, as Keras does only for EfficientNet weights that it downloads."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance, *count = layer.get_weights()
            layer.set_weights([mean, variance * _DEVIATIONS, *count])
            layer.finalize_state()


def _with_fast_batch_norms(model: keras.Model) -> keras.Model:
    """Let batch norms follow the batches of a short training; Keras' momentum is made for a million images."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    return model
