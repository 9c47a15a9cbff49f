"""A saved model read back in a fresh process: what its file computes, not what this process still remembers of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np

from toprung.spaces.user_code.references import is_reference
from toprung.spaces.user_code.source_files import unpack_source
from toprung.trainables.saved_model import fresh_reader
from toprung.trainables.system.imports import imports_not_needed_for_training

if TYPE_CHECKING:
    from toprung.spaces.user_code.source_files import SourceFile

READ_SECS = 1800
REASON_CHARS = 400


class ModelFileError(RuntimeError):
    """A saved model cannot be loaded, or is not what was trained: mend the model's code and train it again."""


def read_back(model_file: Path, images: np.ndarray, code: SourceFile) -> np.ndarray:
    """The outputs of a saved model for images, computed on the CPU by a process that has nothing but the file.

    Args:
        model_file: The .keras file.
        images: uint8 (N, H, W, C), N at least 1.
        code: The model's code; a user's own layers are loaded from it, nothing else is.

    Returns:
        float32 (N, outputs).

    Raises:
        ModelFileError: The file cannot be loaded, or refuses the images.
    """
    # TensorFlow and JAX of the other process leave the accelerators to this one, which holds their memory.
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
        given, made = Path(scratch, "images.npy"), Path(scratch, "outputs.npy")
        np.save(given, np.asarray(images))
        without = ",".join(imports_not_needed_for_training())
        arguments = [str(model_file), str(given), str(made), without, *_user_code(code)]
        ended = subprocess.run(
            [sys.executable, "-P", fresh_reader.__file__, *arguments],
            env={**os.environ, **quiet},
            capture_output=True,
            text=True,
            timeout=READ_SECS,
            check=False,
        )
        if ended.returncode:
            reason = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
            reason = shorten(reason.partition("Full object config")[0], REASON_CHARS, placeholder="...")
            raise ModelFileError(f"the saved model cannot be loaded in a new process: {reason}")
        outputs: np.ndarray = np.load(made)
        return outputs


def _user_code(code: SourceFile) -> tuple[str, ...]:
    """The file or the module of a user's code, none for built-in families."""
    if not is_reference(code.reference):
        return ()
    location = unpack_source(code).rpartition(":")[0]
    return (str(Path(location).expanduser()) if location.endswith(".py") else location,)
