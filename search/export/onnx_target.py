"""ONNX, run by ONNX Runtime. Its libraries are imported inside the functions."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.search.export.target import NONE, file_stem
from toprung.trainables.saved_model.description import ENTRY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.export.target import Original, Quantization, Run

OPSET = 18
CALIBRATION_BATCH = 8


class OnnxTarget:
    """One file; its description is in `metadata_props`."""

    name = "onnx"
    packages: tuple[str, ...] = ("onnx", "tf2onnx", "onnxruntime")
    quantizations: tuple[Quantization, ...] = ("float16", "int8")

    def write(self, original: Original, quantization: Quantization, folder: Path) -> Path:
        """Write the file; int8 has the weights of each channel and all activations in 8 bits."""
        import onnx

        path = folder / f"{file_stem(quantization)}.onnx"
        with TemporaryDirectory(prefix="toprung-") as scratch:
            plain = Path(scratch) / "plain.onnx"
            _convert(original, plain)
            if quantization == "int8":
                _to_int8(original, plain, path)
                model = onnx.load(str(path))
            else:
                model = onnx.load(str(plain))
                model = model if quantization == NONE else _to_float16(model)
        for key, value in ((ENTRY, original.about.to_json()), ("classes", "\n".join(original.about.classes))):
            onnx.helper.set_model_props(
                model, {**{each.key: each.value for each in model.metadata_props}, key: value}
            )
        onnx.save(model, str(path))
        return path

    def load(self, path: Path, threads: int) -> Run:
        """ONNX Runtime on the CPU."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        return lambda images: np.asarray(session.run(None, {given.name: images})[0], np.float32)


def _convert(original: Original, path: Path) -> None:
    import tf2onnx

    original.classifier(original.calibration_images[:1])  # Keras names its outputs at the first call
    tf2onnx.convert.from_keras(original.classifier, opset=OPSET, output_path=str(path))


def _to_float16(model: Any) -> Any:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=True)


def _to_int8(original: Original, plain: Path, path: Path) -> None:
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    (given,) = onnxruntime.InferenceSession(str(plain), providers=["CPUExecutionProvider"]).get_inputs()
    images = original.calibration_images

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        """The calibration images, a few at a time."""

        def __init__(self) -> None:
            self._batches: Iterator[np.ndarray] = (
                images[start : start + CALIBRATION_BATCH]
                for start in range(0, len(images), CALIBRATION_BATCH)
            )

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {given.name: batch}

    prepared = plain.with_name("prepared.onnx")
    quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    quantize_static(str(prepared), str(path), Batches(), quant_format=QuantFormat.QDQ, per_channel=True)
