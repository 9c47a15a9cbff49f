"""The report of a retraining: everything that is known of a model, as it stands in its report.json.

The keys: `model`, `run`, `trial_id`, `seed`, `epochs`, `schedule_epochs` (the length of its schedules), `config`,
`winner` say what was trained and why;
`test_accuracy`, `test_loss`, `test_scores`, `test_images`, `test_accuracy_per_class`, `test_confusion` and `test_reads`
what the saved file scores on the test images, and when these were read; `evaluation` everything else about that (see
`search.evaluation.scores`); `read_back` how closely the file computes what was trained; `task`, `image_shape`,
`classes`, `data_fingerprint`, `training_fingerprint`, `toprung_version`, `code` what the file says of itself; `node`,
`device`, `parameters`, `trained_on`, `trained_at` how it was made; `registered` which version of MLflow's it is, under
the alias `registered_as` since `registered_at`. What is not known is null; there is no NaN.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from toprung.search.runs.run_folder import code_name

if TYPE_CHECKING:
    from toprung.results.analysis.winner import Winner
    from toprung.search.evaluation.scores import Calibration
    from toprung.search.retrained.json_files import Report
    from toprung.search.winner.winner_training import WinnerTraining
    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.metrics.classification import Evaluation
    from toprung.trainables.saved_model.description import ModelDescription

SCHEMA_VERSION = 2
CONFUSION_CLASSES = 100  # with more classes the confusion counts are left out: they are too many to read


@dataclass(frozen=True)
class SealedTest:
    """The test of a saved file.

    Attributes:
        evaluation: What the file scores on the sealed test images.
        details: The same at length, see `ScoredModel.as_json`.
        reads: Every time these images were read for the run (ISO 8601, UTC).
    """

    evaluation: Evaluation
    details: dict[str, Any]
    reads: list[str]


@dataclass(frozen=True)
class ReadBack:
    """A saved file against the trained model: the largest difference of a probability on that many images."""

    images: int
    largest_difference: float
    tolerance: float


@dataclass(frozen=True)
class TrainedBy:
    """How a model was made.

    Attributes:
        node: The machine.
        device: What it was trained on.
        parameters: The numbers in the model's weights and statistics.
        read_back: How closely the file computes what was trained.
        calibration: How sure it was made.
    """

    node: str
    device: str
    parameters: int
    read_back: ReadBack
    calibration: Calibration


def report_of(
    work: WinnerTraining, data: Dataset, test: SealedTest | None, trained: TrainedBy, about: ModelDescription
) -> Report:
    """The report of a new model: what it scored on the test set (None: there is none), and what it was made from."""
    winner = work.winner
    return {
        "schema_version": SCHEMA_VERSION,
        "model": work.model_folder.name,
        "run": work.run_name,
        "trial_id": winner.trial_id,
        **_test_results(data, test),
        "task": data.task_type,
        "trained_on": {"train": data.counts["train"], "val": data.counts["val"]},
        "epochs": work.epochs,
        "schedule_epochs": work.plan.schedule_epochs,
        "seed": work.plan.seed,
        "config": dict(winner.config),
        "parameters": trained.parameters,
        "node": trained.node,
        "device": trained.device,
        "image_shape": list(data.image_shape),
        "classes": list(data.classes),
        "data_fingerprint": data.fingerprint,
        "training_fingerprint": about.training_fingerprint,
        "toprung_version": about.toprung_version,
        "code": {"reference": about.code.reference, "version": code_name(about.code)},
        "calibrated": work.calibrate,
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "read_back": asdict(trained.read_back),
        "validation": _validation(trained.calibration),
        "evaluation": test.details if test else None,
        "registered": None,
        "winner": winner_summary(winner),
    }


def _validation(calibration: Calibration) -> dict[str, Any] | None:
    """The scores on the held-out images of the training that calibrated the model; None without one."""
    if calibration.held_out is None:
        return None
    return {"images": calibration.fitted_on, **calibration.held_out}


def _test_results(data: Dataset, test: SealedTest | None) -> Report:
    """What the report says of the test; the accuracy of a class without test images is None."""
    results: Report = {
        "test_accuracy": None,
        "test_loss": None,
        "test_scores": {},
        "test_images": data.counts["test"],
        "test_accuracy_per_class": {},
        "test_confusion": None,
        "test_reads": [],
    }
    if test is None:
        return results
    evaluation = test.evaluation
    per_class = dict(zip(data.classes, map(float, evaluation.class_accuracy), strict=True))
    is_small = len(data.classes) <= CONFUSION_CLASSES
    return {
        **results,
        "test_accuracy": evaluation.accuracy,
        "test_loss": evaluation.loss,
        "test_scores": evaluation.scores,
        "test_accuracy_per_class": {name: None if math.isnan(x) else x for name, x in per_class.items()},
        "test_confusion": evaluation.confusion.tolist() if is_small else None,
        "test_reads": test.reads,
    }


def winner_summary(winner: Winner) -> dict[str, Any]:
    """The winner in a report: all fields but the configuration, which the report holds already."""
    known = {name: value for name, value in asdict(winner).items() if name != "config"}
    return {**known, "confirmed": [asdict(mean) for mean in winner.confirmed]}
