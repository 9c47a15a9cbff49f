"""The winner's training, its saved model and its test, in one process: this one or a Ray task's.

TensorFlow is imported when the training begins.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.winner.json_files import record_test_read
from toprung.search.winner.model_file import save_model
from toprung.search.winner.report import SealedTest, TrainedBy, put_report, report_of
from toprung.trainables.worker.retraining import Retraining

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from toprung.search.winner.report import Report
    from toprung.search.winner.winner_training import WinnerTraining
    from toprung.trainables.trial.messages import EpochResult


@dataclass(frozen=True)
class EpochTrained:
    """An epoch of the winner's training; `line` is for the log."""

    epoch: int
    line: str
    result: EpochResult


def train_and_test(work: WinnerTraining, in_worker: bool = False) -> Iterator[EpochTrained | Report]:
    """Train the winner, save its model, read the test set once if there is one, save the report.

    Args:
        work: The run and the winner.
        in_worker: See `Retraining`.

    Yields:
        Each epoch, at last the report.

    Raises:
        SearchFailedError: The training diverged or failed.
    """
    training = Retraining(work.plan, in_worker)
    for trained in checked_epochs(training.results(), work.winner.trial_id, work.epochs):
        yield trained
    execution = trained.result.execution
    by = TrainedBy(
        socket.gethostname(), execution.device if execution else "", trained.result.parameter_count
    )
    save_model(work.folder, training.export())
    report = report_of(work, training.dataset, _test(training, work), by)
    put_report(work.folder, report)
    training.discard_state()
    yield report


def _test(training: Retraining, work: WinnerTraining) -> SealedTest | None:
    """The scores on the test set, whose reading is recorded before; None where the job has no test images."""
    if not training.dataset.counts["test"]:
        return None
    reads = record_test_read(work.folder)
    return SealedTest(training.evaluate_test(), reads)


def checked_epochs(results: Iterable[EpochResult], trial_id: str, epochs: int) -> Iterator[EpochTrained]:
    """The results of the winner's training, the first of which may repeat the epoch of a saved state.

    Raises:
        SearchFailedError: A loss is not finite, or the training failed otherwise.
    """
    is_first = True
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
        line = f"epoch {report.epoch}/{epochs}: train loss {loss:.4f}, train accuracy {accuracy:.4f}{resumed}"
        yield EpochTrained(report.epoch, line, result)
