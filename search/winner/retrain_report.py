"""What a retraining leaves in its run: the model, its report, when the test set was read, the registration."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toprung.spaces.errors import InputError
from toprung.trainables.system.imports import silence_native_stderr
from toprung.trainables.system.storage import Storage

if TYPE_CHECKING:
    from toprung.results.analysis.winner import Winner
    from toprung.search.jobs.schema import JobSpec
    from toprung.search.runs.run_folder import RunFolder
    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.metrics.classification import Evaluation

MODEL_FILE, REPORT_FILE, READS_FILE = "retrain/model.keras", "retrain/report.json", "retrain/test_reads.json"
CONFUSION_CLASSES = 100  # a report of a thousand classes would hold a million numbers that nobody reads


def record_test_read(folder: RunFolder) -> list[str]:
    """When the test set was read for this run, this time included: written down before it is read."""
    reads = [*(read_json(folder, READS_FILE) or []), datetime.now(UTC).isoformat(timespec="seconds")]
    Storage.at(folder.root).put(READS_FILE, _json(reads))
    return reads


def report_of(
    job: JobSpec,
    winner: Winner,
    data: Dataset,
    epochs: int,
    evaluation: Evaluation,
    reads: list[str],
    parameters: int,
) -> dict[str, Any]:
    """What is saved beside the model: what it scored on the test set, and what it came from."""
    per_class = dict(zip(data.classes, map(float, evaluation.class_accuracy), strict=True))
    return {
        "run": job.name,
        "trial_id": winner.trial_id,
        "test_accuracy": evaluation.accuracy,
        "test_loss": evaluation.loss,
        "test_scores": evaluation.scores,
        "test_images": data.counts["test"],
        "test_accuracy_per_class": per_class,
        "test_confusion": evaluation.confusion.tolist() if len(data.classes) <= CONFUSION_CLASSES else None,
        "task": data.task_type,
        "test_reads": reads,
        "trained_on": {"train": data.counts["train"], "val": data.counts["val"]},
        "epochs": epochs,
        "seed": winner.seed,
        "config": dict(winner.config),
        "parameters": parameters,
        "image_shape": list(data.image_shape),
        "classes": list(data.classes),
        "data_fingerprint": data.fingerprint,
        "registered": None,
        "winner": winner_summary(winner),
    }


def winner_summary(winner: Winner) -> dict[str, Any]:
    """The winner as a report tells it."""
    known = {name: value for name, value in asdict(winner).items() if name != "config"}
    return {**known, "confirmed": [asdict(one) for one in winner.confirmed]}


def put_report(folder: RunFolder, report: dict[str, Any]) -> None:
    """Save the report beside the model."""
    Storage.at(folder.root).put(REPORT_FILE, _json(report))


def save_model(folder: RunFolder, model: Any) -> None:
    """Put the model in the place of an earlier one, of which nothing is told from now on."""
    Storage.at(folder.root).delete(REPORT_FILE)
    with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
        path = Path(scratch) / "model.keras"
        model.save(path)
        Storage.at(folder.root).put(MODEL_FILE, path.read_bytes())


def saved_model(folder: RunFolder) -> Any:
    """The model that an earlier retraining saved, loaded."""
    with silence_native_stderr():
        import keras
    with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
        path = Path(scratch) / "model.keras"
        path.write_bytes(bytes(Storage.at(folder.root).read(MODEL_FILE)))
        return keras.models.load_model(path)


def read_json(folder: RunFolder, name: str) -> Any:
    """The content of a JSON file of the run, None where there is none. Raises `InputError` where it is damaged."""
    try:
        return json.loads(bytes(Storage.at(folder.root).read(name)))
    except FileNotFoundError:
        return None
    except ValueError:
        given = f"{folder.root}/{name} is damaged"
        raise InputError.single("RUN", given, "restore it, or remove it to train and test again") from None


def register(job: JobSpec, folder: RunFolder, report: dict[str, Any], model: Any = None) -> None:
    """Log the report and the model to MLflow and point the alias `champion` at it; the files stand without it.

    Without `model` it is the saved one. Where MLflow has taken it the report says so, under which address.
    """
    if not job.tracking.enabled:
        return
    from toprung.results.tracking.mirror import catch_up
    from toprung.results.tracking.model_registry import register_model

    metrics = {"test_accuracy": report["test_accuracy"], "test_loss": report["test_loss"]}
    try:
        catch_up(folder.tracking(job), folder.root)
        registered = register_model(
            folder.tracking(job),
            saved_model(folder) if model is None else model,
            job.retrain.registered_name or job.name,
            trial_id=report["trial_id"],
            config=report["config"],
            metrics=metrics,
        )
    except (
        Exception
    ) as error:  # whatever MLflow raises: the model is saved and only its registration is missing
        print(f"note: MLflow did not take the model ({type(error).__name__}: {error}); "
              "the same command tries again", flush=True)  # fmt: skip
        return
    report["registered"] = registered.uri
    put_report(folder, report)
    print(
        f"registered {registered.name} version {registered.version} as {registered.alias} ({registered.uri})"
    )


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
