"""A saved model loaded into this process, with its description. Keras is imported when a model is loaded."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toprung.spaces.user_code.errors import errors_of_user_code
from toprung.spaces.user_code.references import is_reference, resolve
from toprung.spaces.user_code.source_files import unpack_source
from toprung.trainables.saved_model.description import ModelDescription, description_of
from toprung.trainables.saved_model.fresh_reader import load_keras
from toprung.trainables.saved_model.predictions import Predictions
from toprung.trainables.system.imports import import_keras, silence_native_stderr

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    import keras

    from toprung.spaces.user_code.source_files import SourceFile

BATCH = 64


def module_of(code: SourceFile, where: str) -> ModuleType | None:
    """The module of a user's model code, whose layers Keras is given when it reads a file; None for built-in families.

    Raises `InputError`, pointing at `where`, for code that fails.
    """
    if not is_reference(code.reference):
        return None
    family = resolve(unpack_source(code), where)
    return inspect.getmodule(family if inspect.isclass(family) else type(family))


@dataclass(frozen=True)
class LoadedModel:
    """A Keras model that takes uint8 images (N, H, W, C), and what it says about itself."""

    model: keras.Model
    description: ModelDescription

    @classmethod
    def load(cls, path: Path, where: str = "MODEL") -> LoadedModel:
        """Load a model.keras, and the user's code that its layers are made of.

        Raises:
            InputError: Pointing at `where`: it is no such file, or its code fails.
        """
        description = description_of(path, where)
        with silence_native_stderr():
            import_keras()
        module = module_of(description.code, where)
        # Keras, h5py and the user's layers raise whatever they like.
        with errors_of_user_code(where, f"{path} cannot be loaded", "must be a model.keras that is complete"):
            return cls(load_keras(str(path), module), description)

    def predict(self, images: np.ndarray, batch: int = BATCH) -> Predictions:
        """What the model says about uint8 images (N, H, W, C) of its size, N at least 1.

        Args:
            images: The images.
            batch: How many are computed together. One at a time an image is answered the same to the last bit whatever
                stands beside it.
        """
        outputs = [
            np.asarray(self.model.predict_on_batch(np.asarray(images[start : start + batch])))
            for start in range(0, len(images), batch)
        ]
        return Predictions.of(np.concatenate(outputs), self.description.task)
