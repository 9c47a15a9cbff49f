"""The code of a registered model: MLflow runs this file where the model is served, and toprung is installed there.

An image is base64 text of an encoded file, with or without line breaks, or an array of whole numbers from 0 to 255 as
nested lists, (height, width) or (height, width, channels), of any size. What is no image is refused with a reason,
which a server answers with code 400. Imports mlflow at the top: only the process that serves loads this file.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.models
import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from toprung.trainables.data.decoding.decode import UnreadableImageError
from toprung.trainables.saved_model.image_files import decoded, fitted
from toprung.trainables.saved_model.loading import LoadedModel
from toprung.trainables.saved_model.predictions import label_texts

if TYPE_CHECKING:
    from toprung.trainables.saved_model.description import ModelDescription

COLUMN = "image"


class ImageClassifier(mlflow.pyfunc.PythonModel):
    """A saved model as a pyfunc: a frame with the column `image` to label, probability and all probabilities."""

    def load_context(self, context: Any) -> None:
        """Load the .keras file that was registered."""
        self._model = LoadedModel.load(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[dict[str, Any]]:
        """Classify the images of a frame.

        Raises:
            MlflowException: With the number of the row, for the first that is no image the model takes.
        """
        del context, params
        if not isinstance(model_input, pd.DataFrame) or COLUMN not in model_input:
            raise refused(f"no column {COLUMN!r}: give dataframe_records with one {COLUMN} each")
        if model_input.empty:
            raise refused("no image given")
        about = self._model.description
        images = [_image(row, each, about) for row, each in enumerate(model_input[COLUMN])]
        said = self._model.predict(np.stack(images), batch=1)
        labels = label_texts(said.labels, about.classes)
        return [
            {
                "label": label,
                "probability": float(sure),
                "probabilities": dict(zip(about.classes, map(float, probabilities), strict=True)),
            }
            for label, sure, probabilities in zip(labels, said.confidence, said.probabilities, strict=True)
        ]


def refused(reason: str) -> MlflowException:
    """The error that a server answers with code 400 and the reason."""
    return MlflowException.invalid_parameter_value(reason)


def _image(row: int, given: Any, about: ModelDescription) -> np.ndarray:
    """The image of one row as the model takes it, uint8 (H, W, C)."""
    try:
        if isinstance(given, str):
            return decoded(_file_content(given), about)
        if isinstance(given, bytes):
            return decoded(given, about)
        return fitted(_as_uint8(given), about)
    except UnreadableImageError as error:
        raise refused(f"image {row}: {error}") from None


def _file_content(text: str) -> bytes:
    """The bytes in a base64 text. Raises UnreadableImageError for another text."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:  # binascii.Error, or letters beyond ASCII
        raise UnreadableImageError("a text that is no base64") from None


def _as_uint8(given: Any) -> np.ndarray:
    """Nested lists of whole numbers from 0 to 255 as an array. Raises UnreadableImageError for anything else."""
    try:
        array = np.asarray(given)
    except ValueError:
        raise UnreadableImageError("lists of different lengths") from None
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iu" or array.size == 0 or array.min() < 0 or array.max() > 255:
        kind = (
            f"values of type {array.dtype}" if array.dtype.kind not in "iu" else "values outside of 0 to 255"
        )
        raise UnreadableImageError(f"{kind}: an array must hold whole numbers from 0 to 255")
    return array.astype(np.uint8)


if __name__ != "toprung.results.serving.image_classifier":  # MLflow runs the file under another name
    mlflow.models.set_model(ImageClassifier())
