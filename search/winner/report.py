"""What a retraining leaves in its run beside the model: the report."""

from __future__ import annotations

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


def report_of(work: WinnerTraining, data: Dataset, test: SealedTest, trained: TrainedBy) -> Report:
    """The report of a new model: what it scored on the test set, and what it was made from."""
    winner, evaluation = work.winner, test.evaluation
    per_class = dict(zip(data.classes, map(float, evaluation.class_accuracy), strict=True))
    return {
        "run": work.run_name,
        "trial_id": winner.trial_id,
        "test_accuracy": evaluation.accuracy,
        "test_loss": evaluation.loss,
        "test_scores": evaluation.scores,
        "test_images": data.counts["test"],
        "test_accuracy_per_class": per_class,
        "test_confusion": evaluation.confusion.tolist() if len(data.classes) <= CONFUSION_CLASSES else None,
        "task": data.task_type,
        "test_reads": test.reads,
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


def winner_summary(winner: Winner) -> dict[str, Any]:
    """The winner in a report: all fields but the configuration, which the report holds already."""
    known = {name: value for name, value in asdict(winner).items() if name != "config"}
    return {**known, "confirmed": [asdict(mean) for mean in winner.confirmed]}
