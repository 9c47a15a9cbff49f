"""LiteRT (TensorFlow Lite), for phones and small machines. Its libraries are imported inside the functions."""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from toprung.search.export.saved_model_target import OUTPUTS, SERVE
from toprung.search.export.target import NONE, file_stem
from toprung.trainables.saved_model.description import ENTRY
from toprung.trainables.system.imports import silence_native_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.export.target import Original, Quantization, Run


class LiteRtTarget:
    """One file; description and class names are appended to it as associated files, where LiteRT's tools look."""

    name = "litert"
    packages: tuple[str, ...] = ("ai_edge_litert",)
    quantizations: tuple[Quantization, ...] = ("float16", "int8")

    def write(self, original: Original, quantization: Quantization, folder: Path) -> Path:
        """Write the file; images go in as uint8 and probabilities come out as float32 in any case."""
        path = folder / f"{file_stem(quantization)}.tflite"
        path.write_bytes(_converted(original, quantization))
        with zipfile.ZipFile(path, "a") as associated:
            associated.writestr(ENTRY, original.about.to_json())
            associated.writestr("labels.txt", "\n".join(original.about.classes))
        return path

    def load(self, path: Path, threads: int) -> Run:
        """LiteRT on the CPU."""
        from ai_edge_litert.interpreter import Interpreter

        with silence_native_stderr():
            interpreter = Interpreter(str(path), num_threads=threads)
            interpreter.allocate_tensors()
        given, made = (
            interpreter.get_input_details()[0]["index"],
            interpreter.get_output_details()[0]["index"],
        )

        def run(images: np.ndarray) -> np.ndarray:
            if tuple(interpreter.get_input_details()[0]["shape"]) != images.shape:
                interpreter.resize_tensor_input(given, images.shape)
                interpreter.allocate_tensors()
            interpreter.set_tensor(given, images)
            interpreter.invoke()
            return np.array(interpreter.get_tensor(made), np.float32)

        return run


def _converted(original: Original, quantization: Quantization) -> bytes:
    import keras
    import tensorflow as tf

    classifier, shape = original.classifier, original.about.image_shape
    archive = keras.export.ExportArchive()
    archive.track(classifier)
    archive.add_endpoint(
        SERVE,
        lambda images: {OUTPUTS: classifier(images)},
        input_signature=[tf.TensorSpec((None, *shape), tf.uint8, "images")],
    )
    with TemporaryDirectory(prefix="toprung-") as scratch:
        saved = Path(scratch) / "saved"
        archive.write_out(str(saved), verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[SERVE])
        if quantization != NONE:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantization == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantization == "int8":
            converter.representative_dataset = lambda: _each(original.calibration_images)
        with silence_native_stderr():
            return bytes(converter.convert())


def _each(images: np.ndarray) -> Iterator[list[np.ndarray]]:
    for row in range(len(images)):
        yield [images[row : row + 1]]
