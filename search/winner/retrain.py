"""`toprung retrain`: the winner trained on train + validation, tested once, saved and registered."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from toprung.results.analysis.winner import Winner, confirmed_winner, eligible, pick_winner
from toprung.results.tables.parts import read_tables
from toprung.search.driver.run_search import run_search
from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.jobs.load import override_job
from toprung.search.winner.confirm import confirm, describe
from toprung.search.winner.retrain_report import (
    READS_FILE,
    REPORT_FILE,
    put_report,
    read_json,
    record_test_read,
    register,
    report_of,
    save_model,
    winner_summary,
)
from toprung.spaces.errors import InputError
from toprung.trainables.backend.autotune import AutotuneStore, Workload
from toprung.trainables.data.concat import concat_splits
from toprung.trainables.data.dataset import Dataset, load
from toprung.trainables.system.imports import silence_native_stderr
from toprung.trainables.task.task import Task
from toprung.trainables.trial.execution import FLOAT32
from toprung.trainables.worker.trial_runner import SMALLER_PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.search.jobs.schema import JobSpec
    from toprung.search.runs.run_folder import RunFolder
    from toprung.trainables.models.family import Family
    from toprung.trainables.training.trainer import Trainer
    from toprung.trainables.training.trainer_cache import TrainerCache


@dataclass(frozen=True)
class Retrained:
    """The trained winner: its report as saved beside the model, and whether it was there already."""

    folder: RunFolder
    report: dict[str, Any]
    is_new: bool


def retrain_winner(
    folder: RunFolder,
    overrides: Sequence[str] = (),
    trial_id: str | None = None,
    address: str | None = None,
) -> Retrained:
    """Train the run's best configuration, or that of the given trial, on train + validation, and test it.

    Where the job has the best confirmed, that is done first, on the Ray cluster at `address`, and picks the best.

    The test set is read once for a winner: a second call with the same winner and epochs gives the first report
    again; a model that MLflow did not take is then registered. Raises `InputError` when the run has no winner, its
    images have changed or it cannot be written, and `SearchFailedError` when the training diverges.
    """
    job = override_job(folder.job(), overrides)
    _, epochs, trials = read_tables(folder.root)
    earlier: dict[str, Any] | None = read_json(folder, REPORT_FILE)
    winner = _winner(job, folder, trials, epochs, trial_id, address)
    is_plain = not (trial_id or job.retrain.confirm or job.retrain.epochs)
    if earlier and (
        _is_the_same(earlier, winner, job.retrain.epochs) or (is_plain and _stands_confirmed(earlier, winner))
    ):
        return _as_before(job, folder, earlier, winner)
    planned_epochs = job.retrain.epochs or winner.train_epochs
    dataset = _ready(job, folder, trials)
    print(f"winner {winner.trial_id}: {winner.why}", flush=True)
    parts = parts_of_batches(trials, winner, dataset.counts["train"])
    report = _train(job, winner, dataset, planned_epochs, folder, parts)
    return Retrained(folder, report, is_new=True)


def _is_the_same(earlier: Mapping[str, Any], winner: Winner, epochs: int | None) -> bool:
    """Whether an earlier report is of this winner's training, for these epochs where they are given."""
    # Earlier versions trained for as many epochs as the winner's best value took.
    as_now = "train_epochs" in earlier.get("winner", {})
    planned = epochs or (winner.train_epochs if as_now or winner.confirmed else winner.epoch)
    return bool((earlier["trial_id"], earlier["epochs"]) == (winner.trial_id, planned))


def _stands_confirmed(earlier: Mapping[str, Any], winner: Winner) -> bool:
    """Whether an earlier model was confirmed against this winner, which did not come off better.

    Raises `InputError` where it was confirmed against others: it is not to be replaced by what may be better by chance.
    """
    confirmed = [one["trial_id"] for one in earlier.get("winner", {}).get("confirmed", [])]
    if confirmed and winner.trial_id not in confirmed:
        given = f"the model of {earlier['trial_id']} was confirmed, {winner.trial_id} is the best by now and was not"
        allowed = f"give --set retrain.confirm=K as before, or remove RUN/{REPORT_FILE}"
        raise InputError.single("retrain.confirm", given, allowed)
    return bool(confirmed)


def _winner(
    job: JobSpec,
    folder: RunFolder,
    trials: pd.DataFrame,
    epochs: pd.DataFrame,
    trial_id: str | None,
    address: str | None,
) -> Winner:
    """The best trial by the tables; where the job has the best confirmed, by their trainings with new seeds."""
    metric, mode = job.search.metric, job.search.mode
    winner = pick_winner(trials, epochs, metric, mode, trial_id)
    if not job.retrain.confirm:
        return winner

    def train(asked: JobSpec) -> None:
        _ready(job, folder, trials)
        each = f"{asked.search.trials} trainings of {asked.search.max_epochs} epochs"
        print(f"confirming the best: {each}, tables in {asked.run_root}", flush=True)
        run_search(asked, address)

    board = eligible(trials, epochs, metric, mode, trial_id)
    confirmation = confirm(job, folder, board if trial_id is None else board.head(1), train)
    print("\n".join(["confirmed, means over new seeds:", *describe(confirmation, board, metric)]), flush=True)
    winner = confirmed_winner(winner, trials, confirmation.standings, mode)
    return winner if trial_id is None else replace(winner, why=f"chosen by its name: {winner.why}")


def _ready(job: JobSpec, folder: RunFolder, trials: pd.DataFrame) -> Dataset:
    """The run's images; raises `InputError` for whatever would end the retraining, before anything is trained."""
    folder.check_writable("RUN")
    read_json(folder, READS_FILE)
    return _same_images(job, folder, str(trials["data_fingerprint"].dropna().iloc[0]))


def _as_before(job: JobSpec, folder: RunFolder, report: dict[str, Any], winner: Winner) -> Retrained:
    """The earlier retraining of the same; what has been confirmed or registered since is added to its report."""
    if winner.confirmed and report.get("winner") != winner_summary(winner):
        report["winner"] = winner_summary(winner)
        put_report(folder, report)
    if report.get("registered", "by an earlier version") is None and job.tracking.enabled:
        register(job, folder, report)
    return Retrained(folder, report, is_new=False)


def _train(
    job: JobSpec,
    winner: Winner,
    dataset: Dataset,
    epochs: int,
    folder: RunFolder,
    parts: int,
) -> dict[str, Any]:
    with silence_native_stderr():
        from toprung.trainables.backend.engine import enable_determinism
        from toprung.trainables.models.family import load_family
        from toprung.trainables.training.trainer_cache import TrainerCache

    if job.resources.deterministic:
        enable_determinism()
    task = retrain_task(dataset, job.search.max_epochs, epochs)
    # On the kind of device that searched, the winner is computed as in the search.
    choices = AutotuneStore(folder.choices, read_only=True)
    warm = TrainerCache(asked=job.resources.execution_request(), choices=choices, usual=Workload(epochs))
    family = load_family(job.family)
    trainer = warm.trainer(family, winner.config, task, least_parts=parts)
    trainer.reset(winner.config, winner.seed or 0)
    train_through(trainer, epochs, winner.trial_id)
    model = trainer.export()
    save_model(folder, model)
    reads = record_test_read(folder)
    tested = as_saved(trainer, warm, family, winner.config, task).evaluate(dataset.test())
    report = report_of(job, winner, dataset, epochs, tested, reads, trainer.parameter_count)
    put_report(folder, report)
    register(job, folder, report, model)
    return report


def retrain_task(dataset: Dataset, max_epochs: int, epochs: int) -> Task:
    """The task on train + validation; schedules as long as the search's, or as a retraining that goes on for longer.

    Past the end of its schedule a learning rate is nothing, and so would be the epochs trained with it.
    """
    return dataset.task(max(max_epochs, epochs), concat_splits(dataset.train(), dataset.val()))


def as_saved(
    trainer: Trainer, warm: TrainerCache, family: Family, config: Mapping[str, Any], task: Task
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


def _same_images(job: JobSpec, folder: RunFolder, fingerprint: str) -> Dataset:
    dataset = load(job.data_spec())
    if dataset.fingerprint != fingerprint:
        given = f"the images are others than those {folder.root} searched with ({dataset.fingerprint[:12]})"
        raise InputError.single("data", given, f"must be those of fingerprint {fingerprint[:12]}")
    return dataset
