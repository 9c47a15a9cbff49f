"""OpenVINO, for Intel's processors. Its libraries are imported inside the functions."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from toprung.search.export.onnx_target import OnnxTarget
from toprung.search.export.target import NONE, file_stem

if TYPE_CHECKING:
    from toprung.search.export.target import Original, Quantization, Run


class OpenVinoTarget:
    """A pair of files; the description is in the runtime information of the .xml."""

    name = "openvino"
    packages: tuple[str, ...] = ("openvino", *OnnxTarget.packages)
    quantizations: tuple[Quantization, ...] = ("float16",)

    def write(self, original: Original, quantization: Quantization, folder: Path) -> Path:
        """Write the .xml and the .bin beside it; float16 is how the weights are stored."""
        import openvino

        path = folder / f"{file_stem(quantization)}.xml"
        with TemporaryDirectory(prefix="toprung-") as scratch:
            # By the reader of the runtime: the converter beside it sends usage data.
            model = openvino.Core().read_model(str(OnnxTarget().write(original, NONE, Path(scratch))))
            about = original.about
            model.set_rt_info(about.to_json(), ["toprung", "description"])
            model.set_rt_info("\n".join(about.classes), ["toprung", "classes"])
            openvino.save_model(model, str(path), compress_to_fp16=quantization == "float16")
        return path

    def load(self, path: Path, threads: int) -> Run:
        """OpenVINO on the CPU, in float32: by itself it rounds to bfloat16 where the processor can."""
        import openvino

        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        return lambda images: np.array(compiled(images)[0], np.float32)
