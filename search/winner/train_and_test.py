"""The winner's training, its saved model and its test, in one process: this one or a Ray task's.

TensorFlow is imported when the training begins.
"""

from __future__ import annotations

import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.evaluation.scores import Calibration
from toprung.search.winner.curve import Curve
from toprung.search.winner.keep_model import keep_model
from toprung.search.winner.report import TrainedBy
from toprung.search.winner.saved_file import check_file, describe, save_file
from toprung.trainables.metrics.temperature import fit_temperature
from toprung.trainables.worker.retraining import Phase, Retraining

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from toprung.search.retrained.json_files import Report
    from toprung.search.winner.winner_training import WinnerTraining
    from toprung.trainables.trial.messages import EpochResult


@dataclass(frozen=True)
class EpochTrained:
    """An epoch of one of the winner's trainings; `line` is for the log."""

    epoch: int
    line: str
    result: EpochResult
    phase: Phase = Phase.FINAL

    @property
    def progress(self) -> tuple[int, int]:
        """Grows with every epoch that is trained."""
        return list(Phase).index(self.phase), self.epoch


def train_and_test(work: WinnerTraining, in_worker: bool = False) -> Iterator[EpochTrained | Report]:
    """Train the winner, save its model, read the test set once if there is one, save the report.

    A training on train alone comes first where the model is calibrated.

    Args:
        work: The run and the winner.
        in_worker: See `Retraining`.

    Yields:
        Each epoch, at last the report.

    Raises:
        SearchFailedError: A training diverged or failed, or the saved file is not what was trained.
    """
    training = Retraining(work.plan, in_worker)
    curves = [Curve(phase) for phase in Phase if phase is Phase.FINAL or work.calibrate]
    calibration = Calibration()
    for curve in curves:
        results = training.results(curve.phase)
        for trained in checked_epochs(results, work.winner.trial_id, work.epochs, curve.phase):
            curve.add(trained.result)
            yield trained
        if curve.phase is Phase.HELD_OUT:
            calibration = calibrate(training)
    execution = trained.result.execution
    device = execution.device if execution else ""
    about = describe(work, training.dataset, calibration.temperature)
    with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
        path = Path(scratch) / "model.keras"
        save_file(path, training, about)
        compared = check_file(path, training, about, device)
        parameters = trained.result.parameter_count
        by = TrainedBy(socket.gethostname(), device, parameters, compared, calibration)
        for curve in curves:
            curve.put(work.model_folder, work.winner.trial_id)
        report = keep_model(work, training, path, by)
    training.discard_state()
    yield report


def calibrate(training: Retraining) -> Calibration:
    """The temperature of a model that was trained on train alone, from its logits of the validation images."""
    dataset = training.dataset
    held_out = training.evaluate(dataset.val())
    temperature = fit_temperature(held_out.logits, held_out.labels, dataset.task_type)
    return Calibration(temperature, len(held_out.labels), held_out.scores)


def checked_epochs(
    results: Iterable[EpochResult], trial_id: str, epochs: int, phase: Phase = Phase.FINAL
) -> Iterator[EpochTrained]:
    """The results of one of the winner's trainings, the first of which may repeat the epoch of a saved state.

    Raises:
        SearchFailedError: A loss is not finite, or the training failed otherwise.
    """
    is_first = True
    prefix = "" if phase is Phase.FINAL else "calibration, "
    for result in results:
        report = result.report
        if result.failure or report is None:
            reason = result.error.strip().rpartition("\n")[2]
            raise SearchFailedError(f"the retraining of {trial_id} failed ({result.failure}): {reason}")
        if not report.is_finite:
            raise SearchFailedError(
                f"the retraining of {trial_id} diverged at epoch {report.epoch}; nothing was saved"
            )
        loss, accuracy = report.metrics["train_loss"], report.metrics["train_accuracy"]
        resumed = ", from a saved state" if is_first and report.epoch > 1 else ""
        is_first = False
        measured = f"train loss {loss:.4f}, train accuracy {accuracy:.4f}{resumed}"
        yield EpochTrained(report.epoch, f"{prefix}epoch {report.epoch}/{epochs}: {measured}", result, phase)
