"""What an export format is: how it is written, what it can be quantized to, and how its file is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from toprung.spaces.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from toprung.trainables.saved_model.description import ModelDescription

Quantization = Literal["none", "float16", "int8"]
NONE: Quantization = "none"
Run = Callable[[np.ndarray], np.ndarray]
"""From uint8 images (N, H, W, C) to the model's outputs, float32 (N, outputs)."""


@dataclass(frozen=True)
class Original:
    """What is exported.

    Attributes:
        classifier: The Keras model from uint8 images to probabilities, calibration inside.
        about: What it says about itself.
        calibration_images: uint8 (N, H, W, C), drawn from all classes of the training images, for int8.
    """

    classifier: Any
    about: ModelDescription
    calibration_images: np.ndarray


class Target(Protocol):
    """An export format.

    name: what `--to` calls it.
    packages: the modules that it needs, all in the extra `export`.
    quantizations: what its weights can be made of, beside float32.
    """

    name: str
    packages: tuple[str, ...]
    quantizations: tuple[Quantization, ...]

    def write(self, original: Original, quantization: Quantization, folder: Path) -> Path:
        """Write the model and what it says about itself below a folder; returns what `load` takes."""

    def load(self, path: Path, threads: int) -> Run:
        """The written model, ready to compute with so many threads."""


def file_stem(quantization: Quantization) -> str:
    """The name of a file without its suffix."""
    return "model" if quantization == NONE else f"model.{quantization}"


def check_request(targets: Sequence[Target], quantizations: Sequence[Quantization]) -> None:
    """Raise `InputError` for packages that are not installed, and for a quantization that no target has."""
    problems = []
    for target in targets:
        missing = [name for name in target.packages if find_spec(name) is None]
        if missing:
            given = f"{target.name} needs {', '.join(missing)}"
            problems.append(
                Problem("--to", given, "pip install 'toprung[export]' -c cluster/constraints.txt")
            )
    possible = {each for target in targets for each in target.quantizations}
    for quantization in quantizations:
        if quantization not in possible:
            given = f"{quantization} is possible in none of {', '.join(target.name for target in targets)}"
            rule = (
                f"one of {', '.join(sorted(possible))}" if possible else "leave it out, or add another format"
            )
            problems.append(Problem("--quantize", given, rule))
    if problems:
        raise InputError(problems)
