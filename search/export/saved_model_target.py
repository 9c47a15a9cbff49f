"""TensorFlow SavedModel: `serve` takes arrays, `serve_bytes` encoded images; both answer with labels.

TensorFlow is imported inside the functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.trainables.saved_model.description import ENTRY
from toprung.trainables.task.task_type import BINARY, MULTILABEL

if TYPE_CHECKING:
    from pathlib import Path

    from toprung.search.export.target import Original, Quantization, Run
    from toprung.trainables.saved_model.description import ModelDescription

SERVE, SERVE_BYTES, OUTPUTS = "serve", "serve_bytes", "outputs"


class SavedModelTarget:
    """A folder that TensorFlow, TF Serving and Vertex AI load."""

    name = "savedmodel"
    packages: tuple[str, ...] = ("tensorflow",)
    quantizations: tuple[Quantization, ...] = ()

    def write(self, original: Original, quantization: Quantization, folder: Path) -> Path:
        """Write the folder `savedmodel`; its description lies in `assets.extra`."""
        del quantization
        path = folder / "savedmodel"
        write_saved_model(original, path)
        extra = path / "assets.extra"
        extra.mkdir()
        (extra / ENTRY).write_text(original.about.to_json())
        return path

    def load(self, path: Path, threads: int) -> Run:
        """TensorFlow computes with the threads of this process, whatever is asked."""
        del threads
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))
        return lambda images: np.asarray(loaded.signatures[SERVE](images=tf.constant(images))[OUTPUTS])


def write_saved_model(original: Original, path: Path) -> None:
    """Write the SavedModel with both signatures."""
    import keras
    import tensorflow as tf

    classifier, about = original.classifier, original.about
    shape = about.image_shape

    def serve(images: Any) -> dict[str, Any]:
        return _answers(classifier(images), about)

    def serve_bytes(images: Any) -> dict[str, Any]:
        decoded = tf.map_fn(lambda each: _decoded(each, about), images, fn_output_signature=tf.uint8)
        return _answers(classifier(tf.ensure_shape(decoded, (None, *shape))), about)

    archive = keras.export.ExportArchive()
    archive.track(classifier)
    archive.add_endpoint(SERVE, serve, input_signature=[tf.TensorSpec((None, *shape), tf.uint8, "images")])
    archive.add_endpoint(
        SERVE_BYTES, serve_bytes, input_signature=[tf.TensorSpec((None,), tf.string, "images")]
    )
    archive.write_out(str(path), verbose=False)


def _answers(outputs: Any, about: ModelDescription) -> dict[str, Any]:
    """The model's own outputs, the probability of each class, the label and how sure it is."""
    import tensorflow as tf

    names = tf.constant(about.classes)
    if about.task == MULTILABEL:
        parts = tf.where(outputs > 0.5, names[None, :], "")
        label = tf.strings.reduce_join(parts, axis=1, separator="\n")
        label = tf.strings.regex_replace(tf.strings.regex_replace(label, "^\n+|\n+$", ""), "\n+", " + ")
        sure = tf.reduce_prod(tf.where(outputs > 0.5, outputs, 1.0 - outputs), axis=1)
        return {OUTPUTS: outputs, "probabilities": outputs, "label": label, "probability": sure}
    probabilities = tf.concat([1.0 - outputs, outputs], axis=1) if about.task == BINARY else outputs
    label = tf.gather(names, tf.argmax(probabilities, axis=1))
    sure = tf.reduce_max(probabilities, axis=1)
    return {OUTPUTS: outputs, "probabilities": probabilities, "label": label, "probability": sure}


def _decoded(content: Any, about: ModelDescription) -> Any:
    """One JPEG, PNG, GIF or BMP as uint8 (H, W, C), resized as the training images were, to one grey level."""
    import tensorflow as tf

    height, width, channels = about.image_shape
    image = tf.io.decode_image(content, channels=channels, expand_animations=False)
    image = tf.ensure_shape(image, (None, None, channels))
    if about.fit is None:
        return tf.ensure_shape(image, (height, width, channels))
    resized = _fitted(tf.cast(image, tf.float32), about)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)


def _fitted(image: Any, about: ModelDescription) -> Any:
    import tensorflow as tf

    height, width, _ = about.image_shape

    def resize(given: Any, size: Any) -> Any:
        return tf.image.resize(given, size, method="bicubic", antialias=True)

    if about.fit == "stretch":
        return resize(image, (height, width))
    sides = tf.cast(tf.shape(image)[:2], tf.float32)
    if about.fit == "crop":
        middle = tf.reduce_min(sides)
        top, left = (tf.cast(tf.round((side - middle) / 2), tf.int32) for side in (sides[0], sides[1]))
        side = tf.cast(middle, tf.int32)
        return resize(image[top : top + side, left : left + side], (height, width))
    inside = tf.cast(tf.round(sides * (height / tf.reduce_max(sides))), tf.int32)
    return tf.image.resize_with_crop_or_pad(resize(image, tf.maximum(inside, 1)), height, width)
