"""What MLflow is told of a served model: its code, its file, what goes in and comes out, an example.

mlflow is imported inside the functions.
"""

from __future__ import annotations

import base64
import io
import os
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CODE = "toprung.results.serving.image_classifier"
PACKAGES = ("toprung", "keras", "tensorflow", "tensorflow-cpu", "numpy", "pandas", "pillow", "mlflow")
"""What a model needs where it is served; of the two that bring TensorFlow one is installed."""


def pyfunc_settings(model_file: Path) -> dict[str, Any]:
    """The arguments of `mlflow.pyfunc.save_model` and `log_model` for a saved .keras file."""
    os.environ.setdefault(
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"
    )  # it is drawn in the middle of our lines
    spec = find_spec(CODE)
    assert spec is not None and spec.origin is not None, "the module is a file of this package"
    return {
        "python_model": spec.origin,
        "artifacts": {"model": str(model_file)},
        "signature": signature(),
        "input_example": example(model_file),
        "pip_requirements": list(_installed(PACKAGES)),
    }


def _installed(packages: Iterable[str]) -> Iterator[str]:
    """Those of the packages that are installed, with their versions."""
    for package in packages:
        with suppress(PackageNotFoundError):
            yield f"{package}=={version(package)}"


def load_pyfunc(model_file: Path, folder: Path) -> Any:
    """The model as MLflow loads it, saved below a new folder first.

    Raises:
        InputError: The file is no saved model.
    """
    import logging

    import mlflow.pyfunc

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.pyfunc.save_model(path=str(folder), **pyfunc_settings(model_file))
    return mlflow.pyfunc.load_model(str(folder))


def signature() -> Any:
    """One column of images in, label and probabilities out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Map

    given = Schema([ColSpec(AnyType(), "image")])
    made = [
        ColSpec(DataType.string, "label"),
        ColSpec(DataType.double, "probability"),
        ColSpec(Map(DataType.double), "probabilities"),
    ]
    return ModelSignature(inputs=given, outputs=Schema(made))


def example(model_file: Path) -> Any:
    """A frame with one black image of the model's size, as base64 text of a PNG."""
    import pandas as pd
    from PIL import Image

    from toprung.trainables.saved_model.description import description_of

    height, width, channels = description_of(model_file).image_shape
    sink = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).convert("RGB" if channels == 3 else "L").save(
        sink, "PNG"
    )
    return pd.DataFrame({"image": [base64.b64encode(sink.getvalue()).decode()]})
