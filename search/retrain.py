"""`toprung retrain`: the winner trained on train + validation, tested once, saved and registered."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.parts import read_tables
from results.storage import Storage
from results.winner import Winner, pick_winner
from search.jobfile import override_job
from search.run import SearchFailedError
from spaces.problem import InputError
from trainables.data import Dataset, Split, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from search.job import JobSpec
    from search.runfolder import RunFolder
    from trainables.evaluate import Evaluation

MODEL_FILE, REPORT_FILE = "retrain/model.keras", "retrain/report.json"


@dataclass(frozen=True)
class Retrained:
    """The trained winner: its report as saved beside the model, and whether it was there already."""

    folder: RunFolder
    report: dict[str, Any]
    is_new: bool


def retrain_winner(folder: RunFolder, overrides: Sequence[str] = ()) -> Retrained:
    """Train the run's best configuration on train + validation and evaluate it on the test set.

    The test set is read once for a winner: a second call with the same winner and epochs gives the first report
    again. Raises `InputError` when the run has no winner or its images have changed, `SearchFailedError` when the
    training diverges.
    """
    job = override_job(folder.job(), overrides)
    _, epochs, trials = read_tables(folder.root)
    winner = pick_winner(trials, epochs, job.search.metric, job.search.mode)
    planned_epochs = job.retrain.epochs or winner.epoch
    earlier = _earlier_report(folder)
    if earlier and (earlier["trial_id"], earlier["epochs"]) == (winner.trial_id, planned_epochs):
        return Retrained(folder, earlier, is_new=False)
    dataset = _same_images(job, folder, str(trials["data_fingerprint"].dropna().iloc[0]))
    print(f"winner {winner.trial_id}: {winner.why}", flush=True)
    report = _train(job, winner, dataset, planned_epochs, folder, earlier)
    return Retrained(folder, report, is_new=True)


def _train(
    job: JobSpec,
    winner: Winner,
    dataset: Dataset,
    epochs: int,
    folder: RunFolder,
    earlier: dict[str, Any] | None,
) -> dict[str, Any]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from trainables.family import load_family
    from trainables.task import Task
    from trainables.trainer import Trainer

    everything = joined(dataset.train(), dataset.val())
    task = Task(dataset.image_shape, dataset.classes, job.search.max_epochs, everything, dataset.val())
    trainer = Trainer(load_family(job.family), winner.config, task)
    trainer.reset(winner.config, winner.seed or 0)
    for epoch in range(1, epochs + 1):
        metrics = trainer.train_epoch(epoch)
        print(f"epoch {epoch}/{epochs}: train loss {metrics['train_loss']:.4f}, "
              f"train accuracy {metrics['train_accuracy']:.4f}", flush=True)  # fmt: skip
        if metrics["train_loss"] != metrics["train_loss"]:
            raise SearchFailedError(
                f"the retraining of {winner.trial_id} diverged at epoch {epoch}; nothing was saved"
            )
    test_read_at = datetime.now(UTC).isoformat(timespec="seconds")
    evaluation = trainer.evaluate(dataset.test())
    reads = [*(earlier["test_reads"] if earlier else []), test_read_at]
    report = _report(job, winner, dataset, epochs, evaluation, reads, trainer.parameter_count)
    model = trainer.export()
    _save(folder, model, report)
    _register(job, folder, model, report)
    return report


def joined(train: Split, val: Split) -> Split:
    """Both splits as one, train first."""
    import numpy as np

    return Split(np.concatenate([train.images, val.images]), np.concatenate([train.labels, val.labels]))


def _report(
    job: JobSpec,
    winner: Winner,
    data: Dataset,
    epochs: int,
    evaluation: Evaluation,
    reads: list[str],
    parameters: int,
) -> dict[str, Any]:
    per_class = dict(zip(data.classes, map(float, evaluation.class_accuracy), strict=True))
    return {
        "run": job.name,
        "trial_id": winner.trial_id,
        "test_accuracy": evaluation.accuracy,
        "test_loss": evaluation.loss,
        "test_images": data.counts["test"],
        "test_accuracy_per_class": per_class,
        "test_reads": reads,
        "trained_on": {"train": data.counts["train"], "val": data.counts["val"]},
        "epochs": epochs,
        "seed": winner.seed,
        "config": dict(winner.config),
        "parameters": parameters,
        "image_shape": list(data.image_shape),
        "classes": list(data.classes),
        "data_fingerprint": data.fingerprint,
        "winner": {key: value for key, value in asdict(winner).items() if key != "config"},
    }


def _save(folder: RunFolder, model: Any, report: dict[str, Any]) -> None:
    storage = Storage.at(folder.root)
    with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
        path = Path(scratch) / "model.keras"
        model.save(path)
        storage.put(MODEL_FILE, path.read_bytes())
    storage.put(REPORT_FILE, (json.dumps(report, indent=2) + "\n").encode())


def _register(job: JobSpec, folder: RunFolder, model: Any, report: dict[str, Any]) -> None:
    """Log the report and the model to MLflow and point the alias `champion` at it; the files stand without it."""
    if not job.tracking.enabled:
        return
    from results.registry import register_model

    metrics = {"test_accuracy": report["test_accuracy"], "test_loss": report["test_loss"]}
    try:
        registered = register_model(
            folder.tracking(job),
            model,
            job.retrain.registered_name or job.name,
            trial_id=report["trial_id"],
            config=report["config"],
            metrics=metrics,
        )
    except (
        Exception
    ) as error:  # whatever MLflow raises: the model is saved and only its registration is missing
        print(f"note: MLflow did not take the model ({type(error).__name__}: {error})", flush=True)
        return
    print(
        f"registered {registered.name} version {registered.version} as {registered.alias} ({registered.uri})"
    )


def _earlier_report(folder: RunFolder) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(bytes(Storage.at(folder.root).read(REPORT_FILE)))
    except FileNotFoundError:
        return None
    return content


def _same_images(job: JobSpec, folder: RunFolder, fingerprint: str) -> Dataset:
    dataset = load(job.data_spec())
    if dataset.fingerprint != fingerprint:
        given = f"the images are others than those {folder.root} searched with ({dataset.fingerprint[:12]})"
        raise InputError.single("data", given, f"must be those of fingerprint {fingerprint[:12]}")
    return dataset
