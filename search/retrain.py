"""`toprung retrain`: the winner trained on train + validation, tested once, saved and registered."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from results.parts import read_tables
from results.storage import Storage
from results.winner import Winner, pick_winner
from search.jobfile import override_job
from search.run import SearchFailedError
from spaces.problem import InputError
from trainables.choice import Choices, Usual
from trainables.computation import FLOAT32
from trainables.data import Dataset, load
from trainables.data_joined import joined
from trainables.quiet import quiet_native
from trainables.task import Task
from trainables.trial_run import SMALLER_PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from search.job import JobSpec
    from search.runfolder import RunFolder
    from trainables.evaluate import Scored
    from trainables.family import Family
    from trainables.trainer import Trainer
    from trainables.warm import WarmTrainers

MODEL_FILE, REPORT_FILE, READS_FILE = "retrain/model.keras", "retrain/report.json", "retrain/test_reads.json"

CONFUSION_CLASSES = 100  # a report of a thousand classes would hold a million numbers that nobody reads


@dataclass(frozen=True)
class Retrained:
    """The trained winner: its report as saved beside the model, and whether it was there already."""

    folder: RunFolder
    report: dict[str, Any]
    is_new: bool


def retrain_winner(
    folder: RunFolder, overrides: Sequence[str] = (), trial_id: str | None = None
) -> Retrained:
    """Train the run's best configuration, or that of the given trial, on train + validation, and test it.

    The test set is read once for a winner: a second call with the same winner and epochs gives the first report
    again; a model that MLflow did not take is then registered. Raises `InputError` when the run has no winner, its
    images have changed or it cannot be written, and `SearchFailedError` when the training diverges.
    """
    job = override_job(folder.job(), overrides)
    _, epochs, trials = read_tables(folder.root)
    winner = pick_winner(trials, epochs, job.search.metric, job.search.mode, trial_id)
    planned_epochs = job.retrain.epochs or winner.epoch
    earlier: dict[str, Any] | None = _saved(folder, REPORT_FILE)
    if earlier and (earlier["trial_id"], earlier["epochs"]) == (winner.trial_id, planned_epochs):
        if earlier.get("registered", "by an earlier version") is None and job.tracking.enabled:
            _register(job, folder, earlier)
        return Retrained(folder, earlier, is_new=False)
    folder.check_writable("RUN")
    _saved(folder, READS_FILE)  # damaged, it is told before the training
    dataset = _same_images(job, folder, str(trials["data_fingerprint"].dropna().iloc[0]))
    print(f"winner {winner.trial_id}: {winner.why}", flush=True)
    parts = parts_of_batches(trials, winner, dataset.counts["train"])
    report = _train(job, winner, dataset, planned_epochs, folder, parts)
    return Retrained(folder, report, is_new=True)


def _train(
    job: JobSpec,
    winner: Winner,
    dataset: Dataset,
    epochs: int,
    folder: RunFolder,
    parts: int,
) -> dict[str, Any]:
    with quiet_native():
        from trainables.engine import compute_repeatably
        from trainables.family import load_family
        from trainables.warm import WarmTrainers

    if job.resources.deterministic:
        compute_repeatably()
    task = retrain_task(dataset, job.search.max_epochs, epochs)
    # On the kind of device that searched, the winner is computed as in the search.
    choices = Choices(folder.choices, read_only=True)
    warm = WarmTrainers(asked=job.resources.asked(), choices=choices, usual=Usual(epochs))
    family = load_family(job.family)
    trainer = warm.trainer(family, winner.config, task, least_parts=parts)
    trainer.reset(winner.config, winner.seed or 0)
    train_through(trainer, epochs, winner.trial_id)
    model = trainer.export()
    _save_model(folder, model)
    reads = _noted_test_read(folder)
    tested = as_saved(trainer, warm, family, winner.config, task).evaluate(dataset.test())
    report = _report(job, winner, dataset, epochs, tested, reads, trainer.parameter_count)
    Storage.at(folder.root).put(REPORT_FILE, _json(report))
    _register(job, folder, report, model)
    return report


def retrain_task(dataset: Dataset, max_epochs: int, epochs: int) -> Task:
    """The task on train + validation; schedules as long as the search's, or as a retraining that goes on for longer.

    Past the end of its schedule a learning rate is nothing, and so would be the epochs trained with it.
    """
    return Task.of(dataset, max(max_epochs, epochs), joined(dataset.train(), dataset.val()))


def as_saved(
    trainer: Trainer, warm: WarmTrainers, family: Family, config: Mapping[str, Any], task: Task
) -> Trainer:
    """One with this one's weights that computes as the saved model does: trained in half precision or not, in single.

    What it scores is what whoever loads the model sees. `trainer` may have lost its weights to it.
    """
    computation = replace(trainer.computation, precision=FLOAT32)
    if computation == trainer.computation:
        return trainer
    state = trainer.state()
    single = warm.trainer(family, config, task, computation)
    single.reset(config, 0)
    single.load_state(state)
    return single


def train_through(trainer: Trainer, epochs: int, trial_id: str) -> None:
    """Train all epochs, a printed line each; SearchFailedError when what they leave cannot be used."""
    for epoch in range(1, epochs + 1):
        metrics = trainer.train_epoch(epoch)
        print(f"epoch {epoch}/{epochs}: train loss {metrics['train_loss']:.4f}, "
              f"train accuracy {metrics['train_accuracy']:.4f}", flush=True)  # fmt: skip
        # The training loss is that before each step: only the images shown afterwards see what the last one did.
        if not math.isfinite(metrics["train_loss"] + metrics["val_loss"]):
            raise SearchFailedError(
                f"the retraining of {trial_id} diverged at epoch {epoch}; nothing was saved"
            )


def parts_of_batches(trials: pd.DataFrame, winner: Winner, train_images: int) -> int:
    """Into how many parts the winner's batches were cut for want of memory; 1 where they stayed whole.

    The search had `train_images` to train on, which no batch of it was larger than.
    """
    row = trials[trials["trial_id"] == winner.trial_id].iloc[-1]
    size = row.get("micro_batch_size")
    if size is None or pd.isna(size) or "batch_size" not in winner.config:
        return 1
    whole = min(winner.config["batch_size"], train_images)
    fewest: int = math.ceil(whole / size)
    # Where a last part was filled up altogether, fewer have the same size.
    return next((parts for parts in SMALLER_PARTS if math.ceil(whole / parts) == size), fewest)


def _noted_test_read(folder: RunFolder) -> list[str]:
    """When the test set was read for this run, this time included: written down before it is read."""
    reads = [*(_saved(folder, READS_FILE) or []), datetime.now(UTC).isoformat(timespec="seconds")]
    Storage.at(folder.root).put(READS_FILE, _json(reads))
    return reads


def _report(
    job: JobSpec,
    winner: Winner,
    data: Dataset,
    epochs: int,
    evaluation: Scored,
    reads: list[str],
    parameters: int,
) -> dict[str, Any]:
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
        "task": data.kind,
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
        "winner": {key: value for key, value in asdict(winner).items() if key != "config"},
    }


def _save_model(folder: RunFolder, model: Any) -> None:
    """Put the model in the place of an earlier one, of which nothing is told from now on."""
    Storage.at(folder.root).delete(REPORT_FILE)
    with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
        path = Path(scratch) / "model.keras"
        model.save(path)
        Storage.at(folder.root).put(MODEL_FILE, path.read_bytes())


def saved_model(folder: RunFolder) -> Any:
    """The model that an earlier retraining saved, loaded."""
    with quiet_native():
        import keras
    with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
        path = Path(scratch) / "model.keras"
        path.write_bytes(bytes(Storage.at(folder.root).read(MODEL_FILE)))
        return keras.models.load_model(path)


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _saved(folder: RunFolder, name: str) -> Any:
    """The content of a JSON file of the run, None where there is none. Raises `InputError` where it is damaged."""
    try:
        return json.loads(bytes(Storage.at(folder.root).read(name)))
    except FileNotFoundError:
        return None
    except ValueError:
        given = f"{folder.root}/{name} is damaged"
        raise InputError.single("RUN", given, "restore it, or remove it to train and test again") from None


def _register(job: JobSpec, folder: RunFolder, report: dict[str, Any], model: Any = None) -> None:
    """Log the report and the model to MLflow and point the alias `champion` at it; the files stand without it.

    Without `model` it is the saved one. Where MLflow has taken it the report says so, under which address.
    """
    if not job.tracking.enabled:
        return
    from results.mirror import catch_up
    from results.registry import register_model

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
    Storage.at(folder.root).put(REPORT_FILE, _json(report))
    print(
        f"registered {registered.name} version {registered.version} as {registered.alias} ({registered.uri})"
    )


def _same_images(job: JobSpec, folder: RunFolder, fingerprint: str) -> Dataset:
    dataset = load(job.data_spec())
    if dataset.fingerprint != fingerprint:
        given = f"the images are others than those {folder.root} searched with ({dataset.fingerprint[:12]})"
        raise InputError.single("data", given, f"must be those of fingerprint {fingerprint[:12]}")
    return dataset
