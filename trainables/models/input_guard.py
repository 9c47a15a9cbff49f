"""The entrance of a saved model: images of another size and values that are no grey levels are refused.

Keras alone does not do it. A functional model casts what it is given to the type of its input, so that floats from 0 to
1 become black images; and once `predict` has seen two sizes, its compiled function takes any. So the input is float32,
which holds every uint8 exactly, and stock operations check it when they compute. With TensorFlow they raise an error
that names the layer which refuses, as in `images_must_be_8_high`; under XLA, which cannot raise, and with JAX the
probabilities are NaN.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from toprung.trainables.backend.operations import ops

if TYPE_CHECKING:
    from toprung.trainables.backend.tensors import Tensor

MODEL_NAME = "guarded_classifier"
LEAST_MISFIT = 1e-6  # the sum over an image of the distances to grey levels that is taken for rounding


def guarded(classifier: keras.Model) -> keras.Model:
    """The same model behind the checks.

    Args:
        classifier: From uint8 images (batch, H, W, C) to probabilities (batch, outputs).

    Returns:
        From images (batch, H, W, C), whole numbers from 0 to 255 in any type, to the same probabilities.
    """
    images = keras.Input(classifier.input_shape[1:], dtype="float32", name="images")
    levels = ops.clip(ops.round(images), 0.0, 255.0)
    misfit = _sum_of_exact_size(ops.abs(ops.subtract(images, levels)), classifier.input_shape[1:])
    probabilities = ops.multiply(classifier(levels), _one_or_refused()(misfit))
    return keras.Model(images, probabilities, name=MODEL_NAME)


def unguarded(model: keras.Model) -> keras.Model:
    """The classifier inside a guarded model, for exports whose own input type is checked by what runs them."""
    return next(layer for layer in model.layers if layer.name == "classifier")


def _sum_of_exact_size(values: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """The sum over each image, (batch, 1), by products with vectors of ones that fit no other size."""
    height, width, channels = shape
    products = (
        ("bhwc,hx->bwcx", (width, channels, 1), f"images_must_be_{height}_high"),
        ("bwcx,wy->bcxy", (channels, 1, 1), f"images_must_be_{width}_wide"),
        ("bcxy,cz->bxyz", (1, 1, 1), f"images_must_have_{channels}_channels"),
    )
    for equation, output_shape, name in products:
        values = keras.layers.EinsumDense(
            equation, output_shape, kernel_initializer="ones", trainable=False, name=name
        )(values)
    return ops.reshape(values, (-1, 1))


def _one_or_refused() -> keras.Model:
    """From the misfit of each image to 1; where there is one it is the root of a negative number."""
    misfit = keras.Input((1,), name="misfit")
    margin = ops.subtract(1.0, ops.divide(misfit, LEAST_MISFIT))
    root = ops.cholesky(ops.reshape(margin, (-1, 1, 1)))
    name = "values_must_be_whole_numbers_from_0_to_255"
    return keras.Model(misfit, ops.reshape(ops.sign(root), (-1, 1)), name=name)
