"""What a retraining leaves in its run beside the model: the report."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from toprung.search.winner.json_files import put_json, read_json

if TYPE_CHECKING:
    from toprung.results.analysis.winner import Winner
    from toprung.search.runs.run_folder import RunFolder
    from toprung.search.winner.winner_training import WinnerTraining
    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.metrics.classification import Evaluation

Report = dict[str, Any]
REPORT_FILE = "retrain/report.json"
CONFUSION_CLASSES = 100  # with more classes the confusion counts are left out: they are too many to read


@dataclass(frozen=True)
class SealedTest:
    """The evaluation on the sealed test images, and every time these were read for the run (ISO 8601, UTC)."""

    evaluation: Evaluation
    reads: list[str]


@dataclass(frozen=True)
class TrainedBy:
    """The machine and the device that trained a model, and the numbers in the model's weights and statistics."""

    node: str
    device: str
    parameters: int


def read_report(folder: RunFolder) -> Report | None:
    """The report of an earlier retraining, None without one. Raises `InputError` where it is damaged."""
    report: Report | None = read_json(folder, REPORT_FILE)
    return report


def put_report(folder: RunFolder, report: Report) -> None:
    """Save the report beside the model."""
    put_json(folder, REPORT_FILE, report)


def report_of(work: WinnerTraining, data: Dataset, test: SealedTest | None, trained: TrainedBy) -> Report:
    """The report of a new model: what it scored on the test set (None: there is none), and what it was made from."""
    winner = work.winner
    return {
        "run": work.run_name,
        "trial_id": winner.trial_id,
        **_test_results(data, test),
        "task": data.task_type,
        "trained_on": {"train": data.counts["train"], "val": data.counts["val"]},
        "epochs": work.epochs,
        "seed": winner.seed,
        "config": dict(winner.config),
        "parameters": trained.parameters,
        "node": trained.node,
        "device": trained.device,
        "image_shape": list(data.image_shape),
        "classes": list(data.classes),
        "data_fingerprint": data.fingerprint,
        "registered": None,
        "winner": winner_summary(winner),
    }


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
