"""The winner's saved file: made, described, and compared with what was trained before anything is said about it.

Keras is imported inside the functions.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.winner.report import ReadBack
from toprung.trainables.data.sources.registry import with_defaults
from toprung.trainables.metrics.from_probabilities import cooled
from toprung.trainables.saved_model.description import ModelDescription, describe_file
from toprung.trainables.saved_model.predictions import Predictions
from toprung.trainables.saved_model.read_back import ModelFileError, read_back
from toprung.trainables.task.task import Split

if TYPE_CHECKING:
    from pathlib import Path

    from toprung.search.winner.winner_training import WinnerTraining
    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.worker.retraining import Retraining

COMPARED_IMAGES = 256
CPU_TOLERANCE, ACCELERATOR_TOLERANCE = 1e-3, 2e-2
"""The most that a probability may differ; the file is read back on a CPU, and accelerators round otherwise."""


def describe(work: WinnerTraining, dataset: Dataset, temperature: float) -> ModelDescription:
    """What the winner's file says about itself."""
    spec = with_defaults(work.plan.trial.data)
    return ModelDescription(
        name=work.model_folder.name,
        run=work.run_name,
        trial_id=work.winner.trial_id,
        classes=dataset.classes,
        task=dataset.task_type,
        image_shape=dataset.image_shape,
        fit=spec.fit if spec.image_size else None,
        temperature=temperature,
        data_fingerprint=dataset.fingerprint,
        training_fingerprint=work.fingerprint,
        toprung_version=version("toprung"),
        code=work.plan.trial.family,
    )


def save_file(path: Path, training: Retraining, about: ModelDescription) -> None:
    """Save the trained model behind its checks, with its temperature and its description inside."""
    from toprung.trainables.models.input_guard import guarded

    guarded(training.export(about.temperature)).save(path)
    describe_file(path, about)


def check_file(path: Path, training: Retraining, about: ModelDescription, device: str) -> ReadBack:
    """Compare the saved file, read back in a fresh process, with the trained model on validation images.

    Raises:
        SearchFailedError: It cannot be loaded there, or computes something else.
    """
    val = training.dataset.val()
    rows = np.unique(np.linspace(0, len(val) - 1, COMPARED_IMAGES).astype(int))
    images = Split(np.asarray(val.images[rows]), np.asarray(val.labels[rows]))
    expected = cooled(training.evaluate(images).logits, about.temperature, about.task)
    try:
        outputs = read_back(path, images.images, about.code)
    except ModelFileError as error:
        raise SearchFailedError(f"{error}; nothing was tested or registered") from None
    difference = float(np.abs(Predictions.of(outputs, about.task).probabilities - expected).max())
    tolerance = CPU_TOLERANCE if device == "cpu" else ACCELERATOR_TOLERANCE
    if not difference <= tolerance:  # NaN is no agreement
        given = f"on {len(rows)} validation images its probabilities differ by up to {difference:.3f}"
        raise SearchFailedError(
            f"the saved model is not the one that was trained: {given} (at most {tolerance:g} is rounding); nothing "
            "was tested or registered. A layer whose get_config leaves out what its __init__ takes loses it when saved"
        )
    return ReadBack(len(rows), difference, tolerance)
